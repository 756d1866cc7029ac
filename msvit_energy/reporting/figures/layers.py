"""A figure with one row for each layer: stages and names at the left, a panel, columns of numbers at the right."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from msvit_energy.errors import EnergyError
from msvit_energy.reporting.figures.glyphs import line_height, widest, wrapped
from msvit_energy.reporting.figures.look import Look
from msvit_energy.reporting.figures.page import Head, Page, legend_height
from msvit_energy.reporting.figures.style import INK, LONGEST_NAME, LONGEST_STAGE, TALL, TEXT, shortened

ROW, TIGHT_ROW = 0.17, 0.145  # inches; the latter of tall figures
AXIS = 0.38  # of an axis's numbers and label
GAP = 0.1
HEADING = 0.15  # from the panel up to the middle of an axis's numbers
SIGNS = 0.16
END = 0.2  # right of a panel without columns, for half of the last number of its axis
NARROWEST = 5.0  # where no width is given
SCALE, SCALE_WIDTH = 0.46, 2.35  # of a colour scale with its label
READABLE, SHORTEST = (LONGEST_NAME, 36, 30, 26), (22, 18, 15, 12, 9)  # characters of names, where there is less room
KEPT = (0.6, 0.5, 0.4, 0.3, 0.75, 0.9)  # of a cut name: how much of it is its end


@dataclass(frozen=True)
class Row:
    """What a row is about."""

    stage: str
    layer: str


@dataclass(frozen=True)
class Column:
    """Numbers beside the panel, a text for each row; the highest rank goes first where there is no room, 0 never."""

    heading: str
    texts: Sequence[str]
    rank: int = 0

    @property
    def width(self) -> float:
        """Inches, with the gap to what is left of it."""
        return GAP + widest([self.heading, *self.texts], TEXT)


@dataclass(frozen=True)
class Arrangement:
    """Rows and columns that fit into a width: inches of the whole and of what is left of the panel, names cut to so
    many characters."""

    look: Look
    rows: Sequence[Row]
    columns: Sequence[Column]
    width: float
    left: float
    longest: int

    @property
    def row(self) -> float:
        """The height of a row."""
        return TIGHT_ROW if len(self.rows) > TALL else ROW

    @property
    def inner(self) -> float:
        """Inches between the margins."""
        return self.width - 2 * self.look.margin

    @property
    def right(self) -> float:
        """The right end of the panel."""
        return self.width - self.look.margin - (sum(column.width for column in self.columns) or END)

    def stage(self, row: Row) -> str:
        """A stage's name as it is drawn."""
        return shortened(row.stage, min(LONGEST_STAGE, max(8, self.longest)))

    @cached_property
    def names(self) -> list[str]:
        """Layers' names as they are drawn: without their stages, which stand beside them, and cut so that two of a
        stage can be told apart if that is possible."""
        whole = [row.layer.removeprefix(f"{row.stage}.") for row in self.rows]
        for kept in KEPT:
            short = [shortened(name, self.longest, kept) for name in whole]
            if len({(row.stage, name) for row, name in zip(self.rows, short, strict=True)}) == len(short):
                return short
        return [shortened(name, self.longest) for name in whole]


def arranged(
    rows: Sequence[Row], panel: float, columns: Sequence[Column], look: Look, least: float | None = None
) -> Arrangement:
    """Rows beside a panel of `panel` inches or more. Where the look has a width, the panel may shrink to `least`, then
    columns and parts of the names go; EnergyError if that is not enough."""
    if look.room is None:
        found = _measured(rows, columns, look, LONGEST_NAME)
        needed = found.left + panel + sum(column.width for column in columns) + look.margin
        return replace(found, width=max(NARROWEST, needed))
    for attempt, narrow in _attempts(rows, columns, look):
        for inches in (panel, least or panel) if not narrow else (least or panel,):
            if attempt.right - attempt.left >= inches:
                return attempt
    needed = look.room + inches - (attempt.right - attempt.left)
    raise EnergyError(
        f"{look.inches:g} inches are too narrow for these layers in {look.points:g} points; "
        f"{needed * look.scale + 0.05:.1f} are enough"
    )


