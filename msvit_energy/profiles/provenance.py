"""Where a profile comes from: the facts that someone needs to measure it again."""

import hashlib
import platform
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

LIBRARIES = ("msvit-energy", "torch", "torchvision", "spikingjelly", "timm", "fvcore")


def environment(command: Sequence[str]) -> dict[str, Any]:
    """Time, command line, Python and library versions."""
    return {
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": ["msvit-energy", *command],
        "python": platform.python_version(),
        "versions": {name: _version(name) for name in LIBRARIES},
    }


def sha256(path: Path) -> str:
    """Hash of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def command_line() -> list[str]:
    """The arguments this process was started with."""
    return sys.argv[1:]


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "not installed"
