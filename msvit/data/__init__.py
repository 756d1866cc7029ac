"""Data sets by name: what `--data` takes, and what it says about itself."""

from dataclasses import replace
from pathlib import Path

import torch
from torch.utils.data import TensorDataset

from msvit.data import digits
from msvit.data.catalog import DATASETS, DatasetSpec, by, dataset_spec, evaluation_transform, preprocessing
from msvit.data.normalisation import IMAGENET_MEAN, IMAGENET_STD, MODES, normalisation
from msvit.data.samples import UNKNOWN, Samples
from msvit.errors import ModelError, did_you_mean

__all__ = ["DATASETS", "DatasetSpec", "Samples", "dataset_spec", "evaluation_transform", "open_data"]

NAMES = ("digits", "noise")
NOISE_IMAGES = 32


def open_data(
    name: str,
    input_size: tuple[int, int, int],
    *,
    images: int | None = None,
    seed: int = 0,
    shuffle: bool = False,
    shard: tuple[int, int] = (0, 1),
    time_steps: int | None = None,
) -> Samples:
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
        samples = _noise(input_size, images or NOISE_IMAGES, seed)
    elif name == "digits":
        samples = _digits(input_size)
    elif (spec := DATASETS.get(name.partition(":")[0])) and not Path(name).is_dir():
        samples = _named(spec, name.partition(":")[2], input_size, time_steps)
        samples = _with_colours(samples) if spec.name == "folder" else samples
    else:
        samples = _with_colours(_folder(Path(name), input_size))
    return _shard(_chosen(samples, images or len(samples), seed, shuffle), *shard)


def _digits(input_size: tuple[int, int, int]) -> Samples:
    if input_size != digits.INPUT_SIZE:
        raise ModelError(
            f"the model takes {by(input_size)} images, digits has {by(digits.INPUT_SIZE)}; data that fits: a folder "
            "of images (--data DIR) or, to measure without meaning, random noise (--data noise)"
        )
    return _named(DATASETS["digits"], "", input_size, None)


def _noise(input_size: tuple[int, int, int], images: int, seed: int) -> Samples:
    generator = torch.Generator().manual_seed(seed)
    values = torch.randn(images, *input_size, generator=generator)
    return Samples(
        dataset=TensorDataset(values, torch.full((images,), UNKNOWN)),
        name="noise",
        split=f"seed {seed}",
        classes=0,
        input_size=input_size,
        preprocessing="standard normal random numbers",
        warnings=("the input is random noise, not images: rates and energy mean nothing for real data",),
    )


def _folder(folder: Path, input_size: tuple[int, int, int]) -> Samples:
    if not folder.is_dir():
        named = ", ".join(spec.name + ":DIR" * spec.has_folder for spec in DATASETS.values() if spec.name not in NAMES)
        near = did_you_mean(str(folder), [*NAMES, *DATASETS])
        raise ModelError(
            f"unknown data set {str(folder)!r}; {near}data sets: {', '.join(NAMES)}, or an existing folder of images; "
            f"{named}"
        )
    from msvit.data.images import ImageFolder, evaluation

    mean, std = normalisation(input_size[0])
    images = ImageFolder(folder, evaluation(input_size, IMAGENET_MEAN, IMAGENET_STD), MODES[input_size[0]])
    return Samples(
        dataset=images,
        name=str(folder),
        split="folder",
        classes=len(images.classes),
        input_size=input_size,
        preprocessing=f"bicubic resize, centre crop, mean {tuple(mean)}, std {tuple(std)}",
    )


def _with_colours(samples: Samples) -> Samples:
    """A folder of images, with what is done to their colours."""
    from msvit.data.images import ImageFolder, colours_changed

    assert isinstance(samples.dataset, ImageFolder)
    channels = samples.input_size[0]
    changed = colours_changed(samples.dataset, channels)
    if not changed:
        return samples
    note = f"{changed}: the model takes {channels} channel{'s' * (channels > 1)}"
    return replace(samples, preprocessing=f"{changed}, {samples.preprocessing}", note=note)


def _named(spec: DatasetSpec, folder: str, input_size: tuple[int, int, int], time_steps: int | None) -> Samples:
    if spec.has_folder and not folder:
        raise ModelError(f"{spec.name} needs the folder that it is in: {spec.name}:DIR")
    root = Path(folder).expanduser() if folder else None  # shells expand no ~ within a word
    opened = spec.open(root, "test", spec.evaluation_transform(input_size), time_steps)
    return Samples(
        dataset=opened,
        name=folder if spec.name == "folder" else spec.name,
        split="val" if spec.name == "folder" else "test",
        classes=len(opened.classes),
        input_size=input_size,
        preprocessing=preprocessing(spec, input_size, time_steps),
        frames=spec.kind == "events",
    )


def _chosen(samples: Samples, images: int, seed: int, shuffle: bool) -> Samples:
    """That many images in a seeded random order, or those same images in their own order."""
    subset = images < len(samples)
    if not subset and not shuffle:
        return samples
    order = torch.randperm(len(samples), generator=torch.Generator().manual_seed(seed)).tolist()[:images]
    what = f"{images} of {len(samples)} drawn" if subset else "all in an order drawn"
    return samples.take(order if shuffle else sorted(order), f"{what} with seed {seed}")


def _shard(samples: Samples, number: int, of: int) -> Samples:
    if of < 1 or not 0 <= number < of:
        raise ModelError(f"a shard is i/n with i from 0 to n - 1, not {number}/{of}")
    if of == 1:
        return samples
    positions = range(number, len(samples), of)
    if not positions:
        raise ModelError(f"shard {number}/{of} of {len(samples)} images is empty")
    return samples.take(positions, f"shard {number}/{of}")
