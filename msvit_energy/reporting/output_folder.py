"""A folder of results: refuses to mix two runs, and appears whole or not at all."""

import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
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
def held(folder: Path) -> Iterator[None]:
    """A folder that is this process's alone in a `with` block, made if it is not there; an empty one goes again.

    EnergyError if another process holds it, or if it cannot be written to. What runs left that were killed while they
    wrote goes.
    """
    check_free(folder, (), force=True)
    made = [place for place in (folder, *folder.parents) if not place.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise EnergyError(f"cannot write into {folder}: {error.strerror}") from error
    handle = os.open(folder, os.O_RDONLY)
    try:
        if not os.access(folder, os.W_OK):
            raise EnergyError(f"cannot write into {folder}: it is read-only")
        _lock(handle, folder)
        for left in (*folder.glob(f".{folder.name}-*"), *folder.glob(".*.part")):
            shutil.rmtree(left) if left.is_dir() else left.unlink()
        yield
    finally:
        os.close(handle)
        for place in made:
            with suppress(OSError):  # it is not empty
                place.rmdir()


def _lock(handle: int, folder: Path) -> None:
    """Have the folder until the handle is closed, by whatever end of the process, where the system has such locks."""
    try:
        import fcntl

        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise EnergyError(f"another run is writing into {folder}; wait for its end, or give another folder") from None
    except (ImportError, OSError):  # Windows, some network disks
        return


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
