"""How much of a model's work was counted: four separate answers."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Unknown:
    """Work that nobody counted: of an operator of the graph (`calls` per image) or of a module; `macs_per_image` is
    None where even its size is unknown."""

    name: str
    calls: int
    macs_per_image: int | None = None


@dataclass(frozen=True)
class Coverage:
    """The hooks' dense MACs held against fvcore's graph of the same model: four separate answers.

    `counted`: operators (MACs per image) that both see alike. `free`: graph operators that have no synapses by
    declaration, with their calls. `unknown`: neither. `never_called`: modules with parameters that no image reached.
    `note` says why there is no graph, if there is none.
    """

    counted: Mapping[str, int] = field(default_factory=dict)
    free: Mapping[str, int] = field(default_factory=dict)
    unknown: tuple[Unknown, ...] = ()
    never_called: tuple[str, ...] = ()
    note: str = ""

    @property
    def macs(self) -> int:
        """All known dense MACs per image."""
        return sum(self.counted.values()) + self.unknown_macs

    @property
    def unknown_macs(self) -> int:
        """Dense MACs per image that were found but not measured."""
        return sum(item.macs_per_image or 0 for item in self.unknown)

    @property
    def unknown_share(self) -> float:
        """Share of the known dense MACs that were not measured; what has no size at all is not in it."""
        return self.unknown_macs / self.macs if self.macs else 0.0
