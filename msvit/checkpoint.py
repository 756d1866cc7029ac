"""Checkpoints: safetensors weights beside a readable JSON sidecar of the same name.

The sidecar says which model the weights belong to (registry name and arguments), how they were made (recipe, seed,
metrics, versions) and makes the pair self-contained: `load_checkpoint(path)` needs nothing else. Files without one,
official training checkpoints among them, open too: their model is found from their own arguments or from keys and
shapes. Nothing is ever unpickled freely.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import safetensors.torch
import torch

from msvit.atomic_write import write_atomically
from msvit.classifier import ModelSpec, SpikingClassifier
from msvit.errors import ModelError
from msvit.identify import identify, misfit, official_names, shape_arguments, skeleton, summary
from msvit.registry import create_model, list_models
from msvit.weight_files import WeightFile, read_weight_file

SIDECAR_FORMAT = 1
MOST_SIDECAR = 2**20  # bytes
MOST_MORE, FEW = 4, 1000  # a model may have so many times, and so many, weights more than a file that is to fit it
FOLDER = Path(__file__).parent / "checkpoints"
SHIPPED = FOLDER / "msvit_digits.safetensors"


def list_checkpoints() -> list[str]:
    """Names of the checkpoints that come with this package, such as "rivals/spikformer_digits", sorted; `find` and
    `load_checkpoint` take them in place of a path."""
    return sorted(path.relative_to(FOLDER).with_suffix("").as_posix() for path in FOLDER.rglob("*.safetensors"))


def find(path: str | Path) -> Path:
    """The file of a checkpoint that comes with this package, by its name; any other path as it is."""
    path = Path(path)
    shipped = FOLDER / path.with_suffix(".safetensors")
    return shipped if not path.exists() and path.as_posix() in list_checkpoints() else path


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
    # copies, as names that share a tensor cannot be saved
    copied = torch.contiguous_format
    weights = {key: value.detach().cpu().clone(memory_format=copied) for key, value in model.state_dict().items()}
    write_atomically(path, safetensors.torch.save(weights))
    write_atomically(path.with_suffix(".json"), (json.dumps(sidecar, indent=1) + "\n").encode())
    return path


class Opened(NamedTuple):
    """A model opened from a file, and what had to be found out to build it, in words."""

    model: SpikingClassifier
    notes: tuple[str, ...]


def load_checkpoint(
    path: str | Path,
    *,
    model: str | None = None,
    time_steps: int | None = None,
    device: str | torch.device = "cpu",
    ema: bool = False,
) -> SpikingClassifier:
    """Open a checkpoint, or one of `list_checkpoints`, and return its model in evaluation mode; `open_checkpoint` also
    says what was inferred.

    `model` names the architecture where the file does not, `time_steps` replaces the stored T, `ema` takes the moving
    average of a training checkpoint. A missing, damaged or foreign file raises ModelError; keys and shapes must fit
    exactly.
    """
    return open_checkpoint(path, model=model, time_steps=time_steps, device=device, ema=ema).model


def open_checkpoint(
    path: str | Path,
    *,
    model: str | None = None,
    time_steps: int | None = None,
    device: str | torch.device = "cpu",
    ema: bool = False,
) -> Opened:
    """As `load_checkpoint`. What the caller says wins over the sidecar, that over the file's own arguments, those over
    what keys and shapes suggest."""
    path = find(path)
    stored = read_weight_file(path, ema=ema)
    notes = [f"weights from its {stored.place!r}"] if stored.place else []
    spec = _sidecar_spec(path, model)
    if spec is None:
        spec, inferred = _inferred_spec(path, stored, model, time_steps)
        notes += inferred
    args = spec.args | ({} if time_steps is None else {"time_steps": time_steps})
    weights = official_names(spec.name, stored.weights)
    if weights is not stored.weights:
        notes.append("its names of weights, which are another library's, made official")
    # without memory first: what the file says of its model may be of any size
    problems = misfit(weights, skeleton(spec.name, args, most=MOST_MORE * len(weights) + FEW))
    if problems:
        raise ModelError(f"{path} does not fit {spec.name}: {summary(problems)}")
    built = create_model(spec.name, **args)
    built.load_state_dict(weights)
    return Opened(built.to(device).eval(), tuple(notes))


@dataclass(frozen=True)
class SidecarModel:
    """Registry name of the model, and the arguments that build it."""

    name: str
    args: dict[str, Any]


@dataclass(frozen=True)
class Sidecar:
    """What stands beside weights: the model, and how they were made."""

    format: int
    model: SidecarModel
    parameters: int | None = None
    recipe: dict[str, Any] = field(default_factory=dict)
    metrics: dict[str, Any] = field(default_factory=dict)
    seed: int | None = None
    versions: dict[str, str] = field(default_factory=dict)


def read_sidecar(path: Path) -> Sidecar | None:
    """The sidecar of a checkpoint, None if there is none; ModelError, with the path of the field, if it is damaged."""
    sidecar = path.with_suffix(".json")
    if not sidecar.is_file():
        return None
    if (size := sidecar.stat().st_size) > MOST_SIDECAR:
        raise ModelError(f"{sidecar} is not a checkpoint sidecar: it has {size} bytes, at most {MOST_SIDECAR} are read")
    try:
        content = json.loads(sidecar.read_text(encoding="utf-8"))
        stored_format = content["format"] if isinstance(content, dict) and "format" in content else SIDECAR_FORMAT
        if stored_format != SIDECAR_FORMAT:
            raise ModelError(f"{sidecar} has format {stored_format}, this version reads {SIDECAR_FORMAT}")
        return msgspec.convert(content, Sidecar, strict=True)
    except (OSError, RecursionError, msgspec.ValidationError, ValueError) as error:
        if isinstance(error, ModelError):
            raise
        raise ModelError(f"{sidecar} is not a checkpoint sidecar: {error}") from error


def _sidecar_spec(path: Path, name: str | None) -> ModelSpec | None:
    """What the sidecar says, unless there is none or the caller names another model."""
    sidecar = read_sidecar(path)
    if sidecar is None or name not in (None, sidecar.model.name):
        return None
    return ModelSpec(sidecar.model.name, sidecar.model.args)


def _inferred_spec(
    path: Path, stored: WeightFile, name: str | None, time_steps: int | None
) -> tuple[ModelSpec, list[str]]:
    """Model and arguments from the caller's name, the file's arguments, and keys and shapes; with notes."""
    notes = []
    stored_name = stored.model_name
    if name is not None:
        args = shape_arguments(name, stored.weights)
    elif stored_name in list_models():
        name, args = stored_name, shape_arguments(stored_name, stored.weights)
        notes.append(f"model {name} (the file says so)")
    else:
        try:
            name, args = identify(stored.weights)
        except ModelError as error:
            raise ModelError(f"{path}: {error}") from error
        notes.append(
            f"model {name} (from keys and shapes" + (f"; the file calls it {stored_name!r})" if stored_name else ")")
        )
    notes += [f"{argument} {value} (from shapes)" for argument, value in args.items()]
    known = {"time_steps": stored.time_steps, "img_size": stored.img_size}
    for argument, value in known.items():
        if value is not None:
            args[argument] = value
            notes.append(f"{argument} {value} (from the file's arguments)")
    if stored.time_steps is None and time_steps is None:
        notes.append("T is the model's default; the file does not say it")
    return ModelSpec(name, args), notes
