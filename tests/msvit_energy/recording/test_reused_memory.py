"""Neurons and other modules that reuse their memory, and write to it in ways that torch does not note."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from spikingjelly.activation_based import neuron
from torch import Tensor, nn

import msvit_energy
from tests.support.foreign_models import Forward

# By hand, integrate and fire at 1, less 1 after a spike: a current of .4 makes .4, .8, 1.2 and a spike, .6; one of .6
# makes .6, 1.2 and a spike, .8, 1.4 and a spike.
RATES = {0.4: (0, 0, 1, 0), 0.6: (0, 1, 0, 1)}


class Reusing(nn.Module):
    """The neuron, always with the same tensor for its spikes; subclasses say how they write to it."""

    activation_op = "neuron"
    kept = True  # the tensor and its alias, before the first forward

    def __init__(self) -> None:
        super().__init__()
        self.potential: Any = 0.0
        self.spikes = self.memory = None
        if self.kept:
            self.prepare(2)

    def prepare(self, images: int) -> None:
        self.spikes = torch.zeros(2, 8)[:images]
        self.memory = self.alias(self.spikes)

    def alias(self, spikes: Tensor) -> Any:
        raise NotImplementedError

    def forward(self, x: Tensor) -> Tensor:
        potential = self.potential + x
        fired = (potential >= 1).to(x.dtype)
        self.potential = potential - fired
        if self.spikes is None:
            self.prepare(len(x))
        self.memory[: len(x)] = fired.numpy() if isinstance(self.memory, np.ndarray) else fired
        return self.spikes[: len(x)]


def from_storage(spikes: Tensor) -> Tensor:
    return torch.empty(0).set_(spikes.untyped_storage(), 0, spikes.shape, spikes.stride())


ALIASES: dict[str, Callable[[Tensor], Any]] = {
    "numpy": lambda spikes: spikes.numpy(),
    "asarray": np.asarray,
    "data": lambda spikes: spikes.data,
    "dlpack": torch.from_dlpack,
    "storage": from_storage,
}


def network(alias: str, kept: bool, marked: bool) -> nn.Module:
    """The neuron, marked or not, and two layers that read the same spikes, so that the second could be remembered."""
    members = {"alias": staticmethod(ALIASES[alias]), "kept": kept, "activation_op": "neuron" if marked else None}
    first = type("Neuron", (Reusing,), members)()
    return Forward(lambda s, x: s.one(y := s.fire(x)) + s.two(y), fire=first, one=nn.Linear(8, 3), two=nn.Linear(8, 3))


@pytest.mark.parametrize("alias", ALIASES)
@pytest.mark.parametrize("kept", [True, False], ids=["kept", "made in the forward"])
@pytest.mark.parametrize("marked", [True, False], ids=["neuron", "unmarked"])
@pytest.mark.parametrize("current", RATES)
def test_memory_that_is_written_to_unseen_is_read_again(alias: str, kept: bool, marked: bool, current: float) -> None:
    batches = [torch.full((2, 8), current), torch.full((1, 8), current)]
    profile = msvit_energy.profile(network(alias, kept, marked), batches, time_steps=4, feed="step")
    expected = tuple(3 * 8 * rate for rate in RATES[current])
    assert [layer.sums for layer in profile.neurons] == [expected] * marked
    assert [operator.operands[0].sums for operator in profile.operators] == [expected] * 2


def test_two_ways_of_writing_a_neuron_count_the_same() -> None:
    """As by SpikingJelly's, of currents from .5 to 1.3."""
    currents = torch.full((2, 8), 0.5) + torch.arange(8) / 10

    def measured(fire: nn.Module) -> list[Any]:
        model = nn.Sequential(fire, nn.Linear(8, 3))
        profile = msvit_energy.profile(model, [currents.double()], time_steps=4, feed="step")
        return [profile.neurons[0].sums, profile.operators[0].operands[0].sums]

    class Own(Reusing):
        kept = False
        alias = staticmethod(ALIASES["numpy"])

    assert measured(Own().double()) == measured(neuron.IFNode(v_threshold=1.0, v_reset=None).double())


def doubled_by(double: Callable[[Tensor], Any]) -> Callable[[Any, Tensor], Tensor]:
    def forward(module: Any, x: Tensor) -> Tensor:
        spikes = module.fire(x)
        first = module.one(spikes)
        double(spikes)
        return first + module.two(spikes)

    return forward


DOUBLES: dict[str, Callable[[Tensor], Any]] = {
    "numpy": lambda x: x.numpy().__imul__(2),
    "data": lambda x: x.data.mul_(2),
    "dlpack": lambda x: torch.from_dlpack(x).mul_(2),
    "storage": lambda x: from_storage(x).mul_(2),
    "other data": lambda x: setattr(x, "data", x * 2),
    "shared data": lambda x: (held := x * 1, setattr(x, "data", held), held.mul_(2)),
}


@pytest.mark.parametrize("double", DOUBLES)
def test_what_a_module_writes_between_two_layers_is_counted(double: str) -> None:
    parts = {"fire": neuron.IFNode(v_threshold=1.0), "one": nn.Linear(8, 3), "two": nn.Linear(8, 3)}
    model = Forward(doubled_by(DOUBLES[double]), **parts)
    profile = msvit_energy.profile(model, [torch.ones(2, 8)], time_steps=1)
    assert [operator.operands[0].sums for operator in profile.operators] == [(16,), (32,)]
    assert [operator.operands[0].kind for operator in profile.operators] == ["binary", "integer"]
