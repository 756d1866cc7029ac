"""Batches that processes load beside the one that runs the model."""

import signal
from collections.abc import Callable, Iterable
from typing import Any

from torch.utils.data import DataLoader, Dataset


def loader(
    dataset: Dataset[Any],
    batches: Iterable[list[int]],
    *,
    workers: int,
    pinned: bool = False,
    collate: Callable[[list[Any]], Any] | None = None,
) -> Iterable[Any]:
    """The samples of each batch of indices, collated, loaded by that many processes; 0: by this one."""
    return DataLoader(
        dataset,
        batch_sampler=batches,
        num_workers=workers,
        pin_memory=pinned,
        collate_fn=collate,
        worker_init_fn=_leave_interrupts if workers else None,
    )


def _leave_interrupts(worker: int) -> None:
    """Ctrl-C reaches all processes of a terminal; the one that runs the model decides what to do, and ends these."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
