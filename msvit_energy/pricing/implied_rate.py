"""A published energy against a model's own geometry: what it should be at a rate, and which rate it implies.

With one rate r for everything but the first layer, a protocol's energy is a straight line, E(r) = slope x r + offset,
so the rate behind a printed energy can be read off. All from a Profile skeleton; nothing is run.
"""

from dataclasses import dataclass

from msvit_energy.pricing.energy import price
from msvit_energy.pricing.published_rates import Rate, fill
from msvit_energy.pricing.technology import Technology
from msvit_energy.profiles.profile import Profile

REPRODUCED = 0.01  # relative difference up to which a printed energy counts as reproduced


@dataclass(frozen=True)
class Line:
    """E(r) in mJ."""

    slope: float
    offset: float

    def energy(self, rate: float) -> float:
        """Energy in mJ at a rate."""
        return self.slope * rate + self.offset

    def rate(self, energy: float) -> float | None:
        """The rate at which the energy in mJ comes out; None where no rate gives it."""
        rate = (energy - self.offset) / self.slope if self.slope else -1.0
        return rate if rate >= 0 else None


def uniform(skeleton: Profile, rate: float) -> Profile:
    """`skeleton` with one rate for every operator but the first and the head, real-valued inputs inside included."""
    rates = {layer.neuron: Rate(rate) for layer in skeleton.neurons}
    for operator in skeleton.operators:
        if operator.role != "entrance" and (operator.role != "head" or operator.driver.carries_spikes):
            rates[operator.layer] = Rate(rate, kind=None if operator.driver.carries_spikes else "integer")
    return fill(skeleton, rates, rates, "one rate")


def line(skeleton: Profile, protocol: str, technology: str | Technology) -> Line:
    """The straight line of a protocol that is linear in the rate."""
    offset, one = (price(uniform(skeleton, rate), protocol, technology).total_mj for rate in (0.0, 1.0))
    return Line(one - offset, offset)
