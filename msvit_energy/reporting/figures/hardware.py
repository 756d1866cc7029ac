"""One profile under every reading of hardware, on a logarithmic scale."""

import math
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator, NullLocator

from msvit_energy.pricing.energy_units import energy_unit
from msvit_energy.profiles.profile import Profile
from msvit_energy.reporting.figures.layers import Column, Row, arranged, draw_layers, label_axis
from msvit_energy.reporting.figures.look import USUAL, Look
from msvit_energy.reporting.figures.page import Head, ScalingFigure
from msvit_energy.reporting.figures.style import (
    BLUE,
    GREEN,
    GREY,
    INK,
    ORANGE,
    energy_numbers,
    short_title,
    styled,
)
from msvit_energy.reporting.formatting import percent, times
from msvit_energy.reporting.hardware_table import (
    DENSE,
    MEMORY,
    ON_CHIPS,
    OPERATIONS,
    SIMULATED,
    WHAT,
    HardwareRow,
)

PANEL, LEAST_PANEL, NARROW_PANEL = 3.6, 1.0, 2.0  # inches
LOOKS = {
    OPERATIONS: ("o", INK),
    MEMORY: ("s", BLUE),
    ON_CHIPS: ("D", GREEN),
    DENSE: ("v", GREY),
    SIMULATED: ("^", ORANGE),
}


@styled
def hardware_figure(profile: Profile, rows: Sequence[HardwareRow], *, look: Look = USUAL) -> ScalingFigure:
    """A row for each reading, grouped, with its 95 % interval where the images give one; what each group is and is not
    stands below."""
    shown = [row for row in rows if row.energy_mj]
    energies = [row.energy_mj or 0.0 for row in shown]
    unit = energy_unit(energies[:1])
    names = [Row(row.group, _named(row)) for row in shown]
    columns = [
        Column(unit.symbol, [times(energy * unit.per_mj) for energy in energies], rank=2),
        Column("x first", [times(energy / energies[0]) for energy in energies], rank=1),
    ]
    head = Head(f"One profile, many hardwares: {short_title(profile)}", _lines(profile), profile.warnings())
    foot = [f"{group}: {WHAT[group]}" for group in dict.fromkeys(row.group for row in shown)]
    drawn = draw_layers(arranged(names, PANEL, columns, look, least=LEAST_PANEL), head, foot=foot)
    _draw(drawn.axes, shown, energies, drawn.width)
    return drawn.page.figure


def _draw(axes: Axes, rows: Sequence[HardwareRow], energies: Sequence[float], width: float) -> None:
    for index, (row, energy) in enumerate(zip(rows, energies, strict=True)):
        marker, colour = LOOKS[row.group]
        if row.low_mj is not None and row.high_mj is not None and row.low_mj > 0:
            axes.plot([row.low_mj, row.high_mj], [index, index], color=colour, linewidth=1.2)
        axes.plot([energy], [index], marker=marker, color=colour, markersize=4, linestyle="none", clip_on=False)
    axes.set_xscale("log")
    axes.set_xlim(10 ** math.floor(math.log10(min(energies))), 10 ** math.ceil(math.log10(max(energies))))
    unit = energy_unit(energies[:1])
    axes.xaxis.set_major_formatter(energy_numbers(unit))
    axes.xaxis.set_major_locator(LogLocator(numticks=12 if width > NARROW_PANEL else 4))
    axes.xaxis.set_minor_locator(NullLocator())
    label_axis(axes, f"{unit.symbol} per image{', logarithmic' if width > NARROW_PANEL else ''}")
    axes.axvline(energies[0], color=INK, linewidth=0.5, linestyle=":")
    axes.grid(axis="x", color="#DDDDDD", linewidth=0.5)
    axes.set_axisbelow(True)


def _named(row: HardwareRow) -> str:
    return f"{row.name}, {row.what}" if row.group in (OPERATIONS, MEMORY) else row.name


def _lines(profile: Profile) -> list[str]:
    rate = "" if profile.firing_rate is None else f", mean firing rate {percent(profile.firing_rate)}"
    images = "" if profile.known_images is None else f"{profile.known_images} images, "
    return [f"{images}T = {profile.time_steps}{rate}; counted once, priced by every reading"]
