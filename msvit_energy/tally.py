"""Running counts of one stream of values.

Exact whatever the batch size and order: whole numbers are summed in float64 (exact to 2^53) and kept as integers, the
sums of real numbers of each image are added as fractions.
"""

import math
from dataclasses import dataclass, field
from fractions import Fraction

import numpy as np
import torch
from torch import Tensor

from msvit_energy.errors import EnergyError
from msvit_energy.operand import KINDS, Operand
from msvit_energy.origins import Origin

BINARY, INTEGER, ANALOG = range(len(KINDS))
MOST_SPIKES = 1 << 20  # whole numbers beyond are no counts of spikes: every large float is whole


@dataclass
class Tally:
    """Counts of one stream; one entry of `sums` and `nonzeros` per run."""

    elements: int = 0  # of all runs and images
    sums: list[int | Fraction] = field(default_factory=list)
    nonzeros: list[int] = field(default_factory=list)
    maximum: float = float("-inf")
    kind: int = 0  # index into KINDS: the widest seen
    events: int = 0
    nonzero_events: int = 0
    reaches: set[int | None] = field(default_factory=set)  # synapses reached per element; None where that varies

    def add(self, run: int, values: Tensor, reached: float | Tensor = 0) -> dict[str, np.ndarray]:
        """Count `values`, `[runs, images, ...]`, as runs `run`, `run + 1`, ... of these images.

        `reached` is the synapses that each element reaches, a number or a map over the last axes. Returns the counts
        of each image, `[images]`; those that real numbers do not have are 0. Raises EnergyError for NaN and infinity.
        """
        self.reaches.add(None if isinstance(reached, Tensor) else int(reached))
        runs, images = values.shape[:2]
        self.elements += values.numel()
        if values.is_meta:  # shapes alone
            self._extend(run + runs)
            return {}
        low, high = (bound.item() for bound in torch.aminmax(values))
        if not (math.isfinite(low) and math.isfinite(high)):
            raise EnergyError(f"values from {low} to {high}")
        spatial = reached.shape if isinstance(reached, Tensor) else ()
        grouped = values.reshape(runs, images, -1, *spatial)  # [runs, images, channels, *spatial]
        kind, sums = _kind(grouped, low, high, reached)
        self.kind = max(self.kind, kind)
        self.maximum = max(self.maximum, float(high))
        if sums is not None:
            self._store(run, self.sums, sums.runs())
        else:
            flat = values.reshape(runs, images, -1).sum(-1, dtype=torch.float64)
            self._store(run, self.sums, [sum(map(Fraction, row), Fraction()) for row in flat.tolist()])
        nonzeros = sums if kind == BINARY else Sums(torch.count_nonzero(grouped, dim=2), reached)
        assert nonzeros is not None  # binary values have sums
        self._store(run, self.nonzeros, nonzeros.runs())
        counts = {"nonzero": nonzeros.images(), "nonzero_events": nonzeros.reaching()}
        nothing = np.zeros(images, np.int64)
        counts["value"], counts["events"] = (sums.images(), sums.reaching()) if sums else (nothing, nothing)
        self.events += int(counts["events"].sum())
        self.nonzero_events += int(counts["nonzero_events"].sum())
        return counts

    @property
    def analog(self) -> bool:
        """Whether real numbers were seen."""
        return self.kind == ANALOG

    def operand(self, name: str, origin: Origin, *, reaching: bool = True) -> Operand:
        """What was counted, as data."""
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


class Sums:
    """Whole-number sums `[runs, images, *spatial]`, and the synapses that each position reaches."""

    def __init__(self, sums: Tensor, reached: float | Tensor) -> None:
        self.sums, self.reached = sums.double(), reached
        self.flat = self.sums.flatten(2).sum(-1) if sums.dim() > 2 else self.sums  # [runs, images]

    def runs(self) -> list[int]:
        """One total per run."""
        return [int(total) for total in self.flat.sum(1).tolist()]

    def images(self) -> np.ndarray:
        """One total per image."""
        return self.flat.sum(0).long().cpu().numpy()

    def reaching(self) -> np.ndarray:
        """Sums times synapses reached, one total per image."""
        if isinstance(self.reached, Tensor):
            reached = (self.sums * self.reached.to(self.sums.device)).flatten(2).sum((0, 2))
        else:
            reached = self.flat.sum(0) * self.reached
        return reached.long().cpu().numpy()


def _kind(grouped: Tensor, low: float, high: float, reached: float | Tensor) -> tuple[int, Sums | None]:
    """Index into KINDS of values `[runs, images, channels, *spatial]`, and their sums over channels if whole."""
    if not 0 <= low <= high <= MOST_SPIKES:
        return ANALOG, None
    if high > 1 and not bool((grouped == grouped.floor()).all()):
        return ANALOG, None
    sums = Sums(grouped.sum(2, dtype=torch.float64), reached)
    if high > 1:
        return INTEGER, sums
    # of values from 0 to 1 the sum equals the number of those that are not 0 only if all of those are 1
    all_ones = int(torch.count_nonzero(grouped)) == float(sums.flat.sum())
    return (BINARY, sums) if all_ones else (ANALOG, None)
