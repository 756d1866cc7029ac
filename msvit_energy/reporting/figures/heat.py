"""Layers x time steps as coloured cells: what the rates and the difference of two profiles have in common."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import QuadMesh
from matplotlib.colors import Colormap, Normalize
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from msvit_energy.profiles.operators import NeuronLayer
from msvit_energy.reporting.figures.folding import Folding
from msvit_energy.reporting.figures.glyphs import widest
from msvit_energy.reporting.figures.layers import GAP, Layers, label_axis
from msvit_energy.reporting.figures.style import GREY, INK, SMALL, TEXT, plain_numbers

MOST_WITH_NUMBERS = 16  # columns
MOST_OF_BLOCKS = 48  # columns of blocks x time steps; beyond, a block has one, the mean over time
MOST_VECTOR_CELLS = 3000  # beyond, cells in an SVG are one image
CELL_WITH_NUMBER, LEAST_WITH_NUMBER, CELL, WIDEST_PANEL = 0.42, 0.31, 0.15, 9.0  # inches
LEAST_CELL, LEAST_PANEL = 0.012, 0.9
DARK = 0.2  # luminance below which white is read better than ink


@dataclass(frozen=True)
class Grid:
    """Numbers of cells `[rows, columns]`, NaN where there is none; `steps` columns for each block; rows and columns
    `hatched`, whose layers did not run exactly once at each time step."""

    values: np.ndarray
    folding: Folding
    steps: int
    hatched: tuple[tuple[int, int, int], ...]  # row, first column, the one after the last

    @property
    def columns(self) -> int:
        """Of all blocks."""
        return self.values.shape[1]

    @property
    def panel(self) -> float:
        """Inches that look well."""
        if self.columns <= MOST_WITH_NUMBERS:
            return CELL_WITH_NUMBER * max(self.columns, 3)
        if self.folding.blocks:
            return CELL * self.columns
        return max(min(CELL * self.columns, WIDEST_PANEL), CELL_WITH_NUMBER * MOST_WITH_NUMBERS)

    @property
    def least_panel(self) -> float:
        """Inches that are enough."""
        return max(LEAST_PANEL, min(LEAST_CELL * self.columns, CELL_WITH_NUMBER * MOST_WITH_NUMBERS))


def steps_shown(folding: Folding, steps: int) -> int:
    """Columns of a block: the time steps, or 1, the mean over time, where there would be too many."""
    return steps if len(folding.blocks) * steps <= MOST_OF_BLOCKS or not folding.blocks else 1


def grid(numbers: np.ndarray, folding: Folding, steps: int) -> Grid:
    """Cells from the numbers `[layers, steps]` of all layers, in the places of their blocks."""
    values = np.full((len(folding.rows), steps * max(1, len(folding.blocks))), np.nan)
    hatched = []
    for row, fold in enumerate(folding.rows):
        if fold.silent:
            values[row] = 0.0
            continue
        for place, layer in fold.members:
            first, end = place * steps, (place + 1) * steps
            values[row, first:end] = numbers[layer]
            if np.isnan(numbers[layer]).any():
                hatched.append((row, first, end))
    return Grid(values, folding, steps, tuple(hatched))


def rates(layers: Sequence[NeuronLayer], steps: int, shown: int) -> np.ndarray:
    """Firing rates `[layers, shown]`: at each time step, or means over time; NaN at time steps of a layer that did not
    run exactly once at each."""
    table = np.full((len(layers), shown), np.nan)
    for row, layer in enumerate(layers):
        if shown != steps:
            table[row] = layer.firing_rate
        elif len(layer.sums) == steps:
            table[row] = layer.firing_rates
    return table


def draw_cells(
    drawn: Layers, cells: Grid, colours: Colormap, scale: Normalize, number: Callable[[float], str]
) -> QuadMesh:
    """Cells, with numbers in them where there is room; hatched where there are no values."""
    rows, columns = cells.values.shape
    few = columns <= MOST_WITH_NUMBERS
    # a line in the cell's own colour closes the hairline that viewers of SVG show between neighbours
    looks: dict[str, Any] = {"edgecolor": "white", "linewidth": 0.6} if few else {"edgecolor": "face", "linewidth": 0.1}
    edges = np.arange(columns + 1) - 0.5, np.arange(rows + 1) - 0.5
    mesh = drawn.axes.pcolormesh(*edges, cells.values, cmap=colours, norm=scale, **looks)
    mesh.set_rasterized(cells.values.size > MOST_VECTOR_CELLS)
    drawn.axes.set_xlim(-0.5, columns - 0.5)
    for row, first, end in cells.hatched:
        drawn.axes.fill_between(
            [first - 0.5, end - 0.5], row - 0.45, row + 0.45, facecolor="none", edgecolor=GREY, hatch="//////", lw=0
        )
    if few and drawn.width / columns >= LEAST_WITH_NUMBER:
        dark = luminance(colours(scale(cells.values))) < DARK
        for (row, column), value in np.ndenumerate(cells.values):
            if not np.isnan(value):
                left = drawn.left + drawn.width * (column + 0.5) / columns
                colour = "white" if dark[row, column] else INK
                drawn.page.label(left, drawn.middle(row), number(value), 0.5, size=SMALL, colour=colour)
    return mesh


def label_columns(drawn: Layers, cells: Grid) -> None:
    """Time steps, counted from 0, or blocks by their numbers, at the upper end of the panel, and at the lower end of a
    tall one."""
    blocks = cells.folding.blocks
    if not blocks:
        _ticks(drawn, list(range(cells.steps)), [float(step) for step in range(cells.steps)])
        label_axis(drawn.axes, "time step")
        return
    _ticks(drawn, list(blocks), [place * cells.steps + (cells.steps - 1) / 2 for place in range(len(blocks))])
    steps = f", in each time steps 0 to {cells.steps - 1}" if cells.steps > 1 else ", means over time"
    label_axis(drawn.axes, f"block{steps}")
    if cells.steps > 1:
        _separate(drawn.axes, cells)


def _separate(axes: Axes, cells: Grid) -> None:
    """White lines between the blocks."""
    for place in range(1, len(cells.folding.blocks)):
        axes.axvline(place * cells.steps - 0.5, color="white", linewidth=1.6)


def _ticks(drawn: Layers, names: Sequence[int], places: Sequence[float]) -> None:
    """As many of the numbers as there is room for."""
    needed = widest([str(names[-1])], TEXT) + GAP
    sizes = (n * decade for decade in (1, 10, 100, 1000, 10_000) for n in (1, 2, 5))
    stride = next((n for n in sizes if n * drawn.width / len(names) >= needed), len(names))
    drawn.axes.set_xticks(places[::stride], [str(name) for name in names[::stride]])


def draw_scale(drawn: Layers, mesh: QuadMesh, label: str) -> None:
    """The colour scale, in the strip above the panel, with what it measures."""
    page, margin = drawn.page, drawn.page.look.margin
    page.write(margin, drawn.key, label)
    bar = page.axes(margin + 0.1, drawn.key + 0.16, 1.9, 0.11)
    page.figure.colorbar(mesh, cax=bar, orientation="horizontal", format=plain_numbers)
    bar.tick_params(length=2, pad=1.5)


def sign(shape: str, label: str) -> Line2D:
    """A sign beside rows or in cells, as a legend has it."""
    looks: dict[str, Any] = {"fillstyle": "none"} if shape == "o" else {}
    return Line2D(
        [], [], marker=shape, markersize=4, color=INK, linestyle="none", markeredgewidth=0.8, label=label, **looks
    )


def mark_layers(drawn: Layers, cells: Grid, layers: Sequence[bool], shape: str, name: str) -> None:
    """A sign beside each row all of whose layers are such, and in the cells of such a layer in other rows; called
    `name` in the file, with `in cells`."""
    whole = [row for row, fold in enumerate(cells.folding.rows) if all(layers[index] for index in fold.layers)]
    single = [
        (place * cells.steps + (cells.steps - 1) / 2, row)
        for row, fold in enumerate(cells.folding.rows)
        if row not in whole
        for place, index in fold.members
        if layers[index]
    ]
    looks = sign(shape, "")
    beside = drawn.axes.get_yaxis_transform()
    for places, gid, where in (
        ([(-0.08 / drawn.width, row) for row in whole], name, beside),
        (single, f"{name} in cells", drawn.axes.transData),
    ):
        line = Line2D([x for x, _ in places], [y for _, y in places])
        line.update_from(looks)
        line.set(transform=where, clip_on=False, gid=gid)
        drawn.axes.add_line(line)


def hatched(label: str) -> Patch:
    """The legend of cells without values."""
    return Patch(facecolor="none", edgecolor=GREY, hatch="//////", linewidth=0, label=label)


def luminance(colours: Any) -> np.ndarray:
    """Relative luminance of sRGB colours `[..., RGBA]`, from 0 (black) to 1 (white), as WCAG defines contrast by."""
    parts = np.asarray(colours)[..., :3]
    linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
    return linear @ np.array([0.2126, 0.7152, 0.0722])
