"""Recipes: a function that returns a frozen, checked Recipe, and says in its docstring where its numbers are from.

"Paper" is MSViT, arXiv 2505.14719, section 4; "QKFormer" its stated ancestor, github.com/zhouchenlin2096/QKFormer,
whose training files fill what the paper leaves out.
"""

import inspect
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, get_type_hints

from msvit.errors import ModelError, did_you_mean

BESTS = ("last", "accuracy", "energy", "both")
PRECISIONS = ("float32", "bf16", "fp16")
AUGMENTATIONS = ("none", "affine", "image", "events")


@dataclass(frozen=True)
class Recipe:
    """Everything that decides a training run except the seed and the place of the data."""

    name: str
    model: str
    data: str  # a name of msvit.data
    epochs: int
    batch_size: int  # in memory at a time
    base_lr: float
    model_args: Mapping[str, Any] = field(default_factory=dict)
    effective_batch: int = 0  # gradients are accumulated up to it; 0: batch_size
    lr_per: int = 0  # the rate is base_lr x effective batch / lr_per; 0: base_lr
    optimizer: str = "adamw"  # of timm
    weight_decay: float = 0.05
    clip_grad: float = 0.0  # norm; 0: none
    warmup_epochs: int = 0
    warmup_lr: float = 1e-5
    min_lr: float = 0.0
    cooldown_epochs: int = 0  # at min_lr, the last of `epochs`
    label_smoothing: float = 0.0
    mixup: float = 0.0
    cutmix: float = 0.0
    mixup_prob: float = 1.0
    mixup_off_epoch: int = 0  # 0: never off
    drop_path: float = 0.0  # stochastic depth of the last block, rising linearly from 0
    ema_decay: float = 0.0  # of a moving average of the weights, which is then what is tested and kept; 0: none
    augmentation: str = "none"
    rand_augment: str = ""  # timm's notation
    random_erasing: float = 0.0
    erasing_mode: str = "pixel"
    crop_scale: float = 1.0  # smallest share of the area in a random crop; 1: no crop
    flip: float = 0.5  # probability of a horizontal flip (image, events)
    rotate_degrees: float = 0.0  # affine
    translate: float = 0.0  # affine, share of the side
    scale: float = 0.0  # affine, share, up and down
    precision: str = "float32"
    compile: bool = False  # the neurons on the CPU, where there is a C++ compiler
    recompute: bool = False  # keep the inputs of units alone for the backward pass: half the memory
    workers: int = 0
    sop_penalty: float = 0.0  # weight of the expected accumulates per dense MAC in the loss
    profile_every: int = 0  # epochs between energy measurements; 0: none
    profile_images: int = 256
    best: str = "last"  # what the kept weights are chosen by
    best_tolerance: float = 0.01  # accuracy that may be lost for less energy
    tensorboard: bool = False  # event files beside history.csv
    keep: int = 2  # states of the run that stay on disk
    save_minutes: float = 15.0  # between states within an epoch

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "keep", "profile_images"):
            if getattr(self, name) < 1:
                raise ModelError(f"{name.replace('_', ' ')} must be at least 1, not {getattr(self, name)}")
        for name, right in (("best", BESTS), ("precision", PRECISIONS), ("augmentation", AUGMENTATIONS)):
            if getattr(self, name) not in right:
                raise ModelError(f"{name} must be one of {', '.join(right)}, not {getattr(self, name)!r}")
        for name in ("drop_path", "ema_decay", "label_smoothing", "mixup_prob", "random_erasing", "flip"):
            if not 0 <= getattr(self, name) <= 1:
                raise ModelError(f"{name} must be between 0 and 1, not {getattr(self, name)}")
        for name in ("base_lr", "weight_decay", "sop_penalty", "min_lr", "warmup_lr", "mixup", "cutmix"):
            if getattr(self, name) < 0:
                raise ModelError(f"{name} must be 0 or more, not {getattr(self, name)}")
        if self.best in ("energy", "both") and not self.profile_every:
            raise ModelError(f"best={self.best} needs energies: set profile_every, such as profile_every=1")
        if self.effective_batch and self.effective_batch % self.batch_size:
            raise ModelError(f"effective_batch {self.effective_batch} is no multiple of batch_size {self.batch_size}")
        if self.recompute and self.sop_penalty:
            raise ModelError("recompute cannot be combined with sop_penalty, which looks at what is not kept")

    @property
    def images_per_update(self) -> int:
        """Images that an update of the weights sees, whatever the number of processes."""
        return self.effective_batch or self.batch_size

    @property
    def learning_rate(self) -> float:
        """The highest rate, after warm-up."""
        return self.base_lr * self.images_per_update / self.lr_per if self.lr_per else self.base_lr

    def split(self, processes: int) -> tuple[int, int]:
        """How many images one of several processes takes at a time, at most batch_size, and how often per update;
        ModelError if they cannot share the images of an update evenly."""
        each, left = divmod(self.images_per_update, processes)
        if left or not each:
            raise ModelError(
                f"{processes} processes cannot share the {self.images_per_update} images of an update evenly; "
                "set effective_batch to a multiple"
            )
        at_a_time = max(size for size in range(1, min(each, self.batch_size) + 1) if each % size == 0)
        return at_a_time, each // at_a_time

    def changed(self, settings: Mapping[str, str]) -> "Recipe":
        """With fields set from text; ModelError for unknown keys, with the right ones, and values that do not fit."""
        kinds = get_type_hints(Recipe)
        right = [field.name for field in fields(self) if field.name not in ("name", "model", "data")]
        if wrong := [key for key in settings if key not in right]:
            raise ModelError(f"no setting {wrong[0]!r}; settings: {', '.join(right)}")
        return replace(self, **{key: _parsed(key, text, kinds[key]) for key, text in settings.items()})


