"""A folder of results: refuses to mix two runs, and appears whole or not at all."""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from msvit_energy.errors import EnergyError


def check_free(folder: Path, names: Sequence[str], force: bool) -> None:
    """Raise EnergyError if `folder` is a file, or holds one of `names` and `force` is not given."""
    if folder.exists() and not folder.is_dir():
        raise EnergyError(f"{folder} is a file, not a folder")
    taken = [name for name in names if (folder / name).exists()]
    if taken and not force:
        raise EnergyError(f"{folder} already holds {', '.join(taken)} of another run; --force replaces them")


def check_file_free(path: Path, force: bool) -> None:
    """Raise EnergyError if the file exists and `force` is not given."""
    if path.exists() and not force:
        raise EnergyError(f"{path} exists; --force replaces it")


@contextmanager
def written_together(folder: Path, names: Sequence[str] = ()) -> Iterator[Path]:
    """A scratch folder on the same disk; on success its files move into `folder`, on failure none does.

    Files called one of `names` that are in `folder` but not among the new ones are of an earlier run, and go. What the
    disk does not take raises EnergyError.
    """
    place = folder if folder.is_dir() else folder.parent
    try:
        place.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=place, prefix=f".{folder.name}-") as scratch:
            yield Path(scratch)
            _moved(Path(scratch), folder, names)
    except OSError as error:
        raise EnergyError(f"cannot write into {folder}: {error.strerror}") from error


def _moved(scratch: Path, folder: Path, names: Sequence[str]) -> None:
    """Everything in `scratch` into `folder`, and what else is there under `names` away."""
    folder.mkdir(exist_ok=True)
    written = {path.name: path for path in sorted(scratch.iterdir())}
    for name in names:
        if name not in written:
            (folder / name).unlink(missing_ok=True)
    for name, path in written.items():
        path.replace(folder / name)
