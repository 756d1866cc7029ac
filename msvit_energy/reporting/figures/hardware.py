"""One profile under every reading of hardware, on a logarithmic scale."""

import math
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from msvit_energy.pricing.energy_units import energy_unit
from msvit_energy.profiles.profile import Profile
from msvit_energy.reporting.figures.glyphs import wrapped
from msvit_energy.reporting.figures.layers import Column, Row, draw_layers, page_width
from msvit_energy.reporting.figures.style import (
    BLUE,
    GREEN,
    GREY,
    INK,
    MARGIN,
    ORANGE,
    TALL,
    TEXT,
    energy_numbers,
    header,
    own_style,
    short_title,
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

PANEL = 3.6  # inches
LOOKS = {
    OPERATIONS: ("o", INK),
    MEMORY: ("s", BLUE),
    ON_CHIPS: ("D", GREEN),
    DENSE: ("v", GREY),
    SIMULATED: ("^", ORANGE),
}


@own_style()
def hardware_figure(profile: Profile, rows: Sequence[HardwareRow]) -> Figure:
    """A row for each reading, grouped, with its 95 % interval where the images give one; what each group is and is not
    stands below."""
    shown = [row for row in rows if row.energy_mj]
    energies = [row.energy_mj or 0.0 for row in shown]
    unit = energy_unit(energies[:1])
    names = [Row(row.group, _named(row)) for row in shown]
    columns = [
        Column(unit.symbol, [times(energy * unit.per_mj) for energy in energies]),
        Column("x first", [times(energy / energies[0]) for energy in energies]),
    ]
    inner = page_width(names, PANEL, columns) - 2 * MARGIN
    head = header(f"One profile, many hardwares: {short_title(profile)}", _lines(profile), profile.warnings(), inner)
    groups = list(dict.fromkeys(row.group for row in shown))
    foot = [(line, TEXT) for group in groups for line in wrapped(f"{group}: {WHAT[group]}", inner, TEXT)]
    drawn = draw_layers(names, PANEL, columns, head, foot, key=0.0)
    _draw(drawn.axes, shown, energies)
    return drawn.page.figure


def _draw(axes: Axes, rows: Sequence[HardwareRow], energies: Sequence[float]) -> None:
    for index, (row, energy) in enumerate(zip(rows, energies, strict=True)):
        marker, colour = LOOKS[row.group]
        if row.low_mj is not None and row.high_mj is not None and row.low_mj > 0:
            axes.plot([row.low_mj, row.high_mj], [index, index], color=colour, linewidth=1.2)
        axes.plot([energy], [index], marker=marker, color=colour, markersize=4, linestyle="none")
    axes.set_xscale("log")
    axes.set_xlim(10 ** math.floor(math.log10(min(energies))), 10 ** math.ceil(math.log10(max(energies))))
    unit = energy_unit(energies[:1])
    axes.xaxis.set_major_formatter(energy_numbers(unit))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_label_position("top")
    axes.set_xlabel(f"{unit.symbol} per image, logarithmic", labelpad=4)
    axes.axvline(energies[0], color=INK, linewidth=0.5, linestyle=":")
    axes.grid(axis="x", color="#DDDDDD", linewidth=0.5)
    axes.set_axisbelow(True)
    axes.tick_params(axis="x", bottom=len(rows) > TALL, labelbottom=len(rows) > TALL)


def _named(row: HardwareRow) -> str:
    return f"{row.name}, {row.what}" if row.group in (OPERATIONS, MEMORY) else row.name


def _lines(profile: Profile) -> list[str]:
    rate = "" if profile.firing_rate is None else f", mean firing rate {percent(profile.firing_rate)}"
    images = "" if profile.known_images is None else f"{profile.known_images} images, "
    return [f"{images}T = {profile.time_steps}{rate}; counted once, priced by every reading"]
