"""Spiking neurons of the libraries people use: how to recognise them, what they emit, how they are reset.

Classes are recognised by their qualified names, so no library is imported that the model does not use itself.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from torch import Tensor, nn


@dataclass(frozen=True)
class Library:
    """How a library's neurons are recognised: prefixes of the qualified names of their classes, and patterns of the
    class names of what does not spike and of what runs over `[T, ...]` in one call. `reset` is the method that puts a
    neuron to rest, if there is one."""

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


def reset_of(module: nn.Module) -> Callable[[], object] | None:
    """The method that puts a module to rest, if it has one."""
    library = library_of(module)
    name = library.reset if library is not None else "reset" if hasattr(module, "_memories") else ""
    return getattr(module, name, None) if name else None
