"""The files of a training run's folder, beside the states that the run itself writes."""

import json
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any, cast

from torch import nn

import msvit
from msvit.atomic_write import write_atomically
from msvit.classifier import SpikingClassifier
from msvit.distributed import from_first
from msvit.training.history import Epoch
from msvit.training.recipes import Recipe
from msvit.training.state import PATTERN as STATES
from msvit.training.tensorboard_log import PATTERN as EVENTS
from msvit_energy.errors import EnergyError
from msvit_energy.reporting.output_folder import check_free, held

WEIGHTS = ("model", "best-accuracy", "best-energy")
WEIGHT_FILES = tuple(f"{name}.{suffix}" for name in WEIGHTS for suffix in ("safetensors", "json"))
FILES = ("recipe.json", "history.csv", *WEIGHT_FILES)


@contextmanager
def held_by_first(folder: Path) -> Iterator[None]:
    """The run's folder, held by the first process in a `with` block; the others end if it cannot be."""
    with ExitStack() as stack:
        from_first(lambda: stack.enter_context(held(folder)))
        yield


def earlier_files(folder: Path, resume: bool, force: bool) -> list[Path]:
    """The files of an earlier run in the folder; EnergyError if there are some that are neither to be resumed nor to be
    replaced."""
    states = sorted(folder.glob(STATES)) if folder.is_dir() else []
    if states and not (force or resume):
        raise EnergyError(f"{folder} holds a run; --resume goes on with it, --force replaces it")
    if not states:
        # a run that ended before its first state may be begun again; weights without a state are somebody's
        begun = resume and (folder / "recipe.json").exists()
        check_free(folder, WEIGHT_FILES if begun else FILES, force)
    patterns = ("epoch-*.profile.json", EVENTS)
    others = [path for pattern in patterns for path in sorted(folder.glob(pattern))] if folder.is_dir() else []
    return [*states, *others, *present(folder)]


def present(folder: Path) -> list[Path]:
    """Those of FILES that are there."""
    return [folder / name for name in FILES if (folder / name).exists()]


def forget_failed(folder: Path) -> None:
    """Remove what a run wrote that failed before it had a state or an epoch, so that the corrected command can begin;
    the folder too, if nothing else is in it."""
    if list(folder.glob(STATES)) or (folder / "history.csv").exists():
        return
    for path in (folder / "recipe.json", *folder.glob(EVENTS)):
        path.unlink(missing_ok=True)
    with suppress(OSError):
        folder.rmdir()


def write_recipe(folder: Path, recipe: Recipe, *, seed: int, data: Path | None, init: Path | None) -> None:
    """recipe.json: all settings, and what the run started from."""
    start = {"seed": seed, "data_folder": data and str(data), "init": init and init.name}
    write_atomically(folder / "recipe.json", (json.dumps(asdict(recipe) | start, indent=1) + "\n").encode())


def write_history(folder: Path, history: Sequence[Epoch]) -> None:
    """history.csv: a row for each epoch so far."""
    import pandas as pd

    table = pd.DataFrame([epoch.record() for epoch in history])
    write_atomically(folder / "history.csv", table.to_csv(index=False).encode())


def write_weights(path: Path, model: nn.Module, recipe: Recipe, seed: int, epoch: Epoch) -> None:
    """A checkpoint whose sidecar says what the weights reached."""
    metrics: dict[str, Any] = {"test_accuracy": epoch.test_accuracy, "train_loss": epoch.loss, "epoch": epoch.number}
    metrics |= {"seconds": round(epoch.seconds, 1)} | dict(epoch.measured)
    msvit.save_checkpoint(path, cast(SpikingClassifier, model), recipe=asdict(recipe), metrics=metrics, seed=seed)


def copy_weights(folder: Path, source: str, target: str) -> None:
    """A checkpoint under another name."""
    for suffix in ("safetensors", "json"):
        write_atomically(folder / f"{target}.{suffix}", (folder / f"{source}.{suffix}").read_bytes())
