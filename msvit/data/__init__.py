"""Data sets by name: what `--data` takes, and what it says about itself."""

from collections.abc import Sequence, Sized
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import Dataset, Subset, TensorDataset

from msvit.data import digits
from msvit.data.catalog import DATASETS, DataSet, by, dataset, evaluation_transform, preprocessing
from msvit.data.images import IMAGENET_MEAN, IMAGENET_STD, MODES, UNKNOWN, ImageFolder, evaluation, normalisation
from msvit.errors import ModelError

__all__ = ["DATASETS", "DataSet", "Source", "dataset", "evaluation_transform", "open_data"]

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

    def locate(self, name: str) -> int:
        """Position of the image with that number or, in a folder, file name (the end of its path); ModelError if there
        is none, or more than one."""
        if name.isdigit() and int(name) in self.indices:
            return self.indices.index(int(name))
        parts = Path(name).parts
        files = [Path(path) for path, _ in getattr(self.dataset, "files", ())]
        found = [position for position, path in enumerate(files) if parts and path.parts[-len(parts) :] == parts]
        if len(found) != 1:
            what = f"{len(found)} images are called" if found else "no image is called"
            raise ModelError(f"{self.name}: {what} {name!r}; give its file name or its number, 0 to {len(self) - 1}")
        return found[0]

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
    time_steps: int | None = None,
) -> Source:
    """The evaluation images of a data set, for a model that takes `input_size` (C, H, W).

    `name` is "digits" (test split), "noise" (standard normal, seeded), a folder of images, a name of `DATASETS` that
    needs no folder ("digits-dvs") or NAME:DIR for one that does ("cifar10:DIR"): the test split. Event data gives
    frames `[T, 2, H, W]`, T = `time_steps`. `images` takes a random subset, drawn with `seed`; `shuffle` gives the
    images in a random order instead of their own. Of what that leaves, `shard` (i, n) takes every n-th image from the
    i-th on, counted from 0. Unknown names, empty folders, images that do not fit, shards that do not exist or are empty
    raise ModelError.
    """
    if images is not None and images < 1:
        raise ModelError(f"number of images must be at least 1, not {images}")
    if name == "noise":
        source = _noise(input_size, images or NOISE_IMAGES, seed)
    elif name == "digits":
        source = _digits(input_size)
    elif (kind := DATASETS.get(name.partition(":")[0])) and not Path(name).is_dir():
        source = _named(kind, name.partition(":")[2], input_size, time_steps)
    else:
        source = _folder(Path(name), input_size)
    return _shard(_chosen(source, images or len(source), seed, shuffle), *shard)


def _digits(input_size: tuple[int, int, int]) -> Source:
    if input_size != digits.INPUT_SIZE:
        raise ModelError(
            f"the model takes {by(input_size)} images, digits has {by(digits.INPUT_SIZE)}; data that fits: a folder "
            "of images (--data DIR) or, to measure without meaning, random noise (--data noise)"
        )
    return _named(DATASETS["digits"], "", input_size, None)


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
        named = ", ".join(kind.name + ":DIR" * kind.has_folder for kind in DATASETS.values() if kind.name not in NAMES)
        raise ModelError(
            f"unknown data set {str(folder)!r}; data sets: {', '.join(NAMES)}, or an existing folder of images; {named}"
        )
    mean, std = normalisation(input_size[0])
    images = ImageFolder(folder, evaluation(input_size, IMAGENET_MEAN, IMAGENET_STD), MODES[input_size[0]])
    return Source(
        dataset=images,
        name=str(folder),
        split="folder",
        classes=len(images.classes),
        input_size=input_size,
        preprocessing=f"bicubic resize, centre crop, mean {tuple(mean)}, std {tuple(std)}",
    )


def _named(kind: DataSet, folder: str, input_size: tuple[int, int, int], time_steps: int | None) -> Source:
    if kind.has_folder and not folder:
        raise ModelError(f"{kind.name} needs the folder that it is in: {kind.name}:DIR")
    root = Path(folder).expanduser() if folder else None  # shells expand no ~ within a word
    opened = kind.open(root, "test", kind.evaluation_transform(input_size), time_steps)
    return Source(
        dataset=opened,
        name=folder if kind.name == "folder" else kind.name,
        split="val" if kind.name == "folder" else "test",
        classes=len(opened.classes),
        input_size=input_size,
        preprocessing=preprocessing(kind, input_size, time_steps),
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
