"""A figure with one row for each layer: stages and names at the left, a panel, columns of numbers at the right."""

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes

from msvit_energy.reporting.figures.glyphs import line_height, widest
from msvit_energy.reporting.figures.style import INK, LONGEST_NAME, LONGEST_STAGE, MARGIN, TALL, TEXT, Page, shortened

ROW = 0.17  # inches
AXIS = 0.38  # of an axis's numbers and label
GAP = 0.1
HEADING = 0.15  # from the panel up to the middle of an axis's numbers
SIGNS = 0.16
NARROWEST = 5.0


@dataclass(frozen=True)
class Row:
    """What a row is about."""

    stage: str
    layer: str


@dataclass(frozen=True)
class Column:
    """Numbers beside the panel, a text for each row."""

    heading: str
    texts: Sequence[str]

    @property
    def width(self) -> float:
        """Inches, with the gap to what is left of it."""
        return GAP + widest([self.heading, *self.texts], TEXT)


@dataclass(frozen=True)
class Layers:
    """The page, the axes of its panel (row i at y = i, downwards), and where the strip for a legend starts."""

    page: Page
    axes: Axes
    key: float
    left: float  # of the panel, as the others in inches
    top: float
    width: float

    def middle(self, row: int) -> float:
        """The middle of a row, in inches from the top of the page."""
        return self.top + ROW * (row + 0.5)


def page_width(rows: Sequence[Row], panel: float, columns: Sequence[Column]) -> float:
    """Inches from edge to edge."""
    return max(NARROWEST, _left(rows) + panel + sum(column.width for column in columns) + MARGIN)


def draw_layers(
    rows: Sequence[Row],
    panel: float,
    columns: Sequence[Column],
    head: Sequence[tuple[str, float]],
    foot: Sequence[tuple[str, float]] = (),
    key: float = 0.5,
) -> Layers:
    """Everything but the panel's content. `panel` is its least width in inches, `head` and `foot` are lines of text
    with their sizes, already as wide as `page_width` allows, `key` the height for a legend."""
    width = page_width(rows, panel, columns)
    strip = MARGIN + sum(line_height(size) for _, size in head) + 0.08
    top = strip + key + AXIS
    bottom = top + ROW * len(rows)
    end = bottom + (AXIS if len(rows) > TALL else GAP)
    page = Page(width, end + sum(line_height(size) for _, size in foot) + MARGIN)
    page.write_lines(MARGIN, head)
    page.write_lines(end, foot)
    right = width - MARGIN - sum(column.width for column in columns)
    left = _left(rows)
    axes = page.axes(left, top, right - left, ROW * len(rows))
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_yticks([])
    axes.tick_params(axis="x", top=True, labeltop=True)
    axes.spines[["left", "right"]].set_visible(False)
    drawn = Layers(page, axes, strip, left, top, right - left)
    _names(drawn, rows)
    for column in columns:
        right += column.width
        page.label(right, top - HEADING, column.heading, 1)
        for row, text in enumerate(column.texts):
            page.label(right, drawn.middle(row), text, 1)
    return drawn


def _names(drawn: Layers, rows: Sequence[Row]) -> None:
    """Names flush right, a stage's beside its first row, and a line across the page where the next stage starts."""
    for index, row in enumerate(rows):
        drawn.page.label(drawn.left - SIGNS, drawn.middle(index), _name(row), 1)
        if index == 0 or row.stage != rows[index - 1].stage:
            drawn.page.label(MARGIN, drawn.middle(index), _stage(row))
            if index:
                place = drawn.top + ROW * index
                drawn.page.path([(MARGIN, place), (drawn.page.width - MARGIN, place)], color=INK, linewidth=0.6)


def _left(rows: Sequence[Row]) -> float:
    """Inches left of the panel."""
    return MARGIN + widest({_stage(row) for row in rows}, TEXT) + GAP + widest(map(_name, rows), TEXT) + SIGNS


def _stage(row: Row) -> str:
    return shortened(row.stage, LONGEST_STAGE)


def _name(row: Row) -> str:
    """A layer's name without its stage, which stands beside it."""
    return shortened(row.layer.removeprefix(f"{row.stage}."), LONGEST_NAME)
