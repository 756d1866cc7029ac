"""The firing rates of two profiles, one minus the other."""

from collections.abc import Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from msvit_energy.errors import EnergyError
from msvit_energy.profiles.operators import NeuronLayer
from msvit_energy.profiles.profile import Profile
from msvit_energy.reporting.figures.glyphs import wrapped
from msvit_energy.reporting.figures.heat import (
    DARK,
    MOST_STEPS_WITH_NUMBERS,
    MOST_VECTOR_CELLS,
    draw_cells,
    draw_scale,
    hatched,
    label_steps,
    luminance,
    panel_width,
    rates,
)
from msvit_energy.reporting.figures.layers import Column, Layers, Row, draw_layers, page_width
from msvit_energy.reporting.figures.style import INK, MARGIN, TEXT, header, own_style, short_title, shortened
from msvit_energy.reporting.formatting import MINUS, rate_text, signed

COLOURS = "PuOr"  # colour-blind readers can tell them apart; in greyscale by the sign, in words or as a dash
MOST_NAMES = 12


@own_style()
def firing_rate_difference(a: Profile, b: Profile, sources: tuple[str, str] = ("", "")) -> Figure:
    """Firing rates of `a` minus those of `b`: layers of equal name (rows, in `a`'s order) x time steps.

    Profiles of different T are compared by their means over time, in one column. `sources` say where the two come
    from. What only one of them has is listed under the figure; EnergyError if they have no layer in common.
    """
    others = {layer.neuron: layer for layer in b.neurons}
    pairs = [(layer, others[layer.neuron]) for layer in a.neurons if layer.neuron in others]
    if not pairs:
        raise EnergyError(
            f"the profiles have no neuron layer in common: {_some(a.neurons)} in one, {_some(b.neurons)} in the other"
        )
    values = difference(pairs, a.time_steps, b.time_steps)
    steps = values.shape[1]
    rows = [Row(layer.stage, layer.neuron) for layer, _ in pairs]
    columns = [
        Column("A", [rate_text(layer.firing_rate, 4) for layer, _ in pairs]),
        Column("B", [rate_text(layer.firing_rate, 4) for _, layer in pairs]),
    ]
    if a.time_steps == b.time_steps:
        both = [signed(one.firing_rate - other.firing_rate, 4) for one, other in pairs]
        columns.append(Column(f"A {MINUS} B", both))
    panel = panel_width(steps)
    inner = page_width(rows, panel, columns) - 2 * MARGIN
    warnings = [f"{name}: {note}" for name, profile in (("A", a), ("B", b)) for note in profile.warnings()]
    head = header(f"Firing rate, A {MINUS} B", _described(a, b, sources), warnings, inner)
    drawn = draw_layers(rows, panel, columns, head, _alone(a, b, inner))
    _fill(drawn, values, a.time_steps == b.time_steps)
    return drawn.page.figure


def difference(pairs: Sequence[tuple[NeuronLayer, NeuronLayer]], steps: int, others: int) -> np.ndarray:
    """First minus second `[layers, steps]`, or of means over time `[layers, 1]` where T differs."""
    if steps != others:
        return np.array([[one.firing_rate - other.firing_rate] for one, other in pairs])
    return rates([one for one, _ in pairs], steps) - rates([other for _, other in pairs], steps)


def _fill(drawn: Layers, values: np.ndarray, steps_match: bool) -> None:
    layers, steps = values.shape
    limit = np.nanmax(np.abs(values), initial=0.0) or 1.0
    mesh = draw_cells(drawn, values, matplotlib.colormaps[COLOURS], Normalize(-limit, limit), signed)
    if steps_match:
        label_steps(drawn, layers, steps)
    else:
        drawn.axes.set_xticks([0], ["mean over time"])
        drawn.axes.tick_params(axis="x", bottom=False, labelbottom=False)
    draw_scale(drawn, mesh, f"spikes per neuron and time step, A {MINUS} B")
    handles: list[Any] = []
    if steps > MOST_STEPS_WITH_NUMBERS:
        handles.append(_dash(drawn, values, luminance(mesh.cmap(mesh.norm(values)))))
    if np.isnan(values).any():
        handles.append(hatched("several calls per step: mean only"))
    if handles:
        drawn.page.legend(MARGIN + 2.35, drawn.key, handles)


def _dash(drawn: Layers, values: np.ndarray, light: np.ndarray) -> Line2D:
    """A dash in every cell below 0, for print without colours; what to put into the legend."""
    length = 0.5 * 72 * drawn.width / values.shape[1]
    for colour, where in (("white", light < DARK), (INK, light >= DARK)):
        rows, steps = np.nonzero((values < 0) & where)
        drawn.axes.plot(
            steps,
            rows,
            linestyle="none",
            marker="_",
            markersize=length,
            markeredgewidth=0.5,
            color=colour,
            rasterized=values.size > MOST_VECTOR_CELLS,
        )
    return Line2D([], [], linestyle="none", marker="_", markersize=5, color=INK, label="A is lower than B")


def _described(a: Profile, b: Profile, sources: tuple[str, str]) -> list[str]:
    """What A and B are, a line each, and whether their steps can be matched."""
    lines = []
    for name, profile, source in zip("AB", (a, b), sources, strict=True):
        text = f"{name}: {short_title(profile)}, {profile.images} images, T = {profile.time_steps}"
        text += f", mean {profile.firing_rate:.4f} over {len(profile.neurons)} neuron layers"
        lines.append(text + (f" ({shortened(source, 60)})" if source else ""))
    if a.time_steps != b.time_steps:
        lines.append(f"T differs ({a.time_steps} and {b.time_steps}), so means over time are compared")
    return lines


def _alone(a: Profile, b: Profile, width: float) -> list[tuple[str, float]]:
    """Lines that name the layers which only one of the two has."""
    lines = []
    for name, these, those in (("A", a.neurons, b.neurons), ("B", b.neurons, a.neurons)):
        both = {layer.neuron for layer in those}
        alone = [layer for layer in these if layer.neuron not in both]
        if alone:
            lines += wrapped(f"left out, only in {name} ({len(alone)}): {_some(alone)}", width, TEXT)
    return [(line, TEXT) for line in lines]


def _some(layers: Sequence[NeuronLayer]) -> str:
    names = [shortened(layer.neuron, 60) for layer in layers[:MOST_NAMES]]
    return ", ".join(names + ["..."] * (len(layers) > MOST_NAMES)) or "none"
