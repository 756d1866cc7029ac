"""A measurement that can be stopped and gone on with: the state of each process in a folder, and the request to stop.

A state is what whole batches have counted. It is written after the first batch, at a stop, and in between so often that
writing takes a twentieth of the time. It is read as plain data and a few classes of counts, never unpickled freely.
"""

import io
import json
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import torch

from msvit.atomic_write import write_atomically
from msvit.data.readable import Unreadable
from msvit.distributed import gathered, rank
from msvit.errors import ModelError
from msvit.machine_faults import fault_in_words
from msvit.stop_signal import StopSignal, stop_signal
from msvit_energy.errors import EnergyError
from msvit_energy.recording.earlier_counts import CLASSES, EarlierCounts

PATTERN = "unfinished-*.pt"
FORMAT = 2
SHARE = 1 / 20  # of the time that writing may take


def states(folder: Path) -> list[Path]:
    """The states of all processes in a folder."""
    return sorted(folder.glob(PATTERN)) if folder.is_dir() else []


class MeasurementState:
    """What one measurement keeps in `folder`, None for nothing, while it runs in a `with` block.

    From the first whole batch on, Ctrl-C and SIGTERM are requests to stop after the present one, if it is `stoppable`;
    the run around another one decides by itself. `earlier` is what an
    earlier process had counted, in batches of `batch_size` images. An error of the measurement itself takes the state
    away; one of the machine or the data leaves it, and says so.
    """

    def __init__(self, folder: Path | None, *, resume: bool = False, stoppable: bool = True) -> None:
        self.path = None if folder is None else folder / f"unfinished-{rank()}.pt"
        self.folder, self.resume = folder, resume
        self.identity: Mapping[str, str] = {}
        self.earlier: EarlierCounts | None = None
        self.unread: dict[int, Unreadable] = {}  # by position, up to the present batch
        self.batch_size = 0
        self.notes: list[str] = []
        self.counted = False  # whether a batch was
        self._stoppable = stoppable
        self._signal = StopSignal()
        self._stack = ExitStack()
        self._saved, self._cost = time.monotonic(), 0.0
        self._images = 0  # in the state on disk

    @property
    def stopped(self) -> bool:
        """Whether this process was asked to stop."""
        return self._signal.requested

    def note(self, text: str) -> None:
        """Keep what a reader must know of how the measurement went, and say it now."""
        self.notes.append(text)
        print(text, file=sys.stderr)

    def begin(self, identity: Mapping[str, Any], batch_size: int) -> None:
        """Say what is measured, and read the state of an earlier process of the same, if that is to be gone on with.
        EnergyError in every process for a state of something else in any of them."""
        self.identity = {label: json.dumps(fact, sort_keys=True, default=str) for label, fact in identity.items()}
        self.batch_size = batch_size
        if not self.resume:
            return
        refusals = gathered(self._read())
        for refusal in filter(None, refusals):
            raise EnergyError(refusal)
        done = sum(gathered(0 if self.earlier is None else self.earlier.images))
        print(f"going on after {done} images" if done else "nothing to go on with: beginning anew", file=sys.stderr)

    def _read(self) -> str:
        """Take the state on disk, if there is one; what is wrong with it, in words."""
        if self.path is None or not self.path.exists():
            return ""
        try:
            with torch.serialization.safe_globals(list(CLASSES)):
                content = torch.load(self.path, map_location="cpu", weights_only=True)
            version, identity, self.batch_size, self.earlier = (
                content[name] for name in ("format", "identity", "batch_size", "counts")
            )
            self.unread = {position: Unreadable(position, *facts) for position, facts in content["unread"].items()}
        except Exception:  # a damaged file can fail in many ways
            return f"{self.path} cannot be read; --force begins the measurement anew"
        differing = {label for label in {*identity, *self.identity} if identity.get(label) != self.identity.get(label)}
        if version != FORMAT or differing:
            what = ", ".join(sorted(differing)) or "version of this program"
            return f"{self.folder} holds a measurement with another {what}; --force begins anew"
        return ""

    def after_batch(self, counts: Callable[[], EarlierCounts]) -> bool:
        """Write the state if it is time; whether the measurement is to stop."""
        if not self.counted:
            self.counted = True
            if self._stoppable:
                self._signal = self._stack.enter_context(stop_signal())
            self._compare(counts)
        due = time.monotonic() - self._saved > self._cost / SHARE
        if self.path is not None and (due or self.stopped):
            self._write(counts())
        return self.stopped

    def _compare(self, counts: Callable[[], EarlierCounts]) -> None:
        """Note if the first batch, which has run again, gave other spikes than it did."""
        now = counts().first
        if (
            self.earlier is not None
            and now != self.earlier.first
            and now is not None
            and self.earlier.first is not None
        ):
            self.note(
                f"gone on with after {self.earlier.images} images, where the first batch gave other spikes than before "
                "(another machine, library or number of threads?): totals are close to those of one run, not equal"
            )

    def _write(self, counts: EarlierCounts) -> None:
        assert self.path is not None
        started = time.monotonic()
        content = {
            "format": FORMAT,
            "identity": dict(self.identity),
            "batch_size": self.batch_size,
            "counts": counts,
            "unread": {position: (each.file, each.reason) for position, each in self.unread.items()},
        }
        buffer = io.BytesIO()
        torch.save(content, buffer)
        try:
            write_atomically(self.path, buffer.getvalue())
        except ModelError as error:  # it is an insurance: what is measured may find its place at the end
            note = f"warning: {error}; the measurement goes on, and if it is killed from here on cannot be gone on with"
            print(note, file=sys.stderr)
            self.path = None
            return
        self._images = counts.images
        self._saved = time.monotonic()
        self._cost = self._saved - started

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()
        if error is None or self.folder is None:
            return
        if isinstance(error, EnergyError) and fault_in_words(error) is None:
            forget([self.path] if self.path is not None else [])
        elif self._images:
            print(f"{self._images} images are kept in {self.folder}; --resume goes on with them", file=sys.stderr)


def forget(paths: Sequence[Path]) -> None:
    """Remove states that nobody is to go on with."""
    for path in paths:
        path.unlink(missing_ok=True)
