"""How much of a model's work was counted: separate answers."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated

from msgspec import Meta

from msvit_energy.profiles.field_types import Count


@dataclass(frozen=True)
class Unknown:
    """Work that nobody counted: of an operator of the graph (`calls` per image) or of a module; `macs_per_image` is
    None where even its size is unknown."""

    name: Annotated[str, Meta(description="operator of the graph, or module")]
    calls: Annotated[Count, Meta(description="calls per image")]
    macs_per_image: Annotated[Count | None, Meta(description="dense multiply-accumulates; null if unknown")] = None


@dataclass(frozen=True)
class Coverage:
    """The hooks' dense MACs held against fvcore's graph of the same model: separate answers.

    `counted`: operators (MACs per image) that both see alike. `free`: graph operators that have no synapses by
    declaration, with their calls. `unknown`: neither. `never_called`: modules with parameters that no image reached.
    `assumed_order`: operators and neurons with time steps, images or parts of images in one axis, in an order that the
    values of the first image did not show; totals are right, the rates of single steps and intervals may not be.
    `note` says why there is no graph, if there is none.
    """

    counted: Annotated[Mapping[str, Count], Meta(description="dense multiply-accumulates per image, by operator")] = (
        field(default_factory=dict)
    )
    free: Annotated[Mapping[str, Count], Meta(description="calls per image of operators without synapses")] = field(
        default_factory=dict
    )
    unknown: Annotated[tuple[Unknown, ...], Meta(description="work that nobody counted")] = ()
    never_called: Annotated[tuple[str, ...], Meta(description="modules with parameters that no image reached")] = ()
    note: Annotated[str, Meta(description="why there is no graph to compare with; empty if there is one")] = ""
    assumed_order: Annotated[
        tuple[str, ...],
        Meta(description="layers with time steps and images in one axis, in an order that is assumed"),
    ] = ()

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
