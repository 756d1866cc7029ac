"""Data sets by name: what `--data` takes, and what it says about itself."""

from collections.abc import Sequence, Sized
from dataclasses import dataclass, replace
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
    drawn: str = ""  # how the images were chosen, where they are not all
    indices: tuple[int, ...] = ()  # of the images, in the whole split

    def __post_init__(self) -> None:
        if not self.indices:
            object.__setattr__(self, "indices", tuple(range(len(self))))

    def __len__(self) -> int:
        assert isinstance(self.dataset, Sized)
        return len(self.dataset)

    def take(self, positions: Sequence[int], drawn: str) -> "Source":
        """Some of the images, in the given order; `drawn` says how they were chosen."""
        said = ", ".join(filter(None, (self.drawn, drawn)))
        chosen = tuple(self.indices[position] for position in positions)
        return replace(self, dataset=Subset(self.dataset, list(positions)), drawn=said, indices=chosen)


def open_data(
    name: str,
    input_size: tuple[int, int, int],
    *,
    images: int | None = None,
    seed: int = 0,
    shuffle: bool = False,
    shard: tuple[int, int] = (0, 1),
) -> Source:
    """The evaluation images of a data set, for a model that takes `input_size` (C, H, W).

    `name` is "digits" (test split), "noise" (standard normal, seeded) or a folder of images. `images` takes a random
    subset, drawn with `seed`; `shuffle` gives the images in a random order instead of their own. Of what that leaves,
    `shard` (i, n) takes every n-th image from the i-th on, counted from 0. Unknown names, empty folders, images that do
    not fit, shards that do not exist or are empty raise ModelError.
    """
    if images is not None and images < 1:
        raise ModelError(f"number of images must be at least 1, not {images}")
    if name == "noise":
        source = _noise(input_size, images or NOISE_IMAGES, seed)
    else:
        source = _digits(input_size) if name == "digits" else _folder(Path(name), input_size)
    return _shard(_chosen(source, images or len(source), seed, shuffle), *shard)


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


def _chosen(source: Source, images: int, seed: int, shuffle: bool) -> Source:
    """That many images in a seeded random order, or those same images in their own order."""
    subset = images < len(source)
    if not subset and not shuffle:
        return source
    order = torch.randperm(len(source), generator=torch.Generator().manual_seed(seed)).tolist()[:images]
    what = f"{images} of {len(source)} drawn" if subset else "all in an order drawn"
    return source.take(order if shuffle else sorted(order), f"{what} with seed {seed}")


def _shard(source: Source, number: int, of: int) -> Source:
    if of < 1 or not 0 <= number < of:
        raise ModelError(f"a shard is i/n with i from 0 to n - 1, not {number}/{of}")
    if of == 1:
        return source
    positions = range(number, len(source), of)
    if not positions:
        raise ModelError(f"shard {number}/{of} of {len(source)} images is empty")
    return source.take(positions, f"shard {number}/{of}")


def _by(size: tuple[int, int, int]) -> str:
    return " x ".join(map(str, size))
