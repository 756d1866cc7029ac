"""What a model is made of, to tell whether it still is the same: classes, settings and shapes, not weights."""

from collections.abc import Iterable
from itertools import chain
from numbers import Number
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType
from typing import Any
from weakref import ref

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

PLAIN = (str, bytes, Number, range, type(None), torch.dtype, torch.device)
CLOSED = (FunctionType, BuiltinFunctionType, MethodType, ModuleType, type)  # not looked into
COUNTER = "num_batches_tracked"  # of batch norm: training changes it, and nothing depends on it in evaluation


class Same:
    """Equal for the very same object only, which it does not keep alive; never for what no weak reference can watch."""

    def __init__(self, value: Any) -> None:
        try:
            self.watched: ref[Any] | None = ref(value)
        except TypeError:
            self.watched = None

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Same) or self.watched is None or other.watched is None:
            return False
        value = self.watched()
        return value is not None and value is other.watched()

    __hash__ = None  # type: ignore[assignment]


def made_of(model: nn.Module) -> Any:
    """Equal for a model as long as no shape, class, function or plain attribute in it was exchanged, however deep.

    Of tensors the shapes count, and the values of single numbers that are no parameters.
    """
    try:
        return _mark(model, {})
    except RecursionError:
        return object()


def _mark(value: Any, seen: dict[int, int]) -> Any:
    if isinstance(value, ref):
        value = value()
    if isinstance(value, PLAIN):
        return type(value), value
    if isinstance(value, Tensor):
        return _mark_of_tensor(value)
    if id(value) in seen:
        return seen[id(value)]
    seen[id(value)] = len(seen)
    return [_kind(value), *(_mark(part, seen) for part in _parts(value))]


def _mark_of_tensor(value: Tensor) -> Any:
    if is_lazy(value):
        return type(value)
    number = value.dim() == 0 and not isinstance(value, nn.Parameter) and not value.is_meta
    return type(value), tuple(value.shape), value.dtype, value.item() if number else None


def _kind(value: Any) -> Any:
    """The class of what is known by its parts; other objects stand for themselves."""
    return type(value) if isinstance(value, nn.Module | dict | list | tuple | set | frozenset) else Same(value)


def _parts(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        return chain.from_iterable(item for item in value.items() if item[0] != COUNTER)
    if isinstance(value, list | tuple | set | frozenset):
        return value
    return () if isinstance(value, CLOSED) else (getattr(value, "__dict__", None),)
