"""What a recipe makes of timm's parts: optimizer, schedule of the rate, mixup, moving average of the weights."""

import torch
from timm.data import Mixup
from timm.loss import SoftTargetCrossEntropy
from timm.optim import create_optimizer_v2
from timm.scheduler import CosineLRScheduler
from timm.utils import ModelEmaV3
from torch import Tensor, nn

from msvit.training.recipes import Recipe


def optimizer(recipe: Recipe, model: nn.Module) -> torch.optim.Optimizer:
    """The recipe's optimizer at its highest rate."""
    made: torch.optim.Optimizer = create_optimizer_v2(
        model, recipe.optimizer, lr=recipe.learning_rate, weight_decay=recipe.weight_decay
    )
    return made


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


class MovingAverage(ModelEmaV3):
    """timm's, which would average a tensor as often as it has names in the state dict."""

    def apply_update_(self, model: nn.Module, decay: float) -> None:
        own, new = self.module.state_dict(), model.state_dict()
        names = {value.data_ptr(): name for name, value in own.items()}.values()
        averaged = [name for name in names if own[name].is_floating_point()]
        torch._foreach_lerp_([own[name] for name in averaged], [new[name] for name in averaged], weight=1 - decay)
        for name in set(names).difference(averaged):
            own[name].copy_(new[name])


def moving_average(recipe: Recipe, model: nn.Module) -> ModelEmaV3 | None:
    """The average of the weights, if the recipe has one."""
    return MovingAverage(model, decay=recipe.ema_decay) if recipe.ema_decay else None


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


def loss(recipe: Recipe, logits: Tensor, targets: Tensor) -> Tensor:
    """Cross entropy of logits `[B, classes]` with labels `[B]`, or with the mixed targets `[B, classes]` of `mixing`,
    which are smooth already."""
    if targets.dim() > 1:
        mixed: Tensor = SoftTargetCrossEntropy()(logits, targets)
        return mixed
    return nn.functional.cross_entropy(logits, targets, label_smoothing=recipe.label_smoothing)
