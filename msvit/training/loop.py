"""The training loop: AdamW, cosine schedule with warm-up, cross entropy with label smoothing.

The weights of the last epoch are kept; the test images choose nothing.
"""

import math
import random
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from timm.optim import create_optimizer_v2
from timm.scheduler import CosineLRScheduler
from torch import Tensor, nn
from torch.utils.data import DataLoader
from torchvision.transforms import InterpolationMode, v2

from msvit.classifier import SpikingClassifier
from msvit.data import digits
from msvit.errors import ModelError
from msvit.registry import create_model
from msvit.training.recipes import Recipe


@dataclass(frozen=True)
class Epoch:
    """What one epoch gave: mean training loss, accuracy on the test split, seconds since the start."""

    number: int  # from 1
    loss: float
    test_accuracy: float
    seconds: float


def train(
    recipe: Recipe,
    *,
    seed: int = 0,
    device: str = "cpu",
    on_step: Callable[[float], None] | None = None,
    on_epoch: Callable[[Epoch], None] | None = None,
) -> tuple[SpikingClassifier, list[Epoch]]:
    """Run a recipe; return the trained model in evaluation mode and its history.

    `on_step` is told after each step which part of an epoch it was, `on_epoch` each finished epoch. A loss that is not
    finite raises ModelError.
    """
    seed_everything(seed)
    train_set = digits.Digits("train", augmentation(recipe, background=-digits.MEAN / digits.STD))
    test_loader = DataLoader(digits.Digits("test"), batch_size=64)
    loader = DataLoader(train_set, recipe.batch_size, shuffle=True, drop_last=len(train_set) > recipe.batch_size)
    model = create_model(recipe.model, num_classes=len(digits.CLASSES)).to(device)
    optimizer = create_optimizer_v2(model, "adamw", lr=recipe.learning_rate, weight_decay=recipe.weight_decay)
    steps = len(loader)
    schedule = CosineLRScheduler(
        optimizer,
        t_initial=recipe.epochs * steps,
        warmup_t=min(recipe.warmup_epochs, recipe.epochs - 1) * steps,
        warmup_prefix=False,
        warmup_lr_init=recipe.learning_rate / 25,
        t_in_epochs=False,
    )
    loss_function = nn.CrossEntropyLoss(label_smoothing=recipe.label_smoothing)
    history: list[Epoch] = []
    started = time.monotonic()
    for number in range(1, recipe.epochs + 1):
        model.train()
        losses = []
        for step, (images, labels) in enumerate(loader, start=1):
            schedule.step_update((number - 1) * steps + step - 1)
            loss = loss_function(model(images.to(device)), labels.to(device))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
            if not math.isfinite(losses[-1]):
                raise ModelError(f"the loss is {losses[-1]} in epoch {number}, step {step}; a lower rate may help")
            if on_step is not None:
                on_step(1 / steps)
        accuracy = evaluate(model, test_loader, device)
        history.append(Epoch(number, sum(losses) / steps, accuracy, time.monotonic() - started))
        if on_epoch is not None:
            on_epoch(history[-1])
    return model.eval(), history


def evaluate(model: nn.Module, loader: DataLoader[tuple[Tensor, int]], device: str) -> float:
    """Share of images classified correctly."""
    model.eval()
    correct = total = 0
    with torch.inference_mode():
        for images, labels in loader:
            correct += int((model(images.to(device)).argmax(1).cpu() == labels).sum())
            total += len(labels)
    return correct / total


def augmentation(recipe: Recipe, background: float) -> Callable[[Tensor], Tensor]:
    """Random turn, shift and size of one image; uncovered pixels take the background's value."""
    transform: Callable[[Tensor], Tensor] = v2.RandomAffine(
        degrees=recipe.rotate_degrees,
        translate=(recipe.translate, recipe.translate),
        scale=(1 - recipe.scale, 1 + recipe.scale),
        interpolation=InterpolationMode.BILINEAR,
        fill=background,
    )
    return transform


def seed_everything(seed: int) -> None:
    """Seed Python, NumPy and torch."""
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)
