"""All streams of values of a recording: observed while a batch runs, counted once its numbers have arrived."""

import math
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
from msvit_energy.recording.time_axis import TimeAxis

INPUT, OUTPUT = "input", "output"


class StreamKey(NamedTuple):
    """A stream: an input of an operator or mask, by position, or the output of a neuron layer."""

    layer: str
    role: str  # INPUT or OUTPUT
    position: int = 0

    def __str__(self) -> str:
        """For messages; of an input also how a profile names the operand."""
        return f"{self.layer}#{self.position}" if self.role == INPUT else f"{self.layer} ({self.role})"


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
        self._axis = TimeAxis(1, 1)
        self._runs: dict[StreamKey, int] = {}  # in the present batch
        self._waiting: list[_Waiting] = []
        self._waiting_pairs: list[_WaitingPairs] = []

    def begin(self, axis: TimeAxis) -> None:
        """Start a batch; what is left of one that failed is forgotten."""
        self._axis = axis
        self._runs.clear()
        self.stats.clear()
        self._waiting.clear()
        self._waiting_pairs.clear()

    def split(self, values: Tensor, rank: int | None, key: StreamKey) -> Tensor:
        """A tensor of a stream as `[T or 1, B, ...]`."""
        return self._axis.split(values, rank, key)

    def observe(
        self,
        key: StreamKey,
        values: Tensor,
        rank: int | None = None,
        reached: float | Tensor = 0,
        *,
        highest: float = math.inf,
    ) -> Observation | None:
        """Observe a tensor of a stream, perhaps known to be whole numbers up to `highest`; `rank` as for TimeAxis,
        `reached` as for the function. None on the meta device, where only shapes are noted."""
        steps = self.split(values, rank, key)
        observation = None
        if not steps.is_meta:
            steps = steps.cpu() if steps.is_mps else steps  # which has no float64
            observation = observe(steps, reached, self.stats, highest=highest)
        self._waiting.append(_Waiting(key, len(steps), steps.numel(), reached, observation))
        return observation

    def observe_pairs(self, layer: str, operands: tuple[StreamKey, ...], pairs: Tensor) -> None:
        """Observe the pairs that meet in a product of whole numbers, with the leading axes of its operands."""
        met = self._axis.split(pairs, None, layer)
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
        self.moments.add(counts)

    def _count(
        self, key: StreamKey, observed: Sequence[tuple[_Waiting, Observation | None]], time_steps: int
    ) -> dict[str, np.ndarray]:
        """Count the tensors of one stream; counts of each image under the names that a profile keeps."""
        counter = self.counters.setdefault(key, StreamCounter())
        steps = [each.steps for each, _ in observed]
        self._runs[key] = sum(steps)
        counts: dict[str, np.ndarray] = {}
        for first, (each, numbers) in zip(first_runs(steps, time_steps), observed, strict=True):
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


def first_runs(steps: Sequence[int], time_steps: int) -> list[int]:
    """The run, counted from 0, in which each tensor of a stream begins, by the `steps` in each of them.

    What is called k times in each of T steps has T runs, each with what all its calls of that step were fed.
    """
    together, rest = divmod(sum(steps), time_steps)
    if all(length == time_steps for length in steps):
        return [0] * len(steps)
    if all(length == 1 for length in steps) and not rest:
        return [number // together for number in range(len(steps))]
    return list(accumulate(steps, initial=0))[:-1]
