"""Which data a model was made for, and so how its images were prepared."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from torch import nn

from msvit.data import DATASETS, DatasetSpec

SMALLEST_OF_IMAGENET = 112  # pixels; models of this project for ImageNet take 224 and more


def training_data(model: nn.Module, recipe: Mapping[str, Any]) -> DatasetSpec | None:
    """The images that a registered model was made for: those of its checkpoint's recipe, else those whose size it was
    built for. None where that is not known, and for events."""
    if (stated := DATASETS.get(recipe.get("data", ""))) is not None:
        return stated if stated.kind == "image" else None
    size, classes = tuple(getattr(model, "input_size", ())), getattr(model, "num_classes", None)
    fitting = [spec for spec in DATASETS.values() if spec.kind == "image" and spec.input_size == size]
    exact = [spec for spec in fitting if spec.classes == classes]
    if exact or (len(size) == 3 and size[0] == 3 and min(size[1:]) >= SMALLEST_OF_IMAGENET):
        return exact[0] if exact else as_timm_says(model) or DATASETS["folder"]
    return None


def as_timm_says(model: nn.Module) -> DatasetSpec | None:
    """What the configuration that timm gives to its models says of their images; None of any other model."""
    stated = getattr(model, "pretrained_cfg", None)
    if not isinstance(stated, Mapping) or not {"mean", "std", "crop_pct", "input_size"} <= stated.keys():
        return None
    return replace(
        DATASETS["folder"],
        mean=tuple(stated["mean"]),
        std=tuple(stated["std"]),
        crop=stated["crop_pct"],
        input_size=tuple(stated["input_size"]),
    )
