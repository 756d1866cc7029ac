"""A page of a figure: places in inches from its upper left corner, lines of text, a legend; it scales as a whole."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Rectangle
from matplotlib.text import Text
from matplotlib.transforms import Affine2D

from msvit_energy.reporting.figures.glyphs import Label, Labels, line_height, text_width, wrapped
from msvit_energy.reporting.figures.look import Look
from msvit_energy.reporting.figures.style import INK, LONGEST_WARNING, MOST_WARNINGS, TEXT, TITLE, shortened

SAMPLE, GAP, BETWEEN = 0.24, 0.07, 0.22  # inches: of a sample in a legend, to its text, to the next sample
LEGEND_LINE = 0.165
TICKS = {"length": 2.5, "pad": 3.5}  # points, as the style has them


class ScalingFigure(Figure):
    """A figure that scales as a whole when its size is set: letters with everything else, by the smaller of the two
    factors, so that nothing comes to overlap. Another layout, with letters as large as before, is another `width` of
    the Look. `notes` are the lines of text that the Look left out of the figure."""

    def __init__(self, size: tuple[float, float], notes: Sequence[str] = ()) -> None:
        super().__init__(figsize=size, facecolor="white")
        self.first_size, self.zoom, self.notes = size, 1.0, tuple(notes)

    def set_size_inches(self, w: Any, h: float | None = None, forward: bool = True) -> None:
        """Width and height, as matplotlib's."""
        super().set_size_inches(w, h, forward)
        sides = zip(self.get_size_inches(), self.first_size, strict=True)
        zoom = min(float(now / before) for now, before in sides)
        factor, self.zoom = zoom / self.zoom, zoom
        for text in self.findobj(Text):
            text.set_fontsize(float(text.get_fontsize()) * factor)
        for axis in (axis for axes in self.axes for axis in (axes.xaxis, axes.yaxis)):
            axis.labelpad *= factor
            now = axis.get_tick_params()
            lengths = {name: factor * now.get(name, usual) for name, usual in TICKS.items()}
            for label in axis.get_ticklabels()[:1]:  # and ticks that are made later
                axis.set_tick_params(labelsize=label.get_fontsize(), **lengths)


@dataclass(frozen=True)
class Head:
    """What stands above a figure: a title, lines under it, and warnings."""

    title: str
    lines: Sequence[str] = ()
    warnings: Sequence[str] = ()

    def drawn(self, look: Look, width: float) -> list[tuple[str, float]]:
        """Lines of at most `width` with their font sizes."""
        title = look.heading(self.title)
        heads = [(line, TITLE) for line in wrapped(title, width, TITLE)] if title else []
        if look.paper:
            return heads
        shown = [f"warning: {shortened(note, LONGEST_WARNING)}" for note in self.warnings[:MOST_WARNINGS]]
        if len(self.warnings) > MOST_WARNINGS:
            shown.append(f"and {len(self.warnings) - MOST_WARNINGS} more warnings")
        return heads + [(line, TEXT) for text in (*self.lines, *shown) for line in wrapped(text, width, TEXT)]

    def notes(self, look: Look, foot: Sequence[str] = ()) -> list[str]:
        """What `look` leaves out of the figure, with lines of its foot."""
        if not look.paper:
            return []
        return [self.title, *self.lines, *foot, *(f"warning: {note}" for note in self.warnings)]


class Page:
    """A figure of `width` x `height` inches, scaled to the letters of `look`."""

    def __init__(self, width: float, height: float, look: Look, notes: Sequence[str] = ()) -> None:
        self.width, self.height, self.look = width, height, look
        self.figure = ScalingFigure((width * look.scale, height * look.scale), notes)
        self.inches = Affine2D().scale(1 / width, -1 / height).translate(0, 1) + self.figure.transFigure
        self.labels = Labels(self.figure, self.inches, look.scale)
        self.figure.add_artist(self.labels)

    def axes(self, left: float, top: float, width: float, height: float) -> Axes:
        """Axes of that size."""
        bottom = 1 - (top + height) / self.height
        return self.figure.add_axes((left / self.width, bottom, width / self.width, height / self.height))

    def label(
        self, left: float, middle: float, text: str, anchor: float = 0.0, size: float = TEXT, colour: str = INK
    ) -> None:
        """A text that starts, is centred or ends (`anchor` 0, 0.5, 1) at `left`, its capitals around `middle`."""
        self.labels.labels.append(Label(left, middle, text, anchor, size, colour))

    def write(self, left: float, top: float, text: str, fontsize: float = TEXT) -> None:
        """A line of text whose upper left corner is there."""
        self.label(left, top + fontsize / 2 / 72, text, size=fontsize)

    def write_lines(self, top: float, lines: Iterable[tuple[str, float]]) -> float:
        """Lines, each with its font size, at the left margin; returns where the next would start."""
        for text, size in lines:
            self.write(self.look.margin, top, text, size)
            top += line_height(size)
        return top

    def path(self, places: Sequence[tuple[float, float]], **looks: Any) -> None:
        """A line through those places, or a marker at one."""
        lefts, tops = zip(*places, strict=True)
        self.figure.add_artist(Line2D(lefts, tops, transform=self.inches, solid_capstyle="butt", **looks))

    def legend(self, left: float, top: float, width: float, handles: Sequence[Line2D | Patch]) -> None:
        """A sample and the text of every labelled handle, in lines of at most `width`, from that corner on."""
        for row, line in enumerate(legend_lines(handles, width)):
            place, middle = left, top + LEGEND_LINE * (row + 0.5)
            for handle, text in line:
                sample = _sample(handle, place, middle)
                sample.set_transform(self.inches)
                self.figure.add_artist(sample)
                self.label(place + SAMPLE + GAP, middle, text)
                place += _taken(text)


def legend_height(handles: Sequence[Line2D | Patch], width: float) -> float:
    """Inches that a legend of that width needs."""
    return LEGEND_LINE * len(legend_lines(handles, width))


def legend_lines(handles: Sequence[Line2D | Patch], width: float) -> list[list[tuple[Line2D | Patch, str]]]:
    """Handles with their texts, as many to a line as fit."""
    lines: list[list[tuple[Line2D | Patch, str]]] = []
    taken = width
    for handle in handles:
        text = _fitting(str(handle.get_label()), width)
        if not lines or taken + _taken(text) - BETWEEN > width:
            lines.append([])
            taken = 0.0
        lines[-1].append((handle, text))
        taken += _taken(text)
    return lines


def _taken(text: str) -> float:
    return SAMPLE + GAP + text_width(text, TEXT) + BETWEEN


def _fitting(text: str, width: float) -> str:
    """A text cut so that it fits with its sample."""
    short = shortened(text, len(text) or 1)
    for most in range(len(short) - 1, 3, -1):
        if _taken(short) - BETWEEN <= width:
            break
        short = shortened(text, most)
    return short


def _sample(handle: Line2D | Patch, left: float, middle: float) -> Line2D | Patch:
    """A small copy of a handle there."""
    if isinstance(handle, Patch):
        copy: Line2D | Patch = Rectangle((left, middle - 0.045), SAMPLE, 0.09)
    else:
        lefts = [left + SAMPLE / 2] if handle.get_linestyle() == "None" else [left, left + SAMPLE / 2, left + SAMPLE]
        copy = Line2D(lefts, [middle] * len(lefts))
    copy.update_from(handle)
    if isinstance(copy, Line2D) and len(copy.get_xdata()) > 1:  # type: ignore[arg-type]
        copy.set_markevery([1])
    return copy
