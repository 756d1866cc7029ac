"""digits-dvs: the embedded digits as an event camera would see them, recorded the way N-MNIST was, but simulated.

N-MNIST (Orchard et al. 2015) moved a camera before a screen along three saccades of 100 ms that trace a triangle. Here
a digit of 24 x 24 pixels (three a side for each of the original 8 x 8, bilinear) moves on a sensor of 32 x 32, from
(-3, -3) to (0, 3), (3, -3) and back, in steps of at most 0.23 pixels. A pixel emits an ON (OFF) event for each 0.4 by
which the logarithm of its intensity + 0.1 has risen (fallen) since its last event: 4,583 events a digit on average.
No random number is drawn and no noise added.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from msvit.data import digits
from msvit.data.events import EventFrames, Events

SENSOR = (32, 32)
ENLARGED = 3  # pixels of the sensor for one of the digit, per side
CORNERS = ((-3.0, -3.0), (0.0, 3.0), (3.0, -3.0), (-3.0, -3.0))  # x, y of the digit's centre, in pixels
STEPS = 30  # of each saccade
STEP_MICROSECONDS = 100_000 // STEPS
DARK = 0.1  # added to the intensity, so that black has a logarithm
THRESHOLD = 0.4  # of the logarithm
UNITS = 256  # into which a threshold is divided


@dataclass(frozen=True)
class Streams:
    """Events of many samples, one after the other: `p` is 1 for ON and 0 for OFF, sample i is `starts[i]` to
    `starts[i + 1]`, in the order of time."""

    t: NDArray[np.int64]  # microseconds
    x: NDArray[np.uint8]
    y: NDArray[np.uint8]
    p: NDArray[np.uint8]
    starts: NDArray[np.int64]

    def of(self, sample: int) -> Events:
        """The events of one sample."""
        own = slice(self.starts[sample], self.starts[sample + 1])
        return {"t": self.t[own], "x": self.x[own], "y": self.y[own], "p": self.p[own]}


def open_digits_dvs(split: str, transform: Any = None, *, time_steps: int) -> EventFrames:
    """The digits' split as frames `[T, 2, 32, 32]`; the first call in a process computes all events, in seconds."""
    streams, labels = recorded()
    chosen = digits.in_split(labels, split).nonzero().flatten().tolist()
    samples = [(sample, int(labels[sample])) for sample in chosen]
    return EventFrames(samples, streams.of, digits.CLASSES, SENSOR, time_steps, transform)


@cache
def recorded() -> tuple[Streams, Tensor]:
    """The events of all 1,797 digits, and their labels, in scikit-learn's order."""
    images, labels = digits.originals()
    pixels = images.squeeze(1).double().numpy()
    return emit((brightness(seen(pixels, x, y)) for x, y in path()), UNITS), labels


def path() -> Iterator[tuple[float, float]]:
    """x, y of the digit's centre, from the first corner on, after each step."""
    yield CORNERS[0]
    for (x0, y0), (x1, y1) in pairwise(CORNERS):
        for step in range(1, STEPS + 1):
            yield x0 + (x1 - x0) * step / STEPS, y0 + (y1 - y0) * step / STEPS


def seen(images: NDArray[np.float64], x: float, y: float) -> NDArray[np.float64]:
    """Images `[N, h, w]` on the sensor `[N, 32, 32]`, their centre x, y pixels off the sensor's; black around."""
    rows, columns = (_weights(SENSOR[i], images.shape[1 + i], offset) for i, offset in enumerate((y, x)))
    result: NDArray[np.float64] = rows @ images @ columns.T
    return result


def _weights(sensor: int, cells: int, offset: float) -> NDArray[np.float64]:
    """Linear interpolation along one axis: how much each cell weighs at each pixel of the sensor."""
    places = (np.arange(sensor) - (sensor - 1) / 2 - offset) / ENLARGED + (cells - 1) / 2
    weights: NDArray[np.float64] = np.clip(1 - np.abs(places[:, None] - np.arange(cells)), 0, None)
    return weights


def brightness(intensity: NDArray[np.float64]) -> NDArray[np.int64]:
    """Logarithm in whole units: where a pixel returns to an earlier intensity, whole thresholds are crossed exactly,
    and no rounding decides about the last event."""
    return np.rint(np.log(intensity + DARK) * (UNITS / THRESHOLD)).astype(np.int64)


def emit(levels: Iterable[NDArray[np.int64]], threshold: int) -> Streams:
    """Brightness `[N, H, W]` after each step, and at first before any -> events of the N samples.

    A pixel remembers the level of its last event and emits as many events as whole thresholds lie between that and the
    new level; within a step, events come in the order of rows. N is at most 32,767.
    """
    steps = iter(levels)
    reference = next(steps).copy()
    parts = []
    for number, level in enumerate(steps, start=1):
        change = level - reference
        crossings = np.sign(change) * (np.abs(change) // threshold)
        reference += crossings * threshold
        sample, y, x = (axis.astype(np.int16) for axis in np.nonzero(crossings))
        signed = crossings[sample, y, x]
        events = np.stack([sample, y, x, (signed > 0).astype(np.int16), np.full_like(sample, number)])
        parts.append(events.repeat(np.abs(signed), axis=1))
    together = np.concatenate(parts, axis=1)
    sample, y, x, on, number = together[:, together[0].argsort(kind="stable")]
    return Streams(
        t=number.astype(np.int64) * STEP_MICROSECONDS,
        x=x.astype(np.uint8),
        y=y.astype(np.uint8),
        p=on.astype(np.uint8),
        starts=np.searchsorted(sample, np.arange(len(reference) + 1)),
    )
