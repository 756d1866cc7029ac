"""How long work reports its progress: commands show a bar, other callers nothing."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

# from a label and a number of units; what is entered advances by some of them
Progress = Callable[[str, int], AbstractContextManager[Callable[[float], None]]]


@contextmanager
def no_progress(label: str, total: int) -> Iterator[Callable[[float], None]]:
    """Shows nothing."""
    yield lambda done: None
