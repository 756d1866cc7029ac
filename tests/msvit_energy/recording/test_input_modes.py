"""One network written for every way of feeding, on images and on frames, has one profile."""

from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from typing import Any

import pytest
import torch
from spikingjelly.activation_based import neuron
from torch import Tensor, nn

import msvit_energy
from msvit_energy import Profile
from msvit_energy.profiles.provenance import Provenance
from msvit_energy.recording.feeding.input_modes import InputMode
from msvit_energy.recording.feeding.mode_detection import find_mode
from msvit_energy.recording.state.model_state import RestState
from tests.support.foreign_models import Forward, numbers

T = 4
WAYS = ("image", "time-first", "batch-first", "time-last", "step")
AXES = {"time-first": 0, "batch-first": 1, "time-last": -1}


class Fire(nn.Module):
    """Integrate and fire at 1, a step in each call."""

    activation_op = "neuron"

    def __init__(self) -> None:
        super().__init__()
        self.potential: Tensor | float = 0.0

    def forward(self, x: Tensor) -> Tensor:
        charged = self.potential + x
        spikes = (charged >= 1).to(x.dtype)
        self.potential = charged - spikes
        return spikes


class FireOver(nn.Module):
    """The same over an axis of time, from rest in every call."""

    activation_op = "neuron"

    def __init__(self, axis: int) -> None:
        super().__init__()
        self.axis = axis

    def forward(self, x: Tensor) -> Tensor:
        fire = Fire()
        return torch.stack([fire(current) for current in x.unbind(self.axis)], self.axis)


def integrate_and_fire(own: bool, axis: int | None) -> nn.Module:
    """A neuron of SpikingJelly or one's own, over an axis of time or a step in each call."""
    if own:
        return Fire() if axis is None else FireOver(axis)
    return neuron.IFNode(v_reset=None, step_mode="s" if axis is None else "m")


class Network(nn.Module):
    """Two convolutions or linear layers with neurons and a head, for one way of feeding. Tensors are turned to
    `[T, B, ...]` before anything runs, or with `inside` keep time where the input has it."""

    def __init__(self, way: str, *, own: bool, images: bool, inside: bool = False) -> None:
        super().__init__()
        self.way, self.dims = way, 4 if images else 2  # of a batch without T
        self.axis = None if way in ("image", "step") else AXES[way] if inside else 0
        self.a = nn.Conv2d(2, 3, 3, padding=1) if images else nn.Linear(6, 8)
        self.first = integrate_and_fire(own, self.axis)
        self.b = nn.Conv2d(3, 4, 3) if images else nn.Linear(8, 5)
        self.second = integrate_and_fire(own, self.axis)
        self.head = nn.Linear(4 * 9 if images else 5, 3)
        generator = torch.Generator().manual_seed(1)
        for weights in self.parameters():
            weights.data = torch.randint(-3, 6, weights.shape, generator=generator) / 8

    def forward(self, x: Tensor) -> Tensor:
        if self.way == "step":
            return self.run(x)
        if self.axis is None:  # a loop of its own, over frames or over the same image again
            return torch.stack([self.run(step) for step in (x.unbind(1) if x.dim() > self.dims else [x] * T)]).mean(0)
        return self.run(x.movedim(AXES[self.way], self.axis)).mean(self.axis)

    def run(self, x: Tensor) -> Tensor:
        x = self.first(self.each(self.a, x))
        x = self.second(self.each(self.b, x))
        return self.each(self.head, self.each(nn.Flatten(), x))

    def each(self, layer: nn.Module, x: Tensor) -> Any:
        """A layer without time, at every step."""
        if self.axis is None:
            return layer(x)
        if self.axis == -1:
            return torch.stack([layer(step) for step in x.unbind(-1)], -1)
        return layer(x.flatten(0, 1)).unflatten(0, x.shape[:2])


def data(frames: bool, images: bool) -> Tensor:
    """Multiples of 1/8 from 0 to 1, `[4, ...]` or `[4, T, ...]`."""
    shape = (2, 5, 5) if images else (6,)
    return numbers(4, *((T,) if frames else ()), *shape, seed=3).abs()


def measured(way: str, x: Tensor, *, frames: bool, batch: int, feed: str = "auto", **kind: bool) -> Profile:
    """A profile without its provenance and the functions that it passed for free. T is given where nothing says it."""
    model = Network(way, **kind)
    steps = T if x.dim() == model.dims and way != "image" else None
    profile = msvit_energy.profile(model, x.split(batch), time_steps=steps, feed=feed, frames=frames)
    return replace(profile, provenance=Provenance(), coverage=replace(profile.coverage, free={}))


