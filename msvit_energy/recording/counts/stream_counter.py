"""Running counts of one stream of values.

Exact whatever the batch size and order: whole numbers are summed exactly (tensor_stats.py) and kept as integers, the
sums of real numbers of each image are added as fractions. Counting has two halves: `observe` computes on the device
where the values are, `StreamCounter.add` takes the numbers in once they are on the CPU.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from msvit_energy.errors import EnergyError
from msvit_energy.profiles.operand import KINDS, Operand, StepBy
from msvit_energy.profiles.operators import NeuronLayer, stage_of
from msvit_energy.recording.counts.lattice import Lattice, Magnitudes, step_of
from msvit_energy.recording.counts.tensor_stats import TensorStats, TensorStatsCache, channel_nonzeros
from msvit_energy.recording.spike_lineage import Origin

BINARY, INTEGER, ANALOG = range(len(KINDS))
SAME = 1e-5  # relative difference of a step that was found twice in rounded values


class Observation(NamedTuple):
    """One tensor of a stream: its `TensorStats`, and the sums and the non-zero values, each value times the synapses
    that its element reaches in a map, `[runs, images]`; all float64."""

    bounds: Tensor
    sums: Tensor
    nonzeros: Tensor
    events: Tensor
    nonzero_events: Tensor


class Scaled(NamedTuple):
    """The same of a tensor's magnitudes on a lattice; the bounds are those of `Magnitudes`."""

    lattice: Lattice
    seen: Observation


def observe(
    values: Tensor, reached: float | Tensor, cache: TensorStatsCache, *, highest: float = math.inf
) -> Observation:
    """Look at `values`, `[runs, images, ...]`, perhaps known to be whole numbers up to `highest`; `reached` is the
    synapses that each element reaches, a number or a map over the last axes."""
    return _with_events(cache.stats(values, highest=highest), values, reached, cache)


def observe_magnitudes(
    values: Tensor, found: Magnitudes, reached: float | Tensor, cache: TensorStatsCache
) -> tuple[Observation, Observation]:
    """The same of values on a lattice: of their magnitudes, and of themselves."""
    highest = float(found.bounds[1]) if values.is_cpu else math.inf
    stats = cache.stats(found.values, highest=highest) if found.stats is None else found.stats
    seen = _with_events(stats, found.values, reached, cache)._replace(bounds=found.bounds)
    return seen, _beside(seen, _real_stats(values, cache) if found.real is None else found.real)


def observe_in_units(
    values: Tensor, reached: float | Tensor, cache: TensorStatsCache, unit: float
) -> tuple[Observation, Observation] | None:
    """The same of values on the CPU that may be whole numbers from 0 in units of a power of two; None if not all
    are."""
    found = cache.stats_in_units(values, unit)
    if found is None:
        return None
    low, high, _ = found.bounds.tolist()
    bounds = torch.tensor([low * unit, high * unit, 0.0], dtype=torch.float64)
    seen = _with_events(found, values, reached, cache, unit)
    return seen, _beside(seen, TensorStats(bounds, found.sums * unit, found.nonzeros))


def _beside(magnitudes: Observation, real: TensorStats) -> Observation:
    """What is to be seen in values as they are, of which as many are not 0 as of their magnitudes."""
    return magnitudes._replace(bounds=real.bounds, sums=real.sums, events=torch.zeros_like(real.sums))


def _real_stats(values: Tensor, cache: TensorStatsCache) -> TensorStats:
    def found() -> TensorStats:
        real = values if values.is_floating_point() else values.double()
        low, high = torch.aminmax(real)
        sums = real.reshape(*real.shape[:2], -1).sum(2, dtype=torch.float64)
        return TensorStats(torch.stack([low, high, torch.zeros_like(low)]).double(), sums, torch.empty(0))

    stats: TensorStats = cache.once(values, found, "values")
    return stats


