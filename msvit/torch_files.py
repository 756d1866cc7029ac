"""What `torch.save` wrote, read as plain data and within limits: nothing in a file runs, whatever it says of itself.

Files are read with `weights_only=True`; the one class allowed beyond plain data is the `argparse.Namespace` in which
training scripts store their arguments. SECURITY.md says what is promised.
"""

import argparse
import io
import struct
import warnings
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from msvit.errors import ModelError
from msvit.pickle_limits import MOST_BYTES, check_pickle

MOST_DIRECTORY = 2**24  # bytes of an archive's list of entries
LEGACY_PICKLES = 5  # magic number, protocol, system, content, names of storages: then the storages' bytes
END, END_64 = b"PK\5\6", b"PK\6\6"


def load_torch_file(path: Path, device: str = "cpu") -> Any:
    """The content of a file; ModelError for one that is damaged, would run code, or is more than it seems."""
    try:
        _check(path)
        with torch.serialization.safe_globals([argparse.Namespace]), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # advice on how the file should have been written
            return torch.load(path, map_location=device, weights_only=True)
    except ModelError as error:
        raise ModelError(f"{path} is damaged: {error}") from error
    except Exception as error:  # a damaged file can fail in any way; nothing of our own runs in here
        raise ModelError(f"{path} is damaged or holds more than plain data: {_reason(error)}") from error


def _check(path: Path) -> None:
    with path.open("rb") as file:
        if file.read(4) != b"PK\3\4":
            file.seek(0)
            for _ in range(LEGACY_PICKLES):
                check_pickle(file)
            return
        _check_directory(file.seek(0, io.SEEK_END), path)
    with zipfile.ZipFile(path) as archive:
        entries = archive.infolist()
        names = {entry.filename for entry in entries}
        if any(name.endswith("/constants.pkl") for name in names):
            raise ModelError(
                "it is a TorchScript archive, which holds code; save the state_dict() of its model instead"
            )
        if len(names) < len(entries):
            raise ModelError("two entries of its archive have one name")
        if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
            raise ModelError("its archive is compressed, which torch.save never does")
        if sum(entry.file_size for entry in entries) > path.stat().st_size:
            raise ModelError("the entries of its archive are together larger than the file")
        for entry in entries:
            if entry.filename.endswith(".pkl"):
                if entry.file_size > MOST_BYTES:
                    raise ModelError(f"its pickle is larger than {MOST_BYTES // 2**20} MiB")
                check_pickle(io.BytesIO(archive.read(entry)))


def _check_directory(size: int, path: Path) -> None:
    """ModelError for an archive whose list of entries alone would fill the memory."""
    with path.open("rb") as file:
        file.seek(max(0, size - 2**17))
        tail = file.read()
    lengths = [*_directories(tail, END, "<12xI"), *_directories(tail, END_64, "<40xQ")]
    if max((length for length in lengths if length != 2**32 - 1), default=0) > MOST_DIRECTORY:
        raise ModelError(f"the list of entries of its archive is larger than {MOST_DIRECTORY // 2**20} MiB")


def _directories(tail: bytes, signature: bytes, form: str) -> Iterator[int]:
    place = tail.rfind(signature)
    if place >= 0 and place + struct.calcsize(form) <= len(tail):
        yield struct.unpack_from(form, tail, place)[0]


def _reason(error: Exception) -> str:
    text = str(error)
    if "Unsupported global" in text:  # torch names the class in the middle of advice that is wrong here
        name = text.split("GLOBAL ", 1)[-1].split(" ", 1)[0]
        return f"it would run {name} when opened"
    return text.splitlines()[0] if text.strip() else type(error).__name__
