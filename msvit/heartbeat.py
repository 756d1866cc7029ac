"""Signs of life between the processes of one run: one that is killed, stopped or cut off ends the others, in words.

A collective operation waits for all processes, for hours if need be, since one may have more to do than the others. So
waiting says nothing; each process tells the others that it is alive, in a thread of its own.
"""

import itertools
import os
import sys
import threading
import time
from contextlib import suppress

import torch.distributed as dist

EVERY = 2.0  # seconds between two signs
SILENCE = 45.0  # seconds without one, after which a process is taken for lost
DONE = "done"


class Heartbeat:
    """Signs of process `rank` of `ranks`, from `start` to `stop`. If another one falls silent, this process ends at
    once with exit code 2 and a line on standard error: what it has written stays, and is whole."""

    def __init__(self, rank: int, ranks: int) -> None:
        self._rank, self._ranks = rank, ranks
        self._run = os.environ.get("TORCHELASTIC_RUN_ID", "") + os.environ.get("TORCHELASTIC_RESTART_COUNT", "")
        # a connection of its own: others block while a collective operation begins
        place = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
        self._store = dist.TCPStore(*place, wait_for_workers=False)  # type: ignore[attr-defined]
        self._heard = {other: time.monotonic() for other in range(ranks) if other != rank}
        self._ended = threading.Event()

    def start(self) -> None:
        """Begin to give signs and to look for those of the others: in two threads, as a connection may hang."""
        for task in (self._beat, self._watch):
            threading.Thread(target=task, daemon=True).start()

    def stop(self) -> None:
        """Tell the others that this process is done."""
        self._ended.set()
        with suppress(RuntimeError):  # the one that keeps the signs is done, too
            self._store.set(self._key(self._rank), DONE)

    def _key(self, rank: int) -> str:
        return f"alive {self._run} {rank}"

    def _beat(self) -> None:
        latest: dict[int, bytes] = {}
        for count in itertools.count():
            with suppress(RuntimeError):  # no connection is no sign
                self._store.set(self._key(self._rank), DONE if self._ended.is_set() else str(count))
                for rank in self._heard:
                    sign = self._store.get(self._key(rank)) if self._store.check([self._key(rank)]) else b""
                    if sign != latest.get(rank) or sign == DONE.encode():
                        latest[rank], self._heard[rank] = sign, time.monotonic()
            if self._ended.wait(EVERY):
                return

    def _watch(self) -> None:
        while not self._ended.wait(EVERY):
            for rank, heard in self._heard.items():
                if time.monotonic() - heard > SILENCE:
                    self._end(rank)

    def _end(self, lost: int) -> None:
        assert sys.__stderr__ is not None
        print(
            f"error: process {lost} of {self._ranks} (counted from 0) has given no sign of life for {SILENCE:.0f} s: "
            "killed, stopped or cut off; the whole run ends, and --resume goes on from what was written",
            file=sys.__stderr__,
            flush=True,
        )
        os._exit(2)  # nothing else ends a collective operation that waits
