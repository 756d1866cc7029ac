"""Every family as a small model, trained by one recipe and measured by one instrument.

    python benchmarks/rivals_alike.py reports/rivals --work runs/rivals --jobs 2

The recipe is `digits` (or `digits-dvs`), as it was tuned for MSViT; nothing in it was tuned for another family but the
learning rate, which is half, once or twice the recipe's: the one with the least training loss after a run of two epochs
of seed 0. Then every seed is a run of its own, `msvit-energy train RECIPE --model NAME --set base_lr=... --seed S`.
The weights of the last epoch are measured, none are chosen by the test images.

`--only train` writes weights, history and log of every run into --work and needs nothing that measuring needs. `--only
table` measures them on all test images, keeps the profiles beside them, and writes rivals.md, rivals.csv (energies),
ranks.csv, histories.csv (epochs) and pareto.png. What is there already is not repeated. With `--minutes` training stops
in time and says what is missing; the same command goes on from there.
"""

import argparse
import csv
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from in_turn import environment

from msvit.training.recipes import get_recipe
from msvit_energy import Profile
from msvit_energy.pricing.protocols import all_choices
from msvit_energy.reporting.rivals import (
    Prices,
    Rival,
    claims_text,
    energy_records,
    energy_table,
    entries,
    facts_table,
    found_claims,
    price_all,
    ranking_table,
    unlearned_text,
)
from msvit_energy.reporting.table import Table, markdown_table, write

MODELS = {
    "digits": (
        "msvit_digits",
        "qkformer_digits",
        "spikformer_digits",
        "spikingformer_digits",
        "cml_spikingformer_digits",
        "sdt_digits",
        "statten_digits",
        "sdtv2_digits",
        "sdtv3_digits",
        "spikingresformer_digits",
        "maxformer_digits",
        "msvit_digits_ann",
        "vit_digits",
    ),
    "digits-dvs": ("msvit_digits_dvs", "qkformer_digits_dvs", "spikformer_digits_dvs", "sdt_digits_dvs"),
}
ASIDES = {
    "sdtv3_digits": "has T = 1 and neurons that give up to 4 spikes at once (D = 4)",
    "msvit_digits_ann": "is MSViT with ReLU in place of neurons, a dense yardstick",
    "vit_digits": "is timm's ViT, a dense yardstick",
}
FACTORS = (0.5, 1.0, 2.0)  # of the recipe's learning rate
TRIAL_EPOCHS = 2
PICTURED = ("appendix-c", "memory")
KEPT = ("history.csv", "train.log")
WEIGHTS = ("model.safetensors", "model.json")


@dataclass(frozen=True)
class Run:
    """A training run: of a learning rate on trial, or of a seed with the rate that was chosen."""

    model: str
    seed: int
    epochs: int
    trial: float = 0.0  # the factor, 0 for none

    @property
    def name(self) -> str:
        return f"{self.model}/" + (f"rate-{self.trial:g}" if self.trial else f"seed-{self.seed}")

    @property
    def files(self) -> tuple[str, ...]:
        """What is kept of it."""
        return KEPT if self.trial else (*KEPT, *WEIGHTS)


class Runs:
    """The runs of a recipe in a folder, those that are done in `done`, the others in `unfinished`."""

    def __init__(self, work: Path, recipe: str, device: str) -> None:
        self.done, self.unfinished = work / "done", work / "unfinished"
        self.recipe, self.device = recipe, device

    def folder(self, run: Run) -> Path:
        return self.done / run.name

    def is_done(self, run: Run) -> bool:
        """Whether its files are there; SystemExit if they are of another number of epochs."""
        folder = self.folder(run)
        if not all((folder / name).exists() for name in run.files):
            return False
        if (epochs := len(column(folder, "number"))) != run.epochs:
            raise SystemExit(f"{folder} is a run of {epochs} epochs, not {run.epochs}; take it away, or another folder")
        return True

    def factor(self, model: str) -> float | None:
        """The learning rate with the least loss at the end of its trial, None before all are done."""
        trials = trials_of(model)
        if not all(map(self.is_done, trials)):
            return None
        return min(trials, key=lambda run: column(self.folder(run), "loss")[-1]).trial

    def ready(self, waiting: Sequence[Run]) -> list[Run]:
        """Those that can start, trials first, then seed by seed, in each the longest first."""
        found = [run for run in waiting if run.trial or self.factor(run.model)]
        return sorted(found, key=lambda run: (not run.trial, run.seed, -self.trial_seconds(run)))

    def trial_seconds(self, run: Run) -> float:
        return 0.0 if run.trial else sum(column(self.folder(trial), "seconds")[-1] for trial in trials_of(run.model))

    def start(self, run: Run) -> "subprocess.Popen[bytes]":
        """The run's process, from where an earlier one stopped."""
        folder = self.unfinished / run.name
        folder.mkdir(parents=True, exist_ok=True)
        rate = get_recipe(self.recipe).base_lr * (run.trial or self.factor(run.model) or 1.0)
        command = [sys.executable, "-m", "msvit_energy", "train", self.recipe, "--model", run.model]
        command += ["--seed", str(run.seed), "--epochs", str(run.epochs), "--set", f"base_lr={rate:g}"]
        command += ["--device", self.device, "--out", str(folder), "--resume"]
        with (folder / "train.log").open("ab") as log:
            return subprocess.Popen(command, env=environment(1), stdout=log, stderr=subprocess.STDOUT)

    def collect(self, run: Run) -> None:
        """Keep the files of a run that has ended, and no state of it; the log without the place where it ran."""
        source, target = self.unfinished / run.name, self.folder(run)
        target.mkdir(parents=True, exist_ok=True)
        log = source / "train.log"
        log.write_text(log.read_text().replace(f"{self.unfinished}/", ""))
        for name in run.files:
            shutil.move(source / name, target / name)
        shutil.rmtree(source)


