"""Whether the given T is that of the model: the runs of its neurons say it."""

from typing import Any

import pytest
import torch
from spikingjelly.activation_based import neuron
from torch import Tensor, nn
from torch.nn import functional as F

import msvit_energy
from msvit_energy import EnergyError, price
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


@pytest.mark.parametrize(("steps", "given"), [(6, 1), (6, 2), (6, 3), (25, 5)])
def test_a_loop_of_more_steps_than_given_is_refused_with_the_right_number(steps: int, given: int) -> None:
    message = f"runs over {steps} time steps by itself, not {given}.*pass time_steps = {steps}$"
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


# An entrance that is fed with the same at every time step is encoded once, one that is not at each of them


def stem(images: Tensor, per_step: bool) -> msvit_energy.Profile:
    """A convolution on images or on real-valued frames `[B, T, 1, 4, 4]`, T = 3, in one call or a step at a time."""

    def run(s: Any, x: Tensor) -> Tensor:
        frames = x.transpose(0, 1) if x.dim() == 5 else x.unsqueeze(0).repeat(3, 1, 1, 1, 1)
        if per_step:
            return sum(s.fire(s.conv(frame)) for frame in frames).flatten(1)
        return s.fire(s.conv(frames.flatten(0, 1)).unflatten(0, (3, -1))).sum(0).flatten(1)

    fire = neuron.IFNode(step_mode="s" if per_step else "m")
    model = Forward(run, conv=nn.Conv2d(1, 2, 3, bias=False), fire=fire)
    return msvit_energy.profile(model, images.split(2), time_steps=3, feed="image")


@pytest.mark.parametrize("per_step", [False, True])
def test_frames_that_change_are_encoded_at_every_step(per_step: bool) -> None:
    """By hand: 2 x 2 positions, 2 x 9 weights, three steps."""
    constant, changing = torch.rand(3, 1, 4, 4), torch.rand(3, 3, 1, 4, 4)
    still = changing[:, :1].expand(3, 3, 1, 4, 4)
    late = torch.cat([still[:2], changing[2:]])  # the frames of the first batch are equal
    for images, steps in ((constant, 1), (changing, 3), (still, 1), (late, 3)):
        profile = stem(images, per_step)
        assert profile.operators[0].driver.varies is (steps == 3)
        assert price(profile).macs == steps * 4 * 18
        assert price(profile, "appendix-c:first-layer=every-step").macs == 3 * 4 * 18


def test_spikes_are_not_compared() -> None:
    model = nn.Sequential(neuron.IFNode(step_mode="m"), nn.Linear(4, 2))
    (linear,) = msvit_energy.profile(model, [numbers(2, 4)], time_steps=2, feed="sequence").operators
    assert linear.driver.varies is None


# At T = 1 a multi-step neuron in a network of single images would run over the batch


@pytest.mark.parametrize("own_axis", [False, True])
def test_at_one_time_step_a_batch_is_no_time(own_axis: bool) -> None:
    """By hand: half of the eight inputs reach the threshold alone; integrated over the batch others would too."""
    fire = neuron.IFNode(v_threshold=1.0, step_mode="m")
    run = (lambda s, x: s.fire(x.unsqueeze(0))[0]) if own_axis else (lambda s, x: s.fire(x))
    images = torch.tensor([[0.6, 1.2]]).repeat(4, 1)
    for batches in ([images], list(images.split(1)), list(images.split(2))):
        (layer,) = msvit_energy.profile(Forward(run, fire=fire), batches, time_steps=1).neurons
        assert (layer.sums, layer.firing_rate) == ((4,), 0.5)


@pytest.mark.parametrize("bare", [False, True])
def test_layers_of_one_step_that_share_a_stateless_neuron_are_no_loop_over_time(bare: bool) -> None:
    """By hand: all weights are 1, so four values that exceed 1/2 make every layer fire: 4 x 4 x 4 pairs in each of the
    three inner layers and 4 x 2 into the head, in each of four steps; the network is called four times."""

    def run(s: Any, x: Tensor) -> Tensor:
        for fc in s.layers:
            x = s.fire(F.linear(x, fc.weight) if bare else fc(x))
        return s.head(x)

    layers = nn.ModuleList(nn.Linear(4, 4, bias=False) for _ in range(4))
    model = Forward(run, layers=layers, fire=Above(), head=nn.Linear(4, 2, bias=False))
    for weight in model.parameters():
        weight.data.fill_(1.0)
    profile = msvit_energy.profile(model, [torch.ones(3, 4)], time_steps=4)
    assert {operator.runs_per_image for operator in profile.operators} == {4}
    assert [operator.sops for operator in profile.operators][1:] == [4 * 16] * 3 + [4 * 8]


@pytest.mark.parametrize("sliced", [False, True])
def test_a_loop_over_time_behind_one_layer_is_one(sliced: bool) -> None:
    """The layer runs once, the neuron T times on what it gave, or on a slice of that for each step."""

    def run(s: Any, x: Tensor) -> Tensor:
        current = s.fc(x.expand(4, *x.shape) if sliced else x)
        return s.head(sum(s.fire(current[t] if sliced else current) for t in range(4)) / 4)

    model = Forward(run, fc=nn.Linear(4, 4), fire=neuron.IFNode(), head=nn.Linear(4, 2))
    profile = msvit_energy.profile(model, [numbers(3, 4)], time_steps=4)
    assert [len(layer.sums) for layer in profile.neurons] == [4]
    assert [operator.runs_per_image for operator in profile.operators] == [4 if sliced else 1, 1]


def test_a_multi_step_neuron_that_runs_over_other_steps_is_refused() -> None:
    """By sizes alone, two steps of three images could be three of two."""
    fire = neuron.IFNode(step_mode="m")
    model = Forward(lambda s, x: s.head(s.fire(x.expand(2, *x.shape)).mean(0)), fire=fire, head=nn.Linear(4, 2))
    with pytest.raises(EnergyError, match="fire runs over 2 time steps, not 3; is time_steps = 3 right"):
        msvit_energy.profile(model, [numbers(3, 4)], time_steps=3, feed="image")
