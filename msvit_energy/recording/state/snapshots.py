"""Copies of what single objects hold, to put it back later, and nothing of what their members hold."""

from collections import deque
from collections.abc import Callable, Iterable
from types import MemberDescriptorType, MethodType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

_INTERNALS = frozenset(vars(nn.Module()))  # what every module has, its mode included
_MISSING = object()

PutBack = Callable[[], None]


def attributes(value: Any) -> dict[str, Any]:
    """What a forward may leave behind in a module or a plain object, by name."""
    found = getattr(value, "__dict__", {})
    if isinstance(value, nn.Module):
        own = {name: held for name, held in found.items() if name not in _INTERNALS}
        return own | value._buffers | value._parameters
    members = [member for base in type(value).__mro__ for member in vars(base).items()]
    slots = [name for name, member in members if isinstance(member, MemberDescriptorType)]
    held = {name: getattr(value, name, _MISSING) for name in slots}
    return found | {name: each for name, each in held.items() if each is not _MISSING}


def putting_back(value: Any) -> PutBack | None:
    """What puts a value back to what it holds now, and writes nothing where that is the case already; None for what
    cannot change."""
    if isinstance(value, Tensor):
        return _tensor(value)
    if isinstance(value, np.ndarray):
        return _array(value)
    if isinstance(value, list | deque):
        return _sequence(value)
    if isinstance(value, dict):
        return _mapping(value)
    if isinstance(value, set):
        return _set(value)
    return None if isinstance(value, tuple | frozenset | MethodType) else _object(value)


def _tensor(value: Tensor) -> PutBack | None:
    if value.is_meta:
        return None
    content = value.detach().clone()

    def put_back() -> None:
        if value.shape != content.shape or value.dtype != content.dtype:
            value.data = content.clone()
        elif not torch.equal(value, content):
            with torch.inference_mode(value.is_inference()), torch.no_grad():
                value.copy_(content)

    return put_back


def _array(value: np.ndarray) -> PutBack | None:
    if not value.flags.writeable:
        return None
    content = value.copy()

    def put_back() -> None:
        if value.shape != content.shape:
            value.resize(content.shape, refcheck=False)
        np.copyto(value, content)

    return put_back


def _sequence(value: list[Any] | deque[Any]) -> PutBack:
    content = list(value)

    def put_back() -> None:
        if not _same(value, content):
            value.clear()
            value.extend(content)

    return put_back


def _mapping(value: dict[Any, Any]) -> PutBack:
    content = dict(value)

    def put_back() -> None:
        if not (_same(value, content) and _same(value.values(), content.values())):
            value.clear()
            value.update(content)

    return put_back


def _set(value: set[Any]) -> PutBack:
    content = set(value)

    def put_back() -> None:
        if value != content:
            value.clear()
            value.update(content)

    return put_back


def _object(value: Any) -> PutBack:
    """Of a module or a plain object, frozen ones included."""
    content = attributes(value)
    kind = type(value) if isinstance(value, nn.Module) else object
    write, delete = kind.__setattr__, kind.__delattr__

    def put_back() -> None:
        now = attributes(value)
        for name in now.keys() - content.keys():
            delete(value, name)
        for name, held in content.items():
            if now.get(name, _MISSING) is not held:
                write(value, name, held)

    return put_back


def _same(one: Iterable[Any], other: Iterable[Any]) -> bool:
    """Whether both hold the same objects in the same order."""
    left, right = list(one), list(other)
    return len(left) == len(right) and all(a is b for a, b in zip(left, right, strict=True))
