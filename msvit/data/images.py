"""Images from a folder: class folders (their names, sorted, are the classes) or, unlabelled, images side by side.

Folders whose names begin with a dot are what programs leave (.ipynb_checkpoints), and no classes.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError
from torchvision.datasets.folder import IMG_EXTENSIONS
from torchvision.transforms import InterpolationMode, v2

from msvit.data.preprocessing import Preprocessing
from msvit.data.samples import UNKNOWN, LabelledDataset
from msvit.errors import ModelError, UnreadableFileError

MOST_PIXELS = 178_956_970  # of an image, as Pillow opens it: its own limit against decompression bombs


class ImageFolder(LabelledDataset):
    """Images of a folder as (image, label); label -1 where the folder has no class folders. Where it has, `beside` are
    the images beside them, which are left out.

    `transform` is applied to a PIL image of `mode`, whatever the file holds: `read_image` says what becomes of it. A
    folder without images raises ModelError; a file that cannot be read raises UnreadableFileError when it is reached.
    """

    def __init__(self, folder: Path, transform: Callable[[Any], Any] | None = None, mode: str = "RGB") -> None:
        try:
            self.classes = tuple(_class_folders(folder))
            self.files = _image_files(folder, self.classes)
            self.beside = sum(map(_is_image, folder.iterdir())) if self.classes else 0
        except OSError as error:
            raise ModelError(f"cannot list {error.filename or folder}: {error.strerror or error}") from error
        if not self.files:
            raise ModelError(f"no images in {folder}; expected {', '.join(IMG_EXTENSIONS)} in it or in class folders")
        self.folder, self.transform, self.mode = folder, transform, mode

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> tuple[Any, int]:
        path, label = self.files[index]
        try:
            image = read_image(path, self.mode)
        except Exception as error:  # Pillow's readers raise whatever a damaged file leads to
            raise self._unreadable(path, _reason(error)) from error
        if self.transform is None:
            return image, label
        try:
            return self.transform(image), label
        except ElongatedImageError as error:
            raise self._unreadable(path, str(error)) from error

    def _unreadable(self, path: str, reason: str) -> UnreadableFileError:
        name = Path(path).relative_to(self.folder).as_posix()
        return UnreadableFileError(f"cannot read image {path}: {reason}", name, reason)


def read_image(path: str, mode: str) -> Image.Image:
    """A file as a PIL image of `mode`, "RGB" or "L", as torchvision and timm read it, and so all published numbers.

    CMYK and palettes are converted; transparency is dropped, and colours under it stay; of an animation the first frame
    is taken; the orientation that a camera notes in EXIF is not applied. Unlike there, 16 bits of grey are divided by
    257 and not cut off at 255. Whatever cannot be read raises an exception of Pillow or OSError; so do values of 32
    bits, of which nothing says what is white, and PostScript, which would be run.
    """
    with Image.open(path) as file:
        if file.format == "EPS":
            raise ValueError("PostScript is no image file")
        file.info.pop("transparency", None)  # of a palette, of which Pillow would warn
        if file.mode.startswith("I;16") or (file.mode == "I" and file.format in ("PNG", "PPM")):
            values = np.asarray(file, np.uint32)
            return Image.fromarray(((values + 128) // 257).astype(np.uint8)).convert(mode)
        if file.mode in ("I", "F"):
            raise ValueError("values of 32 bits, of which nothing says what is white; save it with 8 or 16 bits")
        return file.convert(mode)


def _reason(error: Exception) -> str:
    """What is wrong with a file, without its path."""
    if isinstance(error, UnidentifiedImageError):
        return "not an image file, or a damaged one"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return " ".join(str(error).split()) or type(error).__name__


def colours_changed(images: ImageFolder, channels: int) -> str:
    """What is done to the colours of a folder's images for a model of that many channels, by the first one that can be
    read; empty if nothing."""
    for path, _ in images.files:
        try:
            with Image.open(path) as file:
                grey = Image.getmodebase(file.mode) == "L"
        except Exception:
            continue
        if grey == (channels == 1):
            return ""
        return "grey images as RGB" if grey else "RGB images as grey"
    return ""


def open_train_val(root: Path, split: str, transform: Callable[[Any], Any] | None = None) -> ImageFolder:
    """`root/train` or, for "test", `root/val`; ModelError unless both have the same class folders."""
    parts = {"train": root / "train", "test": root / "val"}
    for part in parts.values():
        if not part.is_dir():
            raise ModelError(f"no folder {part}; expected {root}/train/CLASS/*.jpg and {root}/val/CLASS/*.jpg")
    train, val = map(set, map(_class_folders, parts.values()))
    if train != val:
        only = [f"only in {name}: {_some(names)}" for name, names in (("train", train - val), ("val", val - train))]
        raise ModelError(f"train and val in {root} have different classes; {'; '.join(only)}")
    if not train:
        raise ModelError(f"no class folders in {parts['train']}; expected {parts['train']}/CLASS/*.jpg")
    return ImageFolder(parts[split], transform)


class ElongatedImageError(ModelError):
    """An image that would be too large when its shorter side has the size that a model takes."""


class _Resize(v2.Resize):
    """The shorter side to a size; ElongatedImageError for an image, such as one of 1 x 60,000 pixels, that becomes too
    large for memory."""

    def __init__(self, resize: int) -> None:
        super().__init__(resize, InterpolationMode.BICUBIC)
        self.resize = resize

    def forward(self, image: Image.Image) -> Any:
        width, height = image.size
        longer = max(width, height) * self.resize // min(width, height)
        if self.resize * longer > MOST_PIXELS:
            raise ElongatedImageError(f"{width} x {height} pixels, of which resizing makes {self.resize} x {longer}")
        return super().forward(image)


def evaluation(input_size: tuple[int, int, int], preprocessing: Preprocessing) -> Callable[[Image.Image], torch.Tensor]:
    """PIL RGB image -> `[C, H, W]`: shorter side resized (bicubic), centre crop, normalised. ModelError unless C is 3,
    or 1: then grey."""
    steps = [
        _Resize(preprocessing.resize),
        v2.CenterCrop(input_size[1:]),
        v2.ToImage(),
        v2.ToDtype(torch.float32, scale=True),
        v2.Normalize(preprocessing.mean, preprocessing.std),
    ]
    transform: Callable[[Image.Image], torch.Tensor] = v2.Compose([v2.Grayscale()] * (input_size[0] == 1) + steps)
    return transform


def _some(names: set[str]) -> str:
    """The first three names and how many more there are; "none"."""
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(sorted(names)[:3]) + more or "none"


def _image_files(folder: Path, classes: Sequence[str]) -> list[tuple[str, int]]:
    # text, not Paths: ImageNet has 1.3 million
    places = [(folder / name, label) for label, name in enumerate(classes)] or [(folder, UNKNOWN)]
    return [(str(path), label) for place, label in places for path in sorted(place.iterdir()) if _is_image(path)]


def _class_folders(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))


def _is_image(path: Path) -> bool:
    return path.suffix.lower() in IMG_EXTENSIONS
