"""Forward hooks on all modules of a model, which report what runs to a listener."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from msvit_energy.errors import EnergyError
from msvit_energy.recording.call_sites import CallSites
from msvit_energy.recording.module_calls import has_own_weight, is_operator
from msvit_energy.recording.neurons import Neurons, emitted
from msvit_energy.recording.overheads import overhead_name
from msvit_energy.recording.spiking_functions import Site, reporting
from msvit_energy.recording.vmap import inside_vmap, with_hidden_axes


class ForwardListener(Protocol):
    """What learns of every module that has run."""

    call_sites: CallSites

    def operator(self, name: str, module: nn.Module, inputs: Sequence[Tensor], output: Tensor) -> None:
        """A module that is an operator by itself has run."""

    def bias(self, name: str, module: nn.Module, output: Tensor) -> None:
        """A module that may add a bias to its output has run."""

    def neuron(self, name: str, module: nn.Module, inputs: Sequence[Tensor], output: Any) -> None:
        """A layer of spiking neurons has run."""

    def function(self, site: Site, given: Sequence[Any], output: Any) -> None:
        """A bare autograd function has run, outside of all neurons and operators."""

    def overhead(self, name: str, op: str, inputs: Sequence[Tensor], output: Any) -> None:
        """A module that costs something beside MACs has run."""

    def output(self, output: Any) -> None:
        """The model has given its output."""


@contextmanager
def listening(model: nn.Module, listener: ForwardListener, neurons: Neurons) -> Iterator[None]:
    """Hooks on all modules of a model that report to a listener; nothing is written onto the modules."""
    handles: list[Any] = []
    sites = listener.call_sites
    spiking = {module for module in nn.Module.modules(model) if module in neurons}

    def leaving(module: nn.Module, args: Any, output: Any) -> None:
        sites.leave(module)

    def ran(given: Sequence[Any], output: Any) -> None:
        if isinstance(output, Tensor) and not sites.inside_operator and not sites.is_inside(spiking):
            listener.function(sites.site(output), given, output)

    try:
        for name, module in model.named_modules():
            handles.append(module.register_forward_pre_hook(_entering(sites, name, operator=is_operator(module))))
            if hooks := list(_hooks(model, name, module, listener, module in spiking)):
                handles.append(module.register_forward_hook(_unobserved(hooks), with_kwargs=True))
            handles.append(module.register_forward_hook(leaving, always_call=True))
        with reporting(ran):
            yield
    finally:
        for handle in handles:
            handle.remove()


Hook = Callable[[nn.Module, list[Tensor], Any], None]  # module, input tensors, output


def _hooks(model: nn.Module, name: str, module: nn.Module, listener: ForwardListener, spiking: bool) -> Iterator[Hook]:
    """What is reported when a module has run."""
    if is_operator(module):
        yield lambda module, inputs, output: listener.operator(name, module, inputs, output)
    if is_operator(module) or has_own_weight(module):
        yield lambda module, inputs, output: listener.bias(name, module, output)
    if spiking:
        yield lambda module, inputs, output: listener.neuron(name, module, inputs, _with_spikes(name, output))
    if (op := "neuron_update" if spiking else overhead_name(module)) is not None:
        yield lambda module, inputs, output: listener.overhead(name, op, inputs, output)
    if module is model:
        yield lambda module, inputs, output: listener.output(output)


def _with_spikes(name: str, output: Any) -> Any:
    """The output of a neuron; EnergyError if there is no tensor in it."""
    if not isinstance(emitted(output), Tensor):
        raise EnergyError(f"{name}: a layer of neurons returns its spikes, not a {type(emitted(output)).__name__}")
    return output


def _entering(sites: CallSites, name: str, *, operator: bool) -> Callable[[nn.Module, Any], None]:
    return lambda module, args: sites.enter(name, module, operator=operator)


def _unobserved(hooks: Sequence[Hook]) -> Callable[..., None]:
    """The hooks as torch calls them; the torch functions that they call are no part of the forward."""

    def run(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> None:
        given = [value for value in (*args, *kwargs.values()) if isinstance(value, Tensor)]
        if inside_vmap():
            given, output = with_hidden_axes(given), with_hidden_axes(output)
        with torch._C.DisableTorchFunction():
            for hook in hooks:
                hook(module, given, output)

    return run
