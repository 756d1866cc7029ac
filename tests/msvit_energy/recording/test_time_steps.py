"""Whether the given T is that of the model: the runs of its neurons say it."""

from typing import Any

import pytest
import torch
from spikingjelly.activation_based import neuron
from torch import Tensor, nn

import msvit_energy
from msvit_energy import EnergyError
from tests.support.foreign_models import Forward, numbers


class Above(nn.Module):
    activation_op = "neuron"

    def forward(self, x: Tensor) -> Tensor:
        return (x > 0.5).to(x.dtype)


def looping(steps: int) -> nn.Module:
    """Two layers with neurons in a loop of its own over that many steps, and a head."""

    def run(s: Any, x: Tensor) -> Tensor:
        return sum(s.head(s.second(s.b(s.first(s.a(x))))) for _ in range(steps)) / steps

    first, second = neuron.IFNode(), neuron.IFNode()
    return Forward(run, a=nn.Linear(4, 4), first=first, b=nn.Linear(4, 4), second=second, head=nn.Linear(4, 2))


@pytest.mark.parametrize(("steps", "given"), [(6, None), (6, 1), (6, 2), (6, 3), (25, 5)])
def test_a_loop_of_more_steps_than_given_is_refused_with_the_right_number(steps: int, given: int | None) -> None:
    message = f"runs over {steps} time steps by itself, not {given or 1}.*pass time_steps = {steps}$"
    with pytest.raises(EnergyError, match=message):
        msvit_energy.profile(looping(steps), [numbers(3, 4)], time_steps=given, feed="image")
    profile = msvit_energy.profile(looping(steps), [numbers(3, 4)], time_steps=steps)
    assert {operator.runs_per_image for operator in profile.operators} == {steps}
    assert profile.macs_per_step == 16 + 16 + 8


def test_a_neuron_that_several_layers_share_runs_more_often_without_a_loop() -> None:
    """All layers run once, the one neuron twice: 4 + 4 spikes of 4 + 4 values."""
    model = Forward(lambda s, x: s.b(s.fire(s.a(s.fire(x)))), fire=Above(), a=nn.Linear(4, 4), b=nn.Linear(4, 2))
    model.a.weight.data, model.a.bias.data = torch.eye(4), torch.zeros(4)
    profile = msvit_energy.profile(model, [torch.ones(1, 4)], time_steps=1)
    assert [layer.firing_rates for layer in profile.neurons] == [(1.0,)]
    assert profile.macs_per_step == 16 + 8