def _with_events(
    found: TensorStats, values: Tensor, reached: float | Tensor, cache: TensorStatsCache, unit: float = 1.0
) -> Observation:
    if not isinstance(reached, Tensor):
        return Observation(found.bounds, found.sums, found.nonzeros, found.sums, found.nonzeros)
    spatial, reached = tuple(reached.shape), reached if values.is_cpu else reached.to(values.device)
    known = values.is_cpu  # elsewhere nothing waits for the bounds, and all is computed
    _, high, whole = found.bounds.tolist() if known else (0.0, math.inf, True)
    if whole:
        nonzero_events = events = _reaching(cache.channel_sums(values, spatial, high, unit), reached)
    else:
        events = torch.zeros_like(found.sums)
    if not (known and whole and high <= 1):
        nonzero_events = _reaching(channel_nonzeros(values, spatial), reached)
    return Observation(found.bounds, found.sums, found.nonzeros, events, nonzero_events)


def _reaching(numbers: Tensor, reached: Tensor) -> Tensor:
    """Whole numbers `[runs, images, *spatial]` times the synapses reached from each place, added up: exact in any
    order."""
    return numbers.flatten(2) @ reached.flatten().double()


def exact_sum(numbers: Sequence[float]) -> Fraction:
    """The sum of real numbers without rounding. The denominators of floats are powers of two."""
    ratios = [number.as_integer_ratio() for number in numbers]
    finest = max((denominator for _, denominator in ratios), default=1)
    return Fraction(sum(numerator * (finest // denominator) for numerator, denominator in ratios), finest)


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
class Counts:
    """Counts of whole numbers; one entry of `sums` and `nonzeros` per run."""

    sums: list[int] = field(default_factory=list)
    nonzeros: list[int] = field(default_factory=list)
    maximum: int = 0
    events: int = 0
    nonzero_events: int = 0

    def extend(self, runs: int) -> None:
        """Have entries for so many runs."""
        self.sums.extend([0] * (runs - len(self.sums)))
        self.nonzeros.extend([0] * (runs - len(self.nonzeros)))

    def add(self, other: "Counts", times: int) -> None:
        """Add the counts of whole numbers that are each so many times as large."""
        self.extend(len(other.sums))
        for run, (total, nonzero) in enumerate(zip(other.sums, other.nonzeros, strict=True)):
            self.sums[run] += times * total
            self.nonzeros[run] += nonzero
        self.maximum = max(self.maximum, times * other.maximum)
        self.events += times * other.events
        self.nonzero_events += other.nonzero_events


WHOLE = Fraction(1)  # the step of whole numbers


@dataclass(frozen=True)
class Spikes:
    """Counts of a stream whose values are all on one lattice: of how many of the final `step` there are in each step
    that was found on the way."""

    counts: Counts
    step: Fraction
    step_by: StepBy
    signed: bool
    times: Mapping[Fraction, int]


@dataclass
class StreamCounter:
    """Counts of one stream; one entry of `sums` and `nonzeros` per run.

    These are of the values as they are. Of values on lattices there are also the counts of their magnitudes, by step;
    before the first of them, all were whole numbers from 0.
    """

    elements: int = 0  # of all runs and images
    sums: list[int | Fraction] = field(default_factory=list)
    nonzeros: list[int] = field(default_factory=list)
    maximum: float = float("-inf")
    kind: int = 0  # index into KINDS: the widest seen
    events: int = 0
    nonzero_events: int = 0
    reaches: set[int | None] = field(default_factory=set)  # synapses reached per element; None where that varies
    scaled: dict[Fraction, Counts] = field(default_factory=dict)
    step_by: set[StepBy] = field(default_factory=set)
    signed: bool = False
    off: bool = False  # whether real numbers were seen that are on no lattice

    def announce(self, run: int, runs: int, elements: int, reached: float | Tensor) -> None:
        """Note values of `runs` runs from `run` on, all that the meta device has, and what they reach."""
        self.elements += elements
        self.reaches.add(None if isinstance(reached, Tensor) else int(reached))
        self._extend(run + runs)

    def add(
        self, run: int, seen: Observation, reached: float | Tensor, scaled: Scaled | None = None
    ) -> dict[str, np.ndarray]:
        """Count what was observed of values announced before, in runs `run`, `run + 1`, ... of these images; `scaled`
        is what they are on a lattice.

        Returns the counts of each image, `[images]`; those that real numbers do not have are 0. Raises EnergyError for
        NaN and infinity.
        """
        low, high, whole = seen.bounds.tolist()
        if not (math.isfinite(low) and math.isfinite(high)):
            raise EnergyError(f"values from {low} to {high}")
        on_lattice = scaled is not None and bool(scaled.seen.bounds[2]) and not self.off
        if on_lattice and not self.scaled:
            before = [int(total) for total in self.sums], list(self.nonzeros), int(max(self.maximum, 0))
            self.scaled[WHOLE] = Counts(*before, self.events, self.nonzero_events)
            self.step_by |= {""} if self.maximum > 0 else set()
        kind = ANALOG if not whole else BINARY if high <= 1 else INTEGER
        self.kind = max(self.kind, kind)
        self.maximum = max(self.maximum, high)
        counts = _of_images(seen, reached, whole=kind != ANALOG)
        if kind == ANALOG:
            self._store(run, self.sums, [exact_sum(row) for row in seen.sums.tolist()])
        else:
            self._store(run, self.sums, [int(total) for total in seen.sums.sum(1).tolist()])
        self._store(run, self.nonzeros, [int(total) for total in seen.nonzeros.sum(1).tolist()])
        self.events += int(counts["events"].sum())
        self.nonzero_events += int(counts["nonzero_events"].sum())
        if scaled is None or not on_lattice:
            self.off |= kind == ANALOG
            return counts
        real = {beside(name): numbers for name, numbers in counts.items() if name.startswith("nonzero")}
        return real | self._add_scaled(run, scaled, reached)

    def _add_scaled(self, run: int, scaled: Scaled, reached: float | Tensor) -> dict[str, np.ndarray]:
        """Count the magnitudes of a tensor on a lattice; counts of each image under the names of its step."""
        lattice, seen = scaled
        low, high, _ = seen.bounds.tolist()
        counts = _of_images(seen, reached, whole=True)
        own = Counts(
            [0] * run + [int(total) for total in seen.sums.sum(1).tolist()],
            [0] * run + [int(total) for total in seen.nonzeros.sum(1).tolist()],
            int(high),
            int(counts["events"].sum()),
            int(counts["nonzero_events"].sum()),
        )
        self.scaled.setdefault(lattice.step, Counts()).add(own, 1)
        self.signed |= low < 0
        if high > 0:
            self.step_by.add(lattice.by)
        return {at_step(name, lattice.step): numbers for name, numbers in counts.items()}

    def spikes(self) -> Spikes | None:
        """The counts of magnitudes if values have a sign or a constant factor; None for plain whole numbers, and for
        real numbers."""
        if self.off or not self.scaled:
            return None
        steps = {step: float(step) for step, counts in self.scaled.items() if counts.maximum > 0}
        common = step_of(list(steps.values())) if steps else WHOLE
        if common is None or len(self.step_by) > 1:
            return None
        finest = next((step for step in steps if abs(float(step / common) - 1) < SAME), common)
        times = {step: round(float(step / finest)) for step in steps}
        together = Counts()
        together.extend(len(self.sums))
        for step, counts in self.scaled.items():
            together.add(counts, times.setdefault(step, 1))
        return Spikes(together, finest, next(iter(self.step_by), ""), self.signed, times)

    def parts_of_counts(self) -> dict[str, dict[str, int]]:
        """Of which counts of tensors on lattices each count of the stream is the sum, and how many times each."""
        spikes, found = self.spikes(), {}
        for count in ("nonzero", "nonzero_events", "value", "events"):
            once = spikes is None or count.startswith("nonzero")
            times = {} if spikes is None else spikes.times
            found[count] = {count: 1 if once else times[WHOLE]} | {
                at_step(count, step): 1 if once else number for step, number in times.items()
            }
            if spikes is None:
                found[count][beside(count)] = 1
        return found

    @property
    def analog(self) -> bool:
        """Whether real numbers were seen that are on no lattice."""
        return self.kind == ANALOG and self.spikes() is None

    @property
    def whole(self) -> bool:
        """Whether something was counted, and all of it whole numbers, or such times one constant."""
        return self.maximum > -math.inf and not self.analog

    def operand(self, name: str, origin: Origin, varies: bool | None = None, *, reaching: bool = True) -> Operand:
        """What was counted, as data; `varies` says whether values differ between time steps."""
        spikes = self.spikes()
        analog = self.kind == ANALOG and spikes is None
        counts = self if spikes is None else spikes.counts
        kind = self.kind if spikes is None else BINARY if spikes.counts.maximum <= 1 else INTEGER
        fan_out = next(iter(self.reaches)) if len(self.reaches) == 1 else None
        return Operand(
            name=name,
            kind=KINDS[kind],
            origin=origin.what,
            neurons=origin.neurons,
            elements=self.elements,
            sums=self.exact_sums() if spikes is None else tuple(spikes.counts.sums),
            nonzeros=tuple(counts.nonzeros),
            maximum=float(counts.maximum) if math.isfinite(counts.maximum) else 0.0,
            fan_out=fan_out,
            events=counts.events if reaching and not analog else None,
            nonzero_events=counts.nonzero_events if reaching else None,
            varies=varies,
            step=1 if spikes is None else _plain(spikes.step),
            step_by="" if spikes is None else spikes.step_by,
            signed=spikes is not None and spikes.signed,
        )

    def neuron_layer(self, name: str) -> NeuronLayer:
        """What a layer of neurons gave, as data."""
        spikes, elements = self.spikes(), self.elements // len(self.sums)
        if spikes is None:
            return NeuronLayer(name, stage_of(name), elements, self.exact_sums())
        sums, step = tuple(spikes.counts.sums), _plain(spikes.step)
        return NeuronLayer(name, stage_of(name), elements, sums, step, spikes.step_by, spikes.signed)

    def exact_sums(self) -> tuple[int | Fraction, ...]:
        """Sums of the values per run: integers of whole numbers, fractions of real ones."""
        return tuple(map(Fraction, self.sums)) if self.kind == ANALOG else tuple(self.sums)

    def _store(self, run: int, into: list[int | Fraction] | list[int], totals: list[int] | list[Fraction]) -> None:
        self._extend(run + len(totals))
        for step, total in enumerate(totals, start=run):
            into[step] += total  # type: ignore[operator]

    def _extend(self, runs: int) -> None:
        missing = runs - len(self.sums)
        self.sums.extend([0] * missing)
        self.nonzeros.extend([0] * missing)


def _of_images(seen: Observation, reached: float | Tensor, *, whole: bool) -> dict[str, np.ndarray]:
    """Counts of each image, `[images]`; those that real numbers do not have are 0."""
    _, *numbers = (tensor.numpy().sum(0) for tensor in seen)
    value, nonzero, events, nonzero_events = numbers
    if not isinstance(reached, Tensor):
        events, nonzero_events = value * reached, nonzero * reached
    if not whole:
        value = events = np.zeros(len(nonzero))
    counts = {"nonzero": nonzero, "nonzero_events": nonzero_events, "value": value, "events": events}
    return {name: numbers.astype(np.int64) for name, numbers in counts.items()}


def at_step(name: str, step: Fraction) -> str:
    """The name of a count of a tensor on a lattice of that step."""
    return f"{name} at {step}"


def beside(name: str) -> str:
    """The name of a count of the values as they are, of a tensor on a lattice."""
    return f"{name} of values"


def _plain(step: Fraction) -> int | Fraction:
    return step.numerator if step.denominator == 1 else step
