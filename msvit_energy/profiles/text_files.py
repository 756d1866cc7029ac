"""Text that somebody else wrote, read within limits: SECURITY.md says which."""

from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from msvit_energy.errors import EnergyError

MIB = 2**20
SPARE = 200 * MIB  # that reading a file may need beyond twice its size
LONGEST_LINE = 4 * MIB  # characters
# Bytes of memory for a container of JSON, a text (perhaps a fraction, which is three numbers), another value
OF_CONTAINER, OF_TEXT, OF_VALUE = 72, 190, 44


def read_text(path: Path, most: int, what: str = "", *, errors: str = "strict") -> str:
    """A file in UTF-8; EnergyError for one that cannot be read or has more than `most` bytes. `what` names the kind of
    file in messages, `errors` is that of `bytes.decode`."""
    return read_bytes(path, most, what).decode("utf-8", errors)


def read_bytes(path: Path, most: int, what: str = "") -> bytes:
    """The same, undecoded."""
    try:
        with path.open("rb") as file:
            content = file.read(most + 1)
    except OSError as error:
        raise EnergyError(f"cannot read {what}{' ' if what else ''}{path}: {error.strerror}") from error
    if len(content) > most:
        raise EnergyError(f"{path} is too large for a {what or 'file of its kind'}: at most {size(most)} are read")
    return content


def size(most: int) -> str:
    """A limit as text."""
    return f"{most // MIB} MiB" if most >= MIB else f"{most // 1024} KiB"


def check_json_memory(content: bytes, path: Path) -> None:
    """EnergyError for JSON that would need more memory than twice its size and SPARE, by what it is made of."""
    containers = content.count(b"[") + content.count(b"{")
    needed = OF_CONTAINER * containers + OF_TEXT * (content.count(b'"') // 2) + OF_VALUE * content.count(b",")
    needed += len(content) * (1 if content.isascii() else 8)  # text takes four bytes a character with some in it
    if needed > 2 * len(content) + SPARE:
        raise EnergyError(
            f"{path} would fill {needed // MIB} MiB, at most {(2 * len(content) + SPARE) // MIB} are used for "
            "a file of its size"
        )


def limited_lines(file: TextIO, path: Path, most: int) -> Iterator[str]:
    """The lines of an open file, perhaps of one that is uncompressed as it is read; EnergyError where there are more
    than `most` characters, or LONGEST_LINE in one."""
    read = 0
    while line := file.readline(LONGEST_LINE):
        read += len(line)
        if read > most or len(line) == LONGEST_LINE:
            raise EnergyError(
                f"{path} is too large for a table: at most {size(most)} are read, {size(LONGEST_LINE)} in a line"
            )
        yield line
