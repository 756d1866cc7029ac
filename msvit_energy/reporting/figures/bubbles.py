"""What makes an operator expensive: rate, energy and size of each in one picture."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from msvit_energy.errors import EnergyError
from msvit_energy.pricing.energy import PJ_PER_MJ, EnergyReport
from msvit_energy.pricing.energy_units import EnergyUnit, energy_unit
from msvit_energy.profiles.profile import Profile
from msvit_energy.reporting.figures.energy import left_out
from msvit_energy.reporting.figures.glyphs import line_height, widest
from msvit_energy.reporting.figures.style import (
    BLUE,
    GREEN,
    INK,
    MARGIN,
    ORANGE,
    ROUND,
    TEXT,
    Page,
    energy_numbers,
    header,
    own_style,
    plain_numbers,
    priced,
    short_title,
    shortened,
)
from msvit_energy.reporting.formatting import count, digits_of, fixed, percent, plain

PANEL = (4.3, 3.6)  # inches
KEY = 0.62
LINES = 0.5  # between the panel and the names
MOST_NAMES, LEAST_SHARE = 12, 0.005  # of the total, for an operator to have its name shown
NARROWEST = 6.0
TICKS = 6
LARGEST = 450.0  # points^2 of the bubble with most MACs
SQUARE = np.pi / 4  # of a marker's nominal area is a circle's; squares shrink to it, so that areas compare
KINDS: dict[str, tuple[str, str, float]] = {  # marker, colour, factor of the area
    "binary": ("o", BLUE, 1.0),
    "integer": ("s", ORANGE, SQUARE),
    "analog": ("D", GREEN, SQUARE),
}


@dataclass(frozen=True)
class Bubble:
    """An operator: its input rate, energy in mJ per image, MACs per time step and input kind."""

    layer: str
    rate: float
    energy: float
    macs: float
    kind: str


@dataclass(frozen=True)
class Names:
    """The operators with names, and their texts by column."""

    items: tuple[Bubble, ...]
    columns: tuple[list[str], ...]  # name, energy, share

    @property
    def widths(self) -> tuple[float, ...]:
        """Inches of each column, with the gap to the one before."""
        return tuple(widest(texts, TEXT) + (0.1 if column else 0.0) for column, texts in enumerate(self.columns))


@own_style()
def rate_energy_bubbles(profile: Profile, report: EnergyReport) -> Figure:
    """Every counted operator at its input rate and energy, its MACs as area, its input kind as shape and colour.

    The most expensive ones have their names at the right. EnergyError if the protocol counts no operator.
    """
    items = bubbles(profile, report)
    if not items:
        raise EnergyError(f"protocol {report.protocol} counts no operator of this profile, so there is nothing to draw")
    named = [item for item in items if item.energy > LEAST_SHARE * report.total_mj]
    names = _names(sorted(named, key=lambda item: -item.energy)[:MOST_NAMES], report)
    energies = [item.energy for item in items]
    ticks = MaxNLocator(TICKS, steps=ROUND).tick_values(min(0.0, *energies), max(energies) or 1.0)
    left = MARGIN + line_height(TEXT) + widest(map(plain, ticks), TEXT) + 0.1
    right = left + PANEL[0] + LINES
    width = max(right + sum(names.widths) + MARGIN, NARROWEST)
    lines = _lines(report, items)
    head = header(f"Rate and energy, {short_title(profile)}", lines, profile.warnings(), width - 2 * MARGIN)
    key = MARGIN + sum(line_height(size) for _, size in head) + 0.08
    page = Page(width, key + KEY + PANEL[1] + 0.4 + MARGIN)
    page.write_lines(MARGIN, head)
    axes = page.axes(left, key + KEY, *PANEL)
    _axes(axes, items, energy_unit([report.total_mj]))
    _draw(axes, items)
    _write_names(page, names, (left, key + KEY), axes)
    _legend(page, axes, items, key)
    return page.figure


def bubbles(profile: Profile, report: EnergyReport) -> list[Bubble]:
    """The operators that the protocol counts, in the profile's order."""
    energies = {row.layer: row.energy_pj / PJ_PER_MJ for row in report.rows if row.counted}
    return [
        Bubble(item.layer, item.driver.rate, energies[item.layer], item.macs_per_step, item.driver.kind)
        for item in profile.operators
        if item.layer in energies
    ]


def area(bubble: Bubble, items: Sequence[Bubble]) -> float:
    """Nominal area of a round bubble in points^2, in proportion to its MACs."""
    return LARGEST * bubble.macs / (max(item.macs for item in items) or 1.0)


def spread_out(places: Sequence[float], gap: float, end: float) -> list[float]:
    """Ascending places moved as little as needed to be `gap` apart and at most `end`."""
    moved: list[float] = []
    for place in places:
        moved.append(max(place, moved[-1] + gap) if moved else place)
    for index in reversed(range(len(moved))):
        moved[index] = min(moved[index], end)
        end = moved[index] - gap
    return moved