def trials_of(model: str) -> list[Run]:
    return [Run(model, 0, TRIAL_EPOCHS, factor) for factor in FACTORS]


def column(folder: Path, name: str) -> list[float]:
    """A column of a run's history, epoch by epoch."""
    with (folder / "history.csv").open() as rows:
        return [float(row[name]) for row in csv.DictReader(rows)]


def train(runs: Runs, plan: Sequence[Run], jobs: int, deadline: float) -> list[Run]:
    """Run side by side what is not done yet, each process once; return what is missing at the end."""
    waiting = [run for run in plan if not runs.is_done(run)]
    running: dict[subprocess.Popen[bytes], Run] = {}
    try:
        while time.monotonic() < deadline:
            for run in runs.ready(waiting)[: jobs - len(running)] if len(running) < jobs else []:
                waiting.remove(run)
                running[runs.start(run)] = run
            if not running:
                break
            time.sleep(0.5)
            for process in [process for process in running if process.poll() is not None]:
                finish(runs, process, running.pop(process))
    finally:
        for process in running:
            process.send_signal(signal.SIGTERM)  # it writes its state
        for process, run in running.items():
            process.wait()
            finish(runs, process, run)
    return [run for run in plan if not runs.is_done(run)]


def finish(runs: Runs, process: "subprocess.Popen[bytes]", run: Run) -> None:
    """Collect a run that has ended well; say how each has ended."""
    if process.returncode:
        how = "stopped" if process.returncode in (130, -signal.SIGTERM) else f"failed with {process.returncode}"
        print(f"{run.name}: {how}; see {runs.unfinished / run.name / 'train.log'}", flush=True)
        return
    runs.collect(run)
    folder = runs.folder(run)
    loss, accuracy = (column(folder, name)[-1] for name in ("loss", "test_accuracy"))
    print(f"{run.name}: loss {loss:.4f}, test accuracy {accuracy:.2%}", flush=True)


def planned(models: Sequence[str], seeds: Sequence[int], epochs: int) -> Iterator[Run]:
    """Every run, in the order of the tables."""
    for model in models:
        yield from trials_of(model)
    for seed in seeds:
        yield from (Run(model, seed, epochs) for model in models)


def profile_of(runs: Runs, run: Run) -> Profile:
    """The run's weights on all test images, measured once."""
    from msvit_energy.workflows.loading.model_loading import load_model
    from msvit_energy.workflows.measuring.measurement import DataOptions
    from msvit_energy.workflows.measuring.profiling import ProfilingOptions, profile_model

    folder = runs.folder(run)
    path = folder / "profile.json"
    if not path.exists():
        print(f"measuring {run.name}", flush=True)
        loaded = load_model(folder / WEIGHTS[0], None, None, ema=False, time_steps=None, seed=0, device="cpu")
        profile_model(loaded, DataOptions(get_recipe(runs.recipe).data), ProfilingOptions()).profile.save(path)
    return Profile.load(path)


def histories(runs: Runs, plan: Sequence[Run]) -> Iterator[dict[str, str]]:
    """All epochs of all runs."""
    for run in plan:
        with (runs.folder(run) / "history.csv").open() as rows:
            yield from ({"run": run.name} | row for row in csv.DictReader(rows))


