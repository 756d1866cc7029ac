"""Spiking neurons of the libraries people use: how to recognise them, what they emit, how to put them to rest.

Classes are recognised by their qualified names, so no library is imported that the model does not use itself.
"""

import re
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import lru_cache
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

_INTERNALS = frozenset(vars(nn.Module()))  # what every module has, its mode included


@dataclass(frozen=True)
class Library:
    """How a library's neurons are told: prefixes of the qualified names of their classes, and patterns of the class
    names of what does not spike and of what runs over `[T, ...]` in one call. `reset` is the method that puts a neuron
    to rest, if there is one."""

    name: str
    prefixes: tuple[str, ...]
    silent: str = "$^"
    sequences: str = "$^"
    reset: str = ""


LIBRARIES = (
    Library("SpikingJelly", ("spikingjelly.activation_based.neuron.",), silent="NonSpiking", reset="reset"),
    Library(
        "snnTorch",
        ("snntorch._neurons.neurons.SpikingNeuron", "snntorch._neurons.leakyparallel.LeakyParallel"),
        sequences="LeakyParallel",
        reset="reset_mem",
    ),
    Library("Norse", ("norse.torch.module.snn.",), silent="LI(?!F)", sequences="(SNN|SNNRecurrent)$"),
)


def library_of(module: nn.Module) -> Library | None:
    """The library whose neuron a module is; None for everything else."""
    names = _names(type(module))  # type: ignore[arg-type]  # classes are hashable
    for library in LIBRARIES:
        if any(name.startswith(library.prefixes) for name in names):
            return None if _any(library.silent, names) else library
    return None


def is_neuron(module: nn.Module) -> bool:
    """Whether a module is a layer of spiking neurons: of a known library, or by `activation_op = "neuron"`."""
    return getattr(module, "activation_op", None) == "neuron" or library_of(module) is not None


def takes_sequences(neuron: nn.Module) -> bool | None:
    """Whether a neuron runs over `[T, ...]` in one call; None for one of no known library."""
    if hasattr(neuron, "step_mode"):
        return bool(neuron.step_mode == "m")
    library = library_of(neuron)
    return (
        None
        if library is None
        else _any(
            library.sequences,
            _names(type(neuron)),  # type: ignore[arg-type]
        )
    )


@lru_cache
def _names(kind: type) -> tuple[str, ...]:
    return tuple(f"{base.__module__}.{base.__qualname__}" for base in kind.__mro__)


def _any(pattern: str, names: tuple[str, ...]) -> bool:
    return any(re.match(pattern, name.rpartition(".")[2]) for name in names)


def emitted(output: Any) -> Tensor:
    """The spikes in what a neuron returns, which may be a tuple with its state."""
    while isinstance(output, list | tuple):
        output = output[0]
    return output


class Resting:
    """The state in which every sample starts, whatever library keeps it.

    Neurons of known libraries, and SpikingJelly's other modules with a memory, are reset by their own methods. All
    other plain attributes and buffers of modules are put back to what they were when this object was made, as the same
    objects.
    """

    def __init__(self, model: nn.Module) -> None:
        self._resets = [reset for module in model.modules() if (reset := _reset(module)) is not None]
        with torch.inference_mode(False):
            self._reset()
            self._kept = [(module, {name: Kept(v) for name, v in _state(module).items()}) for module in model.modules()]
        self._in_inference = any(value.in_inference() for _, kept in self._kept for value in kept.values())

    def restore(self) -> None:
        """Put the model back to rest."""
        with torch.inference_mode(False):
            self._reset()
            for module, kept in self._kept:
                now = _state(module)
                for name in now.keys() - kept.keys():
                    delattr(module, name)
                for name, value in kept.items():
                    original = value.restored()
                    if now.get(name, kept) is not original:
                        setattr(module, name, original)

    def mode(self) -> AbstractContextManager[Any]:
        """A mode without gradients: inference mode where a state was made in it, and can be written to in it alone."""
        return torch.inference_mode() if self._in_inference else torch.no_grad()

    def _reset(self) -> None:
        for reset in self._resets:
            reset()


def _reset(module: nn.Module) -> Callable[[], object] | None:
    """The method that puts a module to rest, if it has one."""
    library = library_of(module)
    name = library.reset if library is not None else "reset" if hasattr(module, "_memories") else ""
    return getattr(module, name, None) if name else None


class Kept:
    """A value and what it holds: tensors, and containers and plain objects with tensors inside."""

    def __init__(self, value: Any) -> None:
        self.value = value
        self.content: Any = None
        if isinstance(value, Tensor):
            self.content = value.clone()
        elif isinstance(value, list | tuple):
            self.content = [Kept(item) for item in value]
        elif (items := _items(value)) is not None:
            self.content = {name: Kept(item) for name, item in items.items()}
        self.fixed = self.content is None or (isinstance(value, tuple) and all(kept.fixed for kept in self.content))

    def in_inference(self) -> bool:
        """Whether a tensor in it was made in inference mode."""
        if isinstance(self.value, Tensor):
            return self.value.is_inference()
        held = self.content.values() if isinstance(self.content, dict) else self.content or ()
        return any(kept.in_inference() for kept in held)

    def restored(self) -> Any:
        """The value itself, holding what it held."""
        if self.fixed:
            return self.value
        if isinstance(self.value, Tensor):
            if not self.value.is_meta and not torch.equal(self.value, self.content):
                with torch.inference_mode(self.value.is_inference()):
                    self.value.copy_(self.content)
        elif isinstance(self.value, list):
            self.value[:] = [kept.restored() for kept in self.content]
        elif isinstance(self.value, tuple):
            for kept in self.content:
                kept.restored()
        elif self.content is not None:
            items = _items(self.value)
            assert items is not None
            fresh = {name: kept.restored() for name, kept in self.content.items()}
            items.clear()
            items.update(fresh)
        return self.value


def _items(value: Any) -> dict[Any, Any] | None:
    """What a dictionary or a plain object holds by name; None for modules, classes, functions, loggers and the like."""
    if isinstance(value, dict):
        return value
    plain = hasattr(value, "__dict__") and not isinstance(value, nn.Module | type | ModuleType) and not callable(value)
    return vars(value) if plain and type(value).__module__.partition(".")[0] not in ("torch", "logging") else None


def _state(module: nn.Module) -> dict[str, Any]:
    """What a forward may leave behind: plain attributes and buffers."""
    found = vars(module) | module._buffers
    return {name: found[name] for name in found.keys() - _INTERNALS if not callable(found[name])}  # nor modules