def _attempts(rows: Sequence[Row], columns: Sequence[Column], look: Look) -> Iterator[tuple[Arrangement, bool]]:
    """Arrangements for the look's width, the best first, and whether they are the last resort."""
    for rank in sorted({column.rank for column in columns} | {0}, reverse=True):
        kept = [column for column in columns if column.rank <= rank]
        for longest in READABLE:
            yield _measured(rows, kept, look, longest), False
    for longest in SHORTEST:
        yield _measured(rows, kept, look, longest), True


def _measured(rows: Sequence[Row], columns: Sequence[Column], look: Look, longest: int) -> Arrangement:
    plain = Arrangement(look, rows, columns, look.room or 0.0, 0.0, longest)
    stages, names = widest({plain.stage(row) for row in rows}, TEXT), widest(plain.names, TEXT)
    return replace(plain, left=look.margin + stages + GAP + names + SIGNS)


@dataclass(frozen=True)
class Layers:
    """The page, the axes of its panel (row i at y = i, downwards), and where the strip above it starts."""

    page: Page
    axes: Axes
    key: float
    left: float  # of the panel, as the others in inches
    top: float
    width: float
    row: float  # height

    def middle(self, row: int) -> float:
        """The middle of a row, in inches from the top of the page."""
        return self.top + self.row * (row + 0.5)


def draw_layers(
    plan: Arrangement,
    head: Head,
    handles: Sequence[Line2D | Patch] = (),
    *,
    scale: bool = False,
    foot: Sequence[str] = (),
) -> Layers:
    """Everything but the panel's content, with a legend of `handles`, room for a colour scale where there is one, and
    lines of text as foot."""
    look, rows = plan.look, plan.rows
    above = head.drawn(look, plan.inner)
    below = [] if look.paper else [(line, TEXT) for text in foot for line in wrapped(text, plan.inner, TEXT)]
    strip = look.margin + sum(line_height(size) for _, size in above) + (0.08 if above else 0.0)
    beside = scale and plan.inner - SCALE_WIDTH >= SCALE_WIDTH
    legend_width = plan.inner - (SCALE_WIDTH if beside else 0.0)
    legend = legend_height(handles, legend_width)
    key = max(SCALE, legend) if beside else SCALE * scale + legend
    top = strip + key + AXIS
    bottom = top + plan.row * len(rows)
    end = bottom + (AXIS if len(rows) > TALL else GAP if above or below else 0.02)
    height = end + sum(line_height(size) for _, size in below) + look.margin
    page = Page(plan.width, height, look, head.notes(look, foot))
    page.write_lines(look.margin, above)
    page.write_lines(end, below)
    page.legend(
        look.margin + (SCALE_WIDTH if beside else 0.0),
        strip + (0.0 if beside or not scale else SCALE),
        legend_width,
        handles,
    )
    axes = page.axes(plan.left, top, plan.right - plan.left, plan.row * len(rows))
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_yticks([])
    axes.tick_params(axis="x", top=True, labeltop=True, bottom=len(rows) > TALL, labelbottom=len(rows) > TALL)
    axes.spines[["left", "right"]].set_visible(False)
    drawn = Layers(page, axes, strip, plan.left, top, plan.right - plan.left, plan.row)
    _write_names(drawn, plan)
    _write_columns(drawn, plan)
    return drawn


def label_axis(axes: Axes, text: str) -> None:
    """The label of the panel's axis, above it."""
    axes.xaxis.set_label_position("top")
    axes.set_xlabel(text, labelpad=4)


def _write_columns(drawn: Layers, plan: Arrangement) -> None:
    right = plan.right
    for column in plan.columns:
        right += column.width
        drawn.page.label(right, drawn.top - HEADING, column.heading, 1)
        for row, text in enumerate(column.texts):
            drawn.page.label(right, drawn.middle(row), text, 1)


def _write_names(drawn: Layers, plan: Arrangement) -> None:
    """Names flush right, a stage's beside its first row, and a line across the page where the next stage starts."""
    margin = plan.look.margin
    for index, row in enumerate(plan.rows):
        drawn.page.label(drawn.left - SIGNS, drawn.middle(index), plan.names[index], 1)
        if index == 0 or row.stage != plan.rows[index - 1].stage:
            drawn.page.label(margin, drawn.middle(index), plan.stage(row))
            if index:
                place = drawn.top + drawn.row * index
                drawn.page.path([(margin, place), (plan.width - margin, place)], color=INK, linewidth=0.6)
