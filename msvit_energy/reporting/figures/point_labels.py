"""Labels beside the points of a picture, off each other, off all points and off its lines."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from msvit_energy.reporting.figures.glyphs import text_width
from msvit_energy.reporting.figures.style import GREY

DISTANCES = (0.07, 0.12, 0.2, 0.32, 0.48, 0.68, 0.92, 1.2)  # inches from a point to its label
DIRECTIONS = [(np.cos(angle), np.sin(angle)) for angle in np.linspace(0, 2 * np.pi, 16, endpoint=False)]
DIAGONAL = 0.39  # of a direction, from which it counts as to that side
MARKER = 0.05  # inches from the middle of a point to its border
WITH_LINE = 0.1  # inches from which a line leads to the label
SWEEPS = 3
NEIGHBOURS, APART = 0.5, 0.03  # inches: of points in each other's way, and between two labels, or from the frame
COSTS = {"label": 1000.0, "point": 600.0, "leader": 400.0, "line": 300.0, "inch": 25.0}  # of what is covered

Box = tuple[float, float, float, float]  # x0, y0, x1, y1 in inches
Segment = tuple[tuple[float, float], tuple[float, float]]


@dataclass(frozen=True)
class Place:
    """A label's box, and the distance from its point."""

    box: Box
    distance: float


def label_points(
    axes: Axes,
    points: Sequence[tuple[float, float]],
    texts: Sequence[str],
    colours: Sequence[Any],
    size: float,
    lines: Sequence[Segment] = (),
    also: Sequence[tuple[float, float]] = (),
    **looks: Any,
) -> None:
    """Write a text of `size` points in its colour beside every point, with a line to it where it is not near. `lines`,
    and the points `also`, are what labels keep off. All places are the axes' data; `looks` go to the texts."""
    dots_per_inch = axes.figure.dpi
    inches = axes.transData.transform(np.array([*points, *also, *(end for line in lines for end in line)]))
    inches = inches / dots_per_inch
    ends = inches[len(points) + len(also) :].reshape(-1, 2, 2)
    window = axes.get_window_extent().transformed(axes.figure.dpi_scale_trans.inverted())
    frame = (window.x0, window.y0, window.x1, window.y1)
    sizes = [(text_width(text, size), 1.15 * size / 72) for text in texts]
    inside = (frame[0] + APART, frame[1] + APART, frame[2] - APART, frame[3] - APART)
    places = _placed(inches[: len(points)], inches[: len(points) + len(also)], sizes, ends, inside)
    for text, colour, point, place in zip(texts, colours, points, places, strict=True):
        x0, y0, x1, y1 = place.box
        middle = (x0 + x1) / 2 - frame[0], (y0 + y1) / 2 - frame[1]
        leader = {"arrowstyle": "-", "color": GREY, "linewidth": 0.5, "shrinkA": 0, "shrinkB": 3}
        axes.annotate(
            text,
            point,
            (middle[0] / (frame[2] - frame[0]), middle[1] / (frame[3] - frame[1])),
            textcoords="axes fraction",
            horizontalalignment="center",
            verticalalignment="center",
            fontsize=size,
            color=colour,
            arrowprops=leader if place.distance >= WITH_LINE else None,
            **looks,
        )


def _placed(
    points: np.ndarray, taken: np.ndarray, sizes: Sequence[tuple[float, float]], lines: np.ndarray, frame: Box
) -> list[Place]:
    """The cheapest place of every label in turn, those with many neighbours first; then again with all others known."""
    near = (np.abs(points[:, None] - taken[None]).max(-1) < NEIGHBOURS).sum(1)
    places: dict[int, Place] = {}
    for _ in range(SWEEPS):
        for index in map(int, np.argsort(-near, kind="stable")):
            others = {each: place for each, place in places.items() if each != index}
            boxes = np.array([place.box for place in others.values()]).reshape(-1, 4)
            leaders = _leaders(points[list(others)], list(others.values()))
            options = _options(points[index], sizes[index], frame)
            costs = _costs(options, points[index], taken, boxes, leaders, lines)
            places[index] = options[int(np.argmin(costs))]
    return [places[index] for index in range(len(points))]


def _options(point: np.ndarray, size: tuple[float, float], frame: Box) -> list[Place]:
    """All places around a point that lie in the frame; where there are none, the nearest, moved into it."""
    options = []
    for distance, (dx, dy) in product(DISTANCES, DIRECTIONS):
        x = point[0] + dx * (MARKER + distance) + (np.sign(dx) * size[0] / 2 if abs(dx) > DIAGONAL else 0.0)
        y = point[1] + dy * (MARKER + distance) + (np.sign(dy) * size[1] / 2 if abs(dy) > DIAGONAL else 0.0)
        box = (x - size[0] / 2, y - size[1] / 2, x + size[0] / 2, y + size[1] / 2)
        if frame[0] <= box[0] and frame[1] <= box[1] and box[2] <= frame[2] and box[3] <= frame[3]:
            options.append(Place(box, distance))
    if options:
        return options
    x = max(frame[0], min(point[0], frame[2] - size[0]))
    y = max(frame[1], min(point[1] + MARKER, frame[3] - size[1]))
    return [Place((x, y, x + size[0], y + size[1]), 0.0)]


def _leaders(points: np.ndarray, places: Sequence[Place]) -> np.ndarray:
    """The lines `[n, 2, 2]` from points to their labels, of no length where there is none."""
    boxes = np.array([place.box for place in places]).reshape(-1, 4)
    far = np.array([place.distance >= WITH_LINE for place in places], dtype=bool).reshape(-1, 1)
    return np.stack([points, np.where(far, (boxes[:, :2] + boxes[:, 2:]) / 2, points)], axis=1)


def _costs(
    options: Sequence[Place],
    point: np.ndarray,
    taken: np.ndarray,
    others: np.ndarray,
    leaders: np.ndarray,
    lines: np.ndarray,
) -> np.ndarray:
    """What each place covers, and how far off it is."""
    boxes = np.array([place.box for place in options])
    low, high = boxes[:, None, :2], boxes[:, None, 2:]
    costs = COSTS["inch"] * np.array([place.distance for place in options])
    costs += COSTS["point"] * ((taken > low - MARKER) & (taken < high + MARKER)).all(-1).sum(1)
    costs += COSTS["label"] * ((others[:, :2] < high + APART) & (others[:, 2:] > low - APART)).all(-1).sum(1)
    costs += COSTS["line"] * crossed(lines, boxes).sum(0) + COSTS["leader"] * crossed(leaders, boxes).sum(0)
    own = _leaders(np.broadcast_to(point, (len(options), 2)), options)
    return costs + COSTS["leader"] * crossed(own, others).sum(1)


def crossed(lines: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """Which of the segments `[n, 2, 2]` touch which of the boxes `[m, 4]`, `[n, m]`."""
    start, step = lines[:, None, 0], (lines[:, 1] - lines[:, 0])[:, None]
    low, high = boxes[None, :, :2], boxes[None, :, 2:]
    with np.errstate(divide="ignore", invalid="ignore"):
        at = np.stack([(low - start) / step, (high - start) / step])
    inside = (start >= low) & (start <= high)
    enter = np.where(step == 0, np.where(inside, -np.inf, np.inf), at.min(0)).max(-1)
    leave = np.where(step == 0, np.where(inside, np.inf, -np.inf), at.max(0)).min(-1)
    return (enter <= leave) & (enter <= 1) & (leave >= 0)
