"""Figures from a profile and its price: PNG for screens, SVG for print. Takes records only, no torch."""

from pathlib import Path

from msvit_energy.errors import EnergyError
from msvit_energy.pricing.energy import EnergyReport
from msvit_energy.profiles.profile import Profile
from msvit_energy.reporting.figures.bubbles import rate_energy_bubbles
from msvit_energy.reporting.figures.difference import firing_rate_difference
from msvit_energy.reporting.figures.energy import energy_bars
from msvit_energy.reporting.figures.rates import firing_rate_heatmap
from msvit_energy.reporting.figures.style import FORMATS, save

__all__ = [
    "FILES",
    "energy_bars",
    "firing_rate_difference",
    "firing_rate_heatmap",
    "rate_energy_bubbles",
    "save",
    "save_figures",
]
NAMES = ("firing_rates", "energy", "bubble")
FILES = tuple(f"{name}{suffix}" for name in NAMES for suffix in FORMATS)


def save_figures(profile: Profile, report: EnergyReport, folder: Path) -> None:
    """Write FILES into `folder`, but for figures of which the profile or the protocol has nothing to draw."""
    drawings = (
        lambda: firing_rate_heatmap(profile),
        lambda: energy_bars(profile, report),
        lambda: rate_energy_bubbles(profile, report),
    )
    for name, draw in zip(NAMES, drawings, strict=True):
        try:
            figure = draw()
        except EnergyError:
            continue
        for suffix in FORMATS:
            save(figure, folder / f"{name}{suffix}")
