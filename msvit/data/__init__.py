"""Data sets by name: what `--data` takes, and what it says about itself."""

from dataclasses import replace
from pathlib import Path

import torch
from torch.utils.data import TensorDataset

from msvit.data.catalog import DATASETS, DatasetSpec, by, dataset_spec, described_samples, evaluation_transform
from msvit.data.preprocessing import AS_IT_IS, MODES, Preprocessing, PreprocessingChanges, normalisation
from msvit.data.samples import UNKNOWN, LabelledDataset, Samples
from msvit.errors import ModelError, did_you_mean

__all__ = [
    "DATASETS",
    "DatasetSpec",
    "PreprocessingChanges",
    "Samples",
    "dataset_spec",
    "evaluation_transform",
    "open_data",
]

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
    made_for: DatasetSpec | None = None,
    changes: PreprocessingChanges = AS_IT_IS,
) -> Samples:
    """The evaluation images of a data set, for a model that takes `input_size` (C, H, W).

    `name` is "digits" (test split), "noise" (standard normal, seeded), a folder of images, a name of `DATASETS` that
    needs no folder ("digits-dvs") or NAME:DIR for one that does ("cifar10:DIR"): the test split. Event data gives
    frames `[T, 2, H, W]`, T = `time_steps`. `images` takes a random subset, drawn with `seed`; `shuffle` gives the
    images in a random order instead of their own. Of what that leaves, `shard` (i, n) takes every n-th image from the
    i-th on, counted from 0. Unknown names, empty folders, images that do not fit, shards that do not exist or are empty
    raise ModelError.

    Images of a folder are prepared as those of the data set that the model is `made_for`, ImageNet where that is not
    known; images of other data sets as these are. `changes` replace a part of that, for images alone. What differs from
    the preprocessing of `made_for` is a warning.
    """
    if images is not None and images < 1:
        raise ModelError(f"number of images must be at least 1, not {images}")
    spec = DATASETS.get(name.partition(":")[0]) if not Path(name).is_dir() else None
    if name == "noise":
        samples = _noise(input_size, images or NOISE_IMAGES, seed)
    elif spec is None or (spec.kind == "image" and spec.name != "digits"):
        samples = _images(spec, name, input_size, made_for, changes)
        changes = AS_IT_IS
    else:
        samples = _ready(spec, name.partition(":")[2], input_size, time_steps)
    if changes:
        raise ModelError(f"--mean, --std, --resize and --crop are for images, and {name} has none to prepare")
    if images is not None and images > len(samples):
        samples = replace(samples, notes=(*samples.notes, f"{images} images were asked for, {len(samples)} there are"))
    return _shard(_chosen(samples, images or len(samples), seed, shuffle), *shard)


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


def _ready(spec: DatasetSpec, folder: str, input_size: tuple[int, int, int], time_steps: int | None) -> Samples:
    """Digits or events, which come as they are."""
    if spec.name == "digits" and input_size != spec.input_size:
        raise ModelError(
            f"the model takes {by(input_size)} images, digits has {by(spec.input_size)}; data that fits: a folder "
            "of images (--data DIR) or, to measure without meaning, random noise (--data noise)"
        )
    opened = spec.open(_root(spec, folder), "test", spec.evaluation_transform(input_size), time_steps)
    return Samples(
        dataset=opened,
        name=spec.name,
        split="test",
        classes=len(opened.classes),
        input_size=input_size,
        preprocessing=described_samples(spec, input_size, time_steps),
        frames=spec.kind == "events",
    )


def _images(
    spec: DatasetSpec | None,
    name: str,
    input_size: tuple[int, int, int],
    made_for: DatasetSpec | None,
    changes: PreprocessingChanges,
) -> Samples:
    """The images of a data set, or of a folder that is none (`spec` is None), prepared."""
    from msvit.data.images import ImageFolder, colours_changed, evaluation

    normalisation(input_size[0])  # or it takes no images
    in_folder = spec is None or spec.name == "folder"
    usual = (made_for or DATASETS["folder"]) if spec is None or in_folder else spec
    chosen = changes.of(usual.preprocessing(input_size), input_size)
    transform = evaluation(input_size, chosen)
    if spec is None:
        opened: LabelledDataset = ImageFolder(_existing(name), transform, MODES[input_size[0]])
    else:
        folder = name.partition(":")[2]
        opened = spec.open(_root(spec, folder), "test", transform)
        name = folder if in_folder else spec.name
    colours = colours_changed(opened, input_size[0]) if isinstance(opened, ImageFolder) else ""
    beside = opened.beside if isinstance(opened, ImageFolder) else 0
    left_out = [f"images beside the folders of classes, left out: {beside}"] if beside else []
    sized = in_folder or input_size[1:] != usual.input_size[1:] or changes.resizes
    words = chosen.words(sized=sized)
    return Samples(
        dataset=opened,
        name=name,
        split="folder" if spec is None else "val" if in_folder else "test",
        classes=len(opened.classes),
        input_size=input_size,
        preprocessing=", ".join(filter(None, (colours, words))),
        notes=_said(colours, input_size[0], words, usual, changes),
        warnings=(*left_out, *_doubts(chosen, input_size, made_for, in_folder=in_folder, changes=changes)),
    )


def _said(
    colours: str, channels: int, words: str, usual: DatasetSpec, changes: PreprocessingChanges
) -> tuple[str, ...]:
    """How images are prepared, and as those of which data set."""
    changed = [f"{colours}: the model takes {channels} channel{'s' * (channels > 1)}"] if colours else []
    return (*changed, f"{words} ({usual.title}{', with changes' if changes else ''})")


def _doubts(
    chosen: Preprocessing,
    input_size: tuple[int, int, int],
    made_for: DatasetSpec | None,
    *,
    in_folder: bool,
    changes: PreprocessingChanges,
) -> tuple[str, ...]:
    """Where the preprocessing is not, or may not be, the one that the model was made for."""
    if made_for is None:
        if not in_folder or (changes.mean and changes.std):
            return ()
        return ("nothing says how the model's own images were prepared; these are as those of ImageNet: --mean, --std",)
    own = made_for.preprocessing(input_size)
    if chosen == own:
        return ()
    return (f"the images are not prepared as those of {made_for.title}, which the model is for: {own.words()}",)


def _existing(name: str) -> Path:
    if Path(name).is_dir():
        return Path(name)
    named = ", ".join(spec.name + ":DIR" * spec.has_folder for spec in DATASETS.values() if spec.name not in NAMES)
    near = did_you_mean(name, [*NAMES, *DATASETS])
    raise ModelError(
        f"unknown data set {name!r}; {near}data sets: {', '.join(NAMES)}, or an existing folder of images; {named}"
    )


def _root(spec: DatasetSpec, folder: str) -> Path | None:
    if spec.has_folder and not folder:
        raise ModelError(f"{spec.name} needs the folder that it is in: {spec.name}:DIR")
    return Path(folder).expanduser() if folder else None  # shells expand no ~ within a word


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
