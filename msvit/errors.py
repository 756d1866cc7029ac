"""The errors that a user of `msvit` can cause and correct."""


class ModelError(ValueError):
    """Wrong input to a model, a checkpoint, a data set or a recipe. The message is one line: what was wrong,
    the value, what would be right. Command lines print it and exit with code 2."""


class UnreadableFileError(ModelError):
    """A file of a data set that cannot be read; raised when the file is reached. `file` is its name within the data
    set, `reason` what is wrong with it. A DataLoader makes an error of its worker again from the worker's whole
    traceback; only the last line of that, which is the message, is kept."""

    def __init__(self, message: str, file: str = "", reason: str = "") -> None:
        own = message.rpartition(f"{type(self).__name__}: ")[2]
        super().__init__(" ".join(own.splitlines()))
        self.file, self.reason = file, " ".join(reason.split())
