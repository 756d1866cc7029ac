"""Faults of the machine under a run, in words: memory that ran out, a process that was killed. Nobody's bug."""

from collections.abc import Iterator

# what torch says, in its own words, and what that means
WORDS = (
    (
        ("out of memory", "can't allocate memory", "not enough memory"),
        "out of memory; a smaller --batch-size needs less",
    ),
    (
        ("DataLoader worker",),
        "a process that loads images was killed, as systems do when memory runs out; fewer --workers need less",
    ),
    (
        ("gloo", "NCCL", "Connection closed by peer", "Connection reset by peer", "TCPStore"),
        "another process of this run has ended or cannot be reached; its own messages say why, if it had time for any",
    ),
)


def fault_in_words(error: BaseException) -> str | None:
    """What has happened, in one line; None for an error that is no such fault."""
    for each in _chain(error):
        if isinstance(each, MemoryError):
            return WORDS[0][1]
        if isinstance(each, RuntimeError):
            for texts, words in WORDS:
                if any(text in str(each) for text in texts):
                    return words
    return None


def is_out_of_memory(error: BaseException) -> bool:
    """Whether memory ran out, on the CPU or on a GPU."""
    return fault_in_words(error) == WORDS[0][1]


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """An error and what it was raised from."""
    while error is not None:
        yield error
        error = error.__cause__
