"""Files that are there whole or not at all, whatever happens while they are written."""

import os
from pathlib import Path

from msvit.errors import ModelError


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file so that at any moment, power failures included, either the old or the new one is there, whole.

    ModelError if the disk does not take it; what was there before is then untouched.
    """
    scratch = path.with_name(f".{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with scratch.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        scratch.replace(path)
        _sync_folder(path.parent)
    except OSError as error:
        scratch.unlink(missing_ok=True)
        raise ModelError(f"cannot write {path}: {error.strerror}; what was there before is untouched") from error


def _sync_folder(folder: Path) -> None:
    """Make the rename itself durable, where the system has such a thing."""
    if hasattr(os, "O_DIRECTORY"):
        handle = os.open(folder, os.O_DIRECTORY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
