"""How far a training is, in lines, where nobody sees a progress bar: in files, in logs of schedulers."""

import time
from collections.abc import Callable

from msvit.training.history import Step

INTERVAL = 60.0  # seconds


class ProgressLines:
    """Prints a line by `log` at least once a minute, as long as one batch takes less than that.

    A line comes as soon as the next batch would be too late for it. Other lines of the run go through `said`.
    """

    def __init__(self, log: Callable[[str], None], epochs: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._log, self._epochs, self._clock = log, epochs, clock
        self.begin(0.0)

    def begin(self, position: float) -> None:
        """The run starts, or goes on, after that many epochs."""
        self._first = self._position = position
        self._started = self._before = self._clock()
        self._work = ""
        self._clear(self._started)

    def said(self, line: str) -> None:
        """Print another line of the run."""
        self._log(line)
        self._clear(self._clock())

    def step(self, step: Step) -> None:
        """A training batch is done."""
        self._position = step.epoch - 1 + step.number / step.of
        self._losses.append(step.loss)
        if rate := self._rate_if_due("training", step.images):
            place = f"epoch {step.epoch}, step {step.number} of {step.of}"
            loss = sum(self._losses) / len(self._losses)
            self.said(f"{place}: {rate}, {self._left()} left, loss {loss:.4f}")

    def other(self, work: str, images: int) -> None:
        """A batch of other work, such as testing, is done."""
        if rate := self._rate_if_due(work, images):
            self.said(f"{work} after epoch {round(self._position)} of {self._epochs}: {rate}")

    def _rate_if_due(self, work: str, images: int) -> str:
        """Images per second of this work since the last line, if it is time for one; else empty."""
        now = self._clock()
        if work != self._work:
            self._work, self._images, self._since = work, 0, self._before
        self._images += images
        batch, self._before = now - self._before, now
        if now + batch < self._last + INTERVAL:
            return ""
        return f"{self._images / max(now - self._since, 1e-9):.3g} images/s"

    def _clear(self, now: float) -> None:
        self._last = self._since = now
        self._images = 0
        self._losses: list[float] = []

    def _left(self) -> str:
        """The time for the epochs that are left, at the speed of this part of the run so far, tests included."""
        done = self._position - self._first
        return duration((self._clock() - self._started) * (self._epochs - self._position) / done)


def duration(seconds: float) -> str:
    """In the two largest units: 40 s, 7 min, 3 h 20 min, 2 d 4 h."""
    minutes = round(seconds / 60)
    if seconds < 90:
        return f"{seconds:.0f} s"
    if minutes < 60:
        return f"{minutes} min"
    hours = round(minutes / 60)
    return f"{minutes // 60} h {minutes % 60} min" if hours < 24 else f"{hours // 24} d {hours % 24} h"
