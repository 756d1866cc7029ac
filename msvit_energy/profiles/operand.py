"""What flowed into one argument of an operator: counts over all images, and rates derived from them."""

import math
from dataclasses import dataclass
from fractions import Fraction

from msvit_energy.errors import EnergyError
from msvit_energy.profiles.amounts import Amount

KINDS = ("binary", "integer", "analog")


@dataclass(frozen=True)
class Operand:
    """What flowed into one argument of an operator, over all images; `sums` and `nonzeros` have one entry per run.

    `events` is the sum of the values, each times the synapses that its element really reaches (borders and strides
    counted as they are), `nonzero_events` the same for the non-zero values counted once each; both over all images,
    None where nothing was observed or, for `events`, where values are real numbers. `fan_out` is the synapses that an
    element reaches, None where that depends on its position.
    """

    name: str  # layer#position
    kind: str  # binary {0, 1}, integer (whole numbers from 0 to 2^20), analog
    origin: str  # where it comes from (see origins.py)
    neurons: tuple[str, ...]  # the neuron layers it comes from
    elements: int  # of all images and runs
    sums: tuple[int | Fraction, ...]
    nonzeros: tuple[int | Fraction, ...]  # empty where unknown
    maximum: float
    fan_out: int | None = None
    events: int | None = None
    nonzero_events: int | None = None

    @property
    def layer(self) -> str:
        """The operator whose argument it is."""
        return self.name.partition("#")[0]

    @property
    def carries_spikes(self) -> bool:
        """Whether its events trigger operations: spikes, or sums of spikes."""
        return self.origin in ("spikes", "sum")

    @property
    def rate(self) -> float:
        """Mean of the values."""
        return float(sum(self.sums) / self.elements)

    @property
    def nonzero_rate(self) -> float:
        """Share of the values that are not 0; NaN where a table of rates does not say."""
        return float(sum(self.nonzeros) / self.elements) if self.nonzeros else math.nan

    def mean(self) -> Amount:
        """The rate, with its weight on what was counted."""
        return Amount(self.rate, {self.key("value")[0]: 1 / self.elements})

    def nonzero_share(self) -> Amount:
        """The non-zero rate, with its weight on what was counted; EnergyError where it is unknown."""
        if not self.nonzeros:
            raise EnergyError(f"{self.layer}: the share of non-zero inputs is unknown; give its nonzero_rate")
        return Amount(self.nonzero_rate, {self.key("nonzero")[0]: 1 / self.elements})

    def reached(self, images: int, *, nonzero: bool = False) -> Amount:
        """Synaptic events per image: every value, or (`nonzero`) every non-zero value once, times synapses reached."""
        total = self.nonzero_events if nonzero else self.events
        if total is None:
            raise EnergyError(
                f"{self.layer} has no count of synaptic events: a profile made from rates, or of real-valued inputs"
            )
        key, factor = self.key("nonzero_events" if nonzero else "events")
        return Amount(total / images, {key: factor / images})

    def key(self, count: str) -> tuple[str, int]:
        """The stored count of which `count` (value, nonzero, events, nonzero_events) is a multiple, and the factor."""
        factor = 1
        if self.kind == "binary":
            count = {"nonzero": "value", "nonzero_events": "events"}.get(count, count)
        if self.fan_out is not None and count.endswith("events"):
            count, factor = ("value" if count == "events" else "nonzero"), self.fan_out
        return count_key(self.name, count), factor

    def count_keys(self) -> tuple[str, ...]:
        """The counts whose spread over images is kept: no two that are multiples of each other."""
        names = ("value", "nonzero", "events", "nonzero_events")
        wanted = [name for name in names if self.kind != "analog" or name.startswith("nonzero")]
        return tuple(dict.fromkeys(self.key(name)[0] for name in wanted))


def count_key(operand: str, count: str) -> str:
    """The name under which a count of an operand is kept over images."""
    return f"{operand} {count}"
