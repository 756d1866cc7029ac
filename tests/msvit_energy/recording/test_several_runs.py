"""Neurons that run more often than once per step, and loops over time that stop early: counted, or refused in words."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from spikingjelly.activation_based import functional, layer, neuron
from torch import Tensor, nn

import msvit_energy
from msvit_energy import EnergyError
from tests.support.foreign_models import Forward, numbers, with_weights
from tests.support.gallery.home_made import LIF, ClosureNet, LoopLIF


class Charged(nn.Module):
    """A neuron that is called so many times, of which the last one counts."""

    def __init__(self, times: int, mode: str) -> None:
        super().__init__()
        self.times, self.fire = times, neuron.IFNode(v_reset=None, step_mode=mode)

    def forward(self, x: Tensor) -> Tensor:
        return [self.fire(x) for _ in range(self.times)][-1]


def two_layers(fire: Callable[[], nn.Module]) -> nn.Module:
    return with_weights(nn.Sequential(nn.Linear(7, 6), fire(), nn.Linear(6, 5), fire(), nn.Linear(5, 3)))


def images() -> list[Tensor]:
    return [numbers(2, 7, seed=3).abs()]


@pytest.mark.parametrize("times", [2, 3, 4, 5, 8])
@pytest.mark.parametrize("mode", ["s", "m"])
def test_a_layer_behind_a_charged_neuron_is_fed_once_per_step(mode: str, times: int) -> None:
    profile = msvit_energy.profile(two_layers(lambda: Charged(times, mode)), images(), time_steps=4)
    assert [operator.runs_per_image for operator in profile.operators] == [4, 4, 4]
    assert [operator.macs_per_image for operator in profile.operators] == [4 * 42, 4 * 30, 4 * 15]
    assert [layer.elements for layer in profile.neurons] == [2 * 6 * times, 2 * 5 * times]


def test_t_is_that_of_one_run_where_neurons_run_over_sequences_again() -> None:
    inner = two_layers(lambda: Charged(5, "m"))
    model = Forward(lambda s, x: s.inner(x.expand(4, *x.shape)).mean(0), inner=inner)
    assert msvit_energy.profile(model, images()).time_steps == 4
    with pytest.raises(EnergyError, match=r"pass time_steps = 4$"):
        msvit_energy.profile(model, images(), time_steps=20)


def test_t_is_not_counted_once_for_every_layer_of_a_shared_neuron() -> None:
    def run(s: Any, x: Tensor) -> Tensor:
        x = s.fire(s.a(x.expand(4, *x.shape)))
        return s.head(s.fire(s.b(x))).mean(0)

    parts: dict[str, nn.Module] = dict(a=nn.Linear(7, 6), b=nn.Linear(6, 6), head=nn.Linear(6, 3))
    model = with_weights(Forward(run, fire=neuron.LIFNode(step_mode="m"), **parts))
    profile = msvit_energy.profile(model, images())
    assert profile.time_steps == 4
    assert [operator.macs_per_image for operator in profile.operators] == [4 * 42, 4 * 36, 4 * 18]


class Exit(nn.Module):
    """It stops behind the step that `last` gives for a batch."""

    def __init__(self, last: Callable[[Tensor], int]) -> None:
        super().__init__()
        self.last, self.T = last, 4
        self.fc1, self.lif, self.fc2 = layer.Linear(7, 6), neuron.LIFNode(), layer.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        functional.reset_net(self)
        total: Tensor | float = 0.0
        for _ in range(self.last(x)):
            total = total + self.fc2(self.lif(self.fc1(x)))
        return torch.as_tensor(total)


def test_a_loop_that_stops_in_its_first_step_is_no_step_of_time() -> None:
    with pytest.raises(EnergyError, match=r"every call of the model starts from rest.* let it run all steps"):
        msvit_energy.profile(with_weights(Exit(lambda x: 1)), images())
    profile = msvit_energy.profile(with_weights(Exit(lambda x: 1)), images(), feed="image", time_steps=1)
    assert [operator.macs_per_image for operator in profile.operators] == [42, 18]


def test_a_loop_that_stops_early_in_some_batches_is_refused_with_the_way_out() -> None:
    model = with_weights(Exit(lambda x: 4 if bool((x < 1).all()) else 3))
    batches = [torch.full((2, 7), 0.5), torch.full((2, 7), 2.0)]
    with pytest.raises(EnergyError, match=r"lif ran 3 time steps, not 4; .* let it run all steps"):
        msvit_energy.profile(model, batches, feed="image", time_steps=4)


def test_a_model_whose_neurons_saturate_is_still_called_once_per_step() -> None:
    model = two_layers(neuron.LIFNode)
    for weights in model.parameters():
        weights.data.fill_(1.0)
    profile = msvit_energy.profile(model, [torch.full((2, 7), 1000.0)], time_steps=4)
    assert {len(set(layer.sums)) for layer in profile.neurons} == {1}
    assert profile.provenance.input.feed == "step"


def test_a_loop_inside_of_a_model_without_modules_is_no_step() -> None:
    profile = msvit_energy.profile(with_weights(ClosureNet()), [numbers(2, 1, 4, 4).abs()], time_steps=4)
    assert [operator.macs_per_image for operator in profile.operators] == [4 * 192, 4 * 96, 4 * 24]


def test_a_model_that_may_repeat_images_for_unmarked_neurons_is_asked_about() -> None:
    def run(s: Any, x: Tensor) -> Tensor:
        x = s.fire(s.a(x.unsqueeze(1).repeat(1, getattr(s, "time_steps", 4), 1, 1)))
        return s.head(x.mean((1, 2)))

    model = with_weights(Forward(run, a=nn.Linear(7, 6), fire=LoopLIF(), head=nn.Linear(6, 3)))
    tokens = [numbers(2, 5, 7).abs()]
    with pytest.raises(EnergyError, match="feed='image' and feed='step' both fit"):
        msvit_energy.profile(model, tokens, time_steps=4)
    with pytest.raises(EnergyError, match="axis 1 may be time steps, and may be something else of size 4"):
        msvit_energy.profile(model, tokens, time_steps=4, feed="image")
    model.time_steps = 4
    profile = msvit_energy.profile(model, tokens)
    assert [operator.macs_per_image for operator in profile.operators] == [4 * 5 * 42, 18]
    assert [operator.runs_per_image for operator in profile.operators] == [4, 1]


class Twice(nn.Module):
    """One layer for both halves of an input, with unmarked neurons; nothing in it happens four times."""

    def __init__(self) -> None:
        super().__init__()
        self.shared, self.lif1, self.lif2 = nn.Linear(4, 6), LIF(), LIF()
        self.both, self.lif3, self.head = nn.Linear(12, 5), LIF(), nn.Linear(5, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.cat([self.lif1(self.shared(x[:, :4])), self.lif2(self.shared(x[:, 3:]))], dim=1)
        return self.head(self.lif3(self.both(x)))


def test_a_layer_that_runs_twice_in_a_call_is_no_loop_over_four_steps() -> None:
    profile = msvit_energy.profile(with_weights(Twice()), images(), time_steps=4)
    assert [operator.macs_per_image for operator in profile.operators] == [4 * 48, 4 * 60, 4 * 15]


class Four(nn.Module):
    """As many windows of an image as steps, with unmarked neurons that remember."""

    def __init__(self) -> None:
        super().__init__()
        self.local, self.lif, self.head = nn.Linear(7, 6), LIF(), nn.Linear(24, 3)

    def forward(self, x: Tensor) -> Tensor:
        windows = self.lif(self.local(x.flatten(0, 1)))
        return self.head(windows.unflatten(0, (-1, 4)).flatten(1))


def test_as_many_windows_as_steps_are_asked_about() -> None:
    model, windows = with_weights(Four()), [numbers(2, 4, 7).abs()]
    with pytest.raises(EnergyError, match="feed='image' and feed='step' both fit"):
        msvit_energy.profile(model, windows, time_steps=4, frames=False)
    profile = msvit_energy.profile(model, windows, time_steps=4, frames=False, feed="step")
    assert [operator.macs_per_image for operator in profile.operators] == [4 * 4 * 42, 4 * 72]
