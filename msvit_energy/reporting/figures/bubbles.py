"""What makes an operator expensive: rate, energy and size of each in one picture."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from msvit_energy.pricing.energy import EnergyReport
from msvit_energy.pricing.energy_units import EnergyUnit, energy_unit
from msvit_energy.profiles.profile import Profile
from msvit_energy.reporting.figures.bubble_groups import (
    ANALOG,
    Bubble,
    Group,
    Names,
    bubbles,
    groups,
    named,
    spread_out,
)
from msvit_energy.reporting.figures.energy import left_out
from msvit_energy.reporting.figures.glyphs import line_height, text_width, widest
from msvit_energy.reporting.figures.look import USUAL, Look, NothingToDrawError
from msvit_energy.reporting.figures.page import Head, Page, ScalingFigure, legend_height
from msvit_energy.reporting.figures.style import (
    BLUE,
    GREEN,
    INK,
    ORANGE,
    ROUND,
    TEXT,
    energy_numbers,
    plain_numbers,
    priced,
    short_title,
    styled,
)
from msvit_energy.reporting.formatting import count, percent, plain

PANEL, LEAST_PANEL = (4.3, 3.6), 2.6  # inches: width and height, and the least width beside names
STRIP = 0.55  # the panel of inputs that have no rate
AREAS = 0.6  # the legend of areas
LINES, SHORT_LINES = 0.5, 0.3  # between the panel and the names, or their numbers
AXIS = 0.42
NARROWEST = 6.0  # where no width is given
TICKS = 6
LARGEST = 450.0  # points^2 of the bubble with most MACs, in a panel of usual width
SQUARE = np.pi / 4  # of a marker's nominal area is a circle's; squares shrink to it, so that areas compare
KINDS: dict[str, tuple[str, str, float]] = {  # marker, colour, factor of the area
    "binary": ("o", BLUE, 1.0),
    "integer": ("s", ORANGE, SQUARE),
    ANALOG: ("D", GREEN, SQUARE),
}


@dataclass(frozen=True)
class Plan:
    """Where things are on the page, in inches: the panel's corner and size, and the names beside or below it."""

    page: Page
    left: float
    top: float
    width: float
    height: float
    strip: float
    beside: bool


@styled
def rate_energy_bubbles(profile: Profile, report: EnergyReport, *, look: Look = USUAL) -> ScalingFigure:
    """Every counted operator at its input rate and energy, its MACs as area, its input kind as shape and colour.

    Inputs of real numbers have no rate and stand beside the axis; operators with nearly the same numbers are one bubble
    with a thick line around it. The most expensive ones have names. EnergyError if the protocol counts no operator.
    """
    found = bubbles(profile, report)
    if not found:
        raise NothingToDrawError(
            f"protocol {report.protocol} counts no operator of this profile: nothing is to be drawn"
        )
    items = [found[i] for i in look.chosen([item.layer for item in found])]
    grouped = groups(items)
    names = named(grouped, report)
    head = Head(f"Rate and energy, {short_title(profile)}", _lines(report, found, items, grouped), profile.warnings())
    plan = _plan(grouped, names, head, look, energy_unit([report.total_mj]))
    axes, strip = _axes(plan, grouped, energy_unit([report.total_mj]))
    for kind in KINDS:
        _draw(strip if kind == ANALOG else axes, kind, grouped, _largest(plan))
    _write_names(plan, names, axes, strip)
    _legend(plan, grouped, axes)
    return plan.page.figure


def _lines(
    report: EnergyReport, found: Sequence[Bubble], items: Sequence[Bubble], grouped: Sequence[Group]
) -> list[str]:
    """The price, what is not in the picture, what is at its lower edge, what is one bubble."""
    lines = [priced(report), *left_out(report)]
    if len(items) < len(found):
        share = sum(item.energy for item in items) / report.total_mj if report.total_mj else 0.0
        lines.append(f"shown: {len(items)} of {len(found)} operators, {percent(share)} of the energy")
    if free := sum(item.energy == 0 for item in items):
        lines.append(f"{free} of {len(items)} operators cost nothing and lie at energy 0")
    if any(len(group.items) > 1 for group in grouped):
        lines.append("n x: operators with nearly the same numbers, drawn once; beside the name their energy together")
    return lines


