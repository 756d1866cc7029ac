"""Whether a model that is called once per time step remembers the call before."""

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from msvit_energy.errors import EnergyError
from msvit_energy.profiles.operators import NeuronLayer
from msvit_energy.recording.feeding.input_modes import InputMode, run
from msvit_energy.recording.feeding.neuron_alone import random_pairs
from msvit_energy.recording.neurons import emitted, library_of
from msvit_energy.recording.state.model_state import RestState
from msvit_energy.recording.state.repeatable import repeatable

SIZES = (1.0, 1.4, 2.0, 2.8)  # up to the next that are drawn; leaky neurons rise by half in the second step


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
    for first, second in (pair for drawn in random_pairs(image) for pair in _between(*drawn)):
        nothing = torch.zeros_like(first)
        (before, after), (other, then), (_, last) = (
            _emissions(model, (earlier, first), rest) for earlier in (first, second, nothing)
        )
        responds = responds or not _same(before, other)
        if not (_same(after, then) and _same(after, last)):
            return
    if responds:
        raise EnergyError(
            f"every call of the model starts from rest, so that calling it {mode.time_steps} times is no time: if its "
            "own loop over time stops early, let it run all steps; if its neurons remember nothing, pass feed='step'; "
            "else pass feed='image' and time_steps="
        )


def _between(first: Tensor, second: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """Both at several sizes, so that a neuron which fires at the second step and not at the first is not missed."""
    yield from ((first * size, second * size) for size in SIZES)


def _emissions(model: nn.Module, steps: Sequence[Tensor], rest: RestState) -> list[list[Tensor]]:
    """What neurons of known libraries emit in each of two calls, from rest."""
    found: list[list[Tensor]] = []

    def note(module: nn.Module, args: Any, output: Any) -> None:
        found[-1].append(emitted(output).clone())

    handles = [module.register_forward_hook(note) for module in nn.Module.modules(model) if library_of(module)]
    handles.append(model.register_forward_pre_hook(lambda module, args: found.append([])))
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
