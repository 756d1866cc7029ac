"""Maps of single layers: where in the image, and in which channels, the spikes are."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from msvit_energy.profiles.firing_maps import Example, LayerMap
from msvit_energy.profiles.profile import Profile
from msvit_energy.reporting.figures.glyphs import line_height, text_width, wrapped
from msvit_energy.reporting.figures.look import USUAL, Look, NothingToDrawError
from msvit_energy.reporting.figures.page import Head, Page, ScalingFigure
from msvit_energy.reporting.figures.style import (
    BLUE,
    GREY,
    INK,
    SMALL,
    TEXT,
    plain_numbers,
    short_title,
    shortened,
    styled,
)

SIDE, CHANNELS = 2.1, 2.9  # inches of a map and of the channels, where no width is given
BETWEEN = 0.12  # of two maps
BAR, BAR_NUMBERS = 0.08, 0.55  # of a colour bar, and its numbers and label
AXIS = 0.6  # numbers and label left of the channels
HEADING, BELOW = 0.2, 0.5
LEAST_SIDE = 0.5
COLOURS = "viridis"


@dataclass(frozen=True)
class Sizes:
    """Inches of a map's side and of the panel of the channels, for so many maps in a row."""

    maps: int
    side: float
    channels: float
    width: float

    @property
    def right(self) -> float:
        """From the left end of the first map to the right end of the last."""
        return self.maps * self.side + (self.maps - 1) * BETWEEN


@styled
def firing_maps(
    layers: Sequence[LayerMap],
    example: Example | None = None,
    profile: Profile | None = None,
    *,
    look: Look = USUAL,
) -> ScalingFigure:
    """The example image; a row for each layer: the image's own map, the mean map over all images, rates of the
    channels, sorted. `profile` is of the same images, for the title.

    Maps of one layer share their colours. EnergyError without layers.
    """
    if not layers:
        raise NothingToDrawError("no layer was mapped")
    layers = [layers[i] for i in look.chosen([layer.neuron for layer in layers])]
    sizes = _sizes(2 if example else 1, look)
    inner = sizes.width - 2 * look.margin
    head, titles = _head(profile), [wrapped(_described(layer), inner, TEXT) for layer in layers]
    above = head.drawn(look, inner)
    top = look.margin + sum(line_height(size) for _, size in above) + (0.1 if above else 0.0)
    input_height = sizes.side + 0.2 if example else 0.0
    rows = [line_height(TEXT) * len(lines) + HEADING + sizes.side + BELOW for lines in titles]
    page = Page(sizes.width, top + input_height + sum(rows) + look.margin, look, head.notes(look))
    page.write_lines(look.margin, above)
    if example:
        _picture(page, top, sizes.side, example)
        top += input_height
    alone = {layer.neuron: layer for layer in example.layers} if example else {}
    for layer, lines, height in zip(layers, titles, rows, strict=True):
        panels = page.write_lines(top, [(line, TEXT) for line in lines]) + HEADING
        _row(page, panels, sizes, layer, alone.get(layer.neuron))
        top += height
    return page.figure


def _head(profile: Profile | None) -> Head:
    if profile is None:
        return Head("Firing rates by position and by channel")
    lines = [f"{profile.images} images, T = {profile.time_steps}, rates are spikes per neuron and time step"]
    return Head(f"Firing rates by position and by channel, {short_title(profile)}", lines, profile.warnings())


def _sizes(maps: int, look: Look) -> Sizes:
    """What fits into the look's width."""
    between = 2 * look.margin + (maps - 1) * BETWEEN + 0.05 + BAR + BAR_NUMBERS + AXIS
    if look.room is None:
        return Sizes(maps, SIDE, CHANNELS, between + maps * SIDE + CHANNELS)
    part = (look.room - between) / (maps * SIDE + CHANNELS)
    if SIDE * part < LEAST_SIDE:
        needed = (between + LEAST_SIDE / SIDE * (maps * SIDE + CHANNELS)) * look.scale
        raise NothingToDrawError(f"{look.inches:g} inches are too narrow for maps; {needed + 0.05:.1f} are enough")
    return Sizes(maps, SIDE * part, CHANNELS * part, look.room)


