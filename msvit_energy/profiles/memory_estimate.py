"""Energy with memory and addressing after Lemaire et al. 2022, as SpikingJelly estimates it: plain data."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

from msgspec import Meta

from msvit_energy.profiles.amounts import Amount, Spread
from msvit_energy.profiles.field_types import Real


@dataclass(frozen=True)
class MemoryEstimate:
    """SpikingJelly's estimate after Lemaire et al. 2022 (operations, addressing, memory), images run one by one.

    `parts_pj` has the energy of every image for each part; `model` is the estimator's name for itself, `warnings` what
    it left out, in its words.
    """

    model: Annotated[str, Meta(description="the estimator's name for itself")]
    parts_pj: Annotated[
        Mapping[str, Annotated[tuple[Real, ...], Meta(min_length=1)]],
        Meta(description="energy of each estimated image in pJ, for each part", min_length=1),
    ]
    warnings: Annotated[tuple[str, ...], Meta(description="what the estimator left out, in words")] = ()

    @property
    def images(self) -> int:
        """Number of images estimated."""
        return len(next(iter(self.parts_pj.values())))

    def mean(self, part: str) -> Amount:
        """Energy of a part per image, in pJ."""
        return Amount(sum(self.parts_pj[part]) / self.images, {part: 1 / self.images})

    def spread(self) -> Spread:
        """How far the parts may be off, by their spread over the estimated images."""
        return Spread.of_samples(self.parts_pj)
