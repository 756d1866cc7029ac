"""Rates of layers beside the rates below which they cost less than quantised dense ones."""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from msvit_energy.pricing.break_even import BreakEven
from msvit_energy.pricing.memory_rules import rival_bits
from msvit_energy.profiles.operators import stage_of
from msvit_energy.profiles.profile import Profile
from msvit_energy.reporting.figures.layers import Column, Row, arranged, draw_layers, label_axis
from msvit_energy.reporting.figures.look import USUAL, Look, NothingToDrawError
from msvit_energy.reporting.figures.page import Head, ScalingFigure
from msvit_energy.reporting.figures.style import BLUE, INK, ORANGE, plain_numbers, short_title, styled
from msvit_energy.reporting.formatting import rate_text

PANEL, LEAST_PANEL = 3.2, 1.0  # inches


@styled
def break_even_figure(
    profile: Profile,
    rows: Sequence[BreakEven],
    total: BreakEven,
    technology: str,
    counting: str,
    *,
    look: Look = USUAL,
) -> ScalingFigure:
    """A row for each operator that is fed with spikes, and the total: its rate as a dot, its break-even rate as a bar,
    in blue where the spiking network costs less. EnergyError if there are none."""
    shown = [row for row in (*rows, total) if row.break_even is not None]
    if not shown:
        raise NothingToDrawError("no operator has a break-even rate: none is fed with spikes that fire")
    stages = {operator.layer: operator.stage for operator in profile.operators}
    names = [Row(stages.get(row.layer, stage_of(row.layer)), row.layer) for row in shown]
    columns = [
        Column("rate", [rate_text(row.rate) for row in shown], rank=1),
        Column("break-even", [rate_text(row.break_even or 0.0) for row in shown], rank=1),
    ]
    won = sum(row.wins for row in rows)
    lines = [
        f"rival: a dense network of the same shape in numbers of {rival_bits(profile)} bits, one pass",
        f"{counting} at {technology}; {won} of {len(rows)} layers cost less than the rival's",
    ]
    head = Head(f"Rate against break-even, {short_title(profile)}", lines, profile.warnings())
    plan = arranged(names, PANEL, columns, look, least=LEAST_PANEL)
    drawn = draw_layers(plan, head, _legend(shown))
    _draw(drawn.axes, shown)
    return drawn.page.figure


def _legend(rows: Sequence[BreakEven]) -> list[Line2D]:
    dots = [
        Line2D([], [], linestyle="none", marker="o", color=colour, markersize=4, label=f"rate, {who} costs less")
        for who, colour, wins in (("spiking", BLUE, True), ("rival", ORANGE, False))
        if any(row.wins == wins for row in rows)
    ]
    bar = Line2D([], [], linestyle="none", marker="|", color=INK, markersize=8, label="break-even rate")
    return [*dots, bar]


def _draw(axes: Axes, rows: Sequence[BreakEven]) -> None:
    """Dots, bars and what lies between."""
    for index, row in enumerate(rows):
        limit, colour = row.break_even or 0.0, BLUE if row.wins else ORANGE
        axes.plot([row.rate, limit], [index, index], color=colour, linewidth=0.8)
        axes.plot([row.rate], [index], "o", color=colour, markersize=4)
        axes.plot([limit], [index], "|", color=INK, markersize=8)
    axes.set_xlim(left=0)
    axes.xaxis.set_major_formatter(plain_numbers)
    label_axis(axes, "mean input")
    axes.grid(axis="x", color="#DDDDDD", linewidth=0.5)
    axes.set_axisbelow(True)
