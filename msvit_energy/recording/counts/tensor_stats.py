"""What a tensor holds, found in one pass through the cache: bounds, whole or not, sums, how many values are not 0.

On the CPU a tensor is read part by part, so that several questions cost one read of the memory; elsewhere all is
computed on the device, and nothing waits for it.
"""

import math
import struct
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from operator import is_
from typing import Any

import torch
from torch import Tensor
from torch.multiprocessing.reductions import StorageWeakRef

from msvit_energy.recording.counts.integer_bounds import bound

PART = 1 << 17  # values that fit the cache together with as many in between
MOST_SPIKES = 1 << 20  # whole numbers beyond are no counts of spikes: every large float is whole


@dataclass(frozen=True)
class TensorStats:
    """`bounds` are the least and greatest value, and 1 if all are whole numbers from 0 to MOST_SPIKES, `[3]`; `sums`
    and `nonzeros` are per run and image, `[runs, images]`, float64 (exact where all values are whole)."""

    bounds: Tensor
    sums: Tensor
    nonzeros: Tensor


def tensor_stats(values: Tensor, *, highest: float = math.inf) -> TensorStats:
    """The statistics of `values`, `[runs, images, ...]`. If they are known to be whole numbers from 0, and to be
    no more than `highest`, that saves checks, and the least of them is taken to be 0."""
    if not values.is_floating_point():
        values = values.double()
    if values.is_cpu:
        return _in_parts(values, highest)
    low, high = torch.aminmax(values)
    whole = (values == values.floor()).all() & (low >= 0) & (high <= MOST_SPIKES)
    flat = values.reshape(*values.shape[:2], -1)
    nonzeros = torch.count_nonzero(flat, dim=2)
    return TensorStats(torch.stack([low, high, whole]).double(), flat.sum(2, dtype=torch.float64), nonzeros.double())


def stats_in_units(values: Tensor, unit: float, *, known: bool = False) -> TensorStats | None:
    """The statistics, in units of a power of two, of values on the CPU; None if not all are whole numbers of those from
    0 to MOST_SPIKES, unless that is `known`."""
    return _whole(_rows(values), known=known, unit=unit)


def channel_sums(values: Tensor, spatial: tuple[int, ...], highest: float, unit: float = 1.0) -> Tensor:
    """Sums of whole numbers up to `highest`, in units of a power of two, at each position, `[runs, images, ...,
    *spatial]` -> `[runs, images, *spatial]`, float64."""
    sums = whole_sums(values.reshape(*values.shape[:2], -1, *spatial), 2, highest)
    return sums if unit == 1 else sums / unit


