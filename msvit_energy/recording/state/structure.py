"""What a model is beside the values of its tensors: two models of one structure run in the same way."""

from collections import deque
from collections.abc import Hashable, Iterable
from types import FunctionType, MethodType
from typing import Any
from weakref import ref

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from msvit_energy.recording.state.snapshots import attributes

PLAIN = (int, float, complex, bool, str, bytes, type(None), torch.dtype, torch.device, torch.Size)


def structure_of(reached: Iterable[Any]) -> tuple[Hashable, ...]:
    """Of everything that can be reached from a model, in order: classes, shapes, numbers and texts, names, functions
    (those weakly) and hooks, and nothing of what is in tensors."""
    return tuple((ref(type(value)), *_inside(value)) for value in reached)


def _inside(value: Any) -> Iterable[Hashable]:
    if isinstance(value, Tensor | np.ndarray):
        shape = () if isinstance(value, Tensor) and is_lazy(value) else tuple(value.shape)
        return shape, str(value.dtype), str(getattr(value, "device", ""))
    if isinstance(value, MethodType):
        return (_item(value.__func__),)
    if isinstance(value, set | frozenset):
        return (frozenset(map(_item, value)),)
    if isinstance(value, list | tuple | deque):
        return tuple(map(_item, value))
    held = value if isinstance(value, dict) else attributes(value)
    pairs = tuple((_item(name), _item(each)) for name, each in held.items())
    return (*pairs, *_of_module(value)) if isinstance(value, nn.Module) else pairs


def _of_module(module: nn.Module) -> tuple[Hashable, ...]:
    hooks = (*module._forward_pre_hooks.values(), *module._forward_hooks.values())
    return tuple(module._modules), module.training, tuple(map(_item, hooks))


def _item(value: Any) -> Hashable:
    kind = type(value)
    return (kind, value) if kind in PLAIN else ref(value if isinstance(value, FunctionType | type) else kind)
