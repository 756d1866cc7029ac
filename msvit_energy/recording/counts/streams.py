"""All streams of values of a recording: observed while a batch runs, counted once its numbers have arrived."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import accumulate, islice
from typing import NamedTuple

import numpy as np
from torch import Tensor

from msvit_energy.errors import EnergyError
from msvit_energy.profiles.operand import count_key
from msvit_energy.profiles.operators import pairs_key
from msvit_energy.recording.counts.moment_accumulator import MomentAccumulator
from msvit_energy.recording.counts.stream_counter import Observation, StreamCounter, observe, to_cpu
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


class _WaitingPairs(NamedTuple):
    layer: str
    operands: tuple[StreamKey, ...]
    met: Tensor  # pairs of non-zero elements of each image, `[images]`


class Streams:
    """Counters of every stream, the moments of inputs over images, and pairs of spikes that meet in products."""

    def __init__(self) -> None:
        self.counters: dict[StreamKey, StreamCounter] = {}
        self.moments = MomentAccumulator()
        self.stats = TensorStatsCache()  # of the tensors of the present batch
        self._pairs: dict[str, int] = {}
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
    ) -> Observation | None:
        """Observe the tensor that comes next in a stream, split as `[T or 1, B, ...]`, perhaps known to be whole
        numbers up to `highest`; `reached` as for the function. None on the meta device, where only shapes are
        noted."""
        self._calls[key] += 1
        observation = None
        if not steps.is_meta:
            steps = steps.cpu() if steps.is_mps else steps  # which has no float64
            observation = observe(steps, reached, self.stats, highest=highest)
        self._waiting.append(_Waiting(key, len(steps), steps.numel(), reached, observation))
        return observation

    def observe_pairs(self, layer: str, operands: tuple[StreamKey, ...], pairs: Tensor, layout: Layout) -> None:
        """Observe the pairs that meet in a product of whole numbers, a tensor of that layout."""
        met = layout.split(pairs, self.layouts.steps, self.images)
        assert met is not None
        self._waiting_pairs.append(_WaitingPairs(layer, operands, met.reshape(*met.shape[:2], -1).sum((0, 2))))

    def runs(self) -> Mapping[StreamKey, int]:
        """Time steps of every stream that was observed in the present batch."""
        return self._runs

    def end(self, repeats: Mapping[str, str], time_steps: int) -> None:
        """Count what was observed in this batch, of T = `time_steps` steps. `repeats` are provisional layers, and which
        layer they are a repeat of. EnergyError for NaN and infinity."""
        tensors = [tensor for each in self._waiting for tensor in each.observation or ()]
        arrived = iter(to_cpu([*tensors, *(each.met for each in self._waiting_pairs)]))
        by_stream: dict[StreamKey, list[tuple[_Waiting, Observation | None]]] = {}
        for each in self._waiting:
            key = each.key._replace(layer=repeats.get(each.key.layer, each.key.layer))
            numbers = each.observation and Observation._make(islice(arrived, len(each.observation)))
            by_stream.setdefault(key, []).append((each, numbers))
        counts: dict[str, np.ndarray] = {}
        for key, observed in by_stream.items():
            _add(counts, self._count(key, observed, time_steps))
        for (provisional, operands, _), pairs in zip(self._waiting_pairs, arrived, strict=True):
            layer = repeats.get(provisional, provisional)
            if self._all_whole(tuple(key._replace(layer=layer) for key in operands)):
                met = pairs.long().numpy()
                self._pairs[layer] = self._pairs.get(layer, 0) + int(met.sum())
                _add(counts, {pairs_key(layer): met})
        if self.images > 1:
            self.layouts.settle()
        self.moments.add(counts)

    def _count(
        self, key: StreamKey, observed: Sequence[tuple[_Waiting, Observation | None]], time_steps: int
    ) -> dict[str, np.ndarray]:
        """Count the tensors of one stream; counts of each image under the names that a profile keeps."""
        counter = self.counters.setdefault(key, StreamCounter())
        steps = [each.steps for each, _ in observed]
        self._runs[key] = sum(steps)
        counts: dict[str, np.ndarray] = {}
        outside = self.layouts.windows_outside(key)
        for first, (each, numbers) in zip(first_runs(steps, time_steps, outside), observed, strict=True):
            counter.announce(first, each.steps, each.elements, each.reached)
            if numbers is None:
                continue
            try:
                of_tensor = counter.add(first, numbers, each.reached)
            except EnergyError as error:
                raise EnergyError(f"{key.layer}: {error}; the weights or the input are damaged") from None
            if key.role == INPUT:
                _add(counts, {count_key(str(key), count): values for count, values in of_tensor.items()})
        return counts

    def pairs(self, layer: str, operands: tuple[StreamKey, ...]) -> int | None:
        """Pairs over all images; None where they cannot be counted, since not all inputs are whole numbers."""
        return self._pairs.get(layer) if self._all_whole(operands) else None

    def _all_whole(self, operands: tuple[StreamKey, ...]) -> bool:
        return all(key in self.counters and self.counters[key].whole for key in operands)


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
