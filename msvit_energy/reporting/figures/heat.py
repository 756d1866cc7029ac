"""Layers x time steps as coloured cells: what the rates and the difference of two profiles have in common."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from matplotlib.collections import QuadMesh
from matplotlib.colors import Colormap, Normalize
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from msvit_energy.profiles.operators import NeuronLayer
from msvit_energy.reporting.figures.glyphs import widest
from msvit_energy.reporting.figures.layers import GAP, Layers
from msvit_energy.reporting.figures.style import GREY, INK, MARGIN, SMALL, TALL, TEXT, plain_numbers

MOST_STEPS_WITH_NUMBERS = 16
MOST_VECTOR_CELLS = 3000  # beyond, cells in an SVG are one image
CELL_WITH_NUMBER, CELL, WIDEST_PANEL = 0.42, 0.15, 9.0  # inches
DARK = 0.2  # luminance below which white is read better than ink


def panel_width(steps: int) -> float:
    """Inches for that many time steps."""
    if steps <= MOST_STEPS_WITH_NUMBERS:
        return CELL_WITH_NUMBER * max(steps, 3)
    return max(min(CELL * steps, WIDEST_PANEL), CELL_WITH_NUMBER * MOST_STEPS_WITH_NUMBERS)


def rates(layers: Sequence[NeuronLayer], steps: int) -> np.ndarray:
    """Firing rates `[layers, steps]`; NaN for a layer that did not run exactly once at each time step."""
    table = np.full((len(layers), steps), np.nan)
    for row, layer in enumerate(layers):
        if len(layer.sums) == steps:
            table[row] = layer.firing_rates
    return table


def draw_cells(
    drawn: Layers, values: np.ndarray, colours: Colormap, scale: Normalize, number: Callable[[float], str]
) -> QuadMesh:
    """Cells of `values` `[layers, steps]`, with numbers in them if the steps are few; rows without values hatched."""
    layers, steps = values.shape
    few = steps <= MOST_STEPS_WITH_NUMBERS
    # a line in the cell's own colour closes the hairline that viewers of SVG show between neighbours
    looks: dict[str, Any] = {"edgecolor": "white", "linewidth": 0.6} if few else {"edgecolor": "face", "linewidth": 0.1}
    mesh = drawn.axes.pcolormesh(
        np.arange(steps + 1) - 0.5, np.arange(layers + 1) - 0.5, values, cmap=colours, norm=scale, **looks
    )
    mesh.set_rasterized(values.size > MOST_VECTOR_CELLS)
    drawn.axes.set_xlim(-0.5, steps - 0.5)
    for row in np.flatnonzero(np.isnan(values).all(1)):
        drawn.axes.axhspan(row - 0.45, row + 0.45, facecolor="none", edgecolor=GREY, hatch="//////", linewidth=0)
    if few:
        dark = luminance(colours(scale(values))) < DARK
        for (row, step), value in np.ndenumerate(values):
            if not np.isnan(value):
                left = drawn.left + drawn.width * (step + 0.5) / steps
                colour = "white" if dark[row, step] else INK
                drawn.page.label(left, drawn.middle(row), number(value), 0.5, size=SMALL, colour=colour)
    return mesh


def label_steps(drawn: Layers, layers: int, steps: int) -> None:
    """Time steps, counted from 0, at the upper end of the panel, and at the lower end of a tall one."""
    axes = drawn.axes
    needed = widest([str(steps)], TEXT) + GAP
    sizes = (n * decade for decade in (1, 10, 100, 1000, 10_000) for n in (1, 2, 5))
    stride = next((n for n in sizes if n * drawn.width / steps >= needed), steps)
    axes.set_xticks(range(0, steps, stride))
    axes.set_xlabel("time step", labelpad=4)
    axes.xaxis.set_label_position("top")
    axes.tick_params(axis="x", bottom=layers > TALL, labelbottom=layers > TALL)


def draw_scale(drawn: Layers, mesh: QuadMesh, label: str) -> None:
    """The colour scale, in the strip above the panel, with what it measures."""
    page = drawn.page
    page.write(MARGIN, drawn.key, label)
    bar = page.axes(MARGIN + 0.1, drawn.key + 0.16, 1.9, 0.11)
    page.figure.colorbar(mesh, cax=bar, orientation="horizontal", format=plain_numbers)
    bar.tick_params(length=2, pad=1.5)


def mark_rows(drawn: Layers, rows: Sequence[int], sign: str, label: str, name: str) -> Line2D:
    """A sign beside each of those rows, called `name` in the file; what to put into the legend."""
    looks: dict[str, Any] = {"marker": sign, "markersize": 4, "color": INK, "linestyle": "none", "markeredgewidth": 0.8}
    looks |= {"fillstyle": "none"} if sign == "o" else {}
    (line,) = drawn.axes.plot(
        [-0.08 / drawn.width] * len(rows), rows, transform=drawn.axes.get_yaxis_transform(), clip_on=False, **looks
    )
    line.set_gid(name)
    return Line2D([], [], label=label, **looks)


def hatched(label: str) -> Patch:
    """The legend of rows without values."""
    return Patch(facecolor="none", edgecolor=GREY, hatch="//////", linewidth=0, label=label)


def luminance(colours: Any) -> np.ndarray:
    """Relative luminance of sRGB colours `[..., RGBA]`, from 0 (black) to 1 (white), as WCAG defines contrast by."""
    parts = np.asarray(colours)[..., :3]
    linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
    return linear @ np.array([0.2126, 0.7152, 0.0722])
