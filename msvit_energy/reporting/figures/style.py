"""What all figures share: looks that no setting of the user changes, text that fits, files with equal bytes.

Layout is in inches and of our own: matplotlib's constrained layout measures every text again and again, which takes
seconds at 80 layers.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib.style
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter
from matplotlib.transforms import Affine2D

from msvit_energy.errors import EnergyError
from msvit_energy.pricing.energy import EnergyReport
from msvit_energy.pricing.energy_units import EnergyUnit, energy_text
from msvit_energy.profiles.profile import Profile
from msvit_energy.reporting.figures.glyphs import Label, Labels, line_height, literal, wrapped
from msvit_energy.reporting.formatting import percent, plain, title

FORMATS = (".png", ".svg")
MARGIN = 0.15  # inches
TEXT, TITLE, SMALL = 7.5, 10.0, 6.5  # points
ROUND = (1, 2, 2.5, 5, 10)  # steps between the numbers of an axis, but for powers of ten
DPI, MOST_PIXELS = 150, 30_000  # on a side: the renderer ends at 2^16, many viewers earlier
MOST_WARNINGS, LONGEST_WARNING = 6, 240
LONGEST_NAME, LONGEST_STAGE = 44, 24
TALL = 40  # layers beyond which an axis is labelled at its lower end too
BLUE, ORANGE, GREEN, INK, GREY = "#0072B2", "#E69F00", "#009E73", "#222222", "#777777"  # Okabe and Ito's

# Letters in SVG are outlines: whoever opens the file sees the widths that were laid out, with or without our font.
STYLE: dict[str, Any] = {
    "text.parse_math": False,  # names are other people's: a "$" is a "$"
    "svg.fonttype": "path",
    "svg.hashsalt": "msvit-energy",
    "font.size": TEXT,
    "text.color": INK,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.labelsize": TEXT,
    "axes.linewidth": 0.6,
    "xtick.color": INK,
    "xtick.labelsize": TEXT,
    "xtick.major.width": 0.6,
    "xtick.major.size": 2.5,
    "ytick.color": INK,
    "ytick.labelsize": TEXT,
    "ytick.major.width": 0.6,
    "ytick.major.size": 2.5,
    "legend.fontsize": TEXT,
    "legend.frameon": False,
    "legend.borderpad": 0,
    "legend.borderaxespad": 0,
    "legend.handletextpad": 0.5,
    "hatch.linewidth": 0.5,
}

plain_numbers = FuncFormatter(lambda value, _: plain(value))


def energy_numbers(unit: EnergyUnit) -> FuncFormatter:
    """Energies in mJ, written in another unit."""
    return FuncFormatter(lambda value, _: plain(value * unit.per_mj))


@contextmanager
def own_style() -> Iterator[None]:
    """Draw and save with matplotlib's defaults and ours, whatever the user's matplotlibrc says."""
    with matplotlib.style.context(["default", STYLE]):
        yield


@own_style()
def save(figure: Figure, path: Path) -> None:
    """Write a figure as the suffix of `path` says; the same figure gives the same bytes."""
    check_suffix(path)
    dpi = min(DPI, MOST_PIXELS / max(figure.get_size_inches()))
    if path.suffix.lower() == ".svg":
        figure.savefig(path, format="svg", dpi=dpi, metadata={"Date": None})
    else:
        fast = {"compress_level": 1}  # a tenth of a second less, and hardly larger
        figure.savefig(path, format="png", dpi=dpi, metadata={"Software": None}, pil_kwargs=fast)


def check_suffix(path: Path) -> None:
    """EnergyError for a file that is neither PNG nor SVG by its name."""
    if path.suffix.lower() not in FORMATS:
        raise EnergyError(f"a figure is a {' or '.join(FORMATS)} file, not {str(path)!r}")


class Page:
    """A figure of `width` x `height` inches; places are in inches from its top left corner."""

    def __init__(self, width: float, height: float) -> None:
        self.width, self.height = width, height
        self.figure = Figure(figsize=(width, height), facecolor="white")
        self.inches = Affine2D().scale(1, -1).translate(0, height) + self.figure.dpi_scale_trans
        self.labels = Labels(self.figure.bbox, self.inches)
        self.figure.add_artist(self.labels)

    def axes(self, left: float, top: float, width: float, height: float) -> Axes:
        """Axes of that size."""
        bottom = 1 - (top + height) / self.height
        return self.figure.add_axes((left / self.width, bottom, width / self.width, height / self.height))

    def label(
        self, left: float, middle: float, text: str, anchor: float = 0.0, size: float = TEXT, colour: str = INK
    ) -> None:
        """A text that starts, is centred or ends (`anchor` 0, 0.5, 1) at `left`, its capitals around `middle`."""
        self.labels.labels.append(Label(left, middle, text, anchor, size, colour))

    def write(self, left: float, top: float, text: str, fontsize: float = TEXT) -> None:
        """A line of text whose upper left corner is there."""
        self.label(left, top + fontsize / 2 / 72, text, size=fontsize)

    def write_lines(self, top: float, lines: Iterable[tuple[str, float]]) -> float:
        """Lines, each with its font size, at the left margin; returns where the next would start."""
        for text, size in lines:
            self.write(MARGIN, top, text, size)
            top += line_height(size)
        return top

    def path(self, places: Sequence[tuple[float, float]], **looks: Any) -> None:
        """A line through those places, or a marker at one."""
        lefts, tops = zip(*places, strict=True)
        self.figure.add_artist(Line2D(lefts, tops, transform=self.inches, solid_capstyle="butt", **looks))

    def legend(self, left: float, top: float, handles: Sequence[Any], **looks: Any) -> None:
        """A legend of labelled artists whose upper left corner is there."""
        self.figure.legend(
            handles=handles, loc="upper left", bbox_to_anchor=(left, top), bbox_transform=self.inches, **looks
        )


def header(first: str, lines: Iterable[str], warnings: Sequence[str], width: float) -> list[tuple[str, float]]:
    """A title, lines under it and warnings, wrapped to `width` inches: text and font size of every line."""
    shown = [f"warning: {shortened(note, LONGEST_WARNING)}" for note in warnings[:MOST_WARNINGS]]
    if len(warnings) > MOST_WARNINGS:
        shown.append(f"and {len(warnings) - MOST_WARNINGS} more warnings")
    heads = [(line, TITLE) for line in wrapped(first, width, TITLE)]
    return heads + [(line, TEXT) for text in (*lines, *shown) for line in wrapped(text, width, TEXT)]


def short_title(profile: Profile) -> str:
    """Model and data of a profile, short enough for a title."""
    return shortened(title(profile), 80)


def priced(report: EnergyReport) -> str:
    """Total with half of its 95 % interval, protocol and prices in one line."""
    spread, prices = report.spread, report.technology
    margin = f" ±{percent(spread.half_width / spread.mean)}" if spread and spread.mean else ""
    return (
        f"{energy_text(report.total_mj)}{margin} per image by {report.protocol} "
        f"({prices.name}: E_MAC {prices.e_mac} pJ, E_AC {prices.e_ac} pJ)"
    )


def shortened(text: str, most: int) -> str:
    """At most `most` characters, the middle left out where there are more; as it is drawn."""
    text = literal(text)
    if len(text) <= most:
        return text
    tail = (most - 1) * 3 // 5  # the end of a layer's name says more than its start
    return f"{text[: most - 1 - tail]}…{text[-tail:]}"
