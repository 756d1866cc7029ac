"""How the pixels of images, in [0, 1], become a model's input: size, mean and standard deviation of the channels."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from msvit.errors import ModelError

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
MODES = {1: "L", 3: "RGB"}  # channels -> mode of a PIL image


def normalisation(
    channels: int, mean: Sequence[float] = IMAGENET_MEAN, std: Sequence[float] = IMAGENET_STD
) -> tuple[Sequence[float], Sequence[float]]:
    """Mean and standard deviation for that many channels: averaged for grey images; ModelError for neither 1 nor 3."""
    if channels not in MODES:
        raise ModelError(f"the model takes {channels} channels; images have 1 (grey) or 3 (RGB)")
    return (
        (mean, std) if channels == len(mean) else ([sum(mean) / len(mean)] * channels, [sum(std) / len(std)] * channels)
    )


@dataclass(frozen=True)
class Preprocessing:
    """An image's shorter side becomes `resize` pixels (bicubic), the middle of the input's size is kept, and of each
    channel `mean` is subtracted and the rest divided by `std`."""

    mean: tuple[float, ...]
    std: tuple[float, ...]
    resize: int

    def words(self, *, sized: bool = True) -> str:
        """What is done, in words; without the size of images that have it already (`sized` is False)."""
        size = f"bicubic resize to {self.resize}, centre crop, " if sized else ""
        return f"{size}mean {self.mean}, std {self.std}"


@dataclass(frozen=True)
class PreprocessingChanges:
    """What a user wants otherwise: mean and standard deviation (one number for all channels, or one for each), and to
    how many pixels the shorter side is resized or what share (0 to 1) of it the crop keeps. None: as it is."""

    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    resize: int | None = None
    crop: float | None = None

    def __post_init__(self) -> None:
        if self.resize is not None and self.crop is not None:
            raise ModelError("--resize and --crop both say how large images become before the crop; give one of them")
        if self.resize is not None and self.resize < 1:
            raise ModelError(f"--resize must be at least 1 pixel, not {self.resize}")
        if self.crop is not None and not 0 < self.crop <= 1:
            raise ModelError(
                f"--crop is the share of the resized side that is kept, above 0 and up to 1, not {self.crop}"
            )
        if self.std is not None and not all(0 < value < math.inf for value in self.std):
            raise ModelError(f"--std must be above 0, not {_numbers(self.std)}")
        if self.mean is not None and not all(map(math.isfinite, self.mean)):
            raise ModelError(f"--mean must be finite, not {_numbers(self.mean)}")

    def __bool__(self) -> bool:
        return self != PreprocessingChanges()

    @property
    def resizes(self) -> bool:
        """Whether images get another size before the crop."""
        return self.resize is not None or self.crop is not None

    def of(self, usual: Preprocessing, input_size: tuple[int, int, int]) -> Preprocessing:
        """With these changes, for a model that takes `input_size`; ModelError where they do not fit."""
        channels, height, width = input_size
        side = max(height, width)
        if self.resize is not None and self.resize < side:
            raise ModelError(f"--resize {self.resize} is smaller than the model's input, {height} x {width}")
        resize = self.resize or (int(side / self.crop) if self.crop else usual.resize)
        mean, std = (_of_channels(values, channels, name) for values, name in ((self.mean, "mean"), (self.std, "std")))
        return replace(usual, mean=mean or usual.mean, std=std or usual.std, resize=resize)


AS_IT_IS = PreprocessingChanges()


def _of_channels(values: tuple[float, ...] | None, channels: int, name: str) -> tuple[float, ...] | None:
    """A number for every channel."""
    if values is None:
        return None
    if len(values) not in (1, channels):
        raise ModelError(
            f"--{name} has {len(values)} numbers ({_numbers(values)}), the model takes {channels} channels"
        )
    return values * channels if len(values) == 1 else values


def _numbers(values: Sequence[float]) -> str:
    return ",".join(f"{value:g}" for value in values)
