"""Energy with memory and addressing after Lemaire et al. 2022, as SpikingJelly estimates it: plain data."""

from collections.abc import Mapping
from dataclasses import dataclass

from msvit_energy.profiles.amounts import Amount, Spread


@dataclass(frozen=True)
class MemoryEstimate:
    """SpikingJelly's estimate after Lemaire et al. 2022 (operations, addressing, memory), images run one by one.

    `parts_pj` has the energy of every image for each part; `model` is the estimator's name for itself, `warnings` what
    it says it left out.
    """

    model: str
    parts_pj: Mapping[str, tuple[float, ...]]
    warnings: tuple[str, ...] = ()

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
