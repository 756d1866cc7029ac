"""A file of a data set that cannot be read, said in one line."""

from msvit.errors import ModelError


class UnreadableFileError(ModelError):
    """Raised when the file is reached. A DataLoader makes an error of its worker again from the worker's whole
    traceback; only the last line of that, which is the message itself, is kept."""

    def __init__(self, message: str) -> None:
        own = message.rpartition(f"{type(self).__name__}: ")[2]
        super().__init__(" ".join(own.splitlines()))
