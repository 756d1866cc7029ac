"""Which registered model do these weights belong to? Answered from keys and shapes alone."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.module import register_module_parameter_registration_hook

from msvit.errors import ModelError
from msvit.registry import create_model, entry, list_models

Shapes = Mapping[str, torch.Size]


def identify(weights: Mapping[str, Tensor]) -> tuple[str, dict[str, Any]]:
    """Name and arguments (classes, input channels, optional weights) of the one registered model that fits.

    Of several in a family, the one that departs from its defaults in the fewest arguments. Where that leaves more than
    one, or one of each of several families, they are named in a ModelError, so that the user can choose; if none fits,
    the nearest is named.
    """
    names = list_models()
    fitting = {}
    for name in names:
        known = outline(name)
        added = weights.keys() - known.shapes.keys()
        # else building it once more would be in vain
        if known.shapes.keys() <= weights.keys() and (not added or added & set(known.optional.values())):
            args = shape_arguments(name, weights)
            if _fits(weights, name, args):
                fitting[name] = args
    if not fitting:
        for name in names:
            if official_names(name, weights) is not weights:
                raise ModelError(
                    f"the weights have the names of another library, and would fit {name}, but a network that does not "
                    f"spike may have the same names; if it is that model, name it (--model {name})"
                )
        nearest = min(names, key=lambda name: _distance(weights, outline(name).shapes))
        problems = summary(misfit(weights, outline(nearest).shapes))
        raise ModelError(f"the weights fit no registered model; nearest is {nearest}: {problems}")
    closest = [name for name, args in fitting.items() if not any(_nearer(other, name, fitting) for other in fitting)]
    if len(closest) > 1:
        raise ModelError(f"the weights fit several models: {', '.join(closest)}; name one (--model)")
    return closest[0], fitting[closest[0]]


def _fits(weights: Mapping[str, Tensor], name: str, args: Mapping[str, Any]) -> bool:
    try:
        return not misfit(weights, skeleton(name, args))
    except ModelError:  # shapes of the file that no model can have
        return False


def _distance(weights: Mapping[str, Tensor], expected: Shapes) -> int:
    """The number of `misfit`'s problems."""
    common = weights.keys() & expected.keys()
    other = sum(weights[key].shape != expected[key] for key in common)
    return len(weights) + len(expected) - 2 * len(common) + other


def _nearer(other: str, name: str, fitting: Mapping[str, dict[str, Any]]) -> bool:
    """Whether another model of the same family departs from its defaults in fewer arguments. Of two families, the same
    weights are two networks."""
    return entry(other).family == entry(name).family and len(fitting[other]) < len(fitting[name])


@dataclass(frozen=True)
class Outline:
    """A model with its default arguments: shapes, and where classes and input channels can be read off."""

    shapes: Shapes
    read_off: tuple[tuple[str, str, int, int], ...]  # argument, key, axis, default
    optional: Mapping[str, str]  # SpikingClassifier.optional_weights
    other_names: Sequence[tuple[str, str]]  # SpikingClassifier.other_names


@lru_cache
def outline(name: str) -> Outline:
    """The outline of a registered model, built without memory, once."""
    with torch.device("meta"):
        model = create_model(name)
    layers = list(model.named_modules())
    head = [(f"{key}.weight", 0) for key, module in layers if isinstance(module, nn.Linear)][-1:]
    entrance = [(f"{key}.weight", 1) for key, module in layers if isinstance(module, nn.Conv2d)][:1]
    read_off = [("num_classes", *place, model.num_classes) for place in head]
    read_off += [("in_chans", *place, model.in_chans) for place in entrance]
    shapes = {key: value.shape for key, value in model.state_dict().items()}
    # the networks of timm have neither
    optional, other_names = getattr(model, "optional_weights", {}), getattr(model, "other_names", ())
    return Outline(shapes, tuple(read_off), optional, other_names)


def shape_arguments(name: str, weights: Mapping[str, Tensor]) -> dict[str, Any]:
    """Arguments of a model that can be read off the shapes of its last linear layer and first convolution, and off
    optional weights."""
    known = outline(name)
    args: dict[str, Any] = {
        argument: weights[key].shape[axis]
        for argument, key, axis, default in known.read_off
        if key in weights and weights[key].dim() > axis and weights[key].shape[axis] != default
    }
    return args | {argument: True for argument, key in known.optional.items() if key in weights}


def official_names(name: str, weights: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    """The weights under the official keys of a model, if they have those of another library; else as they are."""
    known = outline(name)
    if not known.other_names or known.shapes.keys() == weights.keys():
        return weights
    renamed = {}
    for key, value in weights.items():
        for pattern, official in known.other_names:
            key = re.sub(pattern, official, key)  # noqa: PLW2901
        renamed[key] = value
    return renamed if renamed.keys() == known.shapes.keys() else weights


def skeleton(name: str, args: Mapping[str, Any], most: int | None = None) -> Shapes:
    """Keys and shapes of a model's state dict, built without memory; ModelError for one of more than `most` weights,
    as soon as it has them."""
    if not args:
        return outline(name).shapes
    built = 0

    def count(*_: Any) -> None:
        nonlocal built
        built += 1
        if most is not None and built > most:
            raise ModelError(f"{name} with such arguments has more than {most} weights, which are not in the file")

    with torch.device("meta"), register_module_parameter_registration_hook(count):
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
