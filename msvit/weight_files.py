"""Weight files as they are found: safetensors, plain state dicts, and training checkpoints that hold much more."""

import argparse
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from msvit.errors import ModelError
from msvit.torch_files import load_torch_file

WEIGHTS = ("state_dict", "model")
EMA_WEIGHTS = ("state_dict_ema", "model_ema")
PREFIXES = ("module.", "_orig_mod.")  # left by DistributedDataParallel and torch.compile

# names under which training scripts store what a model needs to know
MODEL_NAMES = ("model", "arch")
TIME_STEPS = ("time_steps", "time_step", "timesteps", "T")
IMAGE_SIZES = ("img_size", "input_size")

MOST_HEADER = 4 * 2**20  # bytes of a safetensors header: tens of thousands of tensors
MOST_REPEATED = 100  # times that all tensors together may be as large as the file, since names share storages
CHUNK = 2**22  # values that are looked at in one go
LISTED = 8  # names in a message
NUMBERS = (
    *(torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64, torch.bfloat16),
    *(torch.float16, torch.float32, torch.float64, torch.complex64, torch.complex128),
)


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
    content = _read_safetensors(path) if path.suffix == ".safetensors" else load_torch_file(path)
    stored = _unwrap(path, content, ema)
    for key, value in stored.weights.items():
        _check_plain(path, key, value)
    if sum(value.nbytes for value in stored.weights.values()) > MOST_REPEATED * path.stat().st_size:
        raise ModelError(f"{path} is damaged: its tensors are more than {MOST_REPEATED} times as large as the file")
    _check_finite(path, stored.weights)
    return stored


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    try:
        with path.open("rb") as file:
            header = int.from_bytes(file.read(8), "little")
        if header > MOST_HEADER:
            raise ModelError(f"{path} is damaged: its header has {header} bytes, at most {MOST_HEADER} are read")
        return safetensors.torch.load_file(path)
    except ModelError:
        raise
    except Exception as error:  # a damaged file can fail in any way; nothing of our own runs in here
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ModelError(f"{path} is damaged: {reason}") from error


def _unwrap(path: Path, content: Any, ema: bool) -> WeightFile:
    if not isinstance(content, Mapping):
        raise ModelError(f"{path} holds a {type(content).__name__}, not a state dict")
    if _is_state_dict(content):
        if ema:
            raise ModelError(f"{path} is a plain state dict; it holds no separate EMA weights")
        return WeightFile(_clean(content))
    found = [name for name in (*WEIGHTS, *EMA_WEIGHTS) if isinstance(content.get(name), Mapping)]
    wanted = [name for name in found if (name in EMA_WEIGHTS) == ema]
    if not wanted:
        if found:
            other = "only EMA weights; ask for them (--ema)" if not ema else "no EMA weights"
            raise ModelError(f"{path} holds {other}: {', '.join(found)}")
        raise ModelError(f"{path} holds no state dict; its entries: {_listed(content)}")
    weights = content[wanted[0]]
    if not _is_state_dict(weights):
        raise ModelError(f"{path}: {wanted[0]} is not a state dict of tensors")
    arguments = content.get("args")
    if isinstance(arguments, argparse.Namespace):
        arguments = vars(arguments)
    metadata = dict(arguments) if isinstance(arguments, Mapping) else {}
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


def _is_state_dict(content: Mapping[Any, Any]) -> bool:
    return bool(content) and all(isinstance(k, str) and isinstance(v, Tensor) for k, v in content.items())


def _listed(names: Mapping[Any, Any]) -> str:
    """The first names, shortened, and how many more there are."""
    shown = [name[:60] if isinstance(name, str) else type(name).__name__ for name in list(names)[:LISTED]]
    more = f" and {len(names) - LISTED} more" if len(names) > LISTED else ""
    return (", ".join(shown) or "none") + more


def _check_plain(path: Path, key: str, value: Tensor) -> None:
    """ModelError for a tensor that is no plain array, or has more elements than are stored."""
    plain = type(value) in (Tensor, torch.nn.Parameter) and value.layout == torch.strided and value.dtype in NUMBERS
    if not plain or value.device.type != "cpu":
        raise ModelError(f"{path}: {key} is no plain tensor: {value.layout}, {value.device}, {value.dtype}")
    stored = value.untyped_storage().nbytes()
    if value.nbytes > stored:
        raise ModelError(f"{path}: {key} says it is {tuple(value.shape)}, but the file has {stored} bytes of it")


def _check_finite(path: Path, weights: Mapping[str, Tensor]) -> None:
    """ModelError for values that are NaN or infinite. Storages, which many names may share, are looked at once."""
    sound: dict[tuple[int, torch.dtype], bool] = {}
    for key, value in weights.items():
        if not (value.is_floating_point() or value.is_complex()):
            continue
        storage = value.untyped_storage()
        place = storage.data_ptr(), value.dtype
        if place not in sound:
            sound[place] = not _not_finite(torch.empty(0, dtype=value.dtype).set_(storage))
        if not sound[place] and (bad := _not_finite(value)):
            raise ModelError(f"{path}: {bad} of {value.numel()} values of {key} are NaN or infinite")


def _not_finite(values: Tensor) -> int:
    return sum(int((~part.isfinite()).sum()) for part in values.reshape(-1).split(CHUNK))