def _names(named: Sequence[Bubble], report: EnergyReport) -> Names:
    unit = energy_unit([report.total_mj])
    largest = max((item.energy for item in named), default=0.0) * unit.per_mj
    return Names(
        tuple(named),
        (
            [shortened(item.layer, 36) for item in named],
            [f"{fixed(item.energy * unit.per_mj, digits_of(largest))} {unit.symbol}" for item in named],
            [percent(item.energy / report.total_mj) for item in named],
        ),
    )


def _draw(axes: Axes, items: Sequence[Bubble]) -> None:
    for kind, (marker, colour, factor) in KINDS.items():
        these = [item for item in items if item.kind == kind]
        axes.scatter(
            [item.rate for item in these],
            [item.energy for item in these],
            s=[factor * area(item, items) for item in these],
            marker=marker,
            facecolor=colour,
            edgecolor=INK,
            linewidth=0.5,
            alpha=0.6,
            gid=kind,
        )


def _lines(report: EnergyReport, items: Sequence[Bubble]) -> list[str]:
    """The price, what is not in the picture, what is at its lower edge."""
    free = sum(item.energy == 0 for item in items)
    note = [f"{free} of {len(items)} operators cost nothing and lie at energy 0"] if free else []
    return [priced(report), *left_out(report), *note]


def _axes(axes: Axes, items: Sequence[Bubble], unit: EnergyUnit) -> None:
    axes.set_xlim(_limits([item.rate for item in items]))
    axes.set_ylim(_limits([item.energy for item in items]))
    axes.set_xlabel("input rate (mean of the driving operand)")
    axes.set_ylabel(f"{unit.symbol} per image")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(MaxNLocator(TICKS, steps=ROUND))
        axis.set_major_formatter(plain_numbers)
    axes.yaxis.set_major_formatter(energy_numbers(unit))
    axes.grid(color="#E5E5E5", linewidth=0.5)
    axes.set_axisbelow(True)
    axes.spines[["right", "top"]].set_visible(False)


def _limits(numbers: Sequence[float]) -> tuple[float, float]:
    """The range of the numbers and 0, with room for half a bubble at either end."""
    low, high = min(0.0, *numbers), max(0.0, *numbers)
    span = (high - low) or 1.0
    return low - 0.06 * span, low + 1.08 * span


def _write_names(page: Page, names: Names, corner: tuple[float, float], axes: Axes) -> None:
    """Names right of the panel with its upper left corner there, in the order of the energies.

    A line goes from each bubble to the right edge, and from there to the name: so no two lines cross.
    """
    (x0, x1), (y0, y1) = axes.get_xlim(), axes.get_ylim()
    heights = [corner[1] + PANEL[1] * (y1 - item.energy) / (y1 - y0) for item in names.items]
    places = spread_out(heights, 1.2 * line_height(TEXT), corner[1] + PANEL[1])
    edge = corner[0] + PANEL[0]
    for item, height, place, texts in zip(names.items, heights, places, zip(*names.columns, strict=True), strict=True):
        start = corner[0] + PANEL[0] * (item.rate - x0) / (x1 - x0)
        left = edge + LINES
        page.path([(start, height), (edge, height), (left - 0.05, place)], color=INK, linewidth=0.4)
        page.path([(start, height)], color=INK, marker=".", markersize=2.5)
        page.label(left, place, texts[0])
        for column, text in enumerate(texts[1:], start=1):
            page.label(left + sum(names.widths[: column + 1]), place, text, 1)


def _legend(page: Page, axes: Axes, items: Sequence[Bubble], key: float) -> None:
    handles = [
        Line2D([], [], linestyle="none", marker=marker, markersize=5, color=colour, alpha=0.8, label=f"{kind} input")
        for kind, (marker, colour, _) in KINDS.items()
        if any(item.kind == kind for item in items)
    ]
    page.legend(MARGIN, key, handles, handlelength=1)
    most = max(item.macs for item in items)
    if not most:
        return
    decade = 10.0 ** np.floor(np.log10(most))
    largest = decade * max(n for n in (1, 2, 5) if n * decade <= most)
    page.write(MARGIN + 1.5, key, "area: MACs per time step")
    looks: dict[str, Any] = {"transform": page.inches, "clip_on": False, "facecolor": "none", "edgecolor": INK}
    for index, size in enumerate((largest, largest / 10, largest / 100)):
        middle = MARGIN + 1.65 + 0.85 * index
        axes.scatter([middle], [key + 0.34], s=LARGEST * size / most, linewidth=0.5, **looks)
        page.label(middle + 0.2, key + 0.34, count(size))
