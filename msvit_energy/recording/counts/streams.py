"""All streams of values of a recording: observed while a batch runs, counted once its numbers have arrived."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from fractions import Fraction
from itertools import accumulate, islice
from typing import NamedTuple

import numpy as np
from torch import Tensor

from msvit_energy.errors import EnergyError
from msvit_energy.profiles.operand import count_key
from msvit_energy.profiles.operators import pairs_key
from msvit_energy.recording.counts.lattice import Lattice
from msvit_energy.recording.counts.lattice_search import LatticeSearch
from msvit_energy.recording.counts.moment_accumulator import MomentAccumulator
from msvit_energy.recording.counts.stream_counter import (
    WHOLE,
    Observation,
    Scaled,
    StreamCounter,
    observe,
    observe_in_units,
    observe_magnitudes,
    to_cpu,
)
from msvit_energy.recording.counts.tensor_stats import TensorStatsCache
from msvit_energy.recording.layouts.layout import Layout
from msvit_energy.recording.layouts.layout_search import Layouts
from msvit_energy.recording.stream_key import INPUT, StreamKey


class _Waiting(NamedTuple):
    """An observed tensor `[steps, images, ...]` whose numbers may still be on their way; None on the meta device. The
    layer of its key may be provisional."""

    key: StreamKey
    steps: int
    elements: int
    reached: float | Tensor
    observation: Observation | None
    scaled: Scaled | None

    @property
    def tensors(self) -> list[Tensor]:
        """All numbers that may still be on their way."""
        return [*(self.observation or ()), *(self.scaled.seen if self.scaled is not None else ())]


class _WaitingPairs(NamedTuple):
    layer: str
    operands: tuple[StreamKey, ...]
    met: Tensor  # pairs of non-zero elements of each image, `[images]`
    steps: tuple[Fraction, ...]  # of the operands' lattices


class Observed(NamedTuple):
    """A tensor as whole numbers from 0: itself in units of a step, or its `magnitudes`; `bounds` are of its
    TensorStats or Magnitudes."""

    bounds: Tensor
    step: Fraction = WHOLE
    magnitudes: Tensor | None = None


class Streams:
    """Counters of every stream, the moments of inputs over images, and pairs of spikes that meet in products."""

    KEPT = ("counters", "_pairs")

    def __init__(self, *, per_image: bool = False) -> None:
        self.counters: dict[StreamKey, StreamCounter] = {}
        self.moments = MomentAccumulator(per_image=per_image)
        self.stats = TensorStatsCache()  # of the tensors of the present batch
        self.lattices = LatticeSearch(self.stats)
        self._pairs: dict[str, dict[tuple[Fraction, ...], int]] = {}
        self.layouts = Layouts(1)
        self.images = 1  # in the present batch
        self._calls: Counter[StreamKey] = Counter()  # likewise
        self._runs: dict[StreamKey, int] = {}  # likewise
        self._waiting: list[_Waiting] = []
        self._waiting_pairs: list[_WaitingPairs] = []

    def begin(self, layouts: Layouts, images: int) -> None:
        """Start a batch of that many images; what is left of one that failed is forgotten."""
        self.layouts, self.images = layouts, images
        self._calls.clear()
        self._runs.clear()
        self.stats.clear()
        self._waiting.clear()
        self._waiting_pairs.clear()

    def layout(self, key: StreamKey, values: Tensor, rank: int | None = None) -> Layout | None:
        """The layout of the tensor that comes next in a stream, None for one that belongs to no image; `rank` as for
        Layouts."""
        return self.layouts.layout(key, self._calls[key], values, self.images, rank)

    def window(self, key: StreamKey, layout: Layout | None) -> int:
        """Which part of each image the tensor handles that comes next in a stream, if it does not handle all time steps
        of that part."""
        call = self._calls[key]
        over_time = layout is not None and layout.has_time and self.layouts.steps > 1
        return call if over_time else self.layouts.window(key, call)

    def split(self, key: StreamKey, values: Tensor, rank: int | None = None) -> Tensor:
        """The tensor that comes next in a stream as `[T or 1, B, ...]`; EnergyError for one that belongs to no
        image."""
        return self.layouts.split(key, self._calls[key], values, self.images, rank)

    def observe(
        self,
        key: StreamKey,
        steps: Tensor,
        reached: float | Tensor = 0,
        *,
        highest: float = math.inf,
        source: str = "other",
    ) -> Observed | None:
        """Observe the tensor that comes next in a stream, split as `[T or 1, B, ...]`, perhaps known to be whole
        numbers up to `highest`; `reached` as for the function, `source` what it is by origin. None on the meta device,
        where only shapes are noted."""
        self._calls[key] += 1
        if steps.is_meta:
            self._waiting.append(_Waiting(key, len(steps), steps.numel(), reached, None, None))
            return None
        steps = steps.cpu() if steps.is_mps else steps  # which has no float64
        unit = self.lattices.unit(key) if steps.is_cpu else None
        both = None if unit is None else observe_in_units(steps, reached, self.stats, float(unit))
        if unit is not None and both is not None:
            return self._note_scaled(key, steps, reached, Lattice(unit), both)
        found, observation = self.lattices.on_known(key, steps), None
        if found is None or not steps.is_cpu:
            observation = observe(steps, reached, self.stats, highest=highest)
            found = found or self.lattices.search(key, steps, observation.bounds, source)
        if found is None:
            assert observation is not None
            self._waiting.append(_Waiting(key, len(steps), steps.numel(), reached, observation, None))
            return Observed(observation.bounds)
        spikes, real = observe_magnitudes(steps, found.magnitudes, reached, self.stats)
        seen = self._note_scaled(key, steps, reached, found.lattice, (spikes, observation or real))
        return seen._replace(magnitudes=found.magnitudes.values)

    def _note_scaled(
        self,
        key: StreamKey,
        steps: Tensor,
        reached: float | Tensor,
        lattice: Lattice,
        both: tuple[Observation, Observation],
    ) -> Observed:
        spikes, real = both
        self._waiting.append(_Waiting(key, len(steps), steps.numel(), reached, real, Scaled(lattice, spikes)))
        return Observed(spikes.bounds, lattice.step)

    def observe_pairs(
        self,
        layer: str,
        operands: tuple[StreamKey, ...],
        pairs: Tensor,
        layout: Layout,
        steps: tuple[Fraction, ...],
    ) -> None:
        """Observe the pairs that meet in a product of whole numbers in units of `steps`, a tensor of that layout."""
        met = layout.split(pairs, self.layouts.steps, self.images)
        assert met is not None
        of_images = met.reshape(*met.shape[:2], -1).sum((0, 2))
        self._waiting_pairs.append(_WaitingPairs(layer, operands, of_images, steps))

    def runs(self) -> Mapping[StreamKey, int]:
        """Time steps of every stream that was observed in the present batch."""
        return self._runs

    def end(self, repeats: Mapping[str, str], time_steps: int) -> None:
        """Count what was observed in this batch, of T = `time_steps` steps. `repeats` are provisional layers, and which
        layer they are a repeat of. EnergyError for NaN and infinity."""
        tensors = [tensor for each in self._waiting for tensor in each.tensors]
        arrived = iter(to_cpu([*tensors, *(each.met for each in self._waiting_pairs)]))
        by_stream: dict[StreamKey, list[_Waiting]] = {}
        for each in self._waiting:
            key = each.key._replace(layer=repeats.get(each.key.layer, each.key.layer))
            numbers = each.observation and Observation._make(islice(arrived, len(each.observation)))
            spikes = each.scaled
            if spikes is not None:
                spikes = spikes._replace(seen=Observation._make(islice(arrived, len(spikes.seen))))
            by_stream.setdefault(key, []).append(each._replace(observation=numbers, scaled=spikes))
        counts: dict[str, np.ndarray] = {}
        for key, observed in by_stream.items():
            _add(counts, self._count(key, observed, time_steps))
        for (provisional, operands, _, units), pairs in zip(self._waiting_pairs, arrived, strict=True):
            layer = repeats.get(provisional, provisional)
            if self._all_whole(tuple(key._replace(layer=layer) for key in operands)):
                met, known = pairs.long().numpy(), self._pairs.setdefault(layer, {})
                known[units] = known.get(units, 0) + int(met.sum())
                _add(counts, {_pairs_at(layer, units): met})
        if self.images > 1:
            self.layouts.settle()
        self.moments.add(counts)
        self.lattices.first_batch = False

    def _count(self, key: StreamKey, observed: Sequence[_Waiting], time_steps: int) -> dict[str, np.ndarray]:
        """Count the tensors of one stream; counts of each image under the names that a profile keeps."""
        counter = self.counters.setdefault(key, StreamCounter())
        steps = [each.steps for each in observed]
        self._runs[key] = sum(steps)
        counts: dict[str, np.ndarray] = {}
        outside = self.layouts.windows_outside(key)
        for first, each in zip(first_runs(steps, time_steps, outside), observed, strict=True):
            counter.announce(first, each.steps, each.elements, each.reached)
            if each.observation is None:
                continue
            try:
                of_tensor = counter.add(first, each.observation, each.reached, each.scaled)
            except EnergyError as error:
                raise EnergyError(f"{key.layer}: {error}; the weights or the input are damaged") from None
            if key.role == INPUT:
                _add(counts, {count_key(str(key), count): values for count, values in of_tensor.items()})
        if counter.scaled and key.role == INPUT:
            for count, parts in counter.parts_of_counts().items():
                parts_of_moments = {count_key(str(key), part): times for part, times in parts.items()}
                self.moments.combine(count_key(str(key), count), parts_of_moments)
        return counts

    def pairs(self, layer: str, operands: tuple[StreamKey, ...]) -> int | None:
        """Pairs over all images; None where they cannot be counted, since not all inputs are whole numbers."""
        if layer not in self._pairs or not self._all_whole(operands):
            return None
        spikes = [self.counters[key].spikes() for key in operands]
        known = [{WHOLE: 1} if each is None else each.times for each in spikes]
        if any(unit not in times for units in self._pairs[layer] for unit, times in zip(units, known, strict=True)):
            return None
        found = self._pairs[layer]
        times = {units: math.prod(each[unit] for each, unit in zip(known, units, strict=True)) for units in found}
        self.moments.combine(pairs_key(layer), {_pairs_at(layer, units): number for units, number in times.items()})
        return sum(times[units] * number for units, number in found.items())

    def _all_whole(self, operands: tuple[StreamKey, ...]) -> bool:
        return all(key in self.counters and self.counters[key].whole for key in operands)


def _pairs_at(layer: str, units: Sequence[Fraction]) -> str:
    """The name of the pairs of tensors that were counted in such units."""
    plain = all(unit == WHOLE for unit in units)
    return pairs_key(layer) if plain else f"{pairs_key(layer)} at {' and '.join(map(str, units))}"


def _add(counts: dict[str, np.ndarray], new: dict[str, np.ndarray]) -> None:
    for key, numbers in new.items():
        counts[key] = counts[key] + numbers if key in counts else numbers


def first_runs(steps: Sequence[int], time_steps: int, windows_outside: bool = False) -> list[int]:
    """The run, counted from 0, in which each tensor of a stream begins, by the `steps` in each of them.

    What is called k times in each of T steps has T runs, each with what all its calls of that step were fed; with
    `windows_outside` all T steps of one call come before those of the next.
    """
    together, rest = divmod(sum(steps), time_steps)
    if all(length == time_steps for length in steps):
        return [0] * len(steps)
    if all(length == 1 for length in steps) and not rest:
        return [number % time_steps if windows_outside else number // together for number in range(len(steps))]
    return list(accumulate(steps, initial=0))[:-1]
