"""Sizes of a layer, which its MACs alone do not tell: what memory holds of it, and how many outputs it has."""

from dataclasses import dataclass
from math import ceil, prod
from typing import Annotated

from msgspec import Meta

from msvit_energy.profiles.field_types import Count, Positive


@dataclass(frozen=True)
class LayerShape:
    """`weights` are those of the layer, without bias, 0 for a product of activations. `channels` are the outputs that
    one tap reaches: output channels by groups, or output features. Linear layers and products have no taps."""

    outputs: Annotated[Count, Meta(description="output elements per image, of all runs")]
    weights: Annotated[Count, Meta(description="number of weights, without bias; 0 for a product of activations")] = 0
    channels: Annotated[Count, Meta(description="output channels (of a group), or features, that an input reaches")] = 0
    taps: Annotated[tuple[Positive, ...], Meta(description="of a convolution, by axis; empty for all else")] = ()
    stride: Annotated[tuple[Positive, ...], Meta(description="of a convolution, by axis; empty for all else")] = ()
    groups: Annotated[Positive, Meta(description="of a convolution")] = 1

    @property
    def synapses(self) -> int:
        """Weights through which an input acts, all taps of all output channels: C_out k^2."""
        return self.channels * prod(self.taps)

    @property
    def targets(self) -> int:
        """Outputs that an input reaches where nothing is cut off at borders: C_out ceil(k / s)^2."""
        return self.channels * prod(ceil(k / s) for k, s in zip(self.taps, self.stride, strict=True))
