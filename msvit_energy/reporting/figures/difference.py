"""The firing rates of two profiles, one minus the other."""

from collections.abc import Sequence

import numpy as np
from matplotlib.colors import Normalize
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from msvit_energy.errors import EnergyError
from msvit_energy.profiles.operators import NeuronLayer
from msvit_energy.profiles.profile import Profile
from msvit_energy.reporting.figures.folding import Fold, folded
from msvit_energy.reporting.figures.heat import (
    DARK,
    MOST_VECTOR_CELLS,
    MOST_WITH_NUMBERS,
    Grid,
    draw_cells,
    draw_scale,
    grid,
    hatched,
    label_columns,
    luminance,
    rates,
    steps_shown,
)
from msvit_energy.reporting.figures.layers import Column, Layers, Row, arranged, draw_layers
from msvit_energy.reporting.figures.look import USUAL, Look
from msvit_energy.reporting.figures.page import Head, ScalingFigure
from msvit_energy.reporting.figures.rates import mean_rate
from msvit_energy.reporting.figures.style import INK, short_title, shortened, styled
from msvit_energy.reporting.formatting import MINUS, rate_text, signed

Pair = tuple[NeuronLayer, NeuronLayer]

COLOURS = "PuOr"  # colour-blind readers can tell them apart; in greyscale by the sign, in words or as a dash
MOST_NAMES = 12


@styled
def firing_rate_difference(
    a: Profile, b: Profile, sources: tuple[str, str] = ("", ""), *, look: Look = USUAL
) -> ScalingFigure:
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
    pairs = [pairs[i] for i in look.chosen([layer.neuron for layer, _ in pairs])]
    silent = [not any((*one.sums, *other.sums)) for one, other in pairs]
    folding = folded([Row(layer.stage, layer.neuron) for layer, _ in pairs], silent, look.every_layer)
    match = a.time_steps == b.time_steps
    steps = steps_shown(folding, a.time_steps) if match else 1
    cells = grid(difference(pairs, a.time_steps, b.time_steps, steps), folding, steps)
    columns = _columns(pairs, folding.rows, match)
    plan = arranged([fold.row for fold in folding.rows], cells.panel, columns, look, cells.least_panel)
    warnings = [f"{name}: {note}" for name, profile in (("A", a), ("B", b)) for note in profile.warnings()]
    lines = [*_described(a, b, sources), *folding.line()]
    dashes = cells.columns > MOST_WITH_NUMBERS
    drawn = draw_layers(
        plan, Head(f"Firing rate, A {MINUS} B", lines, warnings), _legend(cells, dashes), scale=True, foot=_alone(a, b)
    )
    _fill(drawn, cells, look, match)
    return drawn.page.figure


def difference(pairs: Sequence[Pair], steps: int, others: int, shown: int) -> np.ndarray:
    """First minus second `[layers, shown]`: at each time step, or of means over time, as where T differs."""
    if steps != others:
        return np.array([[one.firing_rate - other.firing_rate] for one, other in pairs])
    return rates([one for one, _ in pairs], steps, shown) - rates([other for _, other in pairs], steps, shown)


def _columns(pairs: Sequence[Pair], folds: Sequence[Fold], match: bool) -> list[Column]:
    """Means over time, and their difference where the cells have time steps."""
    first = [mean_rate([one for one, _ in pairs], fold) for fold in folds]
    second = [mean_rate([other for _, other in pairs], fold) for fold in folds]
    columns = [
        Column("A", [rate_text(rate, 4) for rate in first], rank=2),
        Column("B", [rate_text(rate, 4) for rate in second], rank=2),
    ]
    if match:
        both = [signed(one - other, 4) for one, other in zip(first, second, strict=True)]
        columns.append(Column(f"A {MINUS} B", both, rank=1))
    return columns


def _fill(drawn: Layers, cells: Grid, look: Look, match: bool) -> None:
    limit = np.nanmax(np.abs(cells.values), initial=0.0) or 1.0
    mesh = draw_cells(drawn, cells, look.colours(COLOURS), Normalize(-limit, limit), signed)
    if match or cells.folding.blocks:
        label_columns(drawn, cells)
    else:
        drawn.axes.set_xticks([0], ["mean over time"])
        drawn.axes.tick_params(axis="x", bottom=False, labelbottom=False)
    draw_scale(drawn, mesh, f"spikes per neuron and time step, A {MINUS} B")
    if cells.columns > MOST_WITH_NUMBERS:
        _dash(drawn, cells.values, luminance(mesh.cmap(mesh.norm(cells.values))))


def _legend(cells: Grid, dashes: bool) -> list[Line2D | Patch]:
    handles: list[Line2D | Patch] = []
    if dashes:
        label = "A is lower than B"
        handles.append(Line2D([], [], linestyle="none", marker="_", markersize=5, color=INK, label=label))
    if cells.hatched:
        handles.append(hatched("several calls per step: mean only"))
    return handles


def _dash(drawn: Layers, values: np.ndarray, light: np.ndarray) -> None:
    """A dash in every cell below 0, for print without colours."""
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


def _alone(a: Profile, b: Profile) -> list[str]:
    """Lines that name the layers which only one of the two has."""
    lines = []
    for name, these, those in (("A", a.neurons, b.neurons), ("B", b.neurons, a.neurons)):
        both = {layer.neuron for layer in those}
        alone = [layer for layer in these if layer.neuron not in both]
        if alone:
            lines.append(f"left out, only in {name} ({len(alone)}): {_some(alone)}")
    return lines


def _some(layers: Sequence[NeuronLayer]) -> str:
    names = [shortened(layer.neuron, 60) for layer in layers[:MOST_NAMES]]
    return ", ".join(names + ["..."] * (len(layers) > MOST_NAMES)) or "none"
