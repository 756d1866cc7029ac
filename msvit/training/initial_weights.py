"""Fine-tuning: weights of another run as the start, as far as they fit."""

from dataclasses import dataclass
from pathlib import Path

from torch import nn

from msvit.errors import ModelError
from msvit.weight_files import read_weight_file

FEWEST = 0.5  # share of the parameters that must fit


@dataclass(frozen=True)
class Unmatched:
    """Which keys of the model were not taken from the file, and which of the file had no use, each with a reason."""

    fresh: tuple[str, ...]
    unused: tuple[str, ...]


def start_from(model: nn.Module, path: Path, *, ema: bool = False) -> Unmatched:
    """Load what fits by name and shape; the rest of the model stays as it was initialised. Another T or input size
    changes no shape of these models, another number of classes changes the head's.

    ModelError if less than half of the parameters fit: it is then a file of another model.
    """
    weights, own = read_weight_file(path, ema=ema).weights, model.state_dict()
    fits = {key: value for key, value in weights.items() if key in own and own[key].shape == value.shape}
    taken = sum(own[key].numel() for key in fits)
    total = sum(value.numel() for value in own.values())
    if taken < FEWEST * total:
        raise ModelError(f"{path} is of another model: only {taken / total:.0%} of the weights fit")
    model.load_state_dict(fits, strict=False)
    fresh = [
        f"{key} {_shape(weights[key])} -> {_shape(own[key])}" if key in weights else f"{key} (not in the file)"
        for key in own
        if key not in fits
    ]
    return Unmatched(tuple(fresh), tuple(key for key in weights if key not in own))


def _shape(value: object) -> str:
    return "x".join(map(str, value.shape)) or "scalar"  # type: ignore[attr-defined]
