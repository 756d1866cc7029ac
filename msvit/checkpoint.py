"""Checkpoints: safetensors weights beside a readable JSON sidecar of the same name.

The sidecar says which model the weights belong to (registry name and arguments), how they were made (recipe, seed,
metrics, versions) and makes the pair self-contained: `load_checkpoint(path)` needs nothing else. A bare state dict
(.pth, .pt) can be opened too when its model is named. Nothing is ever unpickled freely.
"""

import json
import pickle
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from msvit.classifier import ModelSpec, SpikingClassifier
from msvit.errors import ModelError
from msvit.registry import create_model

SIDECAR_FORMAT = 1
SHIPPED = Path(__file__).parent / "checkpoints" / "msvit_digits.safetensors"


def save_checkpoint(
    path: str | Path,
    model: SpikingClassifier,
    *,
    recipe: Mapping[str, Any] | None = None,
    metrics: Mapping[str, Any] | None = None,
    seed: int | None = None,
) -> Path:
    """Write `path` (.safetensors) and its sidecar `path` with .json; each file appears whole or not at all.

    `model` must come from the registry. Returns the path of the weights; another suffix raises ModelError.
    """
    path = Path(path)
    if path.suffix != ".safetensors":
        raise ModelError(f"a checkpoint's name ends in .safetensors, not {path.suffix!r}: {path}")
    if not model.spec.name:
        raise ModelError("this model was not built by msvit.create_model, so its checkpoint could not say what it is")
    sidecar = {
        "format": SIDECAR_FORMAT,
        "model": {"name": model.spec.name, "args": model.spec.args | {"time_steps": model.time_steps}},
        "parameters": sum(p.numel() for p in model.parameters()),
        "recipe": dict(recipe or {}),
        "metrics": dict(metrics or {}),
        "seed": seed,
        "versions": {name: metadata.version(name) for name in ("torch", "spikingjelly", "timm")},
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    weights = {key: value.detach().cpu().contiguous() for key, value in model.state_dict().items()}
    _replace(path, safetensors.torch.save(weights))
    _replace(path.with_suffix(".json"), (json.dumps(sidecar, indent=1) + "\n").encode())
    return path


def _replace(path: Path, content: bytes) -> None:
    temporary = path.with_name(path.name + ".part")
    temporary.write_bytes(content)
    temporary.replace(path)


def load_checkpoint(
    path: str | Path, *, model: str | None = None, time_steps: int | None = None, device: str | torch.device = "cpu"
) -> SpikingClassifier:
    """Open a checkpoint and return its model in evaluation mode.

    `model` names the architecture of a file without a sidecar, `time_steps` replaces the stored T. A missing, damaged
    or foreign file raises ModelError; keys and shapes must fit exactly.
    """
    path = Path(path)
    weights = read_weights(path)
    spec = _spec(path, model)
    args = spec.args | ({} if time_steps is None else {"time_steps": time_steps})
    built = create_model(spec.name, **args)
    _check_fit(path, spec.name, weights, built.state_dict())
    built.load_state_dict(weights)
    return built.to(device).eval()


def read_weights(path: Path) -> dict[str, Tensor]:
    """The state dict in a file: safetensors, or a torch file read with `weights_only=True`."""
    if not path.is_file():
        raise ModelError(f"no checkpoint at {path}")
    try:
        if path.suffix == ".safetensors":
            return safetensors.torch.load_file(path)
        weights = torch.load(path, map_location="cpu", weights_only=True)
    except (safetensors.SafetensorError, pickle.UnpicklingError, RuntimeError, EOFError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ModelError(f"{path} is damaged or not a checkpoint of plain tensors: {reason}") from error
    if not isinstance(weights, dict) or not all(isinstance(value, Tensor) for value in weights.values()):
        raise ModelError(f"{path} does not hold a plain state dict of tensors")
    return weights


def read_sidecar(path: Path) -> dict[str, Any] | None:
    """The sidecar of a checkpoint as data, None if there is none; ModelError if it cannot be understood."""
    sidecar = path.with_suffix(".json")
    if not sidecar.is_file():
        return None
    try:
        content = json.loads(sidecar.read_text())
        stored_format = content["format"]
        dict(**content["model"]["args"], name=str(content["model"]["name"]))
    except (ValueError, KeyError, TypeError) as error:
        raise ModelError(f"{sidecar} is not a checkpoint sidecar: {error!r}") from error
    if stored_format != SIDECAR_FORMAT:
        raise ModelError(f"{sidecar} has format {stored_format}, this version reads {SIDECAR_FORMAT}")
    return dict(content)


def _spec(path: Path, name: str | None) -> ModelSpec:
    sidecar = read_sidecar(path)
    if sidecar is not None and name in (None, sidecar["model"]["name"]):
        return ModelSpec(sidecar["model"]["name"], sidecar["model"]["args"])
    if name is None:
        raise ModelError(f"{path} has no sidecar {path.with_suffix('.json').name} beside it; name its model (--model)")
    return ModelSpec(name, {})


def _check_fit(path: Path, name: str, weights: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> None:
    problems = [f"missing {key}" for key in expected if key not in weights]
    problems += [f"unknown {key}" for key in weights if key not in expected]
    problems += [
        f"{key} is {tuple(weights[key].shape)}, not {tuple(expected[key].shape)}"
        for key in expected
        if key in weights and weights[key].shape != expected[key].shape
    ]
    if problems:
        more = f" and {len(problems) - 4} more" if len(problems) > 4 else ""
        raise ModelError(f"{path} does not fit {name}: {'; '.join(problems[:4])}{more}")
