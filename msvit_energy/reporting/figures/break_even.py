"""Rates of layers beside the rates below which they cost less than quantised dense ones."""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from msvit_energy.errors import EnergyError
from msvit_energy.pricing.break_even import BreakEven
from msvit_energy.pricing.memory_rules import rival_bits
from msvit_energy.profiles.operators import stage_of
from msvit_energy.profiles.profile import Profile
from msvit_energy.reporting.figures.layers import Column, Row, draw_layers, page_width
from msvit_energy.reporting.figures.style import (
    BLUE,
    INK,
    MARGIN,
    ORANGE,
    TALL,
    header,
    own_style,
    plain_numbers,
    short_title,
)
from msvit_energy.reporting.formatting import rate_text

PANEL = 3.2  # inches
KEY = 0.3


@own_style()
def break_even_figure(
    profile: Profile, rows: Sequence[BreakEven], total: BreakEven, technology: str, counting: str
) -> Figure:
    """A row for each operator that is fed with spikes, and the total: its rate as a dot, its break-even rate as a bar,
    in blue where the spiking network costs less. EnergyError if there are none."""
    shown = [row for row in (*rows, total) if row.break_even is not None]
    if not shown:
        raise EnergyError("no operator has a break-even rate: none is fed with spikes that fire")
    stages = {operator.layer: operator.stage for operator in profile.operators}
    names = [Row(stages.get(row.layer, stage_of(row.layer)), row.layer) for row in shown]
    columns = [
        Column("rate", [rate_text(row.rate) for row in shown]),
        Column("break-even", [rate_text(row.break_even or 0.0) for row in shown]),
    ]
    won = sum(row.wins for row in rows)
    lines = [
        f"rival: a dense network of the same shape in numbers of {rival_bits(profile)} bits, one pass",
        f"{counting} at {technology}; {won} of {len(rows)} layers cost less than the rival's",
    ]
    inner = page_width(names, PANEL, columns) - 2 * MARGIN
    head = header(f"Rate against break-even, {short_title(profile)}", lines, profile.warnings(), inner)
    drawn = draw_layers(names, PANEL, columns, head, key=KEY)
    drawn.page.legend(MARGIN, drawn.key, _draw(drawn.axes, shown), ncols=3, columnspacing=2)
    return drawn.page.figure


def _draw(axes: Axes, rows: Sequence[BreakEven]) -> list[object]:
    """Dots, bars and what lies between; what to put into the legend."""
    handles: dict[str, object] = {}
    for index, row in enumerate(rows):
        limit, colour = row.break_even or 0.0, BLUE if row.wins else ORANGE
        word = "rate, spiking costs less" if row.wins else "rate, rival costs less"
        axes.plot([row.rate, limit], [index, index], color=colour, linewidth=0.8)
        (handles[word],) = axes.plot([row.rate], [index], "o", color=colour, markersize=4, label=word)
        (handles["break-even"],) = axes.plot([limit], [index], "|", color=INK, markersize=8, label="break-even rate")
    axes.set_xlim(left=0)
    axes.xaxis.set_major_formatter(plain_numbers)
    axes.xaxis.set_label_position("top")
    axes.set_xlabel("mean input", labelpad=4)
    axes.grid(axis="x", color="#DDDDDD", linewidth=0.5)
    axes.set_axisbelow(True)
    axes.tick_params(axis="x", bottom=len(rows) > TALL, labelbottom=len(rows) > TALL)
    return list(handles.values())
