"""The energy of every layer, and what it is spent on."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from msvit_energy.pricing.energy import PJ_PER_MJ, EnergyReport, EnergyRow
from msvit_energy.pricing.energy_units import EnergyUnit, energy_unit
from msvit_energy.profiles.profile import Profile
from msvit_energy.reporting.figures.folding import Folding, folded
from msvit_energy.reporting.figures.layers import Column, Layers, Row, arranged, draw_layers, label_axis
from msvit_energy.reporting.figures.look import USUAL, Look, NothingToDrawError
from msvit_energy.reporting.figures.page import Head, ScalingFigure
from msvit_energy.reporting.figures.style import (
    BLUE,
    GREY,
    INK,
    ORANGE,
    ROUND,
    energy_numbers,
    priced,
    short_title,
    shortened,
    styled,
)
from msvit_energy.reporting.formatting import digits_of, fixed, percent

PANEL, LEAST_PANEL = 3.0, 0.9  # inches
BAR = 0.72  # of a row
LEAST_PIECE = 0.04  # inches of a piece of a bar, to be told from the next
MOST_NAMES = 6
PARTS: dict[str, dict[str, Any]] = {
    "accumulates": {"color": BLUE},
    "multiply-accumulates": {"facecolor": ORANGE, "hatch": "//////", "edgecolor": INK, "linewidth": 0},
    "other": {"facecolor": GREY, "hatch": "......", "edgecolor": "white", "linewidth": 0},
}


@styled
def energy_bars(profile: Profile, report: EnergyReport, *, look: Look = USUAL) -> ScalingFigure:
    """Energy per image of every counted layer, stacked by kind of operation, with its 95 % interval where known.

    Layers are in the report's order, those of one stage together; those that cost nothing are one row, and where there
    are too many for a page, so is each layer of repeated blocks, its bar in one piece for each block. EnergyError if
    the protocol counts none.
    """
    counted = by_stage([row for row in report.rows if row.counted])
    if not counted:
        raise NothingToDrawError(
            f"protocol {report.protocol} counts no layer of this profile: there is nothing to draw"
        )
    rows = [counted[i] for i in look.chosen([row.layer for row in counted])]
    free = [row.energy_pj == 0 for row in rows]
    folding = folded([Row(row.stage, row.layer) for row in rows], free, look.every_layer, word="free")
    plan = arranged(
        [fold.row for fold in folding.rows], PANEL, _columns(rows, folding, report), look, least=LEAST_PANEL
    )
    energies, spreads = parts(rows, report), _known(rows, folding)
    lines = [priced(report), *left_out(report), *_shown(rows, report, len(counted)), *_folded_lines(folding, rows)]
    head = Head(f"Energy per layer, {short_title(profile)}", lines, profile.warnings())
    drawn = draw_layers(plan, head, _legend(energies, bool(spreads)))
    _bars(drawn, energies, folding)
    _intervals(drawn, spreads)
    _axis(drawn, energy_unit([report.total_mj]))
    return drawn.page.figure


def by_stage(rows: Sequence[EnergyRow]) -> list[EnergyRow]:
    """Rows of one stage together, stages and their rows in the order in which they come."""
    stages = list(dict.fromkeys(row.stage for row in rows))
    return sorted(rows, key=lambda row: stages.index(row.stage))


def parts(rows: Sequence[EnergyRow], report: EnergyReport) -> dict[str, np.ndarray]:
    """Energy in mJ by kind of operation, `[rows]` each; together they are the rows' energy."""
    prices = report.technology
    accumulates = np.array([row.acs * prices.e_ac for row in rows])
    multiplies = np.array([row.macs * prices.e_mac for row in rows])
    whole = np.array([row.energy_pj for row in rows])
    other = whole - accumulates - multiplies
    other[np.abs(other) <= 1e-9 * np.abs(whole)] = 0.0  # rounding
    named = zip(PARTS, (accumulates, multiplies, other), strict=True)
    return {name: energy / PJ_PER_MJ for name, energy in named}


def left_out(report: EnergyReport) -> list[str]:
    """A line that names the layers which the protocol leaves out, if there are any."""
    names = [shortened(row.layer, 40) for row in report.rows if not row.counted]
    more = f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
    return [f"not counted by this protocol: {', '.join(names[:MOST_NAMES])}{more}"] if names else []


def _shown(rows: Sequence[EnergyRow], report: EnergyReport, counted: int) -> list[str]:
    """How much of the energy is in the figure, where not all of it is."""
    if len(rows) == counted:
        return []
    return [f"shown: {len(rows)} of {counted} layers, {percent(sum(map(report.share, rows)))} of the energy"]


