"""The honest rival: from which firing rate on a quantised dense network of the same shape costs less.

With everything else as it is, the energy of a spiking layer is a straight line in its rate: what it costs when it is
silent, and what spikes add. Where that line meets the rival's energy is the break-even rate.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

from msvit_energy.pricing.energy import EnergyReport, price
from msvit_energy.pricing.technology import Technology
from msvit_energy.profiles.operand import Operand
from msvit_energy.profiles.profile import Profile

PAIRS = {"operations": ("appendix-c", "qnn"), "memory": ("memory", "qnn:memory=resident")}


@dataclass(frozen=True)
class BreakEven:
    """One layer, or the total: the mean input rate, the energies per image in pJ of both networks, and the rate below
    which the spiking one costs less (None where spikes change nothing, as for real-valued input; 0 where it costs more
    even in silence)."""

    layer: str
    rate: float
    spiking_pj: float
    rival_pj: float
    silent_pj: float

    @property
    def break_even(self) -> float | None:
        """Rate at which both cost the same."""
        per_rate = (self.spiking_pj - self.silent_pj) / self.rate if self.rate else 0.0
        if per_rate <= 0:
            return None
        return max(0.0, (self.rival_pj - self.silent_pj) / per_rate)

    @property
    def wins(self) -> bool:
        """Whether the spiking network costs less at its measured rate."""
        return self.spiking_pj < self.rival_pj


def break_even(
    profile: Profile, technology: str | Technology = "45nm-int8", counting: str = "memory"
) -> tuple[list[BreakEven], BreakEven]:
    """Every operator that is fed with spikes, and the total of everything that the protocol counts, neurons and
    real-valued inputs included. `counting` is one of PAIRS. The rate of the total is the mean over MACs."""
    protocol, rival_protocol = PAIRS[counting]
    spiking, rival = price(profile, protocol, technology), price(profile, rival_protocol, technology)
    silent = price(silenced(profile), protocol, technology)
    rates = {
        operator.layer: (operator.driver.rate, operator.macs_per_image)
        for operator in profile.operators
        if operator.driver.kind != "analog"
    }
    costs, rivals, silence = (_by_layer(report) for report in (spiking, rival, silent))
    rows = [
        BreakEven(layer, rate, costs[layer], rivals[layer], silence[layer])
        for layer, (rate, _) in rates.items()
        if layer in costs
    ]
    macs = sum(count for _, count in rates.values())
    mean = math.fsum(rate * count for rate, count in rates.values()) / macs if macs else 0.0
    return rows, BreakEven("total", mean, spiking.total_pj, rival.total_pj, silent.total_pj)


def _by_layer(report: EnergyReport) -> dict[str, float]:
    return {row.layer: row.energy_pj for row in report.rows if row.counted}


def silenced(profile: Profile) -> Profile:
    """The same network on the same images if no neuron fired; real-valued inputs stay."""
    operators = [
        replace(operator, operands=tuple(map(_silent, operator.operands)), pairs=None) for operator in profile.operators
    ]
    overheads = [replace(entry, operands=tuple(map(_silent, entry.operands))) for entry in profile.overheads]
    neurons = [replace(layer, sums=_zeros(layer.sums)) for layer in profile.neurons]
    return replace(profile, operators=tuple(operators), overheads=tuple(overheads), neurons=tuple(neurons))


def _silent(operand: Operand) -> Operand:
    if operand.kind == "analog":
        return operand
    return replace(operand, sums=_zeros(operand.sums), nonzeros=_zeros(operand.nonzeros), events=0, nonzero_events=0)


def _zeros(counts: Sequence[int | Fraction]) -> tuple[int, ...]:
    return (0,) * len(counts)
