"""The one error that a user of `msvit_energy` can cause, and correct; and text of files on its way to a reader."""

import difflib
from collections.abc import Iterable

LONGEST = 4000  # characters of a message


class EnergyError(ValueError):
    """Wrong input to the profiler, a protocol or a report. The message is one line: what was wrong, the value, what
    would be right. Command lines print it and exit with code 2."""

    def __str__(self) -> str:
        """The message, which may quote a file, in one line that any terminal may show."""
        text = super().__str__()
        return printable(text if len(text) <= LONGEST else f"{text[: LONGEST // 2]} ... {text[-LONGEST // 2 :]}")


def printable(text: str) -> str:
    """A text in one line: whatever is not printed but acts (line breaks, escape sequences, writing from right to left)
    as Python's escapes."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """For a message about an unknown name: "did you mean x? " where one is much like it, else nothing."""
    near = difflib.get_close_matches(name, list(known), n=1)
    return f"did you mean {near[0]}? " if near else ""