def _plan(grouped: Sequence[Group], names: Names, head: Head, look: Look, unit: EnergyUnit) -> Plan:
    """Names beside the panel if there is room, else their numbers, with the names below."""
    energies = [group.energy * unit.per_mj for group in grouped]
    ticks = MaxNLocator(TICKS, steps=ROUND).tick_values(min(0.0, *energies), max(energies) or 1.0)
    left = look.margin + line_height(TEXT) + widest(map(plain, ticks), TEXT) + 0.1
    strip = STRIP if {group.kind for group in grouped} > {ANALOG} else 0.0
    right = LINES + sum(names.widths) + look.margin
    width = max(left + strip + PANEL[0] + right, NARROWEST) if look.room is None else look.room
    beside = look.room is None or width - left - strip - right >= LEAST_PANEL
    if not beside:
        right = SHORT_LINES + text_width("00", TEXT) + look.margin
    panel = PANEL[0] if look.room is None else width - left - strip - right
    height = PANEL[1] * min(1.0, (panel + strip) / PANEL[0] + 0.1)
    inner = width - 2 * look.margin
    above = head.drawn(look, inner)
    top = look.margin + sum(line_height(size) for _, size in above) + (0.08 if above else 0.0)
    top += legend_height(_kinds(grouped), inner) + AREAS
    below = 0.0 if beside else 0.08 + line_height(TEXT) * len(names.items)
    page = Page(width, top + height + AXIS + below + look.margin, look, head.notes(look))
    page.write_lines(look.margin, above)
    return Plan(page, left + strip, top, panel, height, strip, beside)


def _axes(plan: Plan, grouped: Sequence[Group], unit: EnergyUnit) -> tuple[Axes, Axes]:
    """The panel of the rates, and the one of inputs without a rate, which is the same where there are no rates."""
    axes = plan.page.axes(plan.left, plan.top, plan.width, plan.height)
    axes.set_ylim(_limits([group.energy for group in grouped]))
    axes.yaxis.set_major_locator(MaxNLocator(TICKS, steps=ROUND))
    axes.yaxis.set_major_formatter(energy_numbers(unit))
    axes.grid(color="#E5E5E5", linewidth=0.5)
    axes.set_axisbelow(True)
    axes.spines[["right", "top"]].set_visible(False)
    axes.set_ylabel(f"{unit.symbol} per image")
    rates = [group.rate for group in grouped if group.kind != ANALOG]
    if not rates:
        _without_rates(axes)
        return axes, axes
    axes.set_xlim(_limits(rates))
    axes.xaxis.set_major_locator(MaxNLocator(TICKS if plan.width > LEAST_PANEL else 4, steps=ROUND))
    axes.xaxis.set_major_formatter(plain_numbers)
    axes.set_xlabel("input rate (mean of the driving operand)" if plan.width > LEAST_PANEL else "input rate")
    if not plan.strip:
        return axes, axes
    strip = plan.page.axes(plan.left - plan.strip, plan.top, plan.strip, plan.height)
    strip.set_ylim(axes.get_ylim())
    strip.yaxis.set_major_locator(MaxNLocator(TICKS, steps=ROUND))
    strip.yaxis.set_major_formatter(energy_numbers(unit))
    strip.set_ylabel(axes.get_ylabel())
    axes.set_ylabel("")
    axes.tick_params(axis="y", left=False, labelleft=False)
    axes.spines["left"].set(linewidth=0.4, linestyle=(0, (2, 2)))
    strip.grid(axis="y", color="#E5E5E5", linewidth=0.5)
    strip.set_axisbelow(True)
    strip.spines[["right", "top"]].set_visible(False)
    _without_rates(strip)
    return axes, strip


def _without_rates(axes: Axes) -> None:
    axes.set_xlim(-1, 1)
    axes.set_xticks([0], ["analog"])


