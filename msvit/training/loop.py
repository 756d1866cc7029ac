"""The training loop: resumable to the bit on the CPU, in one process or several, with energy measured on request."""

import math
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from msvit.classifier import SpikingClassifier
from msvit.distributed import any_says, from_first, gathered, parallel, rank, ranks, synchronize_batch_norm
from msvit.errors import ModelError
from msvit.layers import set_drop_path, set_recompute
from msvit.memory import keep_memory
from msvit.neuron import compile_neurons
from msvit.stop_signal import stop_signal
from msvit.training import optimisation
from msvit.training.batches import Batches
from msvit.training.evaluation import evaluate, first_not_finite
from msvit.training.history import Epoch, Step, new_bests
from msvit.training.recipes import Recipe
from msvit.training.state import newest_state, random_states, save_state, set_random_states

STATE_FORMAT = 2
# what a measurement of a model after an epoch, by its number, gives: columns of the history
Measure = Callable[[nn.Module, int], Mapping[str, float]]
# watches the forwards in a `with` block; what is entered gives their penalty, a scalar that has a gradient
Penalty = Callable[[], AbstractContextManager[Callable[[], Tensor]]]


class Interrupted(Exception):  # noqa: N818, it is no error
    """The run was asked to stop (Ctrl-C, SIGTERM) and has written its state."""


