"""Weight files as they are found: safetensors, plain state dicts, and training checkpoints that hold much more.

Torch files are only ever read with `weights_only=True`; the one class allowed beyond plain data is the
`argparse.Namespace` in which training scripts store their arguments.
"""

import argparse
import pickle
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from msvit.errors import ModelError

WEIGHTS = ("state_dict", "model")
EMA_WEIGHTS = ("state_dict_ema", "model_ema")
PREFIXES = ("module.", "_orig_mod.")  # left by DistributedDataParallel and torch.compile

# names under which training scripts store what a model needs to know
MODEL_NAMES = ("model", "arch")
TIME_STEPS = ("time_steps", "time_step", "timesteps", "T")
IMAGE_SIZES = ("img_size", "input_size")


@dataclass(frozen=True)
class WeightFile:
    """A file's weights under clean names, what the file says about them, and where the weights stood in it."""

    weights: dict[str, Tensor]
    place: str = ""
    metadata: Mapping[str, Any] = field(default_factory=dict)

    @property
    def model_name(self) -> str | None:
        """The architecture's name as the training script knew it."""
        name = self._first(MODEL_NAMES)
        return name if isinstance(name, str) else None

    @property
    def time_steps(self) -> int | None:
        """T, where the file says it."""
        steps = self._first(TIME_STEPS)
        return steps if isinstance(steps, int) else None

    @property
    def img_size(self) -> int | tuple[int, int] | None:
        """Height and width, where the file says them; one number if they are equal."""
        size = self._first(IMAGE_SIZES)
        if isinstance(size, list | tuple) and len(size) in (2, 3) and all(isinstance(n, int) for n in size):
            height, width = size[-2:]
            return height if height == width else (height, width)
        return size if isinstance(size, int) else None

    def _first(self, names: tuple[str, ...]) -> Any:
        return next((self.metadata[name] for name in names if self.metadata.get(name) is not None), None)


def read_weight_file(path: Path, *, ema: bool = False) -> WeightFile:
    """Read a weight file; `ema` asks for its exponential moving average. ModelError for what cannot be read safely."""
    if not path.is_file():
        raise ModelError(f"no checkpoint at {path}")
    try:
        if path.suffix == ".safetensors":
            content = safetensors.torch.load_file(path)
        else:
            with torch.serialization.safe_globals([argparse.Namespace]):
                content = torch.load(path, map_location="cpu", weights_only=True)
    except (safetensors.SafetensorError, pickle.UnpicklingError, RuntimeError, EOFError) as error:
        raise ModelError(f"{path} is damaged or holds more than plain data: {_reason(error)}") from error
    stored = _unwrap(path, content, ema)
    _check_finite(path, stored.weights)
    return stored


def _unwrap(path: Path, content: Any, ema: bool) -> WeightFile:
    if not isinstance(content, Mapping):
        raise ModelError(f"{path} holds a {type(content).__name__}, not a state dict")
    if content and all(isinstance(value, Tensor) for value in content.values()):
        if ema:
            raise ModelError(f"{path} is a plain state dict; it holds no separate EMA weights")
        return WeightFile(_clean(content))
    found = [name for name in (*WEIGHTS, *EMA_WEIGHTS) if isinstance(content.get(name), Mapping)]
    wanted = [name for name in found if (name in EMA_WEIGHTS) == ema]
    if not wanted:
        if found:
            other = "only EMA weights; ask for them (--ema)" if not ema else "no EMA weights"
            raise ModelError(f"{path} holds {other}: {', '.join(found)}")
        raise ModelError(f"{path} holds no state dict; its entries: {', '.join(map(str, content)) or 'none'}")
    weights = content[wanted[0]]
    if not weights or not all(isinstance(value, Tensor) for value in weights.values()):
        raise ModelError(f"{path}: {wanted[0]} is not a state dict of tensors")
    arguments = content.get("args")
    metadata = vars(arguments) if isinstance(arguments, argparse.Namespace) else dict(arguments or {})
    own = {name: content[name] for name in ("arch", *TIME_STEPS) if not isinstance(content.get(name), Mapping | None)}
    return WeightFile(_clean(weights), wanted[0], own | metadata)


def _clean(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    cleaned = {}
    for key, value in weights.items():
        name = key
        while name.startswith(PREFIXES):
            name = name.split(".", 1)[1]
        cleaned[name] = value
    return cleaned


def _check_finite(path: Path, weights: Mapping[str, Tensor]) -> None:
    for key, value in weights.items():
        if value.is_floating_point() and not (finite := value.isfinite()).all():
            bad = int((~finite).sum())
            raise ModelError(f"{path}: {bad} of {value.numel()} values of {key} are NaN or infinite")


def _reason(error: Exception) -> str:
    text = str(error)
    if "Unsupported global" in text:  # torch names the class in the middle of advice that is wrong here
        name = text.split("GLOBAL ", 1)[-1].split(" ", 1)[0]
        return f"it would run {name} when opened"
    if "weights_only" in text:  # its advice is to open the file without any check
        return text.partition("WeightsUnpickler error: ")[2].strip().partition("\n")[0] or "torch cannot read it"
    return text.splitlines()[0] if text else type(error).__name__
