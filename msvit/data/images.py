"""Images from a folder: class folders (their names, sorted, are the classes) or, unlabelled, images side by side."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torchvision.datasets.folder import IMG_EXTENSIONS
from torchvision.transforms import InterpolationMode, v2

from msvit.data.normalisation import normalisation
from msvit.data.samples import UNKNOWN, LabelledDataset
from msvit.errors import ModelError, UnreadableFileError


class ImageFolder(LabelledDataset):
    """Images of a folder as (image, label); label -1 where the folder has no class folders.

    `transform` is applied to a PIL image of `mode`, whatever the file holds (grey, palette, CMYK). The orientation that
    a camera notes in EXIF is not applied: torchvision and timm, and so all published numbers, do without it. A folder
    without images raises ModelError; an unreadable image raises UnreadableFileError when it is reached.
    """

    def __init__(self, folder: Path, transform: Callable[[Any], Any] | None = None, mode: str = "RGB") -> None:
        self.classes = tuple(sorted(path.name for path in folder.iterdir() if path.is_dir()))
        self.files = _image_files(folder, self.classes)
        if not self.files:
            raise ModelError(f"no images in {folder}; expected {', '.join(IMG_EXTENSIONS)} in it or in class folders")
        self.transform, self.mode = transform, mode

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> tuple[Any, int]:
        path, label = self.files[index]
        try:
            with Image.open(path) as file:
                image = file.convert(self.mode)
        except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:  # Pillow raises any of them
            raise UnreadableFileError(f"cannot read image {path}: {error}") from error
        return (image if self.transform is None else self.transform(image)), label


def colours_changed(images: ImageFolder, channels: int) -> str:
    """What is done to the colours of a folder's images for a model of that many channels, by the first one; empty if
    nothing."""
    try:
        with Image.open(images.files[0][0]) as file:
            grey = Image.getmodebase(file.mode) == "L"
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):  # it is refused when it is reached
        return ""
    if grey == (channels == 1):
        return ""
    return "grey images as RGB" if grey else "RGB images as grey"


def open_train_val(root: Path, split: str, transform: Callable[[Any], Any] | None = None) -> ImageFolder:
    """`root/train` or, for "test", `root/val`; ModelError unless both have the same class folders."""
    parts = {"train": root / "train", "test": root / "val"}
    for part in parts.values():
        if not part.is_dir():
            raise ModelError(f"no folder {part}; expected {root}/train/CLASS/*.jpg and {root}/val/CLASS/*.jpg")
    train, val = ({path.name for path in part.iterdir() if path.is_dir()} for part in parts.values())
    if train != val:
        only = [f"only in {name}: {_some(names)}" for name, names in (("train", train - val), ("val", val - train))]
        raise ModelError(f"train and val in {root} have different classes; {'; '.join(only)}")
    if not train:
        raise ModelError(f"no class folders in {parts['train']}; expected {parts['train']}/CLASS/*.jpg")
    return ImageFolder(parts[split], transform)


def evaluation(
    input_size: tuple[int, int, int], mean: Sequence[float], std: Sequence[float], resized: int | None = None
) -> Callable[[Image.Image], torch.Tensor]:
    """PIL RGB image -> `[C, H, W]`: shorter side to `resized`, or to the longer of H and W (bicubic), centre crop,
    normalised. ModelError unless C is 3, or 1: then grey, with the averages of `mean` and `std`."""
    channels, height, width = input_size
    mean, std = normalisation(channels, mean, std)
    steps = [
        v2.Resize(resized or max(height, width), InterpolationMode.BICUBIC),
        v2.CenterCrop((height, width)),
        v2.ToImage(),
        v2.ToDtype(torch.float32, scale=True),
        v2.Normalize(mean, std),
    ]
    transform: Callable[[Image.Image], torch.Tensor] = v2.Compose([v2.Grayscale()] * (channels == 1) + steps)
    return transform


def _some(names: set[str]) -> str:
    """The first three names and how many more there are; "none"."""
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(sorted(names)[:3]) + more or "none"


def _image_files(folder: Path, classes: Sequence[str]) -> list[tuple[str, int]]:
    # text, not Paths: ImageNet has 1.3 million
    places = [(folder / name, label) for label, name in enumerate(classes)] or [(folder, UNKNOWN)]
    return [
        (str(path), label)
        for place, label in places
        for path in sorted(place.iterdir())
        if path.suffix.lower() in IMG_EXTENSIONS
    ]
