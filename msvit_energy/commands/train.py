"""`msvit-energy train`: run a recipe, write checkpoints."""

from pathlib import Path
from typing import Annotated

import typer

from msvit_energy.commands._options import Device, Force
from msvit_energy.commands._terminal import progress_bar, shows_bars
from msvit_energy.errors import printable

EXAMPLES = """
msvit-energy train digits
msvit-energy train digits --model qkformer_digits --epochs 5 --set learning_rate=0.002
msvit-energy train cifar10 --data cifar10/ --out runs/mine --resume
"""


def train(
    recipe: Annotated[str, typer.Argument(help="Name of the recipe; `recipes` lists them.")],
    model: Annotated[str | None, typer.Option(help="Another model than the recipe's.")] = None,
    data: Annotated[Path | None, typer.Option(help="Folder of the data set, where it needs one.")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder of the run; runs/RECIPE if not given.")] = None,
    epochs: Annotated[int | None, typer.Option(help="Instead of the recipe's.")] = None,
    batch_size: Annotated[int | None, typer.Option(help="Instead of the recipe's.")] = None,
    init: Annotated[Path | None, typer.Option(help="Checkpoint to start from, as far as it fits.")] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="KEY=VALUE of the recipe (`recipes NAME` shows all). Repeatable.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in --out.")] = False,
    seed: Annotated[int | None, typer.Option(help="Seed of weights, order and augmentation. [default: 0]")] = None,
    device: Device = "auto",
    force: Force = False,
) -> None:
    """Train a model; write model.safetensors, its sidecar model.json, recipe.json and history.csv.

    Ctrl-C writes the state of the run; --resume goes on from it, or from the last one before any other end. Where
    standard error is no terminal, a line says at least every minute how far the run is.
    """
    from msvit_energy.workflows.training.run import TrainingRequest, train_recipe

    request = TrainingRequest(
        recipe,
        out or Path("runs") / recipe,
        model=model,
        settings=settings or (),
        epochs=epochs,
        batch_size=batch_size,
        data=data,
        init=init,
        seed=seed,
        device=device,
        resume=resume,
        force=force,
    )
    lines = not shows_bars()
    if not train_recipe(request, lambda line: print(printable(line), flush=True), progress_bar, lines=lines):
        raise typer.Exit(130)