def _parsed(key: str, text: str, kind: Any) -> Any:
    switches = {"true": True, "false": False}
    try:
        if kind is bool:
            return switches[text.lower()]
        return kind(text) if kind in (int, float, str) else dict(json.loads(text))
    except (KeyError, ValueError, TypeError, RecursionError) as error:
        what = {bool: "true or false", int: "a whole number", float: "a number"}.get(kind, "a JSON object")
        raise ModelError(f"{key} must be {what}, not {text!r}") from error


def digits() -> Recipe:
    """The shipped checkpoint: msvit_digits on scikit-learn's digits; small shifts, turns and sizes as augmentation."""
    return Recipe(
        name="digits",
        model="msvit_digits",
        data="digits",
        epochs=12,
        batch_size=16,
        base_lr=4e-3,
        warmup_epochs=2,
        warmup_lr=4e-3 / 25,
        label_smoothing=0.1,
        augmentation="affine",
        rotate_degrees=10,
        translate=0.08,
        scale=0.1,
    )


def digits_dvs() -> Recipe:
    """msvit_digits_dvs on the digits as an event camera sees them in three saccades; T = 6, two frames for each."""
    return Recipe(
        name="digits-dvs",
        model="msvit_digits_dvs",
        data="digits-dvs",
        epochs=12,
        batch_size=16,
        base_lr=4e-3,
        warmup_epochs=2,
        warmup_lr=1e-4,
        label_smoothing=0.1,
    )


def imagenet() -> Recipe:
    """MSViT-10-384 on ImageNet-1k in a folder with train/ and val/.

    Paper: AdamW, base rate 6e-4 x batch / 256, effective batch 512 by accumulation, warm-up, half-period cosine,
    RandAugment, random erasing, stochastic depth, 200 epochs. QKFormer (imagenet/train.py): weight decay 0.05, 5 epochs
    of warm-up, least rate 1e-6, rand-m9-mstd0.5-inc1, erasing 0.25 by pixel, drop path 0.1, label smoothing 0.1. Ours:
    batches of 32 in memory, crops from 8 % of the area on as in timm.
    """
    return Recipe(
        name="imagenet",
        model="msvit_10_384",
        data="folder",
        epochs=200,
        batch_size=32,
        effective_batch=512,
        base_lr=6e-4,
        lr_per=256,
        warmup_epochs=5,
        warmup_lr=0.0,
        min_lr=1e-6,
        label_smoothing=0.1,
        drop_path=0.1,
        augmentation="image",
        rand_augment="rand-m9-mstd0.5-inc1",
        random_erasing=0.25,
        crop_scale=0.08,
        precision="bf16",
        workers=8,
        best="accuracy",
    )


