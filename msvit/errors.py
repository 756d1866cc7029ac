"""The errors that a user of `msvit` can cause and correct."""

import difflib
from collections.abc import Iterable

LONGEST = 4000  # characters of a message


class ModelError(ValueError):
    """Wrong input to a model, a checkpoint, a data set or a recipe. The message is one line: what was wrong,
    the value, what would be right. Command lines print it and exit with code 2."""

    def __str__(self) -> str:
        """The message, which may quote a file: what does not print stands in it as Python writes it."""
        text = super().__str__()
        text = text if len(text) <= LONGEST else f"{text[: LONGEST // 2]} ... {text[-LONGEST // 2 :]}"
        return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


class UnreadableFileError(ModelError):
    """A file of a data set that cannot be read; raised when the file is reached. `file` is its name within the data
    set, `reason` what is wrong with it. A DataLoader makes an error of its worker again from the worker's whole
    traceback; only the last line of that, which is the message, is kept."""

    def __init__(self, message: str, file: str = "", reason: str = "") -> None:
        own = message.rpartition(f"{type(self).__name__}: ")[2]
        super().__init__(" ".join(own.splitlines()))
        self.file, self.reason = file, " ".join(reason.split())


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """For a message about an unknown name: "did you mean x? " where one is much like it, else nothing."""
    near = difflib.get_close_matches(name, list(known), n=1)
    return f"did you mean {near[0]}? " if near else ""
