"""Ctrl-C and SIGTERM as a request to stop, which a run obeys where its state is whole."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from msvit.distributed import ranks


class StopSignal:
    """Whether this process was asked to stop."""

    requested = False


@contextmanager
def stop_signal() -> Iterator[StopSignal]:
    """Signals set `requested` for the length of a `with` block; a second one ends the process at once, unless it is
    torchrun's echo."""
    stop = StopSignal()

    def handle(number: int, frame: Any) -> None:
        if stop.requested and ranks() == 1:
            raise KeyboardInterrupt
        stop.requested = True
        if ranks() == 1:  # no print: the signal may come in the middle of one
            os.write(2, b"\nstopping after this batch; Ctrl-C again ends at once\n")

    try:
        before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    except ValueError:  # not in the main thread, where nobody sends signals
        before = {}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
