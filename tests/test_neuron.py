"""The LIF neuron against paper-and-pencil numbers and against SpikingJelly's."""

import pytest
import torch
from spikingjelly.activation_based import neuron
from torch import Tensor

from msvit.neuron import LIF


def test_spikes_of_seven_currents_worked_out_by_hand() -> None:
    # h = v + (x - v) / 2:  0.5 | 1.0 spike | 0.75 | 0.875 | 1.4375 spike | 0.999 | 1.4995 spike
    currents = torch.tensor([1.0, 1.5, 1.5, 1.0, 2.0, 1.998, 2.0], dtype=torch.float64).reshape(7, 1)
    assert LIF()(currents).flatten().tolist() == [0, 1, 0, 0, 1, 0, 1]


def test_threshold_is_reached_at_equality() -> None:
    assert LIF()(torch.tensor([[2.0]])).item() == 1
    assert LIF()(torch.tensor([[2.0 - 1e-6]])).item() == 0


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])  # the last by SpikingJelly's loop
def test_every_call_starts_from_rest(dtype: torch.dtype) -> None:
    lif = LIF()
    current = torch.full((1, 3), 1.9, dtype=dtype)
    assert torch.equal(lif(current), lif(current))  # a kept membrane of 0.95 would fire at once


@pytest.mark.parametrize("tau", [2.0, 1.5])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_spikes_equal_spikingjelly_and_gradients_agree(tau: float, dtype: torch.dtype) -> None:
    generator = torch.Generator().manual_seed(1)
    currents = 2 * torch.randn(6, 4, 5, 7, generator=generator, dtype=dtype)
    weight = torch.randn(currents.shape, generator=generator, dtype=dtype)

    def run(layer: torch.nn.Module) -> tuple[Tensor, Tensor]:
        x = currents.clone().requires_grad_()
        spikes = layer(x)
        (spikes * weight).sum().backward()
        assert x.grad is not None
        return spikes.detach(), x.grad

    reference = neuron.LIFNode(tau=tau, detach_reset=True, step_mode="m")
    (ours, our_gradient), (theirs, their_gradient) = run(LIF(tau=tau)), run(reference)
    assert 0.05 < theirs.mean() < 0.5
    assert torch.equal(ours, theirs)
    torch.testing.assert_close(our_gradient, their_gradient, rtol=1e-5, atol=1e-6)


def test_a_static_current_given_as_a_view_is_the_repeated_current() -> None:
    current = torch.randn(1, 50, generator=torch.Generator().manual_seed(2)) * 3
    with torch.inference_mode():
        assert torch.equal(LIF()(current.expand(4, 50)), LIF()(current.repeat(4, 1)))
