"""Samples of which some cannot be read: they are left out of batches, and named."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from torch.utils.data import Dataset, default_collate

from msvit.errors import UnreadableFileError


@dataclass(frozen=True)
class Unreadable:
    """A sample that cannot be read: its position in the data set, its file's name within it, and what is wrong."""

    position: int
    file: str
    reason: str


class Readable(Dataset[Any]):
    """A data set that gives `Unreadable` in place of samples whose file cannot be read; `joined` makes the batches."""

    def __init__(self, dataset: Dataset[Any]) -> None:
        self.dataset = dataset

    def __len__(self) -> int:
        return len(self.dataset)  # type: ignore[arg-type]

    def __getitem__(self, position: int) -> Any:
        try:
            return self.dataset[position]
        except UnreadableFileError as error:
            return Unreadable(position, error.file, error.reason)


def joined(samples: Sequence[Any]) -> tuple[Any, list[Unreadable]]:
    """The batch of what could be read, None if nothing could, and what could not."""
    read = [sample for sample in samples if not isinstance(sample, Unreadable)]
    return default_collate(read) if read else None, [each for each in samples if isinstance(each, Unreadable)]


def readable_batches(loader: Iterable[Any], unread: dict[int, Unreadable]) -> Iterator[tuple[Any, ...]]:
    """The batches of a loader whose samples are `joined`, of what could be read; `unread` receives what could not, by
    its position."""
    for batch, missing in loader:
        unread.update((each.position, each) for each in missing)
        if batch is not None:
            yield tuple(batch)
