"""Images from a folder: class folders (their names, sorted, are the classes) or, unlabelled, images side by side."""

from collections.abc import Sequence
from pathlib import Path

import torch
from PIL import Image, UnidentifiedImageError
from torch import Tensor
from torch.utils.data import Dataset
from torchvision.datasets.folder import IMG_EXTENSIONS
from torchvision.transforms import InterpolationMode, v2

from msvit.errors import ModelError

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
MODES = {1: "L", 3: "RGB"}
UNKNOWN = -1  # label of an image without a class


class ImageFolder(Dataset[tuple[Tensor, int]]):
    """Images of a folder as (`[C, H, W]`, label); label -1 where the folder has no class folders.

    Each image is converted to grey or RGB, resized (bicubic, shorter side), cropped in the centre and normalised.
    A folder without images raises ModelError, an unreadable image too, when it is reached.
    """

    def __init__(self, folder: Path, input_size: tuple[int, int, int]) -> None:
        channels, height, width = input_size
        if channels not in MODES:
            raise ModelError(f"the model takes {channels} channels; images have 1 (grey) or 3 (RGB)")
        self.classes = tuple(sorted(path.name for path in folder.iterdir() if path.is_dir()))
        self.files = _image_files(folder, self.classes)
        if not self.files:
            raise ModelError(f"no images in {folder}; expected {', '.join(IMG_EXTENSIONS)} in it or in class folders")
        self.mode = MODES[channels]
        self.transform = v2.Compose(
            [
                v2.Resize(max(height, width), InterpolationMode.BICUBIC),
                v2.CenterCrop((height, width)),
                v2.ToImage(),
                v2.ToDtype(torch.float32, scale=True),
                v2.Normalize(*normalisation(channels)),
            ]
        )

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        path, label = self.files[index]
        try:
            with Image.open(path) as image:
                return self.transform(image.convert(self.mode)), label
        except (OSError, UnidentifiedImageError) as error:
            raise ModelError(f"cannot read image {path}: {error}") from error


def normalisation(channels: int) -> tuple[Sequence[float], Sequence[float]]:
    """Mean and standard deviation: ImageNet's, averaged over the channels for grey images."""
    if channels == 3:
        return IMAGENET_MEAN, IMAGENET_STD
    return [sum(IMAGENET_MEAN) / 3], [sum(IMAGENET_STD) / 3]


def _image_files(folder: Path, classes: Sequence[str]) -> list[tuple[Path, int]]:
    places = [(folder / name, label) for label, name in enumerate(classes)] or [(folder, UNKNOWN)]
    return [
        (path, label)
        for place, label in places
        for path in sorted(place.iterdir())
        if path.suffix.lower() in IMG_EXTENSIONS
    ]
