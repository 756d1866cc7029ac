"""Neurons that are no modules: an autograd function that thresholds, called in somebody's forward."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from spikingjelly.activation_based import neuron, surrogate
from torch import Tensor, nn
from torch.autograd import Function

import msvit_energy
from msvit_energy import EnergyError, Profile
from tests.support.foreign_models import Forward, numbers, with_weights

T = 4
IMAGES = numbers(5, 6).abs() * 3
EMITTED: list[Tensor] = []


class Rounding(Function):
    """A threshold at 0, whatever its name; what it returns is kept for the tests."""

    @staticmethod
    def forward(ctx: Any, potential: Tensor) -> Tensor:
        spikes = (potential >= 0).to(potential.dtype)
        EMITTED.append(spikes)
        return spikes

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        return gradients[0]


fire = Rounding.apply  # as most people keep it


def step(potential: Any, x: Tensor) -> tuple[Tensor, Tensor]:
    """Integrate and fire at 1, to 0 after a spike."""
    potential = potential + x
    spikes = fire(potential - 1)
    return spikes, potential * (1 - spikes)


class Cell(nn.Module):
    """One step in a call."""

    def __init__(self) -> None:
        super().__init__()
        self.potential: Any = 0.0

    def forward(self, x: Tensor) -> Tensor:
        spikes, self.potential = step(self.potential, x)
        return spikes


class Sequence(nn.Module):
    """`[T, ...]` in a call."""

    def forward(self, x: Tensor) -> Tensor:
        potential, found = torch.zeros_like(x[0]), []
        for current in x:
            spikes, potential = step(potential, current)
            found.append(spikes)
        return torch.stack(found)


def looping(s: Any, x: Tensor) -> Tensor:
    first = second = 0.0
    outputs = []
    for _ in range(T):
        a, first = step(first, s.a(x))  # type: ignore[assignment]
        b, second = step(second, s.b(a))  # type: ignore[assignment]
        outputs.append(s.c(b))
    return torch.stack(outputs).mean(0)


def layer_by_layer(s: Any, x: Tensor) -> Tensor:
    def run(currents: list[Tensor]) -> list[Tensor]:
        potential, found = torch.zeros_like(currents[0]), []
        for current in currents:
            spikes, potential = step(potential, current)
            found.append(spikes)
        return found

    spikes = run([s.b(each) for each in run([s.a(x) for _ in range(T)])])
    return torch.stack([s.c(each) for each in spikes]).mean(0)


def all_at_once(s: Any, x: Tensor) -> Tensor:
    def run(currents: Tensor) -> Tensor:
        return Sequence.forward(s, currents)  # type: ignore[arg-type]

    return s.c(run(s.b(run(s.a(x.expand(T, *x.shape)))))).mean(0)


def linears() -> list[nn.Module]:
    return list(with_weights(nn.Sequential(nn.Linear(6, 8), nn.Linear(8, 5), nn.Linear(5, 2))).children())


def in_modules(make: Callable[[], nn.Module]) -> nn.Module:
    a, b, c = linears()
    return nn.Sequential(a, make(), b, make(), c)


def in_a_forward(forward: Callable[[Any, Tensor], Tensor]) -> nn.Module:
    a, b, c = linears()
    return Forward(forward, a=a, b=b, c=c)


def measured(model: nn.Module, time_steps: int | None = T) -> Profile:
    return msvit_energy.profile(model, [IMAGES[:3], IMAGES[3:]], time_steps=time_steps)


NETWORKS = {
    "cells": (lambda: in_modules(Cell), ["1", "3"]),
    "sequences": (lambda: in_modules(Sequence), ["1", "3"]),
    "loop": (lambda: in_a_forward(looping), ["spikes", "spikes_2"]),
    "layer by layer": (lambda: in_a_forward(layer_by_layer), ["spikes", "spikes_2"]),
    "all at once": (lambda: in_a_forward(all_at_once), ["spikes", "spikes_2"]),
}


@pytest.mark.parametrize(("make", "names"), NETWORKS.values(), ids=NETWORKS)
def test_a_function_that_thresholds_counts_as_the_neurons_of_its_twin(
    make: Callable[[], nn.Module], names: list[str]
) -> None:
    profile = measured(make())
    twin = measured(in_modules(lambda: neuron.IFNode(step_mode="m")))
    assert [layer.neuron for layer in profile.neurons] == names
    assert [layer.sums for layer in profile.neurons] == [layer.sums for layer in twin.neurons]
    assert [layer.elements for layer in profile.neurons] == [layer.elements for layer in twin.neurons]
    assert all(sum(layer.sums) for layer in profile.neurons)
    assert [each.macs_per_step for each in profile.operators] == [48, 40, 10]
    for protocol in ("appendix-c", "exact", "spikformer"):
        assert msvit_energy.price(profile, protocol).total_pj == msvit_energy.price(twin, protocol).total_pj
    assert [(each.op, each.elements_per_image) for each in profile.overheads] == [
        (each.op, each.elements_per_image) for each in twin.overheads
    ]
    assert profile.coverage.unknown == ()
    assert [operand.origin for each in profile.operators for operand in each.operands] == ["input", "spikes", "spikes"]


@torch.no_grad()
@pytest.mark.parametrize(("make", "names"), NETWORKS.values(), ids=NETWORKS)
def test_their_rates_are_the_means_of_what_the_function_returned(
    make: Callable[[], nn.Module], names: list[str]
) -> None:
    found = msvit_energy.profile(make(), [IMAGES], time_steps=T).neurons
    model = make()
    EMITTED.clear()
    if names == ["1", "3"]:
        current = model.get_submodule("0")(IMAGES)
        layer = model.get_submodule("1")
        layer(current.expand(T, *current.shape)) if isinstance(layer, Sequence) else [layer(current) for _ in range(T)]
    else:
        model(IMAGES)
    first = [each for each in EMITTED if each.shape[-1] == 8]
    assert found[0].firing_rate == float(torch.stack(first).double().mean())


def test_a_recurrence_that_starts_at_the_second_step_is_one_layer() -> None:
    def run(s: Any, x: Tensor) -> Tensor:
        potential, spikes = torch.zeros(len(x), 8), None
        for _ in range(T):
            current = s.a(x) if spikes is None else s.a(x) + s.back(spikes)
            spikes, potential = step(potential, current)
        return s.c(spikes)

    model = with_weights(Forward(run, a=nn.Linear(6, 8), back=nn.Linear(8, 8), c=nn.Linear(8, 2)))
    (layer,) = msvit_energy.profile(model, [IMAGES], time_steps=T).neurons
    EMITTED.clear()
    model(IMAGES)
    assert (layer.neuron, layer.sums) == ("spikes", tuple(int(each.sum()) for each in EMITTED))


def test_two_steps_of_which_each_looks_like_all_are_no_neurons() -> None:
    def run(s: Any, x: Tensor) -> Tensor:
        first, potential = step(0.0, s.a(x))
        second, _ = step(potential, s.a(x) + s.back(first))
        return s.c(first) + s.c(second)

    model = with_weights(Forward(run, a=nn.Linear(6, 8), back=nn.Linear(8, 8), c=nn.Linear(8, 2)))
    profile = msvit_energy.profile(model, [IMAGES], time_steps=2)
    assert profile.neurons == ()
    assert [each.op for each in profile.overheads if each.op == "neuron_update"] == []
    assert [each.macs_per_step for each in profile.operators] == [48, 64, 16]


def test_t_is_counted_in_a_loop_of_bare_functions() -> None:
    profile = measured(in_a_forward(looping), None)
    assert profile.time_steps == T
    assert profile.provenance.input
    assert profile.provenance.input.time_steps_from == "loop"


def test_without_t_their_state_is_asked_about() -> None:
    with pytest.raises(EnergyError, match="nothing says how many time steps the model runs"):
        measured(in_modules(Cell), None)


def test_the_functions_are_as_before_afterwards() -> None:
    before = vars(Rounding)["forward"]
    measured(in_modules(Cell))
    assert vars(Rounding)["forward"] is before


def test_a_surrogate_of_a_library_in_a_neuron_of_ones_own() -> None:
    class Own(Cell):
        def __init__(self) -> None:
            super().__init__()
            self.surrogate = surrogate.ATan()

        def forward(self, x: Tensor) -> Tensor:
            potential = self.potential + x
            spikes: Tensor = self.surrogate(potential - 1)
            self.potential = potential * (1 - spikes)
            return spikes

    profile, twin = measured(in_modules(Own)), measured(in_modules(neuron.IFNode))
    assert [layer.neuron for layer in profile.neurons] == ["1.surrogate", "3.surrogate"]
    assert [layer.sums for layer in profile.neurons] == [layer.sums for layer in twin.neurons]


def test_inside_of_a_neuron_a_function_is_part_of_it() -> None:
    named = msvit_energy.profile(in_modules(Cell), [IMAGES], time_steps=T, neurons=Cell)
    assert [layer.neuron for layer in named.neurons] == ["1", "3"]
    assert named.neurons == msvit_energy.profile(in_modules(Cell), [IMAGES], time_steps=T).neurons


def of(forward: Callable[..., Tensor]) -> Callable[..., Any]:
    return type("Spike", (Function,), {"forward": staticmethod(forward)}).apply  # type: ignore[attr-defined,no-any-return]


SIGNS = of(lambda ctx, x: (x > 0.5).to(x.dtype) - (x < -0.5).to(x.dtype))
OTHERS = {
    "an identity": of(lambda ctx, x: x.clone()),
    "levels": of(lambda ctx, x: (4 * x).round().clamp(0, 4)),
    "signs without 0": of(lambda ctx, x: torch.where(x >= 0, 1.0, -1.0)),
    "a ReLU": of(lambda ctx, x: x.clamp(min=0)),
}


def test_three_values_are_spikes_with_a_sign() -> None:
    model = with_weights(Forward(lambda s, x: s.b(SIGNS(s.a(x))), a=nn.Linear(6, 8), b=nn.Linear(8, 2)))
    (layer,) = measured(model, 1).neurons
    with torch.no_grad():
        expected = SIGNS(model.a(IMAGES))  # type: ignore[operator,union-attr]
    assert expected.min() == -1
    assert layer.sums == (int(expected.abs().sum()),)  # spikes, whatever their sign


@pytest.mark.parametrize("function", OTHERS.values(), ids=OTHERS)
def test_what_returns_other_values_is_no_neuron(function: Callable[..., Any]) -> None:
    model = with_weights(Forward(lambda s, x: s.b(function(s.a(x))), a=nn.Linear(6, 8), b=nn.Linear(8, 2)))
    assert measured(model, 1).neurons == ()


def test_an_identity_behind_spikes_is_no_second_neuron() -> None:
    same = OTHERS["an identity"]
    model = Forward(lambda s, x: s.b(same(s.fire(s.a(x)))), a=nn.Linear(6, 8), fire=Cell(), b=nn.Linear(8, 2))
    assert [layer.neuron for layer in measured(with_weights(model)).neurons] == ["fire"]


def test_weights_of_two_values_are_no_spikes() -> None:
    def run(s: Any, x: Tensor) -> Tensor:
        return s.b(nn.functional.linear(x, fire(s.a.weight)))

    model = Forward(run, a=nn.Linear(6, 8), b=nn.Linear(8, 2))
    assert measured(with_weights(model), 1).neurons == ()
