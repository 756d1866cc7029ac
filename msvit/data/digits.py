"""The embedded data set: 1,797 handwritten digits that ship with scikit-learn (UCI optdigits, 8 x 8, 16 grey levels).

Split, fixed and without a random number: of each digit's images, in scikit-learn's order, every fifth is a test image;
1,442 train and 355 test. The images stand in the order in which the writers were scanned, so both parts hold them all.
Pixels are divided by 16, enlarged bilinearly to 12 x 12 and normalised with mean and standard deviation of the
enlarged training images.
"""

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from msvit.data.samples import LabelledDataset

INPUT_SIZE = (1, 12, 12)
CLASSES = tuple("0123456789")
MEAN, STD = 0.3051, 0.3226  # of the enlarged training images, pixels in [0, 1]


class Digits(LabelledDataset):
    """Handwritten digits as (image `[1, 12, 12]` float32, label 0 to 9); `split` is "train" or "test".

    `transform` is applied to each normalised image.
    """

    classes = CLASSES

    def __init__(self, split: str, transform: Callable[[Tensor], Tensor] | None = None) -> None:
        if split not in ("train", "test"):
            raise ValueError(f"split must be 'train' or 'test', not {split!r}")
        pixels, labels = originals()
        enlarged = functional.interpolate(pixels, size=INPUT_SIZE[1:], mode="bilinear", align_corners=False)
        chosen = in_split(labels, split)
        self.images = ((enlarged - MEAN) / STD)[chosen]
        self.labels = labels[chosen]
        self.transform = transform

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        image = self.images[index]
        return (image if self.transform is None else self.transform(image)), int(self.labels[index])


def originals() -> tuple[Tensor, Tensor]:
    """All 1,797 images `[N, 1, 8, 8]` float32 in [0, 1] and their labels, in scikit-learn's order."""
    package = find_spec("sklearn")  # its file is read without importing it, which takes a second
    assert package is not None and package.origin is not None
    table = np.loadtxt(Path(package.origin).parent / "datasets" / "data" / "digits.csv.gz", delimiter=",")
    images = torch.from_numpy(table[:, :-1]).float().div(16).reshape(-1, 1, 8, 8)
    return images, torch.from_numpy(table[:, -1].astype(np.int64))


def in_split(labels: Tensor, split: str) -> Tensor:
    """Which of all images are in a split: every fifth of the same digit is in "test", the others are in "train"."""
    same_before = functional.one_hot(labels).cumsum(0).gather(1, labels.unsqueeze(1)).squeeze(1) - 1
    is_test = same_before % 5 == 4  # position among the images of the same digit
    return is_test if split == "test" else ~is_test
