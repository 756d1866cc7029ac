"""What a protocol is made of: the operations it counts, its answers to the questions that matter, its options."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from msvit_energy.pricing.technology import Technology
from msvit_energy.profiles.amounts import Amount, Spread
from msvit_energy.profiles.profile import Profile

NOTHING = Amount()


class Memory(NamedTuple):
    """An on-chip memory of so many words, None for off-chip memory; words of so many bits, 0 for those of the
    technology's numbers."""

    words: int | None
    bits: int = 0

    def access_pj(self, prices: Technology) -> float:
        """Price of reading or writing one word, in pJ."""
        bits = self.bits or prices.bits
        return prices.dram_pj(bits) if self.words is None else prices.access_pj(self.words * bits / 8, bits)


@dataclass(frozen=True)
class Operations:
    """Multiply-accumulates, accumulates and words read from or written to memories, per image; `other_pj` is energy
    that a protocol prices itself. They add."""

    macs: Amount = NOTHING
    acs: Amount = NOTHING
    accesses: Mapping[Memory, Amount] = field(default_factory=dict)
    other_pj: Amount = NOTHING

    def __add__(self, other: "Operations") -> "Operations":
        accesses = dict(self.accesses)
        for memory, words in other.accesses.items():
            accesses[memory] = accesses.get(memory, NOTHING) + words
        return Operations(self.macs + other.macs, self.acs + other.acs, accesses, self.other_pj + other.other_pj)

    @classmethod
    def total(cls, operations: Iterable["Operations"]) -> "Operations":
        """The sum of many, in the time that it takes to read them once."""
        every = list(operations)
        accesses: dict[Memory, list[Amount]] = {}
        for each in every:
            for memory, words in each.accesses.items():
                accesses.setdefault(memory, []).append(words)
        return cls(
            Amount.total(each.macs for each in every),
            Amount.total(each.acs for each in every),
            {memory: Amount.total(words) for memory, words in accesses.items()},
            Amount.total(each.other_pj for each in every),
        )

    def beside_pj(self, prices: Technology) -> Amount:
        """Energy per image beside the operations, in pJ; EnergyError where `prices` lack a memory that is used."""
        priced = (words * memory.access_pj(prices) for memory, words in self.accesses.items())
        return Amount.total([self.other_pj, *priced])

    def energy_pj(self, prices: Technology) -> Amount:
        """Energy per image, in pJ."""
        return self.macs * prices.e_mac + self.acs * prices.e_ac + self.beside_pj(prices)


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
    only a table of layers has what it needs. `own_prices` names the technology that goes with an option's value, where
    it is not the user's."""

    name: str
    source: str
    count: Callable[..., LayerOperations]
    answers: ProtocolAnswers
    options: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    spread: Callable[[Profile], Spread] = Profile.spread
    of_tables: bool = False
    own_prices: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class ProtocolChoice:
    """A protocol with values for its options, written `name` or `name:option=value,option=value`."""

    protocol: Protocol
    options: Mapping[str, str]

    def __str__(self) -> str:
        chosen = ",".join(f"{option}={value}" for option, value in self.options.items())
        return f"{self.protocol.name}:{chosen}" if chosen else self.protocol.name

    @property
    def own_prices(self) -> str:
        """The technology at whose prices this is defined; empty where any will do."""
        prices = self.protocol.own_prices
        default = next(iter(self.protocol.options.get("prices", ())), "")
        return prices.get(self.options.get("prices", default), "") if prices else ""

    def count(self, profile: Profile) -> LayerOperations:
        """The operations of `profile` under this choice."""
        return self.protocol.count(profile, **{option.replace("-", "_"): v for option, v in self.options.items()})
