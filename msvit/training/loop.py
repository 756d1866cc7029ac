"""The training loop: resumable to the bit on the CPU, in one process or several, with energy measured on request."""

import math
import signal
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from timm.data import Mixup
from timm.loss import SoftTargetCrossEntropy
from timm.optim import create_optimizer_v2
from timm.scheduler import CosineLRScheduler
from timm.utils import ModelEmaV3
from torch import Tensor, nn

from msvit.classifier import SpikingClassifier
from msvit.distributed import (
    any_says,
    from_first,
    gathered,
    parallel,
    rank,
    ranks,
    synchronize_batch_norm,
)
from msvit.errors import ModelError
from msvit.layers import ResidualBlock, SpikingUnits
from msvit.memory import keep_memory
from msvit.neuron import compile_neurons
from msvit.training.batches import Batches
from msvit.training.recipes import Recipe
from msvit.training.sop_penalty import SpikeBrake
from msvit.training.state import newest_state, random_states, save_state, set_random_states

STATE_FORMAT = 2
Measure = Callable[[nn.Module], Mapping[str, float]]  # what a measurement of energy says, by column of the history


@dataclass(frozen=True)
class Epoch:
    """What one epoch gave: mean training loss, expected accumulates per MAC with a brake, accuracy on the test split,
    seconds since the start, and what was measured."""

    number: int  # from 1
    loss: float
    test_accuracy: float
    seconds: float
    measured: Mapping[str, float] = field(default_factory=dict)

    def record(self) -> dict[str, float]:
        """One row of the history."""
        row = asdict(self) | dict(self.measured)
        del row["measured"]
        return row


class Interrupted(Exception):  # noqa: N818, it is no error
    """The run was asked to stop (Ctrl-C, SIGTERM) and has written its state."""


@dataclass
class Hooks:
    """What a caller is told: each step (part of an epoch), each epoch, new best weights by kind; all optional."""

    step: Callable[[float], None] = lambda part: None
    epoch: Callable[[Epoch], None] = lambda epoch: None
    best: Callable[[str, nn.Module, Epoch], None] = lambda kind, model, epoch: None


