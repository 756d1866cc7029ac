"""What all figures share: a style that no setting of matplotlib changes, and files with equal bytes.

Layout is in inches and of our own: matplotlib's constrained layout measures every text again and again, which takes
seconds at 80 layers.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import matplotlib.style
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from msvit_energy.errors import EnergyError
from msvit_energy.pricing.energy import EnergyReport
from msvit_energy.pricing.energy_units import EnergyUnit, energy_unit
from msvit_energy.profiles.profile import Profile
from msvit_energy.reporting.figures.glyphs import literal
from msvit_energy.reporting.figures.look import DPI, USUAL, Look
from msvit_energy.reporting.formatting import percent, plain, title

Drawing = ParamSpec("Drawing")
Drawn = TypeVar("Drawn", bound=Figure)

SCREEN, FORMATS = (".png", ".svg"), (".png", ".svg", ".pdf")
TEXT, TITLE, SMALL = 7.5, 10.0, 6.5  # points, before a Look scales them
ROUND = (1, 2, 2.5, 5, 10)  # steps between the numbers of an axis, but for powers of ten
MOST_PIXELS = 30_000  # on a side: the renderer ends at 2^16, many viewers earlier
MOST_WARNINGS, LONGEST_WARNING = 6, 240
LONGEST_NAME, LONGEST_STAGE = 44, 24
TALL = 40  # rows beyond which an axis is labelled at its lower end too
BLUE, ORANGE, GREEN, INK, GREY = "#0072B2", "#E69F00", "#009E73", "#222222", "#777777"  # Okabe and Ito's

# Text stays text in SVG and PDF: it can be searched, and edited with the rest of a paper. Letters of the fonts after
# the first, which stand in for it where it is missing, are as wide.
STYLE: dict[str, Any] = {
    "text.parse_math": False,  # names are other people's: a "$" is a "$"
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans", "Bitstream Vera Sans", "Verdana"],
    "svg.fonttype": "none",
    "svg.hashsalt": "msvit-energy",
    "pdf.fonttype": 42,
    "text.color": INK,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.linewidth": 0.6,
    "xtick.color": INK,
    "xtick.major.width": 0.6,
    "xtick.major.size": 2.5,
    "ytick.color": INK,
    "ytick.major.width": 0.6,
    "ytick.major.size": 2.5,
    "hatch.linewidth": 0.5,
}
SIZED = ("font.size", "axes.labelsize", "xtick.labelsize", "ytick.labelsize")

plain_numbers = FuncFormatter(lambda value, _: plain(value))


def energy_numbers(unit: EnergyUnit) -> FuncFormatter:
    """Energies in mJ, written in another unit."""
    return FuncFormatter(lambda value, _: plain(value * unit.per_mj))


@contextmanager
def own_style(size: float = TEXT) -> Iterator[None]:
    """Draw and save in matplotlib's defaults and ours, text in `size` points, whatever the user's matplotlibrc says."""
    with matplotlib.style.context(["default", STYLE | dict.fromkeys(SIZED, size)]):
        yield


def styled(draw: Callable[Drawing, Drawn]) -> Callable[Drawing, Drawn]:
    """A function that draws a figure, in our style and with the letters of its keyword argument `look`."""

    @wraps(draw)
    def with_style(*args: Drawing.args, **kwargs: Drawing.kwargs) -> Drawn:
        look = kwargs.get("look", USUAL)
        assert isinstance(look, Look)
        with own_style(look.points):
            return draw(*args, **kwargs)

    return with_style


@own_style()
def save(figure: Figure, path: Path, dots_per_inch: float = DPI) -> None:
    """Write a figure as the suffix of `path` says; the same figure gives the same bytes."""
    check_suffix(path)
    dpi = min(dots_per_inch, MOST_PIXELS / max(figure.get_size_inches()))
    suffix = path.suffix.lower()
    if suffix == ".png":
        fast = {"compress_level": 1}  # a tenth of a second less, and hardly larger
        figure.savefig(path, format="png", dpi=dpi, metadata={"Software": None}, pil_kwargs=fast)
    else:
        dates = {"Date": None} if suffix == ".svg" else {"CreationDate": None, "Creator": None, "Producer": None}
        figure.savefig(path, format=suffix[1:], dpi=dpi, metadata=dates)


def check_suffix(path: Path) -> None:
    """EnergyError for a file that is no figure by its name."""
    if path.suffix.lower() not in FORMATS:
        raise EnergyError(f"a figure is a {', '.join(FORMATS[:-1])} or {FORMATS[-1]} file, not {str(path)!r}")


def short_title(profile: Profile) -> str:
    """Model and data of a profile, short enough for a title."""
    return shortened(title(profile), 80)


def priced(report: EnergyReport) -> str:
    """Total with half of its 95 % interval, protocol and prices in one line."""
    spread, prices = report.spread, report.technology
    margin = f" ±{percent(spread.half_width / spread.mean)}" if spread and spread.mean else ""
    unit = energy_unit([report.total_mj])
    return (
        f"{report.total_mj * unit.per_mj:.5g} {unit.symbol}{margin} per image by {report.protocol} "
        f"({prices.name}: E_MAC {prices.e_mac} pJ, E_AC {prices.e_ac} pJ)"
    )


def shortened(text: str, most: int, kept: float = 0.6) -> str:
    """At most `most` characters, the middle left out where there are more; as it is drawn. The end of a layer's name
    says more than its start, so that `kept` of what remains is the end."""
    text = literal(text)
    if len(text) <= most:
        return text
    tail = int((most - 1) * kept)
    return f"{text[: most - 1 - tail]}…{text[-tail:]}"
