"""Load the model that a command works on: a checkpoint, a registered model, or anybody's `package.module:factory`."""

import importlib
import inspect
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

import msvit
from msvit.checkpoint import SHIPPED, find, open_checkpoint, read_sidecar
from msvit.classifier import SpikingClassifier
from msvit.data import DatasetSpec
from msvit.weight_files import read_weight_file
from msvit_energy.errors import EnergyError, printable
from msvit_energy.profiles.provenance import sha256
from msvit_energy.workflows.loading.device import choose
from msvit_energy.workflows.loading.model_arguments import parse_arguments, parse_size
from msvit_energy.workflows.loading.nir_files import SUFFIX, read_nir
from msvit_energy.workflows.training.training_data import as_timm_says, training_data


@dataclass(frozen=True)
class LoadedModel:
    """A model to measure: the module, what images it takes (None: it does not say), its part of the provenance,
    warnings about it, and the images that it was made for (None: not known)."""

    model: nn.Module
    input_size: tuple[int, int, int] | None
    provenance: dict[str, Any]
    warnings: list[str] = field(default_factory=list)
    made_for: DatasetSpec | None = None

    def size(self, given: str | None) -> tuple[int, int, int]:
        """C, H, W of the images: as given, else the model's own; EnergyError if neither says it all."""
        if given is not None:
            return parse_size(given, self.input_size)
        if self.input_size is None:
            raise EnergyError("the model does not say what images it takes; give --input-size CxHxW, such as 3x32x32")
        return self.input_size


def load_model(
    ckpt: Path | None,
    name: str | None,
    model_args: str | None,
    *,
    ema: bool,
    time_steps: int | None,
    seed: int,
    device: str,
) -> LoadedModel:
    """The model to measure. Says on stderr what it inferred."""
    place = choose(device)
    arguments = parse_arguments(model_args)
    if ckpt is not None and ckpt.suffix == SUFFIX:
        if name is not None or arguments or ema:
            raise EnergyError(f"{ckpt.name} is a whole network: --model, --model-args and --ema do not go with it")
        return _from_nir(ckpt, place)
    if name is not None and ":" in name:
        return _foreign(name, arguments, ckpt, ema, seed, place)
    return load_registered(ckpt, name, arguments, ema=ema, time_steps=time_steps, seed=seed, device=place)


def without_memory(name: str, arguments: Mapping[str, Any]) -> SpikingClassifier:
    """A registered model on the meta device: shapes, no weights."""
    with torch.device("meta"):
        return msvit.create_model(name, **arguments)


def load_registered(
    ckpt: Path | None,
    name: str | None,
    arguments: Mapping[str, Any],
    *,
    ema: bool,
    time_steps: int | None,
    seed: int,
    device: str,
) -> LoadedModel:
    """A model of this project: the shipped checkpoint where neither a checkpoint nor a name is given."""
    recipe: Mapping[str, Any] = {}
    if ckpt is None and name is not None:
        torch.manual_seed(seed)
        network = msvit.create_model(name, **({"time_steps": time_steps} | dict(arguments))).to(device)
        provenance: dict[str, Any] = {"checkpoint": None}
        warnings = ["the weights are untrained: rates and energy mean nothing for a trained network"]
    else:
        if arguments:
            raise EnergyError("--model-args goes with --model and no checkpoint; a checkpoint says its own arguments")
        path = find(ckpt or SHIPPED)
        network, notes = open_checkpoint(path, model=name, time_steps=time_steps, device=device, ema=ema)
        for note in notes:
            print(printable(f"{path.name}: {note}"), file=sys.stderr)
        provenance = {"checkpoint": {"file": path.name, "sha256": sha256(path), "ema": ema, "inferred": list(notes)}}
        warnings = []
        if (sidecar := read_sidecar(path)) is not None and sidecar.model.name == network.spec.name:
            recipe = sidecar.recipe
    provenance["model"] = {"name": network.spec.name, "args": network.spec.args}
    made_for = training_data(network, recipe)
    return LoadedModel(network, network.input_size, provenance | {"device": device}, warnings, made_for)


def _foreign(name: str, arguments: dict[str, Any], ckpt: Path | None, ema: bool, seed: int, device: str) -> LoadedModel:
    """Anybody's model, made by calling `package.module:factory` with the arguments."""
    factory = _imported(name)
    try:
        inspect.signature(factory).bind(**arguments)
    except TypeError as error:
        raise EnergyError(f"--model-args {arguments} do not fit {name}: {error}") from error
    torch.manual_seed(seed)
    model = factory(**arguments)
    if not isinstance(model, torch.nn.Module):
        raise EnergyError(f"{name} made a {type(model).__name__}, not a torch.nn.Module")
    provenance: dict[str, Any] = {"model": {"name": name, "args": arguments}, "checkpoint": None, "device": device}
    warnings = []
    if ckpt is None:
        warnings.append("no checkpoint was given: unless the factory loads weights, rates and energy mean nothing")
    else:
        _load(model, ckpt, ema)
        provenance["checkpoint"] = {"file": ckpt.name, "sha256": sha256(ckpt), "ema": ema, "inferred": []}
    size = getattr(model, "input_size", None)
    own = tuple(size) if isinstance(size, list | tuple) and len(size) == 3 else None
    return LoadedModel(model.to(device), own, provenance, warnings, as_timm_says(model))


def _from_nir(path: Path, device: str) -> LoadedModel:
    """The network of a NIR file."""
    found = read_nir(path)
    note = f"a time step is {found.dt:g} s"
    print(f"{path.name}: {note}", file=sys.stderr)
    checkpoint = {"file": path.name, "sha256": sha256(path), "ema": False, "inferred": [note]}
    provenance = {"checkpoint": checkpoint, "model": {"name": path.stem}, "device": device}
    return LoadedModel(found.model.to(device), found.input_size, provenance)


def _imported(name: str) -> Any:
    """The callable that `package.module:factory` names; modules of the current folder are found too."""
    module_name, _, attribute = name.partition(":")
    if "" not in sys.path:
        sys.path.insert(0, "")
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or not module_name.startswith(error.name):
            raise  # the module is there; what it imports is not
        raise EnergyError(f"no module {module_name!r} for the model {name!r}") from error
    except ValueError as error:
        raise EnergyError(f"a model of one's own is package.module:factory, not {name!r}") from error
    factory = getattr(module, attribute, None)
    if not callable(factory):
        raise EnergyError(f"module {module_name} has no factory {attribute!r} that makes a model")
    return factory


def _load(model: nn.Module, ckpt: Path, ema: bool) -> None:

    try:
        model.load_state_dict(read_weight_file(ckpt, ema=ema).weights)
    except RuntimeError as error:
        raise EnergyError(f"{ckpt} does not fit the model: {' '.join(str(error).split())[:300]}") from error
