"""What the classes and functions of a model hold, where a state can be that `RestState` does not put back.

Only what can be compared is let pass: a list that a class holds is compared item by item, while an iterator, a cache or
an object of foreign code may change without being seen. The packages in KNOWN keep the state of a forward in modules.
"""

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dis import opmap
from types import (
    BuiltinFunctionType,
    CodeType,
    FunctionType,
    GetSetDescriptorType,
    MemberDescriptorType,
    MethodType,
    ModuleType,
)
from typing import Any
from weakref import ref

import numpy as np
from torch import Tensor, nn
from torch.nn.modules import module as hooks_of_all

from msvit_energy.recording.state.snapshots import attributes
from msvit_energy.recording.state.structure import PLAIN
from msvit_energy.recording.state.weight_writes import checksum

KNOWN = (
    *("torch", "torchvision", "timm", "spikingjelly", "msvit"),
    *("abc", "builtins", "collections", "dataclasses", "math", "reprlib", "typing", "typing_extensions", "warnings"),
    "_py_warnings",  # of warnings since Python 3.14
)
ANYWHERE = {"globals", "vars", "exec", "eval", "open", "compile", "__import__", "ops"}  # names that lead anywhere
MOST = 1000  # items of one container
NOT_RUN = {
    *("__dict__", "__weakref__", "__doc__", "_abc_impl"),
    *("__annotations__", "__annotate_func__", "__annotations_cache__"),  # the latter two since Python 3.14
}
OF_SLOTS = (GetSetDescriptorType, MemberDescriptorType)


class UnseenStateError(Exception):
    """Code holds what may change without being seen."""


class CodeState:
    """What the classes and functions are and hold of everything that can be reached from a model, beside what is
    reached, which is at rest when this is made and when it is asked."""

    def __init__(self, reached: Sequence[Any]) -> None:
        self._reached = {id(value): place for place, value in enumerate(reached)}
        held = (each for value in reached for each in _held(value) if type(each) not in PLAIN)
        classes = dict.fromkeys(map(type, reached)).keys() - {np.ndarray}
        self._roots = [*classes, *(each for each in held if id(each) not in self._reached)]

    def now(self) -> tuple[Any, ...] | None:
        """Equal as long as none of it changes. None where that cannot be known."""
        walk = _Walk(self._reached)
        if hooks_of_all._global_forward_hooks or hooks_of_all._global_forward_pre_hooks:
            return None
        try:
            walk.note_all(self._roots)
        except (UnseenStateError, RecursionError):
            return None
        return tuple(walk.found)


class _Walk:
    """Goes through classes and functions, each once, and notes what they hold."""

    def __init__(self, reached: Mapping[int, int]) -> None:
        self.found: list[Any] = []
        self._places = dict(reached)
        self._seen: list[Any] = []  # beside what is reached, in order

    def note_all(self, values: Iterable[Any]) -> None:
        """UnseenStateError for what may change unseen."""
        for value in values:
            self._note(value)

    def _note(self, value: Any) -> None:
        if type(value) in PLAIN:
            self.found.append((type(value), value))
            return
        known = len(self._places)
        place = self._places.setdefault(id(value), known)
        self.found.append(place)
        if place == known:
            self._seen.append(value)
            if isinstance(value, type):
                self._note_class(value)
            elif isinstance(value, FunctionType):
                self._note_function(value)
            elif type(value) in (Tensor, nn.Parameter) and not (value.is_meta or value.is_quantized):
                self.found.append(checksum(value))
            elif not (isinstance(value, ModuleType | BuiltinFunctionType) and _is_known(value)):
                self.note_all(_inside(value))

    def _note_class(self, kind: type) -> None:
        if not _is_known(type(kind)):
            raise UnseenStateError
        self.found.append(ref(kind))
        self.note_all(kind.__bases__)
        members = [(name, held) for name, held in vars(kind).items() if name not in NOT_RUN]
        if _is_known(kind):  # where a function of somebody else may have been put
            members = [each for each in members if isinstance(each[1], FunctionType) and not _is_known(each[1])]
        for name, held in members:
            if not isinstance(held, OF_SLOTS):
                self.found.append(name)
                self._note(held)

    def _note_function(self, function: FunctionType) -> None:
        self.found += (ref(function), function.__code__)
        cells = [cell.cell_contents for cell in function.__closure__ or () if _is_filled(cell)]
        if _is_known(function):
            self._note_wrapped((*cells, *vars(function).values()))
            return
        names = _names(function.__code__)
        if names & ANYWHERE:
            raise UnseenStateError
        self.note_all((function.__defaults__, function.__kwdefaults__, vars(function), cells))
        for name in sorted(names & function.__globals__.keys()):
            held = function.__globals__[name]
            self.found.append(name)
            if isinstance(held, ModuleType) and not _is_known(held):
                self.note_all(vars(held)[each] for each in sorted(names & vars(held).keys()))
            else:
                self._note(held)

    def _note_wrapped(self, values: Iterable[Any]) -> None:
        """What a decorator of a known package is around, which may be somebody's function."""
        for value in values:
            if isinstance(value, MethodType):
                self._note_wrapped((value.__func__, value.__self__))
            elif isinstance(value, FunctionType | type):
                self._note(value)
            elif isinstance(value, dict | list | tuple | set | frozenset) or not _is_known(type(value)):
                raise UnseenStateError


def _held(value: Any) -> Iterable[Any]:
    """What something that is reached holds by itself."""
    if isinstance(value, Tensor | np.ndarray):
        return ()
    if isinstance(value, nn.Module):
        hooks = (*value._forward_pre_hooks.values(), *value._forward_hooks.values())
        return (*attributes(value).values(), *hooks)
    if isinstance(value, MethodType):
        return (value.__func__,)
    if isinstance(value, dict):
        return (*value, *value.values())
    return value if isinstance(value, list | tuple | set | frozenset | deque) else attributes(value).values()


def _inside(value: Any) -> Iterable[Any]:
    """The values in one; UnseenStateError for what has others that are not known, and for too many."""
    if isinstance(value, dict | list | tuple | set | frozenset | deque):
        if len(value) > MOST:
            raise UnseenStateError
        return (len(value), *value, *value.values()) if isinstance(value, dict) else (len(value), *value)
    if isinstance(value, staticmethod | classmethod):
        return (value.__func__,)
    if isinstance(value, MethodType):
        return value.__func__, value.__self__
    if isinstance(value, property):
        return value.fget, value.fset, value.fdel
    raise UnseenStateError


def _is_known(value: Any) -> bool:
    """Whether a class, function or Python module is of a package that keeps states in modules."""
    if isinstance(value, FunctionType):  # whose __module__ may be that of another one
        place = value.__globals__.get("__name__")
    elif isinstance(value, ModuleType):
        place = value.__name__
    else:
        of_object = not isinstance(getattr(value, "__self__", None), ModuleType | type | None)
        place = "" if of_object else value.__module__
    return str(place).partition(".")[0] in KNOWN


def _names(code: CodeType) -> set[str]:
    """The names of everything that a function, and those in it, may take from elsewhere."""
    if opmap["IMPORT_NAME"] in code.co_code[::2]:
        raise UnseenStateError
    inner = (_names(each) for each in code.co_consts if isinstance(each, CodeType))
    return set(code.co_names).union(*inner)


def _is_filled(cell: Any) -> bool:
    try:
        return cell.cell_contents is not cell
    except ValueError:
        return False