def channel_nonzeros(values: Tensor, spatial: tuple[int, ...]) -> Tensor:
    """How many values are not 0 at each position, shaped as `channel_sums`."""
    grouped = values.reshape(*values.shape[:2], -1, *spatial)
    if not (values.is_cpu and values.is_floating_point()):
        return torch.count_nonzero(grouped, dim=2).double()
    counts = torch.empty(*grouped.shape[:2], *spatial, dtype=torch.float64)
    together = max(1, PART // max(1, grouped[:1, :1].numel()))  # images that fit the cache
    scratch = torch.empty(min(together, grouped.shape[1]), *grouped.shape[2:], dtype=values.dtype)
    for run, count in zip(grouped, counts, strict=True):
        for images, total in zip(run.split(together), count.split(together), strict=True):
            ones = torch.sign(images, out=scratch[: len(images)]).abs_()
            total.copy_(ones.sum(1, dtype=torch.promote_types(values.dtype, torch.float32)))
    return counts


def has_nan(values: Tensor) -> bool:
    """Whether one of some real numbers is NaN, which makes their sum NaN."""
    return not math.isfinite(values.sum().item()) and bool(values.isnan().any())


def _in_parts(values: Tensor, highest: float) -> TensorStats:
    rows = _rows(values)
    if highest <= 1:
        sums = whole_sums(rows, 2, 1)
        return TensorStats(_bounds(0.0, float(sums.any()), True), sums, sums)
    found = _whole(rows, known=highest <= MOST_SPIKES)
    if found is not None:
        return found
    low, high = (bound.item() for bound in torch.aminmax(values))
    if not (math.isfinite(low) and math.isfinite(high)):
        nothing = torch.zeros(values.shape[:2], dtype=torch.float64)
        return TensorStats(_bounds(low, high, False), nothing, nothing)
    # the order in which real numbers are added is that of the axes, not of the memory
    sums = values.reshape(*values.shape[:2], -1).sum(2, dtype=torch.float64)
    return TensorStats(_bounds(low, high, False), sums, channel_nonzeros(rows, ()))


@lru_cache
def _bounds(low: float, high: float, whole: bool) -> Tensor:
    return torch.tensor([low, high, whole], dtype=torch.float64)


def whole_sums(values: Tensor, axis: int, highest: float) -> Tensor:
    """Sums of whole numbers up to `highest` along an axis, exact, in float64."""
    return exact_sums(values, axis, highest).double()


def exact_sums(values: Tensor, axis: int, highest: float) -> Tensor:
    """The same, in float32 where that holds them: up to 2^24."""
    exact = values.dtype == torch.float32 and highest * values.shape[axis] <= 1 << 24
    return values.sum(axis, dtype=None if exact else torch.float64)


def _whole(rows: Tensor, *, known: bool, unit: float = 1.0) -> TensorStats | None:
    """The statistics of `[runs, images, n]` in units of a power of two, whose sums are as exact; None if not all are
    whole numbers of those from 0 to MOST_SPIKES, unless that is known."""
    sums: list[Tensor] = []
    nonzeros: list[Tensor] = []
    scratch = torch.empty(PART, dtype=rows.dtype)
    lowest, highest = math.inf, -math.inf
    for part in parts(rows.flatten(0, 1)):
        within = scratch[: part.numel()].view(part.shape)
        low, high = (0.0, part.amax().item()) if known else _extremes(part)
        if not (known or (0 <= low <= high <= MOST_SPIKES * unit and _all_whole(part, unit, within))):
            return None
        lowest, highest = min(low, lowest), max(high, highest)
        sums.append(exact_sums(part, 1, high / unit))
        nonzeros.append(sums[-1] if high <= unit else exact_sums(torch.clamp(part, max=unit, out=within), 1, 1))
    same = all(map(is_, sums, nonzeros))
    totals = [_total(some, rows, unit) for some in ((sums,) if same else (sums, nonzeros))]
    return TensorStats(_bounds(lowest / unit, highest / unit, True), totals[0], totals[-1])


def _total(sums: Sequence[Tensor], rows: Tensor, unit: float) -> Tensor:
    """Sums of the parts of `[runs, images, n]`, in units, per run and image in float64."""
    together = (sums[0] if len(sums) == 1 else torch.cat(list(sums))).double().view(*rows.shape[:2], -1)
    total = together.sum(2) if together.shape[2] > 1 else together.squeeze(2)
    return total if unit == 1 else total / unit


def _all_whole(part: Tensor, unit: float, scratch: Tensor) -> bool:
    fractions = torch.frac(part, out=scratch) if unit == 1 else torch.mul(part, 1 / unit, out=scratch).frac_()
    return fractions.sum().item() == 0


def _extremes(part: Tensor) -> tuple[float, float]:
    """The least and greatest value; NaN if there is one."""
    if part.dtype == torch.float32:  # in half the time: read as integers, floats from 0 on have the same order
        low, high = (bits.item() for bits in torch.aminmax(part.view(torch.int32)))
        if low >= 0:
            return _float32(low), _float32(high)
    return part.amin().item(), part.amax().item()


@lru_cache
def _float32(bits: int) -> float:
    """The number that has these bits."""
    return float(struct.unpack("f", struct.pack("I", bits))[0])


def parts(lines: Tensor) -> Iterator[Tensor]:
    """`[lines, n]` as parts of at most PART values, line by line: `[some lines, n]`, or `[1, some values]`."""
    for some in lines.split(max(1, PART // max(1, lines.shape[1]))):
        yield from some.split(PART, dim=1)


def _rows(values: Tensor) -> Tensor:
    """`[runs, images, n]`, in the order of the memory where that saves a copy."""
    dense = _dense(values)
    return values.reshape(*values.shape[:2], -1) if dense is None else dense


def _dense(values: Tensor) -> Tensor | None:
    """A view `[runs, images, n]`, the first axes as they are and the others as they lie in memory, whatever their
    order; None where they do not lie together."""
    if values.is_contiguous():
        runs, images = values.shape[:2]
        return values.view(runs, images, values.numel() // max(1, runs * images))
    together = _together(values.stride()[2:], values.shape[2:])
    return None if together is None else values.as_strided((*values.shape[:2], together), (*values.stride()[:2], 1))


def _together(strides: Sequence[int], sizes: Sequence[int]) -> int | None:
    """How many values lie together in memory along these axes, in whatever order; None if there are gaps."""
    together = 1
    for stride, size in sorted(zip(strides, sizes, strict=True)):
        if size > 1 and stride != together:
            return None
        together *= size
    return together


# functions after which a tensor shares its memory with something that notes writes elsewhere, or nowhere
SHARING = frozenset(
    {
        Tensor.data.__get__,  # type: ignore[attr-defined]
        Tensor.data.__set__,  # type: ignore[attr-defined]
        Tensor.set_,
        Tensor.numpy,
        Tensor.__array__,
        Tensor.__dlpack__,
        Tensor.untyped_storage,
        Tensor.storage,
    }
)


class TensorStatsCache:
    """What is known of tensors that are still in memory and were not written to since: each is read once however many
    operators read it, under whatever shape, and what follows from others is not checked.

    Not every write changes the version of a tensor. So nothing is remembered of memory

    - that was made by numpy or came through DLPack, or that numpy has seen: torch cannot resize it, whoever asked when;
    - that a forward has shared by one of SHARING;
    - that the model holds at rest (`distrust`), and may have shared before;
    - that a neuron reports again: what was known before its call is forgotten, as it may reuse its memory.

    That is exact, and costs no reading; a checksum would cost a reading of all, or would miss a sparse write. What is
    left unseen is a write through a bare pointer, or through an alias of memory that is neither the model's nor a
    neuron's and was shared before the forward.
    """

    def __init__(self) -> None:
        self._held: frozenset[int] = frozenset()
        self._known: dict[Hashable, tuple[StorageWeakRef, Any]] = {}
        self._reports: dict[int, int] = {}  # by neurons, of each storage
        self._shared: dict[int, StorageWeakRef] = {}
        self._latest: tuple[Hashable | None, StorageWeakRef, Any] | None = None

    def stats(self, values: Tensor, *, highest: float = math.inf) -> TensorStats:
        """As the function."""
        block = self._block(values)
        # of memory without gaps, the first two axes say which part belongs to which run and image
        key = self._identity(_dense(values)) if block is None else (block, values.shape[:2], values.stride()[:2])
        return self._once(key, values, lambda: self._read(values, block, highest))

    def stats_in_units(self, values: Tensor, unit: float) -> TensorStats | None:
        """As the function."""
        block = self._block(values)
        if block is None:
            return stats_in_units(values, unit)

        def read() -> TensorStats | None:
            found = stats_in_units(values, unit, known=self._recall((block, unit)) is not None)
            if found is not None:
                self._keep((block, unit), values, True)
            return found

        return self._once((block, values.shape[:2], values.stride()[:2], unit), values, read)

    def channel_sums(self, values: Tensor, spatial: tuple[int, ...], highest: float, unit: float = 1.0) -> Tensor:
        """As the function."""
        key = self._identity(values, spatial, unit)
        return self._once(key, values, lambda: channel_sums(values, spatial, highest, unit))

    def once(self, values: Tensor, make: Callable[[], Any], what: Hashable, *, latest: bool = False) -> Any:
        """What `make` finds in `values`, under the name `what`; found once as long as that can be known, or as long as
        nothing else is asked for (`latest`), since it is large."""
        key = self._identity(values, what)
        if not latest:
            return self._once(key, values, make)
        if key is None or self._latest is None or self._latest[0] != key:
            self._latest = key, StorageWeakRef(values.untyped_storage()), make()
        return self._latest[2]

    def note_whole(self, values: Tensor, highest: float) -> None:
        """Note that a tensor is whole numbers from 0 to `highest`."""
        if highest <= MOST_SPIKES:
            self._keep(self._block(values), values, highest)

    def note_output(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> None:
        """Note what the output of a torch function is known to be."""
        most = bound(func, args, kwargs, lambda values: self._recall(self._block(values)))
        if most is not None and most <= MOST_SPIKES and isinstance(output, Tensor):
            self._keep(self._block(output), output, most)

    def distrust(self, tensors: Iterable[Tensor]) -> None:
        """Remember nothing of the memory of these tensors, as long as they live."""
        self._held = frozenset(tensor.untyped_storage()._cdata for tensor in tensors)

    def note_shared(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> None:
        """Note that the memory of a tensor may be written to unseen from now on, after one of SHARING."""
        storage = args[0].untyped_storage()
        self._shared[storage._cdata] = StorageWeakRef(storage)

    def note_neuron(self, spikes: Tensor) -> None:
        """Note that a neuron has run and gave these, perhaps in memory that it has used before."""
        place = spikes.untyped_storage()._cdata
        self._reports[place] = self._reports.get(place, 0) + 1

    def clear(self) -> None:
        """Forget what is known of tensors."""
        self._known.clear()
        self._latest = None
        self._reports.clear()
        self._shared.clear()

    def _read(self, values: Tensor, block: Hashable | None, highest: float) -> TensorStats:
        known: float | None = self._recall(block)
        found = tensor_stats(values, highest=highest if known is None else min(highest, known))
        if values.is_cpu:
            _, high, whole = found.bounds.tolist()
            if whole:
                self._keep(block, values, high)
        return found

    def _once(self, key: Hashable | None, values: Tensor, make: Callable[[], Any]) -> Any:
        found = self._recall(key)
        if found is None:
            found = make()
            self._keep(key, values, found)
        return found

    def _keep(self, key: Hashable | None, values: Tensor, what: Any) -> None:
        if key is not None:
            self._known[key] = StorageWeakRef(values.untyped_storage()), what

    def _recall(self, key: Hashable | None) -> Any:
        # as long as there is a weak reference to a storage, no other has its address
        return self._known.get(key, (None, None))[1]

    def _block(self, values: Tensor) -> Hashable | None:
        """Which memory a tensor fills, and in which state; None for one with gaps, and where that is not known."""
        if values.dtype not in (torch.float32, torch.float64) or not values.is_cpu:
            return None
        if not values.is_contiguous() and _together(values.stride(), values.shape) is None:
            return None
        place = self._place(values)
        return None if place is None else (*place, values.numel())

    def _identity(self, view: Tensor | None, *more: Hashable) -> Hashable | None:
        """Which numbers a tensor holds, as long as its memory lives; None where that is not known."""
        place = None if view is None else self._place(view)
        if view is None or place is None:
            return None
        strides = tuple(stride for stride, size in zip(view.stride(), view.shape, strict=True) if size > 1)
        return *place, tuple(view.shape), strides, *more

    def _place(self, values: Tensor) -> tuple[Hashable, ...] | None:
        """Where a tensor starts in memory, and in which state that is; None where writes may go unseen, as in inference
        mode."""
        if values.is_inference():
            return None
        storage = values.untyped_storage()
        place = storage._cdata
        if place in self._held or place in self._shared or not storage.resizable():
            return None
        return place, self._reports.get(place, 0), values._version, values.storage_offset(), values.dtype
