"""What a protocol is made of: the operations it counts, its answers to the questions that matter, its options."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from msvit_energy.profiles.amounts import Amount, Spread
from msvit_energy.profiles.profile import Profile

NOTHING = Amount()


@dataclass(frozen=True)
class Operations:
    """Multiply-accumulates and accumulates per image; `other_pj` is energy that a protocol prices itself. They add."""

    macs: Amount = NOTHING
    acs: Amount = NOTHING
    other_pj: Amount = NOTHING

    def __add__(self, other: "Operations") -> "Operations":
        return Operations(self.macs + other.macs, self.acs + other.acs, self.other_pj + other.other_pj)

    def energy_pj(self, e_mac: float, e_ac: float) -> Amount:
        """Energy per image at the prices of a multiply-accumulate and of an accumulate, in pJ."""
        return self.macs * e_mac + self.acs * e_ac + self.other_pj


LayerOperations = dict[str, Operations]  # by the name of an operator, column sum or mask; what is left out is absent

QUESTIONS = {
    "operators": "Operators",
    "rate": "Rate",
    "integer_inputs": "Integer inputs",
    "first_layer": "First layer",
    "products": "Products",
    "beside_macs": "Beside MACs",
    "head": "Head",
}


@dataclass(frozen=True)
class ProtocolAnswers:
    """What a protocol does where protocols differ, in words; one answer to each of QUESTIONS."""

    operators: str
    rate: str
    integer_inputs: str
    first_layer: str
    products: str
    beside_macs: str
    head: str

    def by_question(self) -> dict[str, str]:
        """The answers by the questions as they are printed."""
        return {question: getattr(self, name) for name, question in QUESTIONS.items()}


@dataclass(frozen=True)
class Protocol:
    """A named, cited way of counting; `options` are the values of each option, the first one the default. `of_tables`:
    only a table of layers has what it needs."""

    name: str
    source: str
    count: Callable[..., LayerOperations]
    answers: ProtocolAnswers
    options: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    spread: Callable[[Profile], Spread] = Profile.spread
    of_tables: bool = False


@dataclass(frozen=True)
class ProtocolChoice:
    """A protocol with values for its options, written `name` or `name:option=value,option=value`."""

    protocol: Protocol
    options: Mapping[str, str]

    def __str__(self) -> str:
        chosen = ",".join(f"{option}={value}" for option, value in self.options.items())
        return f"{self.protocol.name}:{chosen}" if chosen else self.protocol.name

    def count(self, profile: Profile) -> LayerOperations:
        """The operations of `profile` under this choice."""
        return self.protocol.count(profile, **{option.replace("-", "_"): v for option, v in self.options.items()})