def report(runs: Runs, plan: Sequence[Run], out: Path) -> None:
    """Measure what is done and write the tables and the picture; SystemExit if a seed is missing or a trial."""
    from msvit_energy.reporting.figures.style import save
    from msvit_energy.reporting.figures.tradeoff import energy_accuracy

    finals = [run for run in plan if not run.trial]
    if missing := [run.name for run in plan if not runs.is_done(run)]:
        raise SystemExit(f"missing: {', '.join(missing)}; train them, or name others by --models and --seeds")
    models = list(dict.fromkeys(run.model for run in finals))
    found = [Rival(model, tuple(profile_of(runs, run) for run in finals if run.model == model)) for model in models]
    prices = price_all(found, all_choices())
    learned = [rival for rival in found if rival.learned]
    ranking = ranking_table(learned, prices)
    out.mkdir(parents=True, exist_ok=True)
    (out / "rivals.md").write_text(page(runs, finals, found, prices, ranking))
    write(Table("", list(energy_records(found, prices)), {}), out, "rivals", ["csv"])
    write(Table("", list(histories(runs, plan)), {}), out, "histories", ["csv"])
    write(ranking, out, "ranks", ["csv"])
    data = f"{runs.recipe} test, means of {len(found[0].profiles)} seeds"
    points = [entry for protocol in PICTURED for entry in entries(learned, prices, protocol, data)]
    save(energy_accuracy(points), out / "pareto.png")


def page(runs: Runs, finals: Sequence[Run], found: Sequence[Rival], prices: Prices, ranking: Table) -> str:
    """rivals.md."""
    seeds = list(dict.fromkeys(run.seed for run in finals))
    images, epochs = found[0].profiles[0].images, finals[0].epochs
    learned = [rival for rival in found if rival.learned]
    rates = "; ".join(f"{rival.name} {runs.factor(rival.name):g}" for rival in found)
    parts = [
        f"# Families trained alike: {runs.recipe}",
        f"Recipe `{runs.recipe}`, tuned for MSViT alone, {epochs} epochs, seeds {', '.join(map(str, seeds))}; all "
        f"{images} test images, weights of the last epoch. Of the learning rate, times the recipe's, the one with the "
        f"least training loss after two epochs of seed 0: {rates}.",
        "; ".join(f"`{rival.name}` {ASIDES[rival.name]}" for rival in found if rival.name in ASIDES),
        "An energy is the mean over seeds, ± what reaches the farthest end of the seeds' 95 % intervals over images. "
        "One costs less than another where these ends leave no doubt.",
        unlearned_text(found),
        "![accuracy against energy](pareto.png)",
    ]
    for table in (facts_table(found, prices), energy_table(found, prices), ranking):
        parts += [f"## {table.title[:1].upper()}{table.title[1:]}", markdown_table(table)]
    parts += ["## Which costs less", "\n".join(f"- {line}" for line in claims_text(found_claims(learned, prices)))]
    if prices.left_out:
        reasons = "\n".join(f"- {protocol}: {reason}" for protocol, reason in prices.left_out.items())
        parts += ["## Protocols left out", reasons]
    return "\n\n".join(filter(None, parts)) + "\n"


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, help="folder of the report")
    parser.add_argument("--work", type=Path, help="folder of the runs; that of the report if not given")
    parser.add_argument("--data", choices=MODELS, default="digits")
    parser.add_argument("--models", help="names with commas; all of the data set's if not given")
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--epochs", type=int, help="instead of the recipe's")
    parser.add_argument("--jobs", type=int, default=1, help="runs side by side, each on one thread")
    parser.add_argument("--device", default="auto", help="for training: auto, cpu, cuda, ...")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="after which training stops")
    parser.add_argument("--only", choices=("train", "table"))
    return parser.parse_args()


def main() -> None:
    given = arguments()
    recipe = get_recipe(given.data)
    models = given.models.split(",") if given.models else MODELS[given.data]
    plan = list(planned(models, [int(seed) for seed in given.seeds.split(",")], given.epochs or recipe.epochs))
    runs = Runs(given.work or given.out, recipe.name, given.device)
    if given.only != "table":
        missing = train(runs, plan, given.jobs, time.monotonic() + 60 * given.minutes)
        print(f"{len(plan) - len(missing)} of {len(plan)} runs are done", flush=True)
        if missing:
            raise SystemExit(f"missing: {', '.join(run.name for run in missing)}")
    if given.only != "train":
        report(runs, plan, given.out)


if __name__ == "__main__":
    main()
