"""The firing rate of every neuron layer at every time step."""

from collections.abc import Sequence

import numpy as np
from matplotlib.colors import Normalize
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from msvit_energy.profiles.operators import NeuronLayer
from msvit_energy.profiles.profile import Profile
from msvit_energy.reporting.figures.folding import Fold, folded
from msvit_energy.reporting.figures.heat import (
    Grid,
    draw_cells,
    draw_scale,
    grid,
    hatched,
    label_columns,
    mark_layers,
    rates,
    sign,
    steps_shown,
)
from msvit_energy.reporting.figures.layers import Column, Row, arranged, draw_layers
from msvit_energy.reporting.figures.look import USUAL, Look, NothingToDrawError
from msvit_energy.reporting.figures.page import Head, ScalingFigure
from msvit_energy.reporting.figures.style import short_title, styled
from msvit_energy.reporting.formatting import rate_text

SATURATED = 0.95  # mean firing rate from which a layer hardly tells one input from another
COLOURS = "YlGnBu"


@styled
def firing_rate_heatmap(profile: Profile, *, look: Look = USUAL) -> ScalingFigure:
    """Firing rates: neuron layers (rows, in network order, grouped by stage) x time steps, and means over time.

    Silent and saturated layers have a sign, several silent ones a row together. A network too long for a page has its
    repeated blocks beside each other (a row for each layer of a block). EnergyError for a profile without spiking
    neurons.
    """
    if not profile.neurons:
        raise NothingToDrawError("the profile has no layer of spiking neurons, so there are no firing rates to draw")
    layers = [profile.neurons[i] for i in look.chosen([layer.neuron for layer in profile.neurons])]
    silent, saturated = [not any(layer.sums) for layer in layers], [layer.firing_rate >= SATURATED for layer in layers]
    folding = folded([Row(layer.stage, layer.neuron) for layer in layers], silent, look.every_layer)
    steps = steps_shown(folding, profile.time_steps)
    cells = grid(rates(layers, profile.time_steps, steps), folding, steps)
    columns = [Column("mean", [rate_text(mean_rate(layers, fold), 4) for fold in folding.rows])]
    plan = arranged([fold.row for fold in folding.rows], cells.panel, columns, look, cells.least_panel)
    head = Head(f"Firing rate, {short_title(profile)}", [*_lines(profile, layers), *folding.line()], profile.warnings())
    drawn = draw_layers(plan, head, _legend(silent, saturated, cells), scale=True)
    low, high = min(0.0, np.nanmin(cells.values, initial=0.0)), np.nanmax(cells.values, initial=0.0)
    scale = Normalize(low, high if high > low else 1.0)
    mesh = draw_cells(drawn, cells, look.colours(COLOURS), scale, rate_text)
    label_columns(drawn, cells)
    draw_scale(drawn, mesh, "spikes per neuron and time step")
    mark_layers(drawn, cells, silent, "o", "silent")
    mark_layers(drawn, cells, saturated, "^", "saturated")
    return drawn.page.figure


def mean_rate(layers: Sequence[NeuronLayer], fold: Fold) -> float:
    """Mean output per neuron and time step of all layers of a row."""
    these = [layers[index] for index in fold.layers]
    if len(these) == 1:
        return these[0].firing_rate
    spikes = sum(sum(layer.sums) for layer in these)
    return float(spikes / sum(layer.elements * len(layer.sums) for layer in these))


def _lines(profile: Profile, layers: Sequence[NeuronLayer]) -> list[str]:
    count = len(profile.neurons)
    images = "" if profile.known_images is None else f"{profile.images} images, "
    line = f"{images}T = {profile.time_steps}, mean {profile.firing_rate:.4f} over {count} neuron layers"
    return [line if len(layers) == count else f"{line}, of which {len(layers)} are shown"]


def _legend(silent: Sequence[bool], saturated: Sequence[bool], cells: Grid) -> list[Line2D | Patch]:
    """Signs that are drawn."""
    handles: list[Line2D | Patch] = []
    if any(silent):
        handles.append(sign("o", f"silent at every time step ({_layers(silent)})"))
    if any(saturated):
        handles.append(sign("^", f"saturated: mean ≥ {SATURATED:g} ({_layers(saturated)})"))
    if cells.hatched:
        handles.append(hatched("several calls per step: mean only"))
    return handles


def _layers(which: Sequence[bool]) -> str:
    return "1 layer" if sum(which) == 1 else f"{sum(which)} layers"
