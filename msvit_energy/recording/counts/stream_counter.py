"""Running counts of one stream of values.

Exact whatever the batch size and order: whole numbers are summed exactly (tensor_stats.py) and kept as integers, the
sums of real numbers of each image are added as fractions. Counting has two halves: `observe` computes on the device
where the values are, `StreamCounter.add` takes the numbers in once they are on the CPU.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from msvit_energy.errors import EnergyError
from msvit_energy.profiles.operand import KINDS, Operand
from msvit_energy.recording.counts.tensor_stats import TensorStatsCache, channel_nonzeros
from msvit_energy.recording.spike_lineage import Origin

BINARY, INTEGER, ANALOG = range(len(KINDS))


class Observation(NamedTuple):
    """One tensor of a stream: its `TensorStats`, and the sums and the non-zero values, each value times the synapses
    that its element reaches in a map, `[runs, images]`; all float64."""

    bounds: Tensor
    sums: Tensor
    nonzeros: Tensor
    events: Tensor
    nonzero_events: Tensor


def observe(
    values: Tensor, reached: float | Tensor, cache: TensorStatsCache, *, highest: float = math.inf
) -> Observation:
    """Look at `values`, `[runs, images, ...]`, perhaps known to be whole numbers up to `highest`; `reached` is the
    synapses that each element reaches, a number or a map over the last axes."""
    found = cache.stats(values, highest=highest)
    if not isinstance(reached, Tensor):
        return Observation(found.bounds, found.sums, found.nonzeros, found.sums, found.nonzeros)
    spatial, reached = tuple(reached.shape), reached.to(values.device)
    known = values.is_cpu  # elsewhere nothing waits for the bounds, and all is computed
    _, high, whole = found.bounds.tolist() if known else (0.0, math.inf, True)
    events = torch.zeros_like(found.sums)
    if whole:
        events = (cache.channel_sums(values, spatial, high) * reached).flatten(2).sum(2)
    nonzero_events = events
    if not (known and whole and high <= 1):
        nonzero_events = (channel_nonzeros(values, spatial) * reached).flatten(2).sum(2)
    return Observation(found.bounds, found.sums, found.nonzeros, events, nonzero_events)


def to_cpu(tensors: Sequence[Tensor]) -> list[Tensor]:
    """The same on the CPU, from each other device in one transfer."""
    result = list(tensors)
    for device in {tensor.device for tensor in tensors if not tensor.is_cpu}:
        places = [i for i, tensor in enumerate(tensors) if tensor.device == device]
        line = torch.cat([tensors[i].flatten() for i in places]).cpu()
        for i, part in zip(places, line.split([tensors[i].numel() for i in places]), strict=True):
            result[i] = part.view(tensors[i].shape)
    return result


@dataclass
class StreamCounter:
    """Counts of one stream; one entry of `sums` and `nonzeros` per run."""

    elements: int = 0  # of all runs and images
    sums: list[int | Fraction] = field(default_factory=list)
    nonzeros: list[int] = field(default_factory=list)
    maximum: float = float("-inf")
    kind: int = 0  # index into KINDS: the widest seen
    events: int = 0
    nonzero_events: int = 0
    reaches: set[int | None] = field(default_factory=set)  # synapses reached per element; None where that varies

    def announce(self, run: int, runs: int, elements: int, reached: float | Tensor) -> None:
        """Note values of `runs` runs from `run` on, all that the meta device has, and what they reach."""
        self.elements += elements
        self.reaches.add(None if isinstance(reached, Tensor) else int(reached))
        self._extend(run + runs)

    def add(self, run: int, seen: Observation, reached: float | Tensor) -> dict[str, np.ndarray]:
        """Count what was observed of values announced before, in runs `run`, `run + 1`, ... of these images.

        Returns the counts of each image, `[images]`; those that real numbers do not have are 0. Raises EnergyError for
        NaN and infinity.
        """
        bounds, sums, nonzeros, events, nonzero_events = (tensor.numpy() for tensor in seen)
        low, high, whole = bounds.tolist()
        if not (math.isfinite(low) and math.isfinite(high)):
            raise EnergyError(f"values from {low} to {high}")
        kind = ANALOG if not whole else BINARY if high <= 1 else INTEGER
        self.kind = max(self.kind, kind)
        self.maximum = max(self.maximum, high)
        value, nonzero = (numbers.sum(0) for numbers in (sums, nonzeros))
        events, nonzero_events = (
            (numbers.sum(0) for numbers in (events, nonzero_events))
            if isinstance(reached, Tensor)
            else (value * reached, nonzero * reached)
        )
        if kind == ANALOG:
            self._store(run, self.sums, [sum(map(Fraction, row), Fraction()) for row in sums.tolist()])
            value = events = np.zeros(len(nonzero))
        else:
            self._store(run, self.sums, [int(total) for total in sums.sum(1).tolist()])
        self._store(run, self.nonzeros, [int(total) for total in nonzeros.sum(1).tolist()])
        counts = {"nonzero": nonzero, "nonzero_events": nonzero_events, "value": value, "events": events}
        integers = {name: numbers.astype(np.int64) for name, numbers in counts.items()}
        self.events += int(integers["events"].sum())
        self.nonzero_events += int(integers["nonzero_events"].sum())
        return integers

    @property
    def whole(self) -> bool:
        """Whether something was counted, and all of it whole numbers."""
        return self.maximum > -math.inf and not self.analog

    @property
    def analog(self) -> bool:
        """Whether real numbers were seen."""
        return self.kind == ANALOG

    def operand(self, name: str, origin: Origin, varies: bool | None = None, *, reaching: bool = True) -> Operand:
        """What was counted, as data; `varies` says whether values differ between time steps."""
        fan_out = next(iter(self.reaches)) if len(self.reaches) == 1 else None
        return Operand(
            name=name,
            kind=KINDS[self.kind],
            origin=origin.what,
            neurons=origin.neurons,
            elements=self.elements,
            sums=self.exact_sums(),
            nonzeros=tuple(self.nonzeros),
            maximum=self.maximum if math.isfinite(self.maximum) else 0.0,
            fan_out=fan_out,
            events=self.events if reaching and not self.analog else None,
            nonzero_events=self.nonzero_events if reaching else None,
            varies=varies,
        )

    def exact_sums(self) -> tuple[int | Fraction, ...]:
        """Sums per run: integers of whole numbers, fractions of real ones."""
        return tuple(map(Fraction, self.sums)) if self.analog else tuple(self.sums)

    def _store(self, run: int, into: list[int | Fraction] | list[int], totals: list[int] | list[Fraction]) -> None:
        self._extend(run + len(totals))
        for step, total in enumerate(totals, start=run):
            into[step] += total  # type: ignore[operator]

    def _extend(self, runs: int) -> None:
        missing = runs - len(self.sums)
        self.sums.extend([0] * missing)
        self.nonzeros.extend([0] * missing)
