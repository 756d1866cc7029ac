"""`profile --ci`: measure until the total is known closely enough."""

from dataclasses import dataclass

from msvit_energy import Profile, price
from msvit_energy.pricing.technology import Technology
from msvit_energy.workflows.share import parse_share

FEWEST_IMAGES = 32  # before an interval can end a measurement


@dataclass(frozen=True)
class IntervalStop:
    """Enough images were seen when half of the total's 95 % interval is within `limit`, such as "1%", of the total."""

    limit: str
    protocol: str
    technology: Technology

    def __post_init__(self) -> None:
        parse_share(self.limit, "--ci")

    def reached(self, profile: Profile) -> bool:
        """Whether the images of this profile are enough."""
        if profile.images < FEWEST_IMAGES:
            return False
        spread = price(profile, self.protocol, self.technology).spread
        return spread is not None and spread.half_width <= parse_share(self.limit, "--ci") * spread.mean

    def summary(self, profile: Profile, available: int) -> str:
        """How the measurement ended, of `available` images."""
        if self.reached(profile):
            return f"the interval is within {self.limit} after {profile.images} of {available} images"
        return f"warning: the interval is wider than {self.limit} after all {profile.images} images"
