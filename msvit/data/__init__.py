"""Data sets by name: what `--data` takes, and what it says about itself."""

from collections.abc import Sized
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import Dataset, Subset, TensorDataset

from msvit.data import digits
from msvit.data.images import UNKNOWN, ImageFolder, normalisation
from msvit.errors import ModelError

NAMES = ("digits", "noise")
NOISE_IMAGES = 32


@dataclass(frozen=True)
class Source:
    """An opened data set: the images in the order in which they are used, and where they come from."""

    dataset: Dataset[Any]
    name: str
    split: str
    classes: int  # 0 without labels
    input_size: tuple[int, int, int]
    preprocessing: str
    warnings: tuple[str, ...] = ()

    def __len__(self) -> int:
        assert isinstance(self.dataset, Sized)
        return len(self.dataset)


def open_data(name: str, input_size: tuple[int, int, int], *, images: int | None = None, seed: int = 0) -> Source:
    """The evaluation images of a data set, for a model that takes `input_size` (C, H, W).

    `name` is "digits" (test split), "noise" (standard normal, seeded) or a folder of images. `images` takes a random
    subset, drawn with `seed`. Unknown names, empty folders, images that do not fit raise ModelError.
    """
    if images is not None and images < 1:
        raise ModelError(f"number of images must be at least 1, not {images}")
    if name == "noise":
        return _noise(input_size, images or NOISE_IMAGES, seed)
    source = _digits(input_size) if name == "digits" else _folder(Path(name), input_size)
    return source if images is None else _subset(source, images, seed)


def _digits(input_size: tuple[int, int, int]) -> Source:
    if input_size != digits.INPUT_SIZE:
        raise ModelError(
            f"the model takes {_by(input_size)} images, digits has {_by(digits.INPUT_SIZE)}; data that fits: a folder "
            "of images (--data DIR) or, to measure without meaning, random noise (--data noise)"
        )
    return Source(
        dataset=digits.Digits("test"),
        name="digits",
        split="test",
        classes=len(digits.CLASSES),
        input_size=digits.INPUT_SIZE,
        preprocessing=f"pixels / 16, bilinear to 12 x 12, mean {digits.MEAN}, std {digits.STD}",
    )


def _noise(input_size: tuple[int, int, int], images: int, seed: int) -> Source:
    generator = torch.Generator().manual_seed(seed)
    values = torch.randn(images, *input_size, generator=generator)
    return Source(
        dataset=TensorDataset(values, torch.full((images,), UNKNOWN)),
        name="noise",
        split=f"seed {seed}",
        classes=0,
        input_size=input_size,
        preprocessing="standard normal random numbers",
        warnings=("the input is random noise, not images: rates and energy mean nothing for real data",),
    )


def _folder(folder: Path, input_size: tuple[int, int, int]) -> Source:
    if not folder.is_dir():
        raise ModelError(
            f"unknown data set {str(folder)!r}; data sets: {', '.join(NAMES)}, or an existing folder of images"
        )
    dataset = ImageFolder(folder, input_size)
    mean, std = normalisation(input_size[0])
    return Source(
        dataset=dataset,
        name=str(folder),
        split="folder",
        classes=len(dataset.classes),
        input_size=input_size,
        preprocessing=f"bicubic resize, centre crop, mean {tuple(mean)}, std {tuple(std)}",
    )


def _subset(source: Source, images: int, seed: int) -> Source:
    if images >= len(source):
        return source
    order = torch.randperm(len(source), generator=torch.Generator().manual_seed(seed))
    chosen = order[:images].sort().values.tolist()
    split = f"{source.split}, {images} of {len(source)} drawn with seed {seed}"
    return Source(
        Subset(source.dataset, chosen),
        source.name,
        split,
        source.classes,
        source.input_size,
        source.preprocessing,
        source.warnings,
    )


def _by(size: tuple[int, int, int]) -> str:
    return " x ".join(map(str, size))
