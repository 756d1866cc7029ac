"""Samples of which some cannot be read: they are left out of batches, and named."""

from collections.abc import Callable, Iterable, Iterator, Sequence
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


def readable_batches(
    loader: Iterable[Any], unread: dict[int, Unreadable], check: Callable[[Unreadable], None] | None = None
) -> Iterator[tuple[Any, ...]]:
    """The batches of a loader whose samples are `joined`, of what could be read; `unread` receives what could not, by
    its position. `check` is asked about a batch of which nothing could, with the first of it."""
    for batch, missing in loader:
        if batch is None and check is not None:
            check(missing[0])
        unread.update((each.position, each) for each in missing)
        if batch is not None:
            yield tuple(batch)


def check_still_there(dataset: Dataset[Any], known: int, lost: Unreadable) -> None:
    """UnreadableFileError that names what was `lost`, if the sample `known`, which was read before, is gone as well:
    then not single files are damaged, the data have gone away."""
    try:
        dataset[known]
    except UnreadableFileError as error:
        reason = f"{lost.reason}; others that were read before are gone too"
        raise UnreadableFileError(f"cannot read {lost.file}: {reason}", lost.file, reason) from error
