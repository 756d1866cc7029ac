"""Whether a model that is called once per time step remembers the call before."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from msvit_energy.errors import EnergyError
from msvit_energy.profiles.operators import NeuronLayer
from msvit_energy.recording.feeding.input_modes import InputMode, run
from msvit_energy.recording.feeding.neuron_alone import random_pairs
from msvit_energy.recording.neurons import emitted, library_of
from msvit_energy.recording.spike_lineage import tensors_in
from msvit_energy.recording.state.model_state import RestState
from msvit_energy.recording.state.repeatable import repeatable
from msvit_energy.recording.state.snapshots import attributes


def check_remembers(
    model: nn.Module, image: Tensor, mode: InputMode, neurons: Sequence[NeuronLayer], rest: RestState
) -> None:
    """EnergyError for a model that forgets between its calls, such as one whose own loop over time has stopped in its
    first step: its calls are no time steps. `neurons` are what was measured of it, `image` is `[1, ...]`.

    Only where neurons of known libraries gave the same in all steps is the model run again.
    """
    alike = all(len(set(layer.sums)) == 1 for layer in neurons)
    known = any(library_of(module) for module in nn.Module.modules(model))
    if mode.feed != "step" or mode.frames or mode.time_steps == 1 or not alike or not known:
        return
    responds = False
    for first, second in random_pairs(image):
        one, other, nothing = (
            _calls(model, (earlier, first), rest) for earlier in (first, second, torch.zeros_like(first))
        )
        responds = responds or not _same(one[0].spikes, other[0].spikes)
        if not all(_same(one[1].left, each[1].left) for each in (other, nothing)):
            return
    if responds:
        raise EnergyError(
            f"every call of the model starts from rest, so that calling it {mode.time_steps} times is no time: if its "
            "own loop over time stops early, let it run all steps; if its neurons remember nothing, pass feed='step'; "
            "else pass feed='image' and time_steps="
        )


class _Call(NamedTuple):
    """What neurons of known libraries emitted in a call, and all tensors that they gave and hold after it."""

    spikes: list[Tensor]
    left: list[Tensor]


def _calls(model: nn.Module, steps: Sequence[Tensor], rest: RestState) -> list[_Call]:
    """What two calls leave, from rest."""
    found: list[_Call] = []

    def note(module: nn.Module, args: Any, output: Any) -> None:
        found[-1].spikes.append(emitted(output).clone())
        held = [*attributes(module).values(), output]
        held += [inner for value in held if isinstance(value, dict) for inner in value.values()]
        found[-1].left.extend(tensor.clone() for tensor in tensors_in(held))

    neurons = [module for module in nn.Module.modules(model) if library_of(module)]
    handles = [module.register_forward_hook(note) for module in neurons]
    handles.append(model.register_forward_pre_hook(lambda module, args: found.append(_Call([], []))))
    try:
        with torch.no_grad(), rest.mode(), repeatable(steps[0].device):
            run(model, torch.stack(list(steps), 1), InputMode("step", True, len(steps)))
    finally:
        for handle in handles:
            handle.remove()
        rest.restore()
    return found


def _same(some: Sequence[Tensor], others: Sequence[Tensor]) -> bool:
    return len(some) == len(others) and all(map(torch.equal, some, others))
