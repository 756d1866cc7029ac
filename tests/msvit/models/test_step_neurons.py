"""Neurons that are not LIF, against paper and pencil, and SpikingJelly's."""

import pytest
import torch
from spikingjelly.activation_based import neuron, surrogate
from torch import Tensor, nn

from msvit.models import ms_resnet
from msvit.neuron import IF, MultiSpike


def run(layer: nn.Module, values: list[float]) -> tuple[list[float], list[float]]:
    """Outputs for currents, and the currents' gradients from the sum of all outputs."""
    currents = torch.tensor(values, dtype=torch.float64).reshape(-1, 1).requires_grad_()
    outputs: Tensor = layer(currents)
    outputs.sum().backward()
    assert currents.grad is not None
    return outputs.flatten().tolist(), currents.grad.flatten().tolist()


def test_integrate_and_fire_adds_up_and_starts_again() -> None:
    # h = 0.5, 1.0 spike, 0.75, 1.75 spike, 0.25
    assert run(IF(), [0.5, 0.5, 0.75, 1.0, 0.25])[0] == [0, 1, 0, 1, 0]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_integrate_and_fire_is_that_of_spikingjelly(dtype: torch.dtype) -> None:
    theirs = neuron.IFNode(step_mode="m", detach_reset=True, surrogate_function=surrogate.ATan(alpha=2.0))
    generator = torch.Generator().manual_seed(3)
    currents = torch.randn(6, 4, 5, generator=generator, dtype=dtype).requires_grad_()
    weight = torch.randn(currents.shape, generator=generator, dtype=dtype)
    spikes = [layer(currents) for layer in (IF(), theirs)]
    gradients = [torch.autograd.grad((out * weight).sum(), currents)[0] for out in spikes]
    assert 0.05 < spikes[0].mean() < 0.5
    assert torch.equal(*spikes)
    torch.testing.assert_close(*gradients, rtol=1e-5, atol=1e-6)


def test_the_neuron_of_ms_resnet_decays_and_wants_more_than_its_threshold() -> None:
    # h = 0.5 (at the threshold: none), 0.125 + 0.4 = 0.525 spike, 0.3, 0.075 + 0.425 = 0.5 none, 0.125 + 0.875 spike
    spikes, gradients = run(ms_resnet.neuron(), [0.5, 0.4, 0.3, 0.425, 0.875])
    assert spikes == [0, 1, 0, 0, 1]
    # slope 1 from 0 to 1, bounds left out: 1, 1, 1, 1, 0; a quarter of it goes one step back, none across a spike
    assert gradients == [1.25, 1.0, 1.25, 1.0, 0.0]


TIES = [-1.0, 0.0, 0.4, 0.5, 1.5, 2.5, 3.5, 4.0, 7.0]


def test_multi_spike_counts_to_four() -> None:
    even, passed = run(MultiSpike(), TIES)
    assert even == [0, 0, 0, 0, 0.5, 0.5, 1, 1, 1]
    assert passed == [0, 0.25, 0.25, 0.25, 0.25, 0.25, 0.25, 0.25, 0]
    up, passed = run(MultiSpike(norm=1, half_up=True), TIES)
    assert up == [0, 0, 0, 1, 2, 3, 4, 4, 4]
    assert passed == [0, 0, 1, 1, 1, 1, 1, 0, 0]
