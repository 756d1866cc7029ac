"""`--mean`, `--std`, `--resize` and `--crop` as people type them."""

from msvit.data import PreprocessingChanges
from msvit_energy.errors import EnergyError


def preprocessing_changes(
    mean: str | None, std: str | None, resize: int | None, crop: float | None
) -> PreprocessingChanges:
    """What is asked for, numbers of channels from "0.5" or "0.49,0.48,0.45"; EnergyError and ModelError otherwise."""
    return PreprocessingChanges(_numbers(mean, "--mean"), _numbers(std, "--std"), resize, crop)


def _numbers(text: str | None, option: str) -> tuple[float, ...] | None:
    if text is None:
        return None
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError as error:
        raise EnergyError(
            f"{option} is a number, or one for each channel, such as 0.49,0.48,0.45, not {text!r}"
        ) from error
