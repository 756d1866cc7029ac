"""`msvit-energy train`: run a recipe, write a checkpoint."""

from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from msvit.classifier import SpikingClassifier
    from msvit.training.loop import Epoch
    from msvit.training.recipes import Recipe

FILES = ("model.safetensors", "model.json", "history.csv")


def train(
    recipe: Annotated[str, typer.Argument(help="Name of the recipe: digits.")],
    out: Annotated[Path | None, typer.Option(help="Folder of the run; runs/RECIPE if not given.")] = None,
    epochs: Annotated[int | None, typer.Option(help="Instead of the recipe's.")] = None,
    batch_size: Annotated[int | None, typer.Option(help="Instead of the recipe's.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of weights, order and augmentation.")] = 0,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, ...")] = "auto",
    force: Annotated[bool, typer.Option("--force", help="Replace the files of an earlier run in --out.")] = False,
) -> None:
    """Train a model; write model.safetensors, its sidecar model.json and history.csv."""
    from msvit.training.loop import train as run
    from msvit.training.recipes import get_recipe
    from msvit_energy.commands.device import choose
    from msvit_energy.commands.progress import progress_bar
    from msvit_energy.outputs import check_free

    given = {"epochs": epochs, "batch_size": batch_size}
    chosen = replace(get_recipe(recipe), **{key: value for key, value in given.items() if value is not None})  # type: ignore[arg-type]
    place = choose(device)
    folder = out or Path("runs") / recipe
    check_free(folder, FILES, force)
    print(f"training {chosen.model} on {chosen.data}: {chosen.epochs} epochs, seed {seed}, {place}", flush=True)
    with progress_bar("epochs", chosen.epochs) as advance:
        network, history = run(chosen, seed=seed, device=place, on_step=advance, on_epoch=print_epoch)
    write(folder, network, chosen, history, seed)
    print(f"{sum(p.numel() for p in network.parameters()):,} parameters, test accuracy {history[-1].test_accuracy:.2%}")
    for name in FILES:
        print(folder / name)


def print_epoch(epoch: "Epoch") -> None:
    """One line per epoch."""
    print(
        f"epoch {epoch.number}: loss {epoch.loss:.4f}, test accuracy {epoch.test_accuracy:.2%}, {epoch.seconds:.0f} s",
        flush=True,
    )


def write(folder: Path, network: "SpikingClassifier", recipe: "Recipe", history: list["Epoch"], seed: int) -> None:
    """Write all files, or none."""
    import pandas as pd

    import msvit
    from msvit_energy.outputs import written_together

    last = history[-1]
    metrics = {"test_accuracy": last.test_accuracy, "train_loss": last.loss, "seconds": round(last.seconds, 1)}
    with written_together(folder) as scratch:
        msvit.save_checkpoint(scratch / FILES[0], network, recipe=asdict(recipe), metrics=metrics, seed=seed)
        pd.DataFrame([asdict(epoch) for epoch in history]).to_csv(scratch / FILES[2], index=False)
