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


@contextmanager
def written_together(folder: Path) -> Iterator[Path]:
    """A scratch folder inside `folder`'s parent; on success its files move into `folder`, on failure none does."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}-") as scratch:
        yield Path(scratch)
        folder.mkdir(exist_ok=True)
        for path in sorted(Path(scratch).iterdir()):
            path.replace(folder / path.name)
