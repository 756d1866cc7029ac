"""Energy against accuracy: what one costs the other."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator

from msvit_energy.pricing.energy_units import energy_unit
from msvit_energy.reporting.comparison import Entry, front, not_drawn, plottable
from msvit_energy.reporting.figures.glyphs import line_height, text_width, wrapped
from msvit_energy.reporting.figures.look import NARROW, USUAL, Look, NothingToDrawError
from msvit_energy.reporting.figures.page import Head, Page, ScalingFigure, legend_height
from msvit_energy.reporting.figures.point_labels import label_points
from msvit_energy.reporting.figures.style import BLUE, GREY, INK, SMALL, TEXT, energy_numbers, shortened, styled

WIDTH, HEIGHT = 6.6, 4.2  # inches of the axes of one data set, where no width is given
LEFT, RIGHT, ABOVE, BELOW = 0.65, 0.1, 0.2, 0.55
FRONT: dict[str, Any] = {
    "color": GREY,
    "linestyle": "--",
    "linewidth": 1.0,
    "marker": "o",
    "markersize": 11,
    "fillstyle": "none",
}
LOGARITHMIC_FROM = 20  # greatest by least energy
LONGEST, LONGEST_IF_NARROW = 32, 24  # characters of a label
MOST_NAMES_IF_NARROW = 9  # beside points; more are numbers, with the names below
# of families, in the order in which they come; after the last one again, with another shape
COLOURS = (
    *(BLUE, "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9"),  # Okabe and Ito's
    *("#6A3D9A", "#8C564B", "#000000", "#A6BD1E", "#E7298A", "#666666"),
)
SHAPES = "osD^v"
DARKER = 0.7


@styled
def energy_accuracy(entries: Sequence[Entry], *, look: Look = USUAL) -> ScalingFigure:
    """Every entry with both numbers, a panel for each data set: in the colour of its family, filled where measured, the
    Pareto front as a line. Below stands who is missing. EnergyError if nobody has both."""
    drawn = [entry for entry in entries if plottable(entry)]
    if not drawn:
        raise NothingToDrawError("no model has both an energy and an accuracy, so there is nothing to draw")
    drawn = [drawn[i] for i in look.chosen([entry.name for entry in drawn])]
    width = LEFT + WIDTH + RIGHT + 2 * look.margin if look.room is None else look.room
    inner = width - 2 * look.margin
    side = inner - LEFT - RIGHT
    height = HEIGHT if look.room is None else max(2.0, 0.66 * side)
    missing = not_drawn(entries)
    foot = [] if look.paper else [(line, SMALL) for text in missing for line in wrapped(text, inner, SMALL)]
    head, handles = Head("Energy and accuracy"), _legend(drawn)
    above = head.drawn(look, inner)
    key = look.margin + sum(line_height(size) for _, size in above) + (0.08 if above else 0.0)
    top = key + legend_height(handles, inner) + 0.08
    panels = [
        _panel([entry for entry in drawn if entry.data == data], side, look)
        for data in dict.fromkeys(entry.data for entry in drawn)
    ]
    tall = sum(panel.above + height + BELOW + panel.below for panel in panels)
    below = len(foot) * line_height(SMALL) + (look.margin if foot else 0.0)
    page = Page(width, top + tall + below + 0.02, look, head.notes(look, missing))
    page.write_lines(look.margin, above)
    page.legend(look.margin, key, inner, handles)
    colours = family_looks(drawn)
    for panel in panels:
        panel.write(page, top, height)
        axes = page.axes(look.margin + LEFT, top + panel.above, side, height)
        _draw(axes, panel, colours, look)
        top += panel.above + height + BELOW + panel.below
    page.write_lines(top, foot)
    return page.figure


@dataclass(frozen=True)
class Panel:
    """The entries of one data set, what is written beside their points, and the names below where that are numbers."""

    title: Sequence[str]
    entries: Sequence[Entry]
    texts: Sequence[str]
    listed: Sequence[str] = ()

    @property
    def above(self) -> float:
        """Inches of the title."""
        return line_height(TEXT) * (len(self.title) - 1) + ABOVE

    @property
    def below(self) -> float:
        """Inches of the names, in two columns."""
        return line_height(SMALL) * ((len(self.listed) + 1) // 2) + (0.1 if self.listed else 0.0)

    def write(self, page: Page, top: float, height: float) -> None:
        """Title and names around axes of that height."""
        for row, line in enumerate(self.title):
            page.write(page.look.margin + LEFT, top + line_height(TEXT) * row, line)
        first, rows = top + self.above + height + BELOW, (len(self.listed) + 1) // 2
        for index, name in enumerate(self.listed):
            column, row = divmod(index, rows)
            left = page.look.margin + column * page.width / 2 + text_width("00", SMALL)
            place = first + line_height(SMALL) * (row + 0.5)
            page.label(left, place, str(index + 1), 1, SMALL)
            page.label(left + 0.08, place, name, 0, SMALL)


def _panel(entries: Sequence[Entry], side: float, look: Look) -> Panel:
    """With the names beside the points, or by their energy below if they are too many for a narrow figure."""
    title, narrow = wrapped(entries[0].data, side, TEXT), look.inches is not None and look.inches < NARROW
    if not narrow or len(entries) <= MOST_NAMES_IF_NARROW:
        return Panel(title, entries, _texts(entries, narrow))
    ranked = sorted(entries, key=lambda entry: entry.energy_mj or 0.0)
    numbers = [str(number) for number in range(1, len(ranked) + 1)]
    return Panel(title, ranked, numbers, _texts(ranked, narrow))


def family_looks(drawn: Sequence[Entry]) -> dict[str, dict[str, Any]]:
    """Colour and shape of every family."""
    families = list(dict.fromkeys(entry.family for entry in drawn))
    return {
        family: {
            "color": COLOURS[index % len(COLOURS)],
            "marker": SHAPES[index // len(COLOURS) % len(SHAPES)],
        }
        for index, family in enumerate(families)
    }


def _draw(axes: Axes, panel: Panel, looks: dict[str, dict[str, Any]], look: Look) -> None:
    drawn = panel.entries
    _scale(axes, drawn)
    for entry in drawn:
        _mark(axes, entry, looks[entry.family])
    stairs: list[tuple[float, float]] = []
    if best := sorted((entry.energy_mj or 0.0, entry.top1 or 0.0) for entry in front(drawn)):
        x, y = zip(*best, strict=True)  # stairs: the accuracy that is to be had for an energy
        axes.plot(x, y, drawstyle="steps-post", zorder=2, **FRONT)
        stairs = list(best)
    _name(axes, panel, stairs, looks, look)


def _scale(axes: Axes, drawn: Sequence[Entry]) -> None:
    """Axes with room for labels; energy on a logarithmic scale where it spans more than a factor of 20."""
    halves = [entry.energy_mj_half or 0.0 for entry in drawn]
    means = [entry.energy_mj or 0.0 for entry in drawn]
    runs = [energy for entry in drawn for energy, _ in entry.runs]
    low = min(*(mean - half for mean, half in zip(means, halves, strict=True)), *means, *runs)
    high = max(*(mean + half for mean, half in zip(means, halves, strict=True)), *means, *runs)
    accuracies = [top1 for entry in drawn for top1 in (entry.top1 or 0.0, *(each for _, each in entry.runs))]
    wide = axes.get_window_extent().width / axes.figure.dpi > 3
    if min(means) > 0 and low > 0 and high / low > LOGARITHMIC_FROM:
        axes.set_xscale("log")
        axes.set_xlim(low / 2, high * 2)
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if wide or high < 50 * low else (1,)))
        axes.xaxis.set_minor_locator(NullLocator())
    else:
        room = 0.12 * (high - low) or 0.2 * high or 1.0
        axes.set_xlim(max(0.0, low - room), high + room)
        axes.xaxis.set_major_locator(MaxNLocator(8 if wide else 4))
    room = 0.1 * (max(accuracies) - min(accuracies)) or 1.0
    top = max(accuracies) + room
    axes.set_ylim(min(accuracies) - room, min(top, 100 + 0.3 * room) if max(accuracies) <= 100 else top)
    unit = energy_unit([max(means)])
    axes.xaxis.set_major_formatter(energy_numbers(unit))
    axes.set_xlabel(f"energy per image, {unit.symbol}")
    axes.set_ylabel("top-1 accuracy, %")
    axes.grid(color="#dddddd", linewidth=0.4)
    axes.set_axisbelow(True)


def _mark(axes: Axes, entry: Entry, looks: dict[str, Any]) -> None:
    """A point with its interval, and the runs of which it is the mean as small ones, tied to it."""
    if entry.runs:
        energies, accuracies = zip(*entry.runs, strict=True)
        axes.plot(energies, accuracies, linestyle="none", alpha=0.5, markersize=2.5, zorder=2.5, **looks)
        for run in entry.runs:
            places = zip((entry.energy_mj or 0.0, entry.top1 or 0.0), run, strict=True)
            axes.plot(*places, color=looks["color"], alpha=0.4, linewidth=0.6, zorder=2.4)
    axes.errorbar(
        [entry.energy_mj or 0.0],
        [entry.top1 or 0.0],
        xerr=None if entry.energy_mj_half is None else [entry.energy_mj_half],
        fmt="x" if entry.doubt else looks["marker"],
        color=looks["color"],
        markerfacecolor=looks["color"] if entry.measured else "white",
        markersize=5.5,
        capsize=2,
        elinewidth=0.8,
        zorder=3,
    )


def _name(
    axes: Axes,
    panel: Panel,
    stairs: Sequence[tuple[float, float]],
    looks: dict[str, dict[str, Any]],
    look: Look,
) -> None:
    """Labels beside the points in their colours, off each other and off the front."""
    drawn = panel.entries
    corners = [((x0, y0), (x1, y0), (x1, y1)) for (x0, y0), (x1, y1) in pairwise(stairs)]
    lines = [pair for corner in corners for pair in pairwise(corner)]
    for entry in drawn:
        if entry.energy_mj_half:
            energy, top1 = entry.energy_mj or 0.0, entry.top1 or 0.0
            low = max(energy - entry.energy_mj_half, axes.get_xlim()[0])  # a logarithm has no end at 0
            lines.append(((low, top1), (energy + entry.energy_mj_half, top1)))
    label_points(
        axes,
        [(entry.energy_mj or 0.0, entry.top1 or 0.0) for entry in drawn],
        panel.texts,
        [_ink(looks[entry.family]["color"]) if len(looks) > 1 else INK for entry in drawn],
        SMALL * look.scale,
        lines,
        [run for entry in drawn for run in entry.runs],
        bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.7, "pad": 0.3},
        zorder=4,
    )


def _ink(colour: str) -> tuple[float, ...]:
    """A colour dark enough to be read as text."""
    return tuple(DARKER * part for part in to_rgb(colour))


def _texts(drawn: Sequence[Entry], narrow: bool) -> list[str]:
    """Names as they are written: cut, in a narrow figure without what stands in brackets if they still
    differ."""
    labels = [entry.label for entry in drawn]
    if not narrow:
        return [shortened(label, LONGEST) for label in labels]
    bare = [label.partition(" (")[0] for label in labels]
    counts = Counter(bare)
    return [
        shortened(short if counts[short] == 1 else label, LONGEST_IF_NARROW)
        for short, label in zip(bare, labels, strict=True)
    ]


def _legend(drawn: Sequence[Entry]) -> list[Line2D]:
    """What is drawn: families, if one has several entries in a panel, kinds of points, the front."""
    looks = family_looks(drawn)
    some = len(looks) > 1 and max(Counter((entry.family, entry.data) for entry in drawn).values()) > 1
    kinds: list[tuple[bool, dict[str, Any]]] = [
        (any(e.measured and not e.doubt for e in drawn), {"label": "measured", "color": INK, "markerfacecolor": INK}),
        (
            any(not e.measured and not e.doubt for e in drawn),
            {"label": "published", "color": INK, "markerfacecolor": "white"},
        ),
        (any(e.doubt for e in drawn), {"label": "printed energy in doubt", "marker": "x", "color": INK}),
        (any(e.runs for e in drawn), {"label": "one seed", "color": INK, "alpha": 0.5, "markersize": 2.5}),
        (bool(front(drawn)), {"label": "Pareto front", **FRONT}),
    ]
    families = [{"label": family, **looks[family]} for family in looks] if some else []
    shown: list[dict[str, Any]] = [*families, *(look for there, look in kinds if there)]
    usual: dict[str, Any] = {"linestyle": "", "marker": "o", "markersize": 5.5}
    return [Line2D([], [], **(usual | look)) for look in shown]