class Training:
    """A run of a recipe on a model. `folder` receives the states; None keeps nothing on disk.

    `measure` is asked every `profile_every` epochs; `penalty`, times the recipe's `sop_penalty`, is added to the loss.
    `on_epoch` gets the history after each epoch, `on_best` new best weights: kind, model, epoch; `on_test` the number
    of images of each batch of the test split. ModelError for a recipe with a `sop_penalty` and no `penalty`. Several
    processes (distributed.py) make one run: each has a part of every batch, the first writes.
    """

    def __init__(
        self,
        recipe: Recipe,
        model: SpikingClassifier,
        batches: Batches,
        *,
        folder: Path | None = None,
        seed: int = 0,
        device: str = "cpu",
        measure: Measure | None = None,
        penalty: Penalty | None = None,
        on_epoch: Callable[[Sequence[Epoch]], None] | None = None,
        on_best: Callable[[str, nn.Module, Epoch], None] | None = None,
        on_test: Callable[[int], None] | None = None,
    ) -> None:
        if recipe.sop_penalty and penalty is None:
            raise ModelError(f"sop_penalty is {recipe.sop_penalty:g}, but the run was given no penalty")
        self.recipe, self.batches, self.folder, self.seed, self.device = recipe, batches, folder, seed, device
        self.measure, self.penalty = measure, penalty if recipe.sop_penalty else None
        self.on_epoch, self.on_best, self.on_test = on_epoch, on_best, on_test
        self.model = prepared(model, recipe, device)
        self.accumulate = recipe.split(ranks())[1]  # batches per update of the weights
        self.updates_per_epoch = math.ceil(len(batches) / self.accumulate)
        self.optimizer = optimisation.optimizer(recipe, model)
        self.schedule = optimisation.schedule(recipe, self.optimizer, self.updates_per_epoch)
        self.scaler = torch.amp.GradScaler(device, enabled=recipe.precision == "fp16")
        self.ema = optimisation.moving_average(recipe, model)
        self.mixup = optimisation.mixing(recipe, batches.classes)
        self.forward = parallel(model, device)
        self.history: list[Epoch] = []
        self.bests: dict[str, Epoch] = {}
        self.losses: list[float] = []  # of the epoch so far
        self.seconds = 0.0  # of earlier parts of the run
        self.epoch_start = random_states()

    @property
    def updates(self) -> int:
        """Updates of the weights so far."""
        return len(self.history) * self.updates_per_epoch + len(self.losses) // self.accumulate

    @property
    def tested(self) -> nn.Module:
        """The weights that are tested and kept: the moving average, if there is one."""
        return self.model if self.ema is None else self.ema.module

    def run(self, on_step: Callable[[Step], None] = lambda step: None) -> list[Epoch]:
        """Train to the end; return the history. `on_step` gets each training batch that is done. A loss that is not
        finite raises ModelError, a request to stop Interrupted."""
        with stop_signal() as stop:
            started = saved = time.monotonic()
            while len(self.history) < self.recipe.epochs:
                for _ in self._epoch(on_step):
                    ends, due = any_says(stop.requested, time.monotonic() - saved > 60 * self.recipe.save_minutes)
                    if ends or due:
                        self.save(time.monotonic() - started)
                        saved = time.monotonic()
                    if ends:
                        raise Interrupted
                self._finish_epoch(self.seconds + time.monotonic() - started)
                self.save(time.monotonic() - started)
                saved = time.monotonic()
                if any_says(stop.requested)[0] and len(self.history) < self.recipe.epochs:
                    raise Interrupted
        return self.history

    def _epoch(self, on_step: Callable[[Step], None]) -> Iterator[None]:
        """The rest of the present epoch; yields where the run may stop: after each update of the weights."""
        self.model.train()
        if not self.losses:
            self.epoch_start = random_states()
        number, total = len(self.history), len(self.batches)
        if self.mixup is not None:
            self.mixup.mixup_enabled = not self.recipe.mixup_off_epoch or number < self.recipe.mixup_off_epoch
        for images, labels in self.batches.rest_of_epoch(number, self.epoch_start, done=len(self.losses)):
            step = len(self.losses)
            if step % self.accumulate == 0:
                self.schedule.step_update(number * self.updates_per_epoch + step // self.accumulate)
                self.optimizer.zero_grad()
            group = min(self.accumulate, total - step // self.accumulate * self.accumulate)
            last = (step + 1) % self.accumulate == 0 or step + 1 == total
            with nullcontext() if last or ranks() == 1 else self.forward.no_sync():  # type: ignore[operator]
                self._backward(images.to(self.device), labels.to(self.device), group)
            on_step(Step(number + 1, step + 1, total, len(images) * ranks(), self.losses[-1]))
            if last:
                self._update()
                if step + 1 < total:
                    yield

    def _backward(self, images: Tensor, labels: Tensor, group: int) -> None:
        """Gradients of one batch, a part of a group of batches."""
        targets = labels
        if self.mixup is not None:
            images, targets = self.mixup(images, labels)
        kind = {"bf16": torch.bfloat16, "fp16": torch.float16}.get(self.recipe.precision)
        mixed = torch.autocast(self.device.partition(":")[0], kind) if kind else nullcontext()
        with mixed, self.penalty() if self.penalty else nullcontext() as penalty:
            logits = self.forward(images)
            loss = optimisation.loss(self.recipe, logits, targets)
        if penalty is not None:
            loss = loss + self.recipe.sop_penalty * penalty()
        self.scaler.scale(loss / group if group > 1 else loss).backward()
        self.losses.append(loss.item())
        if not math.isfinite(self.losses[-1]):
            where = first_not_finite(self.model, images)
            raise ModelError(
                f"the loss is {self.losses[-1]} in epoch {len(self.history) + 1}, step {len(self.losses)}: {where}; "
                "a lower base_lr or clip_grad may help"
            )

    def _update(self) -> None:
        if self.recipe.clip_grad:
            self.scaler.unscale_(self.optimizer)
            nn.utils.clip_grad_norm_(self.model.parameters(), self.recipe.clip_grad)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        if self.ema is not None:
            self.ema.update(self.model)

    def _finish_epoch(self, seconds: float) -> None:
        """Test, measure, add to the history; call back for a new best and for the epoch."""
        number = len(self.history) + 1
        accuracy = evaluate(self.tested, self.batches, self.device, self.on_test)
        every = self.recipe.profile_every
        due = self.measure is not None and every and (number % every == 0 or number == self.recipe.epochs)
        measured = self._measured(number) if due else {}
        losses = [loss for part in gathered(self.losses) for loss in part]
        epoch = Epoch(number, sum(losses) / len(losses), accuracy, seconds, measured)
        self.history.append(epoch)
        self.losses = []
        for kind in new_bests(self.recipe, self.history, self.bests):
            self.bests[kind] = epoch
            if self.on_best is not None:
                self.on_best(kind, self.tested, epoch)
        if self.on_epoch is not None:
            self.on_epoch(self.history)

    def _measured(self, number: int) -> dict[str, float]:
        """What the measurement gives after an epoch; it leaves no trace in the run."""
        assert self.measure is not None
        before, training = random_states(), self.tested.training
        measured = dict(self.measure(self.tested, number))
        set_random_states(before)
        self.tested.train(training)
        return measured

    def save(self, seconds: float) -> None:
        """Write the state, if there is a folder for it."""
        own = {"random": random_states(), "epoch_start": self.epoch_start, "losses": self.losses}
        processes = gathered(own)
        if self.folder is None or rank():
            return
        state = {
            "format": STATE_FORMAT,
            "recipe": asdict(self.recipe),
            "seed": self.seed,
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict(),
            "ema": None if self.ema is None else self.ema.state_dict(),
            "history": [asdict(epoch) for epoch in self.history],
            "bests": {kind: epoch.number for kind, epoch in self.bests.items()},
            "seconds": self.seconds + seconds,
            "processes": processes,
        }
        save_state(self.folder, self.updates, state, self.recipe.keep)

    def resume(self) -> bool:
        """Continue from the newest state in the folder; False without one. ModelError for one of another recipe, or
        whose content is no state's; the run is then of no use."""
        folder = self.folder
        state = None if folder is None else from_first(lambda: newest_state(folder, "cpu"))
        if state is None:
            return False
        try:
            self._check(state)
            self._restore(state)
        except ModelError:
            raise
        except Exception as error:
            reason = (str(error).splitlines() or [""])[0]
            raise ModelError(f"the state in {folder} is damaged: {type(error).__name__} {reason}") from error
        return True

    def _restore(self, state: Mapping[str, Any]) -> None:
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.scaler.load_state_dict(state["scaler"])
        if self.ema is not None:
            self.ema.load_state_dict(state["ema"])
        self.history = [Epoch(**epoch) for epoch in state["history"]]
        self.bests = {kind: self.history[number - 1] for kind, number in state["bests"].items()}
        own, self.seconds = state["processes"][rank()], state["seconds"]
        self.losses, self.epoch_start = own["losses"], own["epoch_start"]
        set_random_states(own["random"])

    def _check(self, state: Mapping[str, Any]) -> None:
        """ModelError for a state of another recipe, seed, number of processes or version."""
        if state.get("format") != STATE_FORMAT:
            raise ModelError(f"the run in {self.folder} is of another version of this program; start it anew")
        if len(state["processes"]) != ranks():
            raise ModelError(f"the run in {self.folder} has {len(state['processes'])} processes, not {ranks()}")
        theirs, ours = state["recipe"], asdict(self.recipe)
        differing = [key for key in ours if theirs.get(key) != ours[key]]
        if not differing and state["seed"] != self.seed:
            differing = ["seed"]
        if differing:
            raise ModelError(f"the run in {self.folder} has other settings: {', '.join(differing)}")


def prepared(model: SpikingClassifier, recipe: Recipe, device: str) -> SpikingClassifier:
    """The model on the device, with the parts of a recipe that concern its modules."""
    synchronize_batch_norm(model, device)
    model.to(device)
    set_drop_path(model, recipe.drop_path)
    set_recompute(model, recipe.recompute)
    if not recipe.recompute and device == "cpu":  # who recomputes wants to need little
        keep_memory()
    if recipe.compile and device == "cpu":
        try:
            compile_neurons(model)
        except ModelError as error:
            warnings.warn(f"{error}; the run goes on without", stacklevel=3)
    return model
