"""Figures from a profile and its price: PNG for screens, SVG and PDF for print. Takes records only, no torch.

Each function takes a `look`: width, letters, title, colours, layers. `figures.Look(width="column")` is for a paper.
"""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from msvit_energy.pricing.energy import EnergyReport
from msvit_energy.profiles.profile import Profile
from msvit_energy.reporting.figures.bubbles import rate_energy_bubbles
from msvit_energy.reporting.figures.difference import firing_rate_difference
from msvit_energy.reporting.figures.energy import energy_bars
from msvit_energy.reporting.figures.look import USUAL, Look, NothingToDrawError
from msvit_energy.reporting.figures.page import ScalingFigure
from msvit_energy.reporting.figures.rates import firing_rate_heatmap
from msvit_energy.reporting.figures.style import FORMATS, SCREEN, save
from msvit_energy.reporting.figures.tradeoff import energy_accuracy

__all__ = [
    "FILES",
    "Look",
    "energy_accuracy",
    "energy_bars",
    "firing_rate_difference",
    "firing_rate_heatmap",
    "rate_energy_bubbles",
    "save",
    "save_figures",
]
NAMES = ("firing_rates", "energy", "bubble")
FILES = tuple(f"{name}{suffix}" for name in NAMES for suffix in FORMATS)


def save_figures(
    profile: Profile, report: EnergyReport, folder: Path, look: Look = USUAL, suffixes: Sequence[str] = SCREEN
) -> list[str]:
    """Write every figure into `folder`, but those of which the profile or the protocol has nothing to draw, in the
    formats of `suffixes`. What the look leaves out of them, in lines without repetition."""
    notes: dict[str, None] = {}
    for name, figure in _figures(profile, report, look):
        notes |= dict.fromkeys(figure.notes)
        for suffix in suffixes:
            save(figure, folder / f"{name}{suffix}", look.resolution)
    return list(notes)


def _figures(profile: Profile, report: EnergyReport, look: Look) -> Iterator[tuple[str, ScalingFigure]]:
    """The figures by name; EnergyError if the look's layers are in none."""
    drawings: tuple[Callable[[], ScalingFigure], ...] = (
        lambda: firing_rate_heatmap(profile, look=look),
        lambda: energy_bars(profile, report, look=look),
        lambda: rate_energy_bubbles(profile, report, look=look),
    )
    missing = []
    for name, draw in zip(NAMES, drawings, strict=True):
        try:
            yield name, draw()
        except NothingToDrawError as error:
            missing.append(error)
    if look.layers is not None and len(missing) == len(NAMES):
        raise missing[0]
