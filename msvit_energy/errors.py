"""The one error that a user of `msvit_energy` can cause, and correct; and text of files on its way to a reader."""

LONGEST = 2000  # characters of a message


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
