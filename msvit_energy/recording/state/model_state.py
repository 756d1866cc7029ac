"""What a forward leaves behind in a model, and how every sample starts from the same state."""

from collections import deque
from collections.abc import Callable, Hashable, Iterable
from contextlib import AbstractContextManager
from types import BuiltinMethodType, FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from msvit_energy.recording.neurons import NONE_NAMED, Neurons, is_neuron, reset_of
from msvit_energy.recording.state.snapshots import attributes, putting_back
from msvit_energy.recording.state.structure import structure_of
from msvit_energy.recording.state.weight_writes import WeightWrites

_NO_STATE = (type, ModuleType, FunctionType, BuiltinMethodType)
_CONSTANT = {int, float, complex, bool, str, bytes, type(None), FunctionType, type, torch.dtype, torch.device}
_FOREIGN = ("torch", "logging")  # libraries whose objects are left alone


class RestState:
    """The state of rest, in which every sample starts, whatever library keeps it.

    Neurons of known libraries, and SpikingJelly's other modules with a memory, are reset by their own methods; then
    `reset` is called, if it is given. All else that can be reached from the modules is put back to what it was when
    this object was made, as the same objects: plain attributes, buffers, parameters of neurons, and what is inside of
    containers, numpy arrays, plain objects (callable or not, with `__dict__` or `__slots__`), and modules that no other
    module registered.

    Nothing else is put back: class attributes, variables of functions and of Python modules, torch's own objects.
    Parameters of other modules are too large to copy; `restore` raises EnergyError if a forward wrote to one.
    """

    def __init__(
        self, model: nn.Module, reset: Callable[[], object] | None = None, neurons: Neurons = NONE_NAMED
    ) -> None:
        self.neurons = neurons
        modules = [value for value in _reachable(model) if isinstance(value, nn.Module)]
        self._resets = [own for module in modules if (own := reset_of(module)) is not None]
        self.has_reset = reset is not None
        if reset is not None:
            self._resets.append(reset)
        with torch.inference_mode(False), torch.no_grad():
            self._reset()
            self.weights = WeightWrites(model, [each for each in modules if not (each in neurons or is_neuron(each))])
            self.reached = _reachable(model)  # all that is put back, and weights
            kept = [value for value in self.reached if value not in self.weights]
            each = {id(value): putting_back(value) for value in kept}
            self._put_back = {key: put_back for key, put_back in each.items() if put_back is not None}
        self.tensors = [value for value in kept if isinstance(value, Tensor)]  # all but weights
        self._in_inference = any(tensor.is_inference() for tensor in self.tensors)
        self._runs = 0  # of the model

    def restore(self) -> None:
        """Put the model back to rest."""
        with torch.inference_mode(False), torch.no_grad():
            self._reset()
            for put_back in self._put_back.values():
                put_back()
        if self._runs:
            self.weights.check_written()

    def restoring(self, part: nn.Module) -> Callable[[], None]:
        """What puts to rest all that can be reached from a module that is at rest now, where nothing else has run."""
        reached = _reachable(part)
        resets = [own for each in reached if isinstance(each, nn.Module) and (own := reset_of(each)) is not None]
        put_back = [self._put_back[id(value)] for value in reached if id(value) in self._put_back]

        def restore() -> None:
            with torch.inference_mode(False), torch.no_grad():
                for each in (*resets, *put_back):
                    each()

        return restore

    def mode(self) -> AbstractContextManager[Any]:
        """What a forward runs in, a mode without gradients: inference mode where a state was made in it, and can be
        written to in it alone."""
        self._runs += 1
        return torch.inference_mode() if self._in_inference else torch.no_grad()

    @property
    def ran_once(self) -> bool:
        """Whether a single forward has run since this object was made."""
        return self._runs == 1

    def structure(self) -> tuple[Hashable, ...]:
        """What the model is at rest, beside the values of its tensors."""
        return structure_of(self.reached)

    def _reset(self) -> None:
        for reset in self._resets:
            reset()


def _reachable(model: nn.Module) -> list[Any]:
    """Everything with a state that can be reached from a model, each once, the model first."""
    found: dict[int, Any] = {}
    waiting: list[Any] = [model]
    while waiting:
        value = waiting.pop()
        if type(value) in _CONSTANT or id(value) in found:
            continue
        if (inside := _inside(value)) is not None:
            found[id(value)] = value
            waiting += inside
    return list(found.values())


def _inside(value: Any) -> Iterable[Any] | None:
    """The values in one; None for what has no state."""
    if isinstance(value, Tensor | np.ndarray):
        return None if isinstance(value, Tensor) and is_lazy(value) else ()
    if isinstance(value, list | tuple | deque | set | frozenset):
        return tuple(value)
    if isinstance(value, dict):
        return tuple(value.values())
    if isinstance(value, MethodType):
        return (value.__self__,)
    if isinstance(value, nn.Module):
        return (*attributes(value).values(), *value.children())
    return tuple(attributes(value).values()) if _is_plain(value) else None


def _is_plain(value: Any) -> bool:
    """Whether a value is an instance of a class written in Python."""
    kind = type(value)
    if issubclass(kind, _NO_STATE) or kind.__module__.partition(".")[0] in _FOREIGN:
        return False
    return hasattr(value, "__dict__") or any("__slots__" in vars(base) for base in kind.__mro__)
