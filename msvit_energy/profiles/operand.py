"""What flowed into one argument of an operator: counts over all images, and rates derived from them."""

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import Annotated, Literal

from msgspec import Meta

from msvit_energy.errors import EnergyError
from msvit_energy.profiles.amounts import Amount
from msvit_energy.profiles.field_types import Count, Exact, Positive, Real

Kind = Literal["binary", "integer", "analog"]
KINDS: tuple[Kind, ...] = ("binary", "integer", "analog")
StepBy = Literal["", "channel", "time step"]

Step = Annotated[Exact, Meta(description="values are whole numbers times this constant; absent where 1")]
StepVaries = Annotated[
    StepBy, Meta(description="what has a constant of its own, beside the step; absent where nothing has")
]
Signed = Annotated[
    bool, Meta(description="whether there are negative values; sums and events are of magnitudes; absent where not")
]


@dataclass(frozen=True)
class Operand:
    """What flowed into one argument of an operator, over all images; `sums` and `nonzeros` have one entry per run.

    Spikes and sums of spikes may have a sign and a constant factor: a value is `step` (times a constant of its channel
    or time step, by `step_by`) times a whole number, whose magnitude is what is counted. `kind` is that of the
    magnitudes: spikes of -1, 0 and 1 are binary and `signed`, n / 4 with n from 0 to 4 is integer with a step of 1/4.

    `events` is the sum of the values, each times the synapses that its element really reaches (borders and strides
    counted as they are), `nonzero_events` the same for the non-zero values counted once each; both over all images,
    None where nothing was observed or, for `events`, where values are real numbers. `fan_out` is the synapses that an
    element reaches, None where that depends on its position.
    """

    name: Annotated[str, Meta(description="layer#position")]
    kind: Annotated[
        Kind,
        Meta(description="values seen, by magnitude and step: binary {0, 1}, integer (whole, up to 2^20), or analog"),
    ]
    origin: Annotated[
        str, Meta(description="spikes, sum or product (of spikes), scaled, averaged, input (of the model), or other")
    ]
    neurons: Annotated[tuple[str, ...], Meta(description="the neuron layers it comes from")]
    elements: Annotated[Positive, Meta(description="number of values, of all images and runs")]
    sums: Annotated[tuple[Exact, ...], Meta(description="sum of the values of all images, for each run", min_length=1)]
    nonzeros: Annotated[tuple[Exact, ...], Meta(description="values that are not 0, for each run; empty if unknown")]
    maximum: Annotated[Real, Meta(description="largest value")]
    fan_out: Annotated[Count | None, Meta(description="synapses that an element reaches; null if that varies")] = None
    events: Annotated[
        Count | None, Meta(description="sum of value x synapses reached, over all images; null if unknown or analog")
    ] = None
    nonzero_events: Annotated[
        Count | None, Meta(description="synapses reached by values that are not 0, over all images; null if unknown")
    ] = None
    varies: Annotated[
        bool | None, Meta(description="whether an image's values differ between time steps; null if not observed")
    ] = None
    step: Step = 1
    step_by: StepVaries = ""
    signed: Signed = False

    @property
    def layer(self) -> str:
        """The operator whose argument it is."""
        return self.name.rpartition("#")[0]

    @property
    def carries_spikes(self) -> bool:
        """Whether its events trigger operations: spikes, sums of spikes, and what was seen to be such times a
        constant."""
        return self.origin in ("spikes", "sum") or (
            self.origin in ("scaled", "averaged") and self.kind != "analog" and self.maximum > 0
        )

    @property
    def scaled(self) -> bool:
        """Whether values are whole numbers with a sign or a constant factor, not just whole numbers from 0."""
        return self.signed or self.step != 1 or bool(self.step_by)

    @property
    def label(self) -> str:
        """The kind with sign and step, in words: binary, ternary, integer/4, signed integer x 0.37."""
        return kind_label(self.kind, self.step, self.step_by, signed=self.signed)

    @property
    def rate(self) -> float:
        """Mean of the values, by magnitude and step."""
        return float(sum(self.sums) / self.elements)

    @property
    def input_rate(self) -> float | None:
        """The rate of spikes or of sums of spikes; None for real numbers, which have a mean but no rate."""
        return None if self.kind == "analog" else self.rate

    @property
    def input_mean(self) -> float | None:
        """Mean of the values as they are; None where their magnitudes alone were counted."""
        return None if self.signed or self.step_by else self.rate * float(self.step)

    @property
    def nonzero_rate(self) -> float:
        """Share of the values that are not 0; NaN where a table of rates does not have it."""
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
        if self.kind == "analog" and not count.startswith("nonzero"):
            count = f"real {count}"  # whose spread is not kept
        if self.kind == "binary":
            count = {"nonzero": "value", "nonzero_events": "events"}.get(count, count)
        if self.fan_out is not None and count.endswith("events"):
            count, factor = ("value" if count == "events" else "nonzero"), self.fan_out
        return count_key(self.name, count), factor

    def count_keys(self) -> tuple[str, ...]:
        """The counts that there are whose spread over images is kept: no two that are multiples of each other."""
        counted = {
            "value": True,
            "nonzero": self.nonzeros,
            "events": self.events is not None,
            "nonzero_events": self.nonzero_events is not None,
        }
        names = [name for name, known in counted.items() if known]
        wanted = [name for name in names if self.kind != "analog" or name.startswith("nonzero")]
        return tuple(dict.fromkeys(self.key(name)[0] for name in wanted))


def count_key(operand: str, count: str) -> str:
    """The name under which a count of an operand is kept over images."""
    return f"{operand} {count}"


def kind_label(kind: Kind, step: int | Fraction, step_by: StepBy, *, signed: bool) -> str:
    """A kind of values in words, with their sign and step."""
    words = {"binary": "ternary", "integer": "signed integer"} if signed else {}
    word = words.get(kind, kind)
    if step != 1:
        word += f"/{step.denominator}" if step.numerator == 1 else f" x {float(step):.3g}"
    return f"{word} x (per {step_by})" if step_by else word
