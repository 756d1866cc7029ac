"""The operations that a protocol counts in a profile, before any price."""

from dataclasses import dataclass

from msvit_energy.errors import EnergyError
from msvit_energy.pricing.protocol import Operations, Protocol, ProtocolChoice
from msvit_energy.pricing.protocols import get_protocol
from msvit_energy.profiles.amounts import Spread
from msvit_energy.profiles.profile import Profile


@dataclass(frozen=True)
class CountedEntry:
    """Operations per image of one entry of a profile; `counted` is False for what the protocol leaves out by rule."""

    layer: str
    stage: str
    operations: Operations
    counted: bool = True


@dataclass(frozen=True)
class OperationCounts:
    """What one protocol counts, entry by entry; totals are sums over the entries.

    The first entries are the profile's operators, in its order; others that a protocol counts follow. `macs_per_step`
    are the dense MACs of all operators at one time step, counted or not. `spread` gives the uncertainty of amounts over
    images, None where it is not known. `own_prices` is the technology that the protocol is defined with, empty where
    any will do. `+` joins the entries of two parts, counted by the same protocol.
    """

    protocol: str
    entries: tuple[CountedEntry, ...]
    macs_per_step: float
    spread: Spread | None = None
    own_prices: str = ""

    @property
    def total(self) -> Operations:
        """Operations of all entries."""
        return Operations.total(entry.operations for entry in self.entries)

    def __add__(self, other: "OperationCounts") -> "OperationCounts":
        if self.protocol != other.protocol:
            raise EnergyError(f"operations counted by {self.protocol} and by {other.protocol} do not add")
        return OperationCounts(
            self.protocol,
            self.entries + other.entries,
            self.macs_per_step + other.macs_per_step,
            self.spread if self.spread is other.spread else None,  # how two profiles vary together is not known
            self.own_prices,
        )


def count(profile: Profile, protocol: str | Protocol = "appendix-c") -> OperationCounts:
    """Operations per image of `profile`; EnergyError for an unknown protocol, or one that needs other counts.

    `protocol` is a name, which may carry options, as in "appendix-c:first-layer=every-step", or one's own Protocol.
    """
    choice = get_protocol(protocol) if isinstance(protocol, str) else ProtocolChoice(protocol, {})
    counted = choice.count(profile)
    stages = {entry.layer: entry.stage for entry in profile.entries}
    entries = tuple(
        CountedEntry(
            layer=layer,
            stage=stages.get(layer, layer.split(".")[0]),
            operations=counted.get(layer, Operations()),
            counted=layer in counted,
        )
        for layer in dict.fromkeys([*(operator.layer for operator in profile.operators), *counted])
    )
    spread = choice.protocol.spread(profile)
    return OperationCounts(str(choice), entries, profile.macs_per_step, spread, choice.own_prices)
