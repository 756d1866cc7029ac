"""Text on a page, fast: names are drawn as they are, in widths that are known beforehand.

A matplotlib Text takes about 3 ms in PNG and SVG together, which is seconds for the cells of 80 layers. Here every
character of a picture in pixels is a marker: its outline, which the renderer keeps, at all places where it occurs. In
SVG and PDF it is text.
"""

from collections import defaultdict
from collections.abc import Iterable
from functools import lru_cache
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np
from matplotlib.artist import Artist
from matplotlib.backend_bases import RendererBase
from matplotlib.backends.backend_agg import RendererAgg
from matplotlib.colors import to_rgba
from matplotlib.font_manager import FontProperties, findfont, get_font
from matplotlib.path import Path
from matplotlib.text import Text
from matplotlib.textpath import TextPath, text_to_path
from matplotlib.transforms import Affine2D, Bbox, IdentityTransform, Transform

if TYPE_CHECKING:
    from msvit_energy.reporting.figures.page import ScalingFigure

ALIGNED: dict[float, Literal["left", "center", "right"]] = {0.0: "left", 0.5: "center", 1.0: "right"}
RISE = 0.36  # of the font size, from the middle of a capital letter down to its baseline


class Label(NamedTuple):
    """A text that starts, is centred or ends (`anchor` 0, 0.5, 1) at `left`, the middle of its capitals at `top`."""

    left: float
    top: float
    text: str
    anchor: float
    size: float  # points
    colour: str


class Labels(Artist):
    """All labels of a page, whose letters are `scale` times as large as they say and grow with the figure; `inches`
    takes their places to the display."""

    def __init__(self, page: "ScalingFigure", inches: Transform, scale: float) -> None:
        super().__init__()
        self.page, self.inches, self.scale = page, inches, scale
        self.labels: list[Label] = []
        self.set_zorder(10)

    def draw(self, renderer: RendererBase) -> None:
        """Draw all labels: as outlines into pixels, as text into everything else."""
        points = self.scale * self.page.zoom
        if isinstance(renderer, RendererAgg):
            self._draw_outlines(renderer, points)
        else:
            self._draw_texts(renderer, points)

    def _draw_outlines(self, renderer: RendererBase, scale: float) -> None:
        """Each character of each size and colour at all of its places."""
        places: dict[tuple[str, float, str], list[tuple[float, float]]] = defaultdict(list)
        pixels = float(renderer.points_to_pixels(1.0))  # type: ignore[arg-type]
        for label in self.labels:
            left, base = self._start(label, scale, pixels)
            for character in label.text:
                if character != " ":
                    places[character, label.size, label.colour].append((left, base))
                left += 72 * pixels * scale * advance(character, label.size)
        points = Affine2D().scale(pixels * scale)
        for (character, size, colour), where in places.items():
            context = renderer.new_gc()
            context.set_linewidth(0)
            context.set_snap(False)
            path = Path(np.array(where))
            renderer.draw_markers(context, outline(character, size), points, path, IdentityTransform(), to_rgba(colour))
            context.restore()

    def _draw_texts(self, renderer: RendererBase, scale: float) -> None:
        """Each label as a text, with its anchor where the format has one, so that columns stay flush in any font."""
        pixels = float(renderer.points_to_pixels(1.0))  # type: ignore[arg-type]
        height = renderer.get_canvas_width_height()[1]
        context = renderer.new_gc()
        for label in self.labels:
            if not label.text:
                continue
            left, base = self._start(label, scale, pixels)
            anchored = self.inches.transform((label.left, label.top))
            font = FontProperties(size=label.size * scale)
            text = Text(anchored[0], base, label.text, color=label.colour, fontproperties=font)
            text.set_horizontalalignment(ALIGNED[label.anchor])
            text.set_transform(IdentityTransform())
            context.set_foreground(label.colour)
            y = height - base if renderer.flipy() else base
            renderer.draw_text(context, left, y, label.text, font, 0, False, mtext=text)
        context.restore()

    def _start(self, label: Label, scale: float, pixels: float) -> tuple[float, float]:
        """Where a label's first character starts, and its baseline, on the display."""
        left, middle = self.inches.transform((label.left, label.top))
        width = 72 * pixels * scale * text_width(label.text, label.size)
        return left - label.anchor * width, middle - RISE * label.size * scale * pixels

    def get_window_extent(self, renderer: RendererBase | None = None) -> Bbox:
        """The whole page, so that a figure saved with tight borders keeps its margins."""
        return self.page.bbox.frozen()


def text_width(text: str, size: float) -> float:
    """Inches that a line of text takes."""
    return sum(advance(character, size) for character in text)


def widest(texts: Iterable[str], size: float) -> float:
    """Inches that the widest of some lines takes, 0 for none."""
    return max((text_width(text, size) for text in texts), default=0.0)


def line_height(size: float) -> float:
    """Inches from line to line of text of that many points."""
    return size * 1.35 / 72


def wrapped(text: str, width: float, size: float) -> list[str]:
    """Lines of at most `width` inches, broken at spaces, and inside words that are longer than a line."""
    lines = [""]
    for word in literal(text).split(" "):
        joined = f"{lines[-1]} {word}" if lines[-1] else word
        if text_width(joined, size) <= width:
            lines[-1] = joined
            continue
        lines += [word] if lines[-1] else []
        lines[-1] = lines[-1] or word
        while text_width(lines[-1], size) > width:
            most = max(1, _fitting(lines[-1], width, size))
            lines[-1:] = [lines[-1][:most], lines[-1][most:]]
    return lines


def literal(text: str) -> str:
    """Text in characters that the font has; others, and line breaks, as Python's escapes."""
    glyphs = _glyphs()
    return "".join(c if ord(c) in glyphs else c.encode("unicode_escape").decode() for c in text)


def _fitting(text: str, width: float, size: float) -> int:
    """How many characters of `text` fit into `width`."""
    return next(n for n in range(len(text), -1, -1) if text_width(text[:n], size) <= width)


@lru_cache(maxsize=4096)
def advance(character: str, size: float) -> float:
    """Inches from a character to the next one."""
    between, beside = (
        text_to_path.get_text_width_height_descent(text, _font(size), False)[0] for text in (f"0{character}0", "00")
    )
    return (between - beside) / 72


@lru_cache(maxsize=4096)
def outline(character: str, size: float) -> Path:
    """The character as a path in points, its baseline at 0."""
    return TextPath((0, 0), character, prop=_font(size))


@lru_cache
def _glyphs() -> frozenset[int]:
    return frozenset(code for code in get_font(findfont(_font(10))).get_charmap() if chr(code).isprintable())


@lru_cache
def _font(size: float) -> FontProperties:
    return FontProperties(family="DejaVu Sans", size=size)