def _described(layer: LayerMap) -> str:
    """A layer in a line: its name, how its output was read, its mean rate, its silent channels."""
    silent = int((layer.channels == 0).sum())
    return (
        f"{shortened(layer.neuron, 60)}: {layer.layout}, mean {layer.channels.mean():.4f}, "
        f"{silent} of {len(layer.channels)} channels silent"
    )


def _row(page: Page, top: float, sizes: Sizes, layer: LayerMap, alone: LayerMap | None) -> None:
    """The maps of a layer with one colour bar, and its channels."""
    left = page.look.margin
    maps: list[tuple[LayerMap, Sequence[str]]] = []
    if alone is not None:
        maps.append((alone, ("this image", "image")))
    maps.append((layer, ("mean of all images", "all images", "mean")))
    known = [each.positions.max() for each, _ in maps if each.positions is not None]
    most = max([*known, 1e-9])
    image = None
    for each, names in maps:
        _heading(page, left + sizes.side / 2, top, sizes.side, names)
        axes = page.axes(left, top, sizes.side, sizes.side)
        axes.set_xticks([])
        axes.set_yticks([])
        if each.positions is None:
            page.label(left + sizes.side / 2, top + sizes.side / 2, "no positions", 0.5, SMALL, GREY)
        else:
            colours = page.look.colours(COLOURS)
            image = axes.imshow(each.positions, cmap=colours, vmin=0, vmax=most, interpolation="nearest", aspect="auto")
        left += sizes.side + BETWEEN
    end = page.look.margin + sizes.right
    if image is not None:
        bar = page.figure.colorbar(image, cax=page.axes(end + 0.05, top, BAR, sizes.side), format=plain_numbers)
        bar.ax.tick_params(labelsize=SMALL * page.look.scale, length=2)
        bar.ax.yaxis.set_major_locator(MaxNLocator(5 if sizes.side > 1 else 3))
        bar.set_label("firing rate", fontsize=SMALL * page.look.scale)
        bar.outline.set_linewidth(0.4)
    start = end + 0.05 + BAR + BAR_NUMBERS + AXIS
    _heading(page, start + sizes.channels / 2, top, sizes.channels + 0.2, ("channels by rate, mean dashed", "channels"))
    _channels(page.axes(start, top, sizes.channels, sizes.side), layer)


def _heading(page: Page, middle: float, top: float, width: float, names: Sequence[str]) -> None:
    """The first of some names that fits, above a panel."""
    name = next((name for name in names if text_width(name, SMALL) <= width), names[-1])
    page.label(middle, top - 0.08, name, 0.5, SMALL)


def _picture(page: Page, top: float, side: float, example: Example) -> None:
    axes = page.axes(page.look.margin, top, side, side)
    axes.imshow(example.picture, cmap="gray", vmin=0, vmax=1, interpolation="nearest", aspect="auto")
    axes.set_xticks([])
    axes.set_yticks([])
    page.label(page.look.margin + side + BETWEEN, top + side / 2, f"input {shortened(example.name, 28)}")


def _channels(axes: Axes, layer: LayerMap) -> None:
    rates = np.sort(layer.channels)[::-1]
    axes.stairs(rates, np.arange(len(rates) + 1) + 0.5, fill=True, color=BLUE)
    axes.axhline(rates.mean(), color=INK, linewidth=0.7, linestyle="--")
    axes.set_xlim(0.5, len(rates) + 0.5)
    axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
    axes.yaxis.set_major_locator(MaxNLocator(4))
    axes.yaxis.set_major_formatter(plain_numbers)
    axes.set_ylim(0, max(rates.max() * 1.08, 1e-9))
    axes.set_xlabel("channel")
    axes.set_ylabel("firing rate")