def _draw(axes: Axes, kind: str, grouped: Sequence[Group], largest: float) -> None:
    marker, colour, factor = KINDS[kind]
    these = [group for group in grouped if group.kind == kind]
    most = max(group.macs for group in grouped) or 1.0
    axes.scatter(
        [group.rate if kind != ANALOG else 0.0 for group in these],
        [group.energy for group in these],
        s=[factor * largest * group.macs / most for group in these],
        marker=marker,
        facecolor=colour,
        edgecolor=INK,
        linewidth=[0.5 if len(group.items) == 1 else 1.4 for group in these],
        alpha=0.6,
        gid=kind,
    )


def _largest(plan: Plan) -> float:
    """Area of the largest bubble in points^2."""
    return LARGEST * plan.page.look.scale**2 * min(1.0, plan.width / PANEL[0])


def _limits(numbers: Sequence[float]) -> tuple[float, float]:
    """The range of the numbers and 0, with room for half a bubble at either end."""
    low, high = min(0.0, *numbers), max(0.0, *numbers)
    span = (high - low) or 1.0
    return low - 0.06 * span, low + 1.08 * span


def _write_names(plan: Plan, names: Names, axes: Axes, strip: Axes) -> None:
    """Names right of the panel in the order of the energies of one, or their numbers there and the names below.

    A line goes from each bubble to the right edge, and from there to the name: so no two lines cross.
    """
    page, (y0, y1) = plan.page, axes.get_ylim()
    heights = [plan.top + plan.height * (y1 - group.energy) / (y1 - y0) for group in names.items]
    places = spread_out(heights, 1.2 * line_height(TEXT), plan.top + plan.height)
    edge, lines = plan.left + plan.width, LINES if plan.beside else SHORT_LINES
    below = plan.top + plan.height + AXIS + 0.08 + 0.5 * line_height(TEXT)
    for number, (group, height, place) in enumerate(zip(names.items, heights, places, strict=True), start=1):
        start = _start(plan, group, axes, strip)
        page.path([(start, height), (edge, height), (edge + lines - 0.05, place)], color=INK, linewidth=0.4)
        page.path([(start, height)], color=INK, marker=".", markersize=2.5)
        if plan.beside:
            names.write(page, number - 1, edge + lines, place)
        else:
            page.label(edge + lines, place, str(number))
            page.label(page.look.margin + text_width("00", TEXT), below, str(number), 1)
            names.write(page, number - 1, page.look.margin + text_width("00", TEXT) + 0.1, below)
            below += line_height(TEXT)


def _start(plan: Plan, group: Group, axes: Axes, strip: Axes) -> float:
    """The middle of a bubble, in inches from the left."""
    if group.kind == ANALOG:
        return plan.left - plan.strip / 2 if strip is not axes else plan.left + plan.width / 2
    x0, x1 = axes.get_xlim()
    return plan.left + plan.width * (group.rate - x0) / (x1 - x0)


def _kinds(grouped: Sequence[Group]) -> list[Line2D]:
    """The input kinds that are drawn."""
    return [
        Line2D([], [], linestyle="none", marker=marker, markersize=5, color=colour, alpha=0.8, label=f"{kind} input")
        for kind, (marker, colour, _) in KINDS.items()
        if any(group.kind == kind for group in grouped)
    ]


def _legend(plan: Plan, grouped: Sequence[Group], axes: Axes) -> None:
    page, margin = plan.page, plan.page.look.margin
    kinds, inner = _kinds(grouped), plan.page.width - 2 * plan.page.look.margin
    areas = plan.top - AREAS + 0.04
    page.legend(margin, plan.top - AREAS - legend_height(kinds, inner), inner, kinds)
    most = max(group.macs for group in grouped)
    if not most:
        return
    decade = 10.0 ** np.floor(np.log10(most))
    largest = decade * max(n for n in (1, 2, 5) if n * decade <= most)
    page.write(margin, areas, "area: MACs per time step")
    looks: dict[str, Any] = {"transform": page.inches, "clip_on": False, "facecolor": "none", "edgecolor": INK}
    for index, size in enumerate((largest, largest / 10, largest / 100)):
        middle = margin + 0.2 + 0.85 * index
        axes.scatter([middle], [areas + 0.31], s=_largest(plan) * size / most, linewidth=0.5, **looks)
        page.label(middle + 0.2, areas + 0.31, count(size))
