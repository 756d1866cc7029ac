"""What a user may choose of a figure: its width, letters, title, colours, and which layers it shows."""

import fnmatch
from collections.abc import Sequence
from dataclasses import dataclass

import matplotlib
from matplotlib.colors import Colormap

from msvit_energy.errors import EnergyError, did_you_mean

WIDTHS = {"column": 3.5, "text": 7.16}  # inches, in the two columns of most journals
NARROWEST, WIDEST = 2.0, 40.0
NARROW = 5.0  # inches below which letters are smaller
USUAL_SIZE, SMALLER_SIZE = 7.5, 7.0  # points
SIZES = (7.0, 24.0)  # the smallest letters are 13 % smaller, and none is below 6 points
DPI, DPI_IN_PRINT, MOST_DPI = 150, 300, 2400


class NothingToDrawError(EnergyError):
    """A profile, a protocol or a choice of layers leaves nothing to draw."""


@dataclass(frozen=True)
class Look:
    """How a figure looks; EnergyError for what cannot be.

    `width` is "column" (3.5 inches), "text" (7.16) or inches; without it a figure is as wide as what is in it.
    `font_size` is that of ordinary text in points. `title` stands instead of model and data; "none" leaves it out.
    `cmap` is one of matplotlib's colour maps, `dpi` that of pixels, `layers` a pattern of names, several with commas.
    `every_layer` gives each layer a row of its own, also where blocks repeat. `paper` is for print: column width, no
    title and no lines of text above the figure, unless they are asked for; what is left out is in the figure's `notes`.
    """

    width: float | str | None = None
    font_size: float | None = None
    title: str | None = None
    cmap: str | None = None
    dpi: float | None = None
    layers: str | None = None
    every_layer: bool = False
    paper: bool = False

    def __post_init__(self) -> None:
        inches = self.inches
        if inches is not None and not NARROWEST <= inches <= WIDEST:
            raise EnergyError(_not_a_width(self.width))
        if not SIZES[0] <= self.points <= SIZES[1]:
            raise EnergyError(f"a font size is {SIZES[0]:g} to {SIZES[1]:g} points, not {self.font_size:g}")
        if self.cmap is not None and self.cmap not in matplotlib.colormaps:
            hint = did_you_mean(self.cmap, matplotlib.colormaps)
            raise EnergyError(f"unknown colour map {self.cmap!r}; {hint}they are matplotlib's, such as viridis")
        if not 1 <= self.resolution <= MOST_DPI:
            raise EnergyError(f"dots per inch are 1 to {MOST_DPI}, not {self.dpi:g}")

    @property
    def inches(self) -> float | None:
        """The width in inches; None for what the content needs."""
        if self.width is None:
            return WIDTHS["column"] if self.paper else None
        try:
            return WIDTHS[self.width] if self.width in WIDTHS else float(self.width)
        except ValueError:
            raise EnergyError(_not_a_width(self.width)) from None

    @property
    def points(self) -> float:
        """The size of ordinary text."""
        if self.font_size is not None:
            return self.font_size
        return SMALLER_SIZE if self.inches is not None and self.inches < NARROW else USUAL_SIZE

    @property
    def resolution(self) -> float:
        """Dots per inch."""
        return (DPI_IN_PRINT if self.paper else DPI) if self.dpi is None else self.dpi

    @property
    def scale(self) -> float:
        """How much larger everything is than in the units of the layout, in which text has 7.5 points."""
        return self.points / USUAL_SIZE

    @property
    def room(self) -> float | None:
        """The width in units of the layout; None for what the content needs."""
        return None if self.inches is None else self.inches / self.scale

    @property
    def margin(self) -> float:
        """In units of the layout; hardly any where a page around the figure has one."""
        return 0.15 if self.inches is None else 0.04

    def heading(self, usual: str) -> str:
        """The title of a figure; empty for none."""
        title = ("none" if self.paper else usual) if self.title is None else self.title
        return "" if title == "none" else title

    def colours(self, usual: str) -> Colormap:
        """The colour map, or a figure's own."""
        return matplotlib.colormaps[self.cmap or usual]

    def chosen(self, names: Sequence[str]) -> list[int]:
        """Which of some layers are shown; EnergyError for a pattern that fits none."""
        if self.layers is None:
            return list(range(len(names)))
        patterns = [part.strip() for part in self.layers.split(",") if part.strip()]
        for pattern in patterns:
            if not fnmatch.filter(names, pattern):
                hint = did_you_mean(pattern, names)
                raise NothingToDrawError(f"no layer drawn here is called {pattern!r}; {hint}the first is {names[0]!r}")
        if not patterns:
            raise EnergyError(f"no layer is named in {self.layers!r}; give names or patterns, such as 'stage1.*'")
        return [i for i, name in enumerate(names) if any(fnmatch.fnmatchcase(name, each) for each in patterns)]


USUAL = Look()


def _not_a_width(width: object) -> str:
    named = ", ".join(f"{name} ({inches:g} inches)" for name, inches in WIDTHS.items())
    return f"a width is {named}, or inches from {NARROWEST:g} to {WIDEST:g}, not {width!r}"