def cifar10() -> Recipe:
    """MSViT on CIFAR10.

    Paper: 400 epochs, batch 128. QKFormer (cifar10/cifar10.yml): rate 1e-3 down to 1e-5, weight decay 0.06, 20 epochs
    of warm-up, 10 at the end at the least rate, mixup 0.5 for the first 200 epochs, rand-m9-n1-mstd0.4-inc1, erasing
    0.25 (const), label smoothing 0.1, no random crop.
    """
    return Recipe(
        name="cifar10",
        model="msvit_cifar",
        data="cifar10",
        epochs=400,
        batch_size=128,
        base_lr=1e-3,
        weight_decay=0.06,
        warmup_epochs=20,
        min_lr=1e-5,
        cooldown_epochs=10,
        label_smoothing=0.1,
        mixup=0.5,
        mixup_off_epoch=200,
        augmentation="image",
        rand_augment="rand-m9-n1-mstd0.4-inc1",
        random_erasing=0.25,
        erasing_mode="const",
        compile=True,
        workers=4,
        best="accuracy",
    )


def cifar100() -> Recipe:
    """MSViT on CIFAR100; as cifar10 (QKFormer's cifar100.yml is the same)."""
    return replace(cifar10(), name="cifar100", data="cifar100")


def cifar10_dvs() -> Recipe:
    """MSViT on CIFAR10-DVS, T = 16 (T = 10: --set model_args='{"time_steps": 10}').

    Paper: 106 epochs. QKFormer (cifar10-dvs/train.py, 96 + 10 epochs): batch 16, rate 5e-3 down to 1e-5, weight decay
    0.06, 10 epochs of warm-up, mixup 0.5 with probability 0.5, label smoothing 0.1, augmentation of events.
    """
    return Recipe(
        name="cifar10-dvs",
        model="msvit_dvs",
        data="cifar10-dvs",
        epochs=106,
        batch_size=16,
        base_lr=5e-3,
        weight_decay=0.06,
        warmup_epochs=10,
        min_lr=1e-5,
        cooldown_epochs=10,
        label_smoothing=0.1,
        mixup=0.5,
        mixup_prob=0.5,
        augmentation="events",
        compile=True,
        workers=4,
        best="accuracy",
    )


def dvs128_gesture() -> Recipe:
    """MSViT on DVS128 Gesture, T = 16.

    Paper: 200 epochs. QKFormer (dvs128-gesture/train.py): batch 16, rate 1e-3 down to 2e-5, otherwise as CIFAR10-DVS.
    Ours: no flips, since left and right hands are classes.
    """
    return replace(
        cifar10_dvs(), name="dvs128-gesture", data="dvs128-gesture", epochs=200, base_lr=1e-3, min_lr=2e-5, flip=0.0
    )


def folder() -> Recipe:
    """Any folder with train/ and val/ that hold a folder of images for each class; imagenet's settings, smaller."""
    return replace(imagenet(), name="folder", epochs=100, effective_batch=128, workers=4)


RECIPES: dict[str, Callable[[], Recipe]] = {
    "digits": digits,
    "digits-dvs": digits_dvs,
    "imagenet": imagenet,
    "cifar10": cifar10,
    "cifar100": cifar100,
    "cifar10-dvs": cifar10_dvs,
    "dvs128-gesture": dvs128_gesture,
    "folder": folder,
}


def get_recipe(name: str) -> Recipe:
    """The recipe of that name; ModelError with the list for an unknown one."""
    if name not in RECIPES:
        raise ModelError(f"unknown recipe {name!r}; {did_you_mean(name, RECIPES)}recipes: {', '.join(sorted(RECIPES))}")
    return RECIPES[name]()


def about(name: str) -> str:
    """What a recipe's docstring says."""
    return inspect.getdoc(RECIPES[name]) or ""
