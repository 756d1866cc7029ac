"""The firing rate of every neuron layer at every time step."""

from collections.abc import Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from msvit_energy.errors import EnergyError
from msvit_energy.profiles.profile import Profile
from msvit_energy.reporting.figures.heat import (
    draw_cells,
    draw_scale,
    hatched,
    label_steps,
    mark_rows,
    panel_width,
    rates,
)
from msvit_energy.reporting.figures.layers import Column, Row, draw_layers, page_width
from msvit_energy.reporting.figures.style import MARGIN, header, own_style, short_title
from msvit_energy.reporting.formatting import rate_text

SATURATED = 0.95  # mean firing rate from which a layer hardly tells one input from another


@own_style()
def firing_rate_heatmap(profile: Profile) -> Figure:
    """Firing rates: neuron layers (rows, in network order, grouped by stage) x time steps, and means over time.

    Silent and saturated layers have a sign. EnergyError for a profile without spiking neurons.
    """
    layers, steps = profile.neurons, profile.time_steps
    if not layers:
        raise EnergyError("the profile has no layer of spiking neurons, so there are no firing rates to draw")
    values = rates(layers, steps)
    rows = [Row(layer.stage, layer.neuron) for layer in layers]
    columns = [Column("mean", [rate_text(layer.firing_rate, 4) for layer in layers])]
    panel = panel_width(steps)
    line = f"{profile.images} images, T = {steps}, mean {profile.firing_rate:.4f} over {len(layers)} neuron layers"
    inner = page_width(rows, panel, columns) - 2 * MARGIN
    head = header(f"Firing rate, {short_title(profile)}", [line], profile.warnings(), inner)
    drawn = draw_layers(rows, panel, columns, head)
    low, high = min(0.0, np.nanmin(values, initial=0.0)), np.nanmax(values, initial=0.0)
    scale = Normalize(low, high if high > low else 1.0)
    mesh = draw_cells(drawn, values, matplotlib.colormaps["YlGnBu"], scale, rate_text)
    label_steps(drawn, len(layers), steps)
    draw_scale(drawn, mesh, "spikes per neuron and time step")
    silent = [row for row, layer in enumerate(layers) if not any(layer.sums)]
    saturated = [row for row, layer in enumerate(layers) if layer.firing_rate >= SATURATED]
    handles: list[Any] = [
        mark_rows(drawn, silent, "o", f"silent at every time step ({_layers(silent)})", "silent"),
        mark_rows(drawn, saturated, "^", f"saturated: mean ≥ {SATURATED:g} ({_layers(saturated)})", "saturated"),
    ]
    if np.isnan(values).any():
        handles.append(hatched("several calls per step: mean only"))
    drawn.page.legend(MARGIN + 2.35, drawn.key, handles)
    return drawn.page.figure


def _layers(rows: Sequence[int]) -> str:
    return "1 layer" if len(rows) == 1 else f"{len(rows)} layers"
