"""Energy against accuracy: what one costs the other."""

from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patheffects import withStroke
from matplotlib.ticker import LogLocator, NullLocator

from msvit_energy.errors import EnergyError
from msvit_energy.pricing.energy_units import energy_unit
from msvit_energy.reporting.comparison import Entry, front, not_drawn, plottable
from msvit_energy.reporting.figures.glyphs import line_height, wrapped
from msvit_energy.reporting.figures.style import (
    BLUE,
    GREY,
    MARGIN,
    ORANGE,
    SMALL,
    TITLE,
    Page,
    energy_numbers,
    own_style,
    shortened,
)

WIDTH, HEIGHT = 6.6, 4.2  # inches of the axes of one data set
LEFT, ABOVE, BELOW = 0.75, 0.35, 0.6
FRONT = {"color": ORANGE, "linestyle": "--", "linewidth": 1.2, "marker": "o", "markersize": 11, "fillstyle": "none"}
LOGARITHMIC_FROM = 20  # greatest by least energy


@own_style()
def energy_accuracy(entries: Sequence[Entry]) -> Figure:
    """Every entry with both numbers, a panel for each data set; filled where measured, the Pareto front as a line.
    Below stands who is missing."""
    drawn = [entry for entry in entries if plottable(entry)]
    if not drawn:
        raise EnergyError("no model has both an energy and an accuracy, so there is nothing to draw")
    panels = list(dict.fromkeys(entry.data for entry in drawn))
    top, width = 0.75, LEFT + WIDTH + 0.3
    foot = [(line, SMALL) for text in not_drawn(entries) for line in wrapped(text, width - 2 * MARGIN, SMALL)]
    below = len(foot) * line_height(SMALL) + (MARGIN if foot else 0.0)
    page = Page(width, top + len(panels) * (ABOVE + HEIGHT + BELOW) + below)
    page.write(MARGIN, MARGIN, "energy and accuracy", fontsize=TITLE)
    page.legend(MARGIN, 0.42, _legend(), ncols=4, columnspacing=1.5)
    for data in panels:
        page.write(LEFT, top + 0.1, shortened(data, 80), fontsize=TITLE)
        panel = page.axes(LEFT, top + ABOVE, WIDTH, HEIGHT)
        _draw(panel, [entry for entry in drawn if entry.data == data])
        top += ABOVE + HEIGHT + BELOW
    page.write_lines(top, foot)
    return page.figure


def _draw(axes: Axes, drawn: Sequence[Entry]) -> None:
    _scale(axes, drawn)
    for entry in drawn:
        _mark(axes, entry)
    if best := sorted((entry.energy_mj or 0.0, entry.top1 or 0.0) for entry in front(drawn)):
        x, y = zip(*best, strict=True)  # stairs: the accuracy that is to be had for an energy
        axes.plot(x, y, drawstyle="steps-post", zorder=2, **FRONT)  # type: ignore[arg-type]
    _name(axes, drawn)


def _scale(axes: Axes, drawn: Sequence[Entry]) -> None:
    """Axes with room for labels; energy on a logarithmic scale where it spans more than a factor of 20."""
    energies = [entry.energy_mj or 0.0 for entry in drawn]
    accuracies = [entry.top1 or 0.0 for entry in drawn]
    low, high = min(energies), max(energies)
    if low > 0 and high / low > LOGARITHMIC_FROM:
        axes.set_xscale("log")
        axes.set_xlim(low / 2, high * 2)
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_minor_locator(NullLocator())
    else:
        room = 0.12 * (high - low) or 0.2 * high or 1.0
        axes.set_xlim(max(0.0, low - room), high + room)
    room = 0.1 * (max(accuracies) - min(accuracies)) or 1.0
    axes.set_ylim(min(accuracies) - room, max(accuracies) + room)
    unit = energy_unit([high])
    axes.xaxis.set_major_formatter(energy_numbers(unit))
    axes.set_xlabel(f"energy per image, {unit.symbol}")
    axes.set_ylabel("top-1 accuracy, %")
    axes.grid(color="#dddddd", linewidth=0.4)
    axes.set_axisbelow(True)


def _mark(axes: Axes, entry: Entry) -> None:
    axes.errorbar(
        [entry.energy_mj or 0.0],
        [entry.top1 or 0.0],
        xerr=None if entry.energy_mj_half is None else [entry.energy_mj_half],
        fmt="x" if entry.doubt else "o",
        color=BLUE,
        markerfacecolor=BLUE if entry.measured else "white",
        markersize=5.5,
        capsize=2,
        elinewidth=0.8,
        zorder=3,
    )


def _name(axes: Axes, drawn: Sequence[Entry]) -> None:
    """Labels beside the points, moved apart."""
    from adjustText import adjust_text

    halo = [withStroke(linewidth=2, foreground="white")]
    texts = [
        axes.text(entry.energy_mj or 0, entry.top1 or 0, shortened(entry.label, 32), fontsize=SMALL, path_effects=halo)
        for entry in drawn
    ]
    for text in texts:
        text.set_zorder(4)
    axes.figure.canvas.draw()
    adjust_text(
        texts,
        x=[entry.energy_mj for entry in drawn],
        y=[entry.top1 for entry in drawn],
        ax=axes,
        expand=(1.25, 2.0),
        arrowprops={"arrowstyle": "-", "color": GREY, "linewidth": 0.5},
        iter_lim=200,
        min_arrow_len=4,
    )


def _legend() -> list[Line2D]:
    looks: list[dict[str, Any]] = [
        {"label": "measured", "marker": "o", "color": BLUE},
        {"label": "published", "marker": "o", "color": BLUE, "markerfacecolor": "white"},
        {"label": "printed energy in doubt", "marker": "x", "color": BLUE},
        {"label": "Pareto front", **FRONT},
    ]
    return [Line2D([], [], **({"linestyle": ""} | look)) for look in looks]
