"""`msvit-energy train`: run a recipe, write checkpoints."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from torch import nn

    from msvit.classifier import SpikingClassifier
    from msvit.training.loop import Epoch, Measure, Training
    from msvit.training.recipes import Recipe

WEIGHTS = ("model", "best-accuracy", "best-energy")
WEIGHT_FILES = tuple(f"{name}.{suffix}" for name in WEIGHTS for suffix in ("safetensors", "json"))
FILES = ("recipe.json", "history.csv", *WEIGHT_FILES)


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
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, ...")] = "auto",
    force: Annotated[bool, typer.Option("--force", help="Replace the files of an earlier run in --out.")] = False,
) -> None:
    """Train a model; write model.safetensors, its sidecar model.json, recipe.json and history.csv.

    Ctrl-C writes the state of the run; --resume goes on from it, or from the last one before any other end.
    """
    from msvit.distributed import from_first, rank
    from msvit.training.loop import Interrupted
    from msvit_energy.commands._terminal import progress_bar
    from msvit_energy.workflows.device import choose

    folder = out or Path("runs") / recipe
    given = {"epochs": epochs, "batch_size": batch_size}
    chosen, start = resolved(recipe, model, given, settings or []), Start(seed or 0, data, init)
    stale = from_first(lambda: earlier(folder, resume, force))
    if resume and stale and not any((model, epochs, batch_size, settings, init, seed)):
        chosen, start = from_first(lambda: stored(folder, recipe, data))  # the command line may name the run alone
    run = opened(chosen, start, folder, choose(device))
    if resume and run.resume():
        print(f"going on after epoch {len(run.history)}, batch {len(run.losses)} of the next", flush=True)
    else:
        for path in stale if rank() == 0 else []:
            path.unlink(missing_ok=True)
        begin(run, chosen, start, folder)
    print(
        f"training {chosen.model} on {chosen.data}: {chosen.epochs} epochs, seed {run.seed}, {run.device}", flush=True
    )
    with progress_bar("epochs", chosen.epochs) as advance:
        advance(len(run.history) + len(run.losses) / len(run.batches))
        run.hooks.step = advance
        try:
            history = run.run()
        except Interrupted:
            print(
                f"stopped in epoch {len(run.history) + 1}; go on: msvit-energy train {recipe} --out {folder} --resume"
            )
            raise typer.Exit(130) from None
    if rank() == 0:
        finish(folder, run, history)


@dataclass(frozen=True)
class Start:
    """What a run starts from, beside its recipe."""

    seed: int
    data: Path | None
    init: Path | None


def resolved(name: str, model: str | None, given: Mapping[str, int | None], settings: Sequence[str]) -> "Recipe":
    """The recipe with what the command line changes; ModelError for what does not fit."""
    from msvit.errors import ModelError
    from msvit.training.recipes import get_recipe

    pairs = {}
    for text in settings:
        key, equals, value = text.partition("=")
        if not equals:
            raise ModelError(f"--set is KEY=VALUE, not {text!r}")
        pairs[key] = value
    pairs |= {key: str(value) for key, value in given.items() if value is not None}
    recipe = get_recipe(name).changed(pairs)
    return recipe if model is None else replace(recipe, model=model)


def earlier(folder: Path, resume: bool, force: bool) -> list[Path]:
    """The files of an earlier run in the folder; EnergyError if there are some and nothing was said about them."""
    from msvit.training.state import PATTERN
    from msvit.training.tensorboard_log import PATTERN as BOARD
    from msvit_energy.errors import EnergyError
    from msvit_energy.reporting.output_folder import check_free

    states = sorted(folder.glob(PATTERN)) if folder.is_dir() else []
    if states and not (force or resume):
        raise EnergyError(f"{folder} holds a run; --resume goes on with it, --force replaces it")
    if not states:
        # a run that ended before its first state may be begun again; weights without a state are somebody's
        begun = resume and (folder / "recipe.json").exists()
        check_free(folder, WEIGHT_FILES if begun else FILES, force)
    patterns = ("epoch-*.profile.json", BOARD)
    others = [path for pattern in patterns for path in sorted(folder.glob(pattern))] if folder.is_dir() else []
    return [*states, *others, *(folder / name for name in FILES if (folder / name).exists())]


def stored(folder: Path, name: str, data: Path | None) -> "tuple[Recipe, Start]":
    """The settings of the run in a folder; the data may have moved."""
    from msvit_energy.errors import EnergyError
    from msvit_energy.workflows.stored_recipe import read_stored_recipe

    recipe, start = read_stored_recipe(folder / "recipe.json")
    if recipe.name != name:
        raise EnergyError(f"the run in {folder} is of the recipe {recipe.name}, not {name}")
    return recipe, Start(start.seed, data or (Path(start.data_folder) if start.data_folder else None), None)


def opened(recipe: "Recipe", start: Start, folder: Path, device: str) -> "Training":
    """The run, ready to start."""
    from timm.utils import random_seed

    import msvit
    from msvit.data.catalog import dataset_spec
    from msvit.distributed import rank, ranks
    from msvit.training.batches import open_batches
    from msvit.training.loop import Hooks, Training
    from msvit.training.tensorboard_log import board
    from msvit_energy.workflows.model_loading import without_memory

    classes = dataset_spec(recipe.data).classes
    arguments = dict(recipe.model_args)
    template = without_memory(recipe.model, arguments)
    batches = open_batches(recipe, start.data, template.input_size, template.time_steps, seed=start.seed)
    random_seed(start.seed)
    network = msvit.create_model(recipe.model, **({"num_classes": classes or batches.classes} | arguments))
    hooks = Hooks()
    run = Training(recipe, network, batches, folder=folder, seed=start.seed, device=device, hooks=hooks)
    run.measure = energy_of(run, folder) if recipe.profile_every else None
    if rank() == 0:
        add = board(folder) if recipe.tensorboard else None

        def told(epoch: "Epoch") -> None:
            tell(folder, run, epoch)
            if add is not None:
                add(epoch)

        hooks.epoch = told
        hooks.best = lambda kind, model, epoch: keep(folder / f"best-{kind}.safetensors", model, run, epoch)
    if ranks() > 1:
        random_seed(start.seed, rank())  # other noise on the images of each process
    return run


def energy_of(run: "Training", folder: Path) -> "Measure":
    """A measurement of firing rate, SOPs and energy on a fixed sample of the test images; the profile stays in
    `folder`, named after the epoch."""
    from torch.utils.data import Subset

    images = len(run.batches.test_set)  # type: ignore[arg-type]
    stride = max(1, images // run.recipe.profile_images)
    sample = Subset(run.batches.test_set, range(0, images, stride)[: run.recipe.profile_images])
    model_is = {"name": run.recipe.model, "args": dict(run.recipe.model_args)}

    def measure(model: "nn.Module") -> dict[str, float]:
        from msvit.distributed import rank
        from msvit_energy import price
        from msvit_energy.profiles.provenance import Provenance
        from msvit_energy.workflows.measurement import profile_together

        epoch = len(run.history) + 1
        said = {"model": model_is, "data": {"name": run.recipe.data, "split": "test"}, "epoch": epoch}
        profile = profile_together(model, sample, 32, classes=run.batches.classes)
        profile = replace(profile, provenance=Provenance.of(said))
        if rank() == 0:
            profile.save(folder / f"epoch-{epoch:04d}.profile.json")
        report = price(profile)
        low, high = report.interval_mj or (report.total_mj, report.total_mj)
        return {
            "firing_rate": profile.firing_rate or 0.0,
            "sops": report.acs,
            "energy_mj": report.total_mj,
            "energy_mj_low": low,
            "energy_mj_high": high,
        }

    return measure


def tell(folder: Path, run: "Training", epoch: "Epoch") -> None:
    """One line per epoch, and the history so far as CSV."""
    import pandas as pd

    from msvit.atomic_write import write_atomically

    energy = f", {epoch.measured['energy_mj']:.5g} mJ" if epoch.measured else ""
    print(
        f"epoch {epoch.number}: loss {epoch.loss:.4f}, test accuracy {epoch.test_accuracy:.2%}{energy}, "
        f"{epoch.seconds:.0f} s",
        flush=True,
    )
    table = pd.DataFrame([past.record() for past in run.history])
    write_atomically(folder / "history.csv", table.to_csv(index=False).encode())


def keep(path: Path, model: "nn.Module", run: "Training", epoch: "Epoch") -> None:
    """Write weights with what they reached."""
    import msvit

    metrics: dict[str, Any] = {"test_accuracy": epoch.test_accuracy, "train_loss": epoch.loss, "epoch": epoch.number}
    metrics |= {"seconds": round(epoch.seconds, 1)} | dict(epoch.measured)
    network: SpikingClassifier = model  # type: ignore[assignment]
    msvit.save_checkpoint(path, network, recipe=asdict(run.recipe), metrics=metrics, seed=run.seed)


def begin(run: "Training", recipe: "Recipe", start: Start, folder: Path) -> None:
    """Take over the weights to start from, and write the resolved settings of the run."""
    from msvit.atomic_write import write_atomically
    from msvit.distributed import rank
    from msvit.training.initial_weights import start_from

    if start.init is not None:
        took = start_from(run.model, start.init)
        for key in took.fresh:
            print(f"{start.init.name}: new {key}")
        for key in took.unused:
            print(f"{start.init.name}: no use for {key}")
        if run.ema is not None:
            run.ema.set(run.model)
    said = {"seed": start.seed, "data_folder": start.data and str(start.data), "init": start.init and start.init.name}
    if rank() == 0:
        write_atomically(folder / "recipe.json", (json.dumps(asdict(recipe) | said, indent=1) + "\n").encode())


def finish(folder: Path, run: "Training", history: Sequence["Epoch"]) -> None:
    """Write model.safetensors: the last weights, or the best ones as the recipe says. Print what there is."""
    import shutil

    best = {"accuracy": "accuracy", "both": "accuracy", "energy": "energy"}.get(run.recipe.best)
    if best is None:
        keep(folder / "model.safetensors", run.tested, run, history[-1])
        final = history[-1]
    else:
        final = run.bests[best]
        for suffix in ("safetensors", "json"):
            shutil.copyfile(folder / f"best-{best}.{suffix}", folder / f"model.{suffix}")
    parameters = sum(weights.numel() for weights in run.model.parameters())
    print(f"{parameters:,} parameters, test accuracy {final.test_accuracy:.2%} (epoch {final.number})")
    for name in FILES:
        if (folder / name).exists():
            print(folder / name)
