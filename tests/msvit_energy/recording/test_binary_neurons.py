"""Which neurons are taken to emit nothing but 0 and 1 after a first batch in which they did."""

import importlib
from typing import Any

import pytest
import torch
from spikingjelly.activation_based import neuron, surrogate
from torch import Tensor, nn

import msvit_energy
from msvit_energy.recording.binary_neurons import STEP_FUNCTIONS, is_binary


@pytest.mark.parametrize("name", sorted(STEP_FUNCTIONS))
@pytest.mark.parametrize("step_mode", ["s", "m"])
def test_a_membrane_above_the_threshold_gives_1(name: str, step_mode: str) -> None:
    place, _, kind = name.rpartition(".")
    node = getattr(importlib.import_module(place), kind)(step_mode=step_mode, surrogate_function=surrogate.ATan())
    assert is_binary(node)
    spikes = node(torch.randn(4, 2, 50, generator=torch.Generator().manual_seed(0)) * 5)
    assert set(spikes.unique().tolist()) == {0.0, 1.0}


class Doubled(neuron.IFNode):
    """Gives 2 for large inputs."""

    def forward(self, x: Tensor, *args: Any) -> Tensor:
        return super().forward(x, *args) * (1 + (x > 5).to(x))


def test_others_are_looked_at_in_every_batch() -> None:
    node = neuron.LIFNode()
    node.forward = lambda x: x  # type: ignore[method-assign]
    soft = neuron.LIFNode(surrogate_function=surrogate.Sigmoid(spiking=False))
    assert not any(map(is_binary, (Doubled(), node, soft, nn.ReLU())))
    model = nn.Sequential(Doubled(), nn.Linear(4, 2))
    small, large = torch.full((1, 4), 2.0), torch.full((1, 4), 6.0)
    found = msvit_energy.profile(model, [small, large], time_steps=3, feed="step")
    (operand,) = found.operators[0].operands
    assert (operand.kind, operand.maximum, operand.sums, operand.nonzeros) == ("integer", 2, (12,) * 3, (8,) * 3)


def test_a_neuron_that_declares_itself_binary_is_taken_at_its_word() -> None:
    node = Doubled()
    node.binary = True  # type: ignore[assignment]
    assert is_binary(node)
