"""Maps of single layers: where in the image, and in which channels, the spikes are."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from msvit_energy.errors import EnergyError
from msvit_energy.profiles.firing_maps import Example, LayerMap
from msvit_energy.reporting.figures.style import BLUE, MARGIN, SMALL, TEXT, TITLE, Page, own_style, shortened

SIDE, GAP = 2.1, 0.55  # inches of a map and to the next
CHANNELS = 3.4
HEAD, FOOT = 0.45, 0.5


@own_style()
def firing_maps(layers: Sequence[LayerMap], example: Example | None = None) -> Figure:
    """A row for each layer: the example image and its own map, the mean map over all images, rates of the channels.

    Maps of one layer share their colours. Channels are sorted by rate. EnergyError without layers.
    """
    if not layers:
        raise EnergyError("no layer was mapped")
    alone = {layer.neuron: layer for layer in example.layers} if example else {}
    columns = 3 if example else 1
    width = 2 * MARGIN + columns * (SIDE + GAP) + CHANNELS + 0.6
    page = Page(width, 0.55 + len(layers) * (HEAD + SIDE + FOOT))
    page.write(MARGIN, MARGIN, "firing rates by position and by channel", fontsize=TITLE)
    top = 0.55
    for layer in layers:
        page.write(MARGIN, top, f"{shortened(layer.neuron, 60)}: {layer.layout}", fontsize=TEXT)
        left = MARGIN + 0.1
        if example is not None:
            _picture(page.axes(left, top + HEAD, SIDE, SIDE), example)
            _map(page, left + SIDE + GAP, top + HEAD, alone[layer.neuron], layer, "this image")
            left += 2 * (SIDE + GAP)
        _map(page, left, top + HEAD, layer, alone.get(layer.neuron, layer), "mean of all images")
        _channels(page.axes(left + SIDE + GAP + 0.75, top + HEAD, CHANNELS - 0.5, SIDE), layer)
        top += HEAD + SIDE + FOOT
    return page.figure


def _picture(axes: Axes, example: Example) -> None:
    axes.imshow(example.picture, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
    axes.set_title(f"input {shortened(example.name, 28)}", fontsize=SMALL)
    axes.set_xticks([])
    axes.set_yticks([])


def _map(page: Page, left: float, top: float, layer: LayerMap, other: LayerMap, title: str) -> None:
    """A map with its colour bar; colours reach to the greatest rate of both maps."""
    axes = page.axes(left, top, SIDE, SIDE)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.set_title(title, fontsize=SMALL)
    if layer.positions is None or other.positions is None:
        axes.text(0.5, 0.5, "no positions", ha="center", va="center", transform=axes.transAxes)
        return
    most = max(layer.positions.max(), other.positions.max(), 1e-9)
    image = axes.imshow(layer.positions, cmap="viridis", vmin=0, vmax=most, interpolation="nearest")
    bar = page.figure.colorbar(image, cax=page.axes(left + SIDE + 0.05, top, 0.08, SIDE))
    bar.ax.tick_params(labelsize=SMALL - 1, length=2)
    bar.outline.set_linewidth(0.4)


def _channels(axes: Axes, layer: LayerMap) -> None:
    rates = np.sort(layer.channels)[::-1]
    silent = int((rates == 0).sum())
    axes.stairs(rates, np.arange(len(rates) + 1) + 0.5, fill=True, color=BLUE)
    axes.axhline(rates.mean(), color="black", linewidth=0.7, linestyle="--")
    axes.set_xlim(0.5, len(rates) + 0.5)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_ylim(0, max(rates.max() * 1.08, 1e-9))
    axes.set_xlabel("channels, sorted")
    axes.set_ylabel("firing rate")
    axes.set_title(f"mean {rates.mean():.4f} (dashed), {silent} of {len(rates)} silent", fontsize=SMALL)
