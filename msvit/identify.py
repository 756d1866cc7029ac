"""Which registered model do these weights belong to? Answered from keys and shapes alone."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from msvit.errors import ModelError
from msvit.registry import create_model, list_models

Shapes = Mapping[str, torch.Size]


def identify(weights: Mapping[str, Tensor]) -> tuple[str, dict[str, Any]]:
    """Name and arguments (classes, input channels) of the one registered model that fits.

    Several that fit are named in a ModelError, so that the user can choose; if none does, the nearest is.
    """
    found = {name: shape_arguments(name, weights) for name in list_models()}
    misfits = {name: misfit(weights, skeleton(name, args)) for name, args in found.items()}
    fitting = [name for name, problems in misfits.items() if not problems]
    if len(fitting) > 1:
        raise ModelError(f"the weights fit several models: {', '.join(fitting)}; name one (--model)")
    if not fitting:
        nearest = min(misfits, key=lambda name: len(misfits[name]))
        raise ModelError(f"the weights fit no registered model; nearest is {nearest}: {summary(misfits[nearest])}")
    return fitting[0], found[fitting[0]]


def shape_arguments(name: str, weights: Mapping[str, Tensor]) -> dict[str, Any]:
    """Arguments of a model that can be read off the shapes of its last linear layer and first convolution."""
    with torch.device("meta"):
        model = create_model(name)
    layers = list(model.named_modules())
    head = [key for key, module in layers if isinstance(module, nn.Linear)][-1:]
    entrance = [key for key, module in layers if isinstance(module, nn.Conv2d)][:1]
    arguments = {}
    for argument, keys, axis, default in (
        ("num_classes", head, 0, model.num_classes),
        ("in_chans", entrance, 1, model.in_chans),
    ):
        weight = weights.get(f"{keys[0]}.weight") if keys else None
        if weight is not None and weight.dim() > axis and weight.shape[axis] != default:
            arguments[argument] = weight.shape[axis]
    return arguments


def skeleton(name: str, args: Mapping[str, Any]) -> Shapes:
    """Keys and shapes of a model's state dict, built without memory."""
    with torch.device("meta"):
        model = create_model(name, **args)
    return {key: value.shape for key, value in model.state_dict().items()}


def misfit(weights: Mapping[str, Tensor], expected: Shapes) -> list[str]:
    """What keeps weights from fitting, a phrase per key; empty if they fit."""
    problems = [f"missing {key}" for key in expected if key not in weights]
    problems += [f"unknown {key}" for key in weights if key not in expected]
    problems += [
        f"{key} is {tuple(weights[key].shape)}, not {tuple(shape)}"
        for key, shape in expected.items()
        if key in weights and weights[key].shape != shape
    ]
    return problems


def summary(problems: list[str], most: int = 4) -> str:
    """The first few problems, and how many more there are."""
    more = f" and {len(problems) - most} more" if len(problems) > most else ""
    return "; ".join(problems[:most]) + more
