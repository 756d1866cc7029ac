"""Spiking neurons of the libraries people use: how to recognise them, what they emit, how to put them to rest.

Classes are recognised by their qualified names, so no library is imported that the model does not use itself.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

_INTERNALS = frozenset(vars(nn.Module()))  # what every module has, its mode included


@dataclass(frozen=True)
class Library:
    """Where a library defines its neurons (prefixes of qualified class names), which of their names begin what does
    not spike, and the method that puts a neuron to rest, if there is one."""

    name: str
    prefixes: tuple[str, ...]
    silent: str = "-"
    reset: str = ""


LIBRARIES = (
    Library("SpikingJelly", ("spikingjelly.activation_based.neuron.",), silent="NonSpiking", reset="reset"),
    Library("snnTorch", ("snntorch._neurons.",), reset="reset_mem"),
    Library("Norse", ("norse.torch.module.snn.",)),
)


def library_of(module: nn.Module) -> Library | None:
    """The library whose neuron a module is; None for everything else."""
    names = [f"{base.__module__}.{base.__qualname__}" for base in type(module).__mro__]
    for library in LIBRARIES:
        own = [name for name in names if name.startswith(library.prefixes)]
        if own and not any(name.rpartition(".")[2].startswith(library.silent) for name in own):
            return library
    return None


def is_neuron(module: nn.Module) -> bool:
    """Whether a module is a layer of spiking neurons: of a known library, or by `activation_op = "neuron"`."""
    return getattr(module, "activation_op", None) == "neuron" or library_of(module) is not None


def emitted(output: Any) -> Tensor:
    """The spikes in what a neuron returns, which may be a tuple with its state."""
    while isinstance(output, list | tuple):
        output = output[0]
    return output


class Resting:
    """The state in which every sample starts, whatever library keeps it.

    Neurons of known libraries, and SpikingJelly's other modules with a memory, are reset by their own methods. All
    other plain attributes and buffers of modules are put back to what they were when this object was made.
    """

    def __init__(self, model: nn.Module) -> None:
        self.model = model
        self._reset()
        self._kept = [(module, _state(module, copy=True)) for module in model.modules()]

    def restore(self) -> None:
        """Put the model back to rest."""
        for module, kept in self._kept:
            now = _state(module)
            for name in now.keys() - kept.keys():
                delattr(module, name)
            for name, value in kept.items():
                if name not in now or not _same(now[name], value):
                    setattr(module, name, _copied(value))
        self._reset()

    def _reset(self) -> None:
        for module in self.model.modules():
            library = library_of(module)
            method = library.reset if library is not None else "reset" if hasattr(module, "_memories") else ""
            if method and hasattr(module, method):
                getattr(module, method)()


def _state(module: nn.Module, *, copy: bool = False) -> dict[str, Any]:
    """What a forward may leave behind: plain attributes and buffers."""
    plain = {
        name: value
        for name, value in vars(module).items()
        if name not in _INTERNALS and isinstance(value, Tensor | int | float | list | dict | tuple | None)
    }
    state = plain | module._buffers
    return {name: _copied(value) for name, value in state.items()} if copy else state


def _copied(value: Any) -> Any:
    if isinstance(value, Tensor):
        return value.clone()
    return value.copy() if isinstance(value, list | dict) else value


def _same(now: Any, before: Any) -> bool:
    if isinstance(now, Tensor) and isinstance(before, Tensor):
        alike = now.shape == before.shape and now.device == before.device and now.dtype == before.dtype
        return alike and (now.is_meta or torch.equal(now, before))
    return now is before or (type(now) is type(before) and not isinstance(now, Tensor) and _equal(now, before))


def _equal(now: Any, before: Any) -> bool:
    if isinstance(now, list | tuple):
        return len(now) == len(before) and all(a is b for a, b in zip(now, before, strict=True))
    if isinstance(now, dict):
        return now.keys() == before.keys() and all(now[key] is before[key] for key in now)
    return bool(now == before)
