"""`train`: a recipe as the command line changes it, run to its end or on from where it stopped."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from timm.utils import random_seed
from torch import nn
from torch.utils.data import Subset

import msvit
from msvit.data import dataset_spec
from msvit.distributed import from_first, rank, ranks
from msvit.errors import ModelError
from msvit.training.batches import Batches, open_batches
from msvit.training.history import Epoch, Step
from msvit.training.initial_weights import start_from
from msvit.training.loop import Interrupted, Measure, Training
from msvit.training.recipes import Recipe, get_recipe
from msvit.training.sop_penalty import SOPPenalty
from msvit.training.tensorboard_log import event_writer
from msvit_energy.errors import EnergyError
from msvit_energy.pricing.energy import price
from msvit_energy.profiles.provenance import Provenance
from msvit_energy.recording.module_calls import dense_macs
from msvit_energy.workflows.loading.device import choose
from msvit_energy.workflows.loading.model_loading import without_memory
from msvit_energy.workflows.progress import Progress, no_progress
from msvit_energy.workflows.progress_lines import ProgressLines
from msvit_energy.workflows.training import training_files
from msvit_energy.workflows.training.stored_recipe import read_stored_recipe

Log = Callable[[str], None]  # gets each line that a user is to read
PROFILE_BATCH = 32


@dataclass(frozen=True)
class TrainingRequest:
    """What `train` is asked for: a recipe by name, what is changed in it (`settings` are KEY=VALUE), where it starts
    from and where its files go."""

    recipe: str
    folder: Path
    model: str | None = None
    settings: Sequence[str] = ()
    epochs: int | None = None
    batch_size: int | None = None
    data: Path | None = None
    init: Path | None = None
    seed: int | None = None
    device: str = "auto"
    resume: bool = False
    force: bool = False

    @property
    def names_run_alone(self) -> bool:
        """Whether it says nothing that a run in `folder` would not know by itself."""
        return not any((self.model, self.epochs, self.batch_size, self.settings, self.init, self.seed))


@dataclass(frozen=True)
class Start:
    """What a run starts from, beside its recipe."""

    seed: int
    data: Path | None
    init: Path | None


def train_recipe(request: TrainingRequest, log: Log, progress: Progress = no_progress, *, lines: bool = False) -> bool:
    """Train, or go on with training; False if the run was asked to stop before its end. With `lines`, a line at least
    every minute says how far it is.

    EnergyError and ModelError for a request that does not fit, before anything is written.
    """
    with training_files.held_by_first(request.folder):
        return _train(request, log, progress, lines)


def _train(request: TrainingRequest, log: Log, progress: Progress, lines: bool) -> bool:
    folder = request.folder
    recipe, start = requested_recipe(request), Start(request.seed or 0, request.data, request.init)
    stale = from_first(lambda: training_files.earlier_files(folder, request.resume, request.force))
    if request.resume and stale and request.names_run_alone:
        recipe, start = from_first(lambda: stored_recipe(request))
    shown = ProgressLines(log, recipe.epochs) if lines else None
    log = shown.said if shown else log
    run = build_training(recipe, start, folder, choose(request.device), log, shown)
    try:
        if request.resume and run.resume():
            log(f"going on after epoch {len(run.history)}, batch {len(run.losses)} of the next")
        else:
            for path in stale if rank() == 0 else []:
                path.unlink(missing_ok=True)
            begin(run, start, folder, log)
        log(f"training {recipe.model} on {recipe.data}: {recipe.epochs} epochs, seed {run.seed}, {run.device}")
        history = _run(run, shown, progress)
    except Interrupted:
        again = f"msvit-energy train {request.recipe} --out {folder} --resume"
        log(f"stopped in epoch {len(run.history) + 1}; go on: {again}")
        return False
    except (Exception, KeyboardInterrupt):
        if rank() == 0:
            training_files.forget_failed(folder)
        raise
    if rank() == 0:
        finish(run, history, folder, log)
    return True


def _run(run: Training, shown: ProgressLines | None, progress: Progress) -> list[Epoch]:
    """Train, and say how far it is."""
    with progress("epochs", run.recipe.epochs) as advance:
        position = len(run.history) + len(run.losses) / len(run.batches)
        advance(position)
        if shown is not None:
            shown.begin(position)

        def on_step(step: Step) -> None:
            advance(1 / step.of)
            if shown is not None:
                shown.step(step)

        return run.run(on_step)


def requested_recipe(request: TrainingRequest) -> Recipe:
    """The recipe with what is changed in it; ModelError for what does not fit."""
    pairs = {}
    for text in request.settings:
        key, equals, value = text.partition("=")
        if not equals:
            raise ModelError(f"--set is KEY=VALUE, not {text!r}")
        pairs[key] = value
    given = {"epochs": request.epochs, "batch_size": request.batch_size}
    pairs |= {key: str(value) for key, value in given.items() if value is not None}
    recipe = get_recipe(request.recipe).changed(pairs)
    return recipe if request.model is None else replace(recipe, model=request.model)


def stored_recipe(request: TrainingRequest) -> tuple[Recipe, Start]:
    """The settings of the run in the folder; the data may have moved."""
    recipe, start = read_stored_recipe(request.folder / "recipe.json")
    if recipe.name != request.recipe:
        raise EnergyError(f"the run in {request.folder} is of the recipe {recipe.name}, not {request.recipe}")
    return recipe, Start(start.seed, request.data or (Path(start.data_folder) if start.data_folder else None), None)


def build_training(
    recipe: Recipe, start: Start, folder: Path, device: str, log: Log, shown: ProgressLines | None = None
) -> Training:
    """The run, ready to start."""
    classes, arguments = dataset_spec(recipe.data).classes, dict(recipe.model_args)
    template = without_memory(recipe.model, arguments)
    batches = open_batches(recipe, start.data, template.input_size, template.time_steps, seed=start.seed)
    random_seed(start.seed)
    network = msvit.create_model(recipe.model, **({"num_classes": classes or batches.classes} | arguments))
    write_events = event_writer(folder) if recipe.tensorboard and rank() == 0 else None

    def on_epoch(history: Sequence[Epoch]) -> None:
        log(epoch_line(history[-1]))
        training_files.write_history(folder, history)
        if write_events is not None:
            write_events(history)

    def on_best(kind: str, model: nn.Module, epoch: Epoch) -> None:
        training_files.write_weights(folder / f"best-{kind}.safetensors", model, recipe, start.seed, epoch)

    run = Training(
        recipe,
        network,
        batches,
        folder=folder,
        seed=start.seed,
        device=device,
        measure=energy_measurement(recipe, batches, folder, shown) if recipe.profile_every else None,
        penalty=SOPPenalty(network, dense_macs) if recipe.sop_penalty else None,
        on_epoch=on_epoch if rank() == 0 else None,
        on_best=on_best if rank() == 0 else None,
        on_test=partial(shown.other, "testing") if shown else None,
    )
    if ranks() > 1:
        random_seed(start.seed, rank())  # other noise on the images of each process
    return run


def energy_measurement(recipe: Recipe, batches: Batches, folder: Path, shown: ProgressLines | None = None) -> Measure:
    """A measurement of firing rate, SOPs and energy on a fixed sample of the test images; the profile stays in
    `folder`, named after the epoch."""
    # a run that measures nothing does not load what measuring needs
    from msvit_energy import Preparation
    from msvit_energy.workflows.measuring.measurement import profile_together

    images = len(batches.test_set)  # type: ignore[arg-type]
    stride = max(1, images // recipe.profile_images)
    sample = Subset(batches.test_set, range(0, images, stride)[: recipe.profile_images])
    model_is = {"name": recipe.model, "args": dict(recipe.model_args)}
    preparation = Preparation()  # training changes weights, not how the model runs

    def measure(model: nn.Module, epoch: int) -> Mapping[str, float]:
        facts = {"model": model_is, "data": {"name": recipe.data, "split": "test"}, "epoch": epoch}
        how: dict[str, Any] = {"classes": batches.classes, "preparation": preparation}
        how |= {"on_batch": partial(shown.other, "measuring")} if shown else {}
        profile = profile_together(model, sample, PROFILE_BATCH, **how).profile
        profile = replace(profile, provenance=Provenance.of(facts).with_measured(profile.provenance))
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


def epoch_line(epoch: Epoch) -> str:
    """What an epoch gave, in words."""
    energy = f", {epoch.measured['energy_mj']:.5g} mJ" if epoch.measured else ""
    accuracy = f"test accuracy {epoch.test_accuracy:.2%}{energy}"
    return f"epoch {epoch.number}: loss {epoch.loss:.4f}, {accuracy}, {epoch.seconds:.0f} s"


def begin(run: Training, start: Start, folder: Path, log: Log) -> None:
    """Take over the weights to start from, and write the resolved settings of the run."""
    if start.init is not None:
        unmatched = start_from(run.model, start.init)
        for key in unmatched.fresh:
            log(f"{start.init.name}: new {key}")
        for key in unmatched.unused:
            log(f"{start.init.name}: no use for {key}")
        if run.ema is not None:
            run.ema.set(run.model)
    if rank() == 0:
        training_files.write_recipe(folder, run.recipe, seed=start.seed, data=start.data, init=start.init)


def finish(run: Training, history: Sequence[Epoch], folder: Path, log: Log) -> None:
    """Write model.safetensors: the last weights, or the best ones as the recipe says. Log what there is."""
    best = {"accuracy": "accuracy", "both": "accuracy", "energy": "energy"}.get(run.recipe.best)
    final = history[-1] if best is None else run.bests[best]
    if best is None:
        training_files.write_weights(folder / "model.safetensors", run.tested, run.recipe, run.seed, final)
    else:
        training_files.copy_weights(folder, f"best-{best}", "model")
    parameters = sum(weights.numel() for weights in run.model.parameters())
    log(f"{parameters:,} parameters, test accuracy {final.test_accuracy:.2%} (epoch {final.number})")
    for path in training_files.present(folder):
        log(str(path))