class Training:
    """A run of a recipe on a model. `folder` receives the states; None keeps nothing on disk.

    Several processes (distributed.py) make one run: each has a part of every batch, the first writes.
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
        hooks: Hooks | None = None,
    ) -> None:
        self.recipe, self.batches, self.folder, self.seed = recipe, batches, folder, seed
        self.device, self.measure, self.hooks = device, measure, hooks or Hooks()
        synchronize_batch_norm(model, device)
        self.model = model.to(device)
        set_drop_path(model, recipe.drop_path)
        set_recompute(model, recipe.recompute)
        if not recipe.recompute and device == "cpu":  # who recomputes wants to need little
            keep_memory()
        if recipe.compile and device == "cpu":
            try:
                compile_neurons(model)
            except ModelError as error:
                warnings.warn(f"{error}; the run goes on without", stacklevel=2)
        self.accumulate = recipe.split(ranks())[1]  # batches per update of the weights
        self.updates_per_epoch = math.ceil(len(batches) / self.accumulate)
        self.optimizer = create_optimizer_v2(
            model, recipe.optimizer, lr=recipe.learning_rate, weight_decay=recipe.weight_decay
        )
        self.schedule = schedule(recipe, self.optimizer, self.updates_per_epoch)
        self.scaler = torch.amp.GradScaler(device, enabled=recipe.precision == "fp16")
        self.ema = ModelEmaV3(model, decay=recipe.ema_decay) if recipe.ema_decay else None
        self.brake = SpikeBrake(model) if recipe.sop_penalty else None
        self.mixup = mixing(recipe, batches.classes)
        self.forward = parallel(model, device)
        self.history: list[Epoch] = []
        self.bests: dict[str, Epoch] = {}
        self.losses: list[float] = []  # of the epoch so far
        self.seconds = 0.0  # of earlier parts of the run
        self.epoch_start = random_states()
        self._stop = False

    @property
    def updates(self) -> int:
        """Updates of the weights so far."""
        return len(self.history) * self.updates_per_epoch + len(self.losses) // self.accumulate

    @property
    def tested(self) -> nn.Module:
        """The weights that are tested and kept: the moving average, if there is one."""
        return self.model if self.ema is None else self.ema.module

    def run(self) -> list[Epoch]:
        """Train to the end; return the history. A loss that is not finite raises ModelError, a request to stop
        Interrupted."""
        started = saved = time.monotonic()
        with self._stoppable():
            while len(self.history) < self.recipe.epochs:
                for _ in self._epoch():
                    stop, due = any_says(self._stop, time.monotonic() - saved > 60 * self.recipe.save_minutes)
                    if stop or due:
                        self.save(time.monotonic() - started)
                        saved = time.monotonic()
                    if stop:
                        raise Interrupted
                self._finish_epoch(self.seconds + time.monotonic() - started)
                self.save(time.monotonic() - started)
                saved = time.monotonic()
                if any_says(self._stop)[0] and len(self.history) < self.recipe.epochs:
                    raise Interrupted
        return self.history

    def _epoch(self) -> Iterator[None]:
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
            self.hooks.step(1 / total)
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
        with mixed, self.brake.watching() if self.brake else nullcontext():
            logits = self.forward(images)
            loss = self._loss(logits, targets)
        if self.brake is not None:
            loss = loss + self.recipe.sop_penalty * self.brake.value()
        self.scaler.scale(loss / group if group > 1 else loss).backward()
        self.losses.append(loss.item())
        if not math.isfinite(self.losses[-1]):
            where = first_not_finite(self.model, images)
            raise ModelError(
                f"the loss is {self.losses[-1]} in epoch {len(self.history) + 1}, step {len(self.losses)}: {where}; "
                "a lower base_lr or clip_grad may help"
            )

    def _loss(self, logits: Tensor, targets: Tensor) -> Tensor:
        if self.mixup is not None:
            return SoftTargetCrossEntropy()(logits, targets)
        return nn.functional.cross_entropy(logits, targets, label_smoothing=self.recipe.label_smoothing)

    def _update(self) -> None:
        if self.recipe.clip_grad:
            self.scaler.unscale_(self.optimizer)
            nn.utils.clip_grad_norm_(self.model.parameters(), self.recipe.clip_grad)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        if self.ema is not None:
            self.ema.update(self.model)

    def _finish_epoch(self, seconds: float) -> None:
        """Test, measure, note; tell of new bests."""
        number = len(self.history) + 1
        accuracy = evaluate(self.tested, self.batches, self.device)
        every = self.recipe.profile_every
        due = self.measure is not None and every and (number % every == 0 or number == self.recipe.epochs)
        measured = self._measured() if due else {}
        losses = [loss for part in gathered(self.losses) for loss in part]
        epoch = Epoch(number, sum(losses) / len(losses), accuracy, seconds, measured)
        self.history.append(epoch)
        self.losses = []
        for kind in new_bests(self.recipe, self.history, self.bests):
            self.bests[kind] = epoch
            self.hooks.best(kind, self.tested, epoch)
        self.hooks.epoch(epoch)

    def _measured(self) -> dict[str, float]:
        """What the measurement says; it leaves no trace in the run."""
        assert self.measure is not None
        before, training = random_states(), self.tested.training
        measured = dict(self.measure(self.tested))
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
        """Continue from the newest state in the folder; False without one. ModelError for one of another recipe."""
        folder = self.folder
        state = None if folder is None else from_first(lambda: newest_state(folder, "cpu"))
        if state is None:
            return False
        if state.get("format") != STATE_FORMAT:
            raise ModelError(f"the run in {folder} is of another version of this program; start it anew")
        if len(state["processes"]) != ranks():
            raise ModelError(f"the run in {folder} has {len(state['processes'])} processes, not {ranks()}")
        theirs, ours = state["recipe"], asdict(self.recipe)
        if differing := [key for key in ours if theirs.get(key) != ours[key]] or ["seed"] * (
            state["seed"] != self.seed
        ):
            raise ModelError(f"the run in {self.folder} has other settings: {', '.join(differing)}")
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
        return True

    @contextmanager
    def _stoppable(self) -> Iterator[None]:
        """Ctrl-C and SIGTERM stop after the present update; a second one at once, unless it is torchrun's echo."""

        def stop(number: int, frame: Any) -> None:
            if self._stop and ranks() == 1:
                raise KeyboardInterrupt
            self._stop = True

        try:
            before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
        except ValueError:  # not in the main thread, where nobody sends signals
            before = {}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def schedule(recipe: Recipe, optimizer: torch.optim.Optimizer, updates_per_epoch: int) -> CosineLRScheduler:
    """Linear warm-up, half a period of a cosine, then the least rate, counted in updates."""
    return CosineLRScheduler(
        optimizer,
        t_initial=max(1, recipe.epochs - recipe.cooldown_epochs) * updates_per_epoch,
        lr_min=recipe.min_lr,
        warmup_t=min(recipe.warmup_epochs, recipe.epochs - 1) * updates_per_epoch,
        warmup_prefix=False,
        warmup_lr_init=recipe.warmup_lr,
        t_in_epochs=False,
    )


