"""The energy of every layer, and what it is spent on."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from msvit_energy.errors import EnergyError
from msvit_energy.pricing.energy import PJ_PER_MJ, EnergyReport, EnergyRow
from msvit_energy.pricing.energy_units import EnergyUnit, energy_unit
from msvit_energy.profiles.profile import Profile
from msvit_energy.reporting.figures.layers import Column, Layers, Row, draw_layers, page_width
from msvit_energy.reporting.figures.style import (
    BLUE,
    GREY,
    INK,
    MARGIN,
    ORANGE,
    ROUND,
    TALL,
    energy_numbers,
    header,
    own_style,
    priced,
    short_title,
    shortened,
)
from msvit_energy.reporting.formatting import digits_of, fixed, percent

PANEL, KEY = 3.0, 0.34  # inches
BAR = 0.72  # of a row
MOST_NAMES = 6
PARTS: dict[str, dict[str, Any]] = {
    "accumulates": {"color": BLUE},
    "multiply-accumulates": {"facecolor": ORANGE, "hatch": "//////", "edgecolor": INK, "linewidth": 0},
    "other": {"facecolor": GREY, "hatch": "......", "edgecolor": "white", "linewidth": 0},
}


@own_style()
def energy_bars(profile: Profile, report: EnergyReport) -> Figure:
    """Energy per image of every counted layer, stacked by kind of operation, with its 95 % interval where known.

    Layers are in the report's order, those of one stage together. EnergyError if the protocol counts none.
    """
    counted = by_stage([row for row in report.rows if row.counted])
    if not counted:
        raise EnergyError(f"protocol {report.protocol} counts no layer of this profile, so there is nothing to draw")
    rows = [Row(row.stage, row.layer) for row in counted]
    columns = _columns(counted, report)
    inner = page_width(rows, PANEL, columns) - 2 * MARGIN
    lines = [priced(report), *left_out(report)]
    head = header(f"Energy per layer, {short_title(profile)}", lines, profile.warnings(), inner)
    drawn = draw_layers(rows, PANEL, columns, head, key=KEY)
    handles = _bars(drawn, parts(counted, report))
    handles += _intervals(drawn, counted)
    _axis(drawn, len(rows), energy_unit([report.total_mj]))
    drawn.page.legend(MARGIN, drawn.key, handles, ncols=2, columnspacing=2)
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


def _columns(rows: Sequence[EnergyRow], report: EnergyReport) -> list[Column]:
    unit = energy_unit([report.total_mj])
    energies = [row.energy_pj / PJ_PER_MJ * unit.per_mj for row in rows]
    digits = digits_of(max(energies))
    margins = [
        f"±{percent(row.spread.half_width / row.energy_pj)}" if row.spread and row.energy_pj else "" for row in rows
    ]
    return [
        Column(unit.symbol, [fixed(energy, digits) for energy in energies]),
        *([Column("95 %", margins)] if any(margins) else []),
        Column("share", [percent(report.share(row)) for row in rows]),
    ]


def _bars(drawn: Layers, energies: dict[str, np.ndarray]) -> list[Any]:
    """Bars from 0 to the right, one part after the other; what to put into the legend."""
    start = np.zeros(len(next(iter(energies.values()))))
    handles = []
    for name, energy in energies.items():
        some = np.flatnonzero(energy)
        if some.size or name != "other":
            bars = drawn.axes.barh(some, energy[some], BAR, left=start[some], label=name, **PARTS[name])
            handles.append(bars)
        start += energy
    return handles


def _intervals(drawn: Layers, rows: Sequence[EnergyRow]) -> list[Any]:
    """Error bars of the rows whose interval is known and not empty; what to put into the legend."""
    known = [(index, row) for index, row in enumerate(rows) if row.spread and row.spread.half_width > 0]
    if not known:
        return []
    bars = drawn.axes.errorbar(
        [row.energy_pj / PJ_PER_MJ for _, row in known],
        [index for index, _ in known],
        xerr=[row.spread.half_width / PJ_PER_MJ for _, row in known if row.spread],
        fmt="none",
        ecolor=INK,
        elinewidth=0.8,
        capsize=2,
        capthick=0.8,
        label="95 % interval over images",
    )
    return [bars]


def _axis(drawn: Layers, rows: int, unit: EnergyUnit) -> None:
    axes = drawn.axes
    right = max(axes.dataLim.x1, 0.0)
    axes.set_xlim(min(0.0, axes.dataLim.x0) if axes.dataLim.x0 < 0 else 0.0, 1.04 * right or 1.0)
    axes.xaxis.set_major_formatter(energy_numbers(unit))
    axes.xaxis.set_major_locator(MaxNLocator(5, steps=ROUND))
    axes.xaxis.set_label_position("top")
    axes.set_xlabel(f"{unit.symbol} per image", labelpad=4)
    axes.grid(axis="x", color="#DDDDDD", linewidth=0.5)
    axes.set_axisbelow(True)
    axes.tick_params(axis="x", bottom=rows > TALL, labelbottom=rows > TALL)
