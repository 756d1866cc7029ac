"""Figures from a profile. Takes records only, no torch."""

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from msvit_energy.errors import EnergyError
from msvit_energy.records import Profile
from msvit_energy.tables import title

ROW_INCHES, COLUMN_INCHES = 0.24, 0.8
MOST_STEPS_WITH_NUMBERS = 10


def firing_rate_heatmap(profile: Profile) -> Figure:
    """Firing rate of every neuron layer (rows, in network order, grouped by stage) at every time step (columns)."""
    if not profile.neurons:
        raise EnergyError("the profile has no layer of spiking neurons, so there are no firing rates to draw")
    rates = np.array([layer.firing_rates for layer in profile.neurons])
    layers, steps = rates.shape
    names = [layer.neuron for layer in profile.neurons]
    width = 1.2 + 0.085 * max(map(len, names)) + COLUMN_INCHES * max(steps, 3)
    notes = profile.warnings()
    figure = Figure(figsize=(width, 1.6 + ROW_INCHES * layers), layout="constrained")
    axes = figure.subplots()
    image = axes.imshow(rates, aspect="auto", cmap="viridis", vmin=0, vmax=max(rates.max(), 1e-9))
    axes.set_yticks(range(layers), names, fontsize=8)
    axes.set_xticks(range(steps), list(map(str, range(steps))))
    axes.set_xlabel("time step")
    for row in range(1, layers):
        if profile.neurons[row].stage != profile.neurons[row - 1].stage:
            axes.axhline(row - 0.5, color="white", linewidth=2)
    if steps <= MOST_STEPS_WITH_NUMBERS:
        _write_numbers(axes, rates, bright=0.6 * rates.max())
    mean = profile.firing_rate
    heading = [f"firing rate, {title(profile)}", f"{profile.images} images, mean {mean:.4f}"]
    axes.set_title("\n".join(heading + [f"warning: {note}" for note in notes]), fontsize=9, loc="left", wrap=True)
    figure.colorbar(image, ax=axes, label="spikes per neuron and time step", fraction=0.08, aspect=40)
    return figure


def save_firing_rates(profile: Profile, path: Path) -> None:
    """Write the heatmap as an image."""
    firing_rate_heatmap(profile).savefig(path, dpi=150)


def _write_numbers(axes: Axes, rates: np.ndarray, bright: float) -> None:
    for (row, column), rate in np.ndenumerate(rates):
        color = "black" if rate > bright else "white"
        axes.text(column, row, f"{rate:.3f}", ha="center", va="center", fontsize=7, color=color)