def mixing(recipe: Recipe, classes: int) -> Mixup | None:
    """timm's mixup and cutmix, if the recipe has any."""
    if not (recipe.mixup or recipe.cutmix):
        return None
    return Mixup(
        recipe.mixup,
        recipe.cutmix,
        prob=recipe.mixup_prob,
        label_smoothing=recipe.label_smoothing,
        num_classes=classes,
    )


def new_bests(recipe: Recipe, history: list[Epoch], bests: Mapping[str, Epoch]) -> list[str]:
    """For which kinds of best the last epoch is one: the most accurate; the least energy within the tolerance of the
    greatest accuracy so far."""
    last, kinds = history[-1], []
    most = max(epoch.test_accuracy for epoch in history)
    if recipe.best in ("accuracy", "both"):
        old = bests.get("accuracy")
        if old is None or last.test_accuracy > old.test_accuracy:
            kinds.append("accuracy")
    energy = last.measured.get("energy_mj")
    if recipe.best in ("energy", "both") and energy is not None:
        enough = most - recipe.best_tolerance
        held = bests.get("energy")
        stale = held is None or held.test_accuracy < enough
        if last.test_accuracy >= enough and (stale or energy < held.measured["energy_mj"]):  # type: ignore[union-attr]
            kinds.append("energy")
    return kinds


def set_recompute(model: nn.Module, wanted: bool) -> None:
    """Let embeddings and blocks compute what the backward pass needs again instead of keeping it."""
    for module in model.modules():
        if isinstance(module, SpikingUnits):
            module.recompute = wanted


def set_drop_path(model: nn.Module, rate: float) -> None:
    """Stochastic depth that rises linearly from 0 in the first block to `rate` in the last."""
    blocks = [module for module in model.modules() if isinstance(module, ResidualBlock)]
    for position, block in enumerate(blocks):
        block.drop_path = rate * position / max(1, len(blocks) - 1)


def first_not_finite(model: nn.Module, images: Tensor) -> str:
    """What went first: the images, a parameter, or the layer whose output is the first that is not finite."""
    if not torch.isfinite(images).all():
        return "the images have values that are not finite"
    for name, weights in model.named_parameters():
        if not torch.isfinite(weights).all():
            return f"the weights {name} are not finite"
    found: list[str] = []

    def look(name: str) -> Callable[..., None]:
        def hook(module: nn.Module, inputs: Any, output: Any) -> None:
            if isinstance(output, Tensor) and not torch.isfinite(output).all():
                found.append(name)

        return hook

    leaves = [(name, module) for name, module in model.named_modules() if not list(module.children())]
    handles = [module.register_forward_hook(look(name)) for name, module in leaves]
    with torch.no_grad():
        model(images)
    for handle in handles:
        handle.remove()
    return f"the first layer with such values is {found[0]}" if found else "every layer is finite"


def evaluate(model: nn.Module, batches: Batches, device: str) -> float:
    """Share of the test images classified correctly."""
    was_training = model.training
    model.eval()
    correct = total = 0
    with torch.inference_mode():
        for images, labels in batches.test():
            correct += int((model(images.to(device)).argmax(1).cpu() == labels).sum())
            total += len(labels)
    model.train(was_training)
    parts = gathered((correct, total))
    return sum(part[0] for part in parts) / sum(part[1] for part in parts)