def simulated(x: Tensor, images: bool) -> list[list[float]]:
    """Spikes of both layers at each step, by plain loops over `[T, B, ...]`."""
    model = Network("step", own=True, images=images)
    sums: list[list[float]] = [[], []]
    first: Tensor | float = 0.0
    second: Tensor | float = 0.0
    with torch.no_grad():
        for step in x:
            first = first + model.a(step)
            spikes = (first >= 1).float()
            first = first - spikes
            second = second + model.b(spikes)
            later = (second >= 1).float()
            second = second - later
            sums[0].append(float(spikes.sum()))
            sums[1].append(float(later.sum()))
    return sums


@pytest.fixture(scope="module")
def called_step_by_step() -> Callable[..., Profile]:
    """The profile of the network that is called T times, against loops by hand."""

    @lru_cache
    def reference(own: bool, images: bool, frames: bool) -> Profile:
        x = data(frames, images)
        profile = measured("step", x, frames=frames, batch=3, own=own, images=images)
        brute = simulated(x.transpose(0, 1) if frames else x.expand(T, *x.shape), images)
        assert [list(map(float, layer.sums)) for layer in profile.neurons] == brute
        assert all(len(set(sums)) > 1 for sums in brute)
        assert profile.macs_per_step == (25 * 54 + 9 * 108 + 108 if images else 48 + 40 + 15)
        assert {operator.runs_per_image for operator in profile.operators} == {T}
        return profile

    return reference


@pytest.mark.parametrize("frames", [False, True], ids=["still", "frames"])
@pytest.mark.parametrize("images", [False, True], ids=["vectors", "images"])
@pytest.mark.parametrize("own", [False, True], ids=["library", "home-made"])
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("batch", [1, 2, T])
def test_five_ways_to_write_a_network_give_one_profile(
    way: str, own: bool, images: bool, frames: bool, batch: int, called_step_by_step: Callable[..., Profile]
) -> None:
    reference = called_step_by_step(own, images, frames)
    assert measured(way, data(frames, images), frames=frames, batch=batch, own=own, images=images) == reference


# Time stays where the input has it, with neurons over that axis

WITHIN = [(way, batch) for way in ("batch-first", "time-last") for batch in (1, 2, T)]


@pytest.mark.parametrize("frames", [False, True], ids=["still", "frames"])
@pytest.mark.parametrize("images", [False, True], ids=["vectors", "images"])
@pytest.mark.parametrize(("way", "batch"), WITHIN)
def test_how_a_network_with_time_within_wants_it_is_found(way: str, batch: int, images: bool, frames: bool) -> None:
    model = Network(way, own=True, images=images, inside=True)
    found = find_mode(model, data(frames, images)[:batch], RestState(model), time_steps=T, frames=frames)
    assert found.mode == InputMode(way, frames, T)


@pytest.mark.parametrize("frames", [False, True], ids=["still", "frames"])
@pytest.mark.parametrize("images", [False, True], ids=["vectors", "images"])
@pytest.mark.parametrize(("way", "batch"), WITHIN)
def test_time_within_a_network_changes_nothing(
    way: str, batch: int, images: bool, frames: bool, called_step_by_step: Callable[..., Profile]
) -> None:
    x = data(frames, images)
    found = measured(way, x, frames=frames, batch=batch, own=True, images=images, inside=True)
    assert found == called_step_by_step(True, images, frames)


# A model may give logits for every step, with T where it has it


@pytest.mark.parametrize("batch", [1, 2, T])
@pytest.mark.parametrize("way", ["time-first", "batch-first", "time-last"])
def test_logits_of_every_step_make_the_head(way: str, batch: int) -> None:
    """By hand: the last layer gives 1 for the third class at every step, and nothing else."""
    fire = neuron.IFNode(step_mode="m")
    model = Forward(
        lambda s, x: s.head(s.fire(s.a(x.movedim(AXES[way], 0)))).movedim(0, AXES[way]),
        a=nn.Linear(6, 8),
        fire=fire,
        head=nn.Linear(8, 3),
    )
    model.head.weight.data, model.head.bias.data = torch.zeros(3, 8), torch.tensor([0.0, 0.0, 1.0])
    labels = torch.tensor([2, 0, 2, 2])
    batches = list(zip(data(False, False).split(batch), labels.split(batch), strict=True))
    profile = msvit_energy.profile(model, batches, time_steps=T)
    assert [operator.role for operator in profile.operators] == ["entrance", "head"]
    assert (profile.labelled, profile.correct) == (4, 3)
