"""Mean and standard deviation of the channels of images, pixels in [0, 1]."""

from collections.abc import Sequence

from msvit.errors import ModelError

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
MODES = {1: "L", 3: "RGB"}  # channels -> mode of a PIL image


def normalisation(
    channels: int, mean: Sequence[float] = IMAGENET_MEAN, std: Sequence[float] = IMAGENET_STD
) -> tuple[Sequence[float], Sequence[float]]:
    """Mean and standard deviation for that many channels: averaged for grey images; ModelError for neither 1 nor 3."""
    if channels not in MODES:
        raise ModelError(f"the model takes {channels} channels; images have 1 (grey) or 3 (RGB)")
    return (mean, std) if channels == 3 else ([sum(mean) / 3], [sum(std) / 3])
