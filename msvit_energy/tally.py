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
        whole = (
            low >= 0 and high <= MOST_SPIKES and (values.dtype == torch.bool or bool((values == values.floor()).all()))
        )
        self.kind = max(self.kind, 2 if not whole else int(high > 1))
        self.maximum = max(self.maximum, float(high))
        spatial = reached.shape if isinstance(reached, Tensor) else ()
        grouped = values.reshape(runs, images, -1, *spatial)  # [runs, images, channels, *spatial]
        nonzeros = _Sums(torch.count_nonzero(grouped, dim=2), reached) if not whole or high > 1 else None
        if whole:
            sums = _Sums(grouped.sum(2, dtype=torch.float64), reached)
            self._store(run, self.sums, sums.runs())
        else:
            sums = None
            flat = values.reshape(runs, images, -1).sum(-1, dtype=torch.float64)
            self._store(run, self.sums, [sum(map(Fraction, row), Fraction()) for row in flat.tolist()])
        nonzeros = nonzeros or sums
        assert nonzeros is not None
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
        return KINDS[self.kind] == "analog"

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


class _Sums:
    """Whole-number sums `[runs, images, *spatial]`, and the synapses that each position reaches."""

    def __init__(self, sums: Tensor, reached: float | Tensor) -> None:
        self.sums, self.reached = sums.double(), reached
        self.flat = self.sums.flatten(2).sum(-1) if sums.dim() > 2 else self.sums  # [runs, images]

    def runs(self) -> list[int]:
        return [int(total) for total in self.flat.sum(1).tolist()]

    def images(self) -> np.ndarray:
        return self.flat.sum(0).long().cpu().numpy()

    def reaching(self) -> np.ndarray:
        if isinstance(self.reached, Tensor):
            reached = (self.sums * self.reached.to(self.sums.device)).flatten(2).sum((0, 2))
        else:
            reached = self.flat.sum(0) * self.reached
        return reached.long().cpu().numpy()