def _folded_lines(folding: Folding, rows: Sequence[EnergyRow]) -> list[str]:
    """What a row of several layers is."""
    lines = folding.line()
    if lines:
        lines = [f"{lines[0]}; energies of all together, with a piece of the bar for each"]
        if any(row.spread for row in rows):
            lines.append("intervals are those of single layers")
    return lines


def _columns(rows: Sequence[EnergyRow], folding: Folding, report: EnergyReport) -> list[Column]:
    unit = energy_unit([report.total_mj])
    members = [[rows[index] for index in fold.layers] for fold in folding.rows]
    energies = [sum(row.energy_pj for row in these) / PJ_PER_MJ * unit.per_mj for these in members]
    digits = digits_of(max(energies))
    columns = [Column(unit.symbol, [fixed(energy, digits) for energy in energies], rank=1)]
    margins = [""] * len(members)
    for index, row in _known(rows, folding, empty=True):
        margins[index] = f"±{percent(row.spread.half_width / row.energy_pj)}" if row.spread and row.energy_pj else ""
    if any(margins):
        columns.append(Column("95 %", margins, rank=2))
    if folding.blocks:
        columns.insert(
            0,
            Column(
                "blocks",
                ["" if fold.silent or len(fold.members) == 1 else str(len(fold.members)) for fold in folding.rows],
                rank=2,
            ),
        )
    shares = [
        sum(row.energy_pj for row in these) / PJ_PER_MJ / report.total_mj if report.total_mj else 0.0
        for these in members
    ]
    return [*columns, Column("share", [percent(share) for share in shares])]


def _known(rows: Sequence[EnergyRow], folding: Folding, empty: bool = False) -> list[tuple[int, EnergyRow]]:
    """The rows of one layer whose interval is known and not `empty`, with their places."""
    single = [(place, rows[fold.layers[0]]) for place, fold in enumerate(folding.rows) if len(fold.layers) == 1]
    return [(place, row) for place, row in single if row.spread and (empty or row.spread.half_width > 0)]


def _bars(drawn: Layers, energies: dict[str, np.ndarray], folding: Folding) -> None:
    """Bars from 0 to the right, one part after the other, each in a piece for every layer."""
    start, ends = np.zeros(len(folding.rows)), []
    for name, energy in energies.items():
        pieces = []
        for row, fold in enumerate(folding.rows):
            for index in fold.layers:
                if energy[index]:
                    pieces.append((row, start[row], energy[index]))
                    start[row] += energy[index]
                    ends += [(row, start[row], energy[index])] if len(fold.layers) > 1 else []
        if pieces:
            places, lefts, widths = zip(*pieces, strict=True)
            drawn.axes.barh(places, widths, BAR, left=lefts, **PARTS[name])
    seen = LEAST_PIECE / drawn.width * start.max(initial=0.0)
    for row, end, energy in ends:
        if energy > seen:
            drawn.axes.plot([end, end], [row - BAR / 2, row + BAR / 2], color="white", linewidth=0.6)


def _legend(energies: dict[str, np.ndarray], intervals: bool) -> list[Line2D | Patch]:
    """What is drawn."""
    handles: list[Line2D | Patch] = [
        Patch(label=name, **PARTS[name]) for name, energy in energies.items() if energy.any()
    ]
    if intervals:
        looks: dict[str, Any] = {"color": INK, "linewidth": 0.8, "marker": "|", "markersize": 4}
        handles.append(Line2D([], [], label="95 % interval over images", **looks))
    return handles


def _intervals(drawn: Layers, known: Sequence[tuple[int, EnergyRow]]) -> None:
    """Error bars of those rows."""
    if known:
        drawn.axes.errorbar(
            [row.energy_pj / PJ_PER_MJ for _, row in known],
            [index for index, _ in known],
            xerr=[row.spread.half_width / PJ_PER_MJ for _, row in known if row.spread],
            fmt="none",
            ecolor=INK,
            elinewidth=0.8,
            capsize=2,
            capthick=0.8,
        )


def _axis(drawn: Layers, unit: EnergyUnit) -> None:
    axes = drawn.axes
    right = max(axes.dataLim.x1, 0.0)
    axes.set_xlim(min(0.0, axes.dataLim.x0) if axes.dataLim.x0 < 0 else 0.0, 1.04 * right or 1.0)
    axes.xaxis.set_major_formatter(energy_numbers(unit))
    axes.xaxis.set_major_locator(MaxNLocator(5 if drawn.width > 2 else 3, steps=ROUND))
    label_axis(axes, f"{unit.symbol} per image")
    axes.grid(axis="x", color="#DDDDDD", linewidth=0.5)
    axes.set_axisbelow(True)
