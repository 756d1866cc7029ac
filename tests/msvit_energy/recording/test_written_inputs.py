"""Forwards that write to their input are measured as those that do not, and the caller's images stay as they are."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import msvit_energy
from msvit_energy import Profile
from msvit_energy.precision import compare_formats
from tests.support.foreign_models import Forward


class Threshold(nn.Module):
    activation_op = "neuron"

    def forward(self, x: Tensor) -> Tensor:
        return (x > 0.5).to(x.dtype)


def by_numpy(x: Tensor) -> Tensor:
    values = x.numpy()
    values *= 3
    return x


def by_data(x: Tensor) -> Tensor:
    x.data.mul_(3)
    return x


WRITES: dict[str, Callable[[Tensor], Tensor]] = {"mul_": lambda x: x.mul_(3), "numpy": by_numpy, "data": by_data}


def network(scale: Callable[[Tensor], Tensor]) -> nn.Module:
    """Scales its input by 3 first; images that are too large take another way, which also a tracer finds."""

    def forward(module: Any, x: Tensor) -> Tensor:
        x = scale(x)
        spikes = module.fire(x)
        return module.large(spikes) if float(x.sum()) > 4 * len(x) else module.small(spikes)

    torch.manual_seed(0)
    return Forward(forward, fire=Threshold(), small=nn.Linear(8, 3), large=nn.Linear(8, 5))


def images() -> list[Tensor]:
    """1/8 everywhere, and one element of 1/4 in each image. Three times that are 3/8 and 3/4, and one spike; nine times
    that are eight spikes. An image adds up to 27/8 then, or to 81/8."""
    batches = [torch.full((2, 8), 0.125), torch.full((1, 8), 0.125)]
    for batch in batches:
        batch[:, 0] = 0.25
    return batches


def measured(scale: Callable[[Tensor], Tensor], feed: str, batches: list[Tensor]) -> Profile:
    steps = 3 if feed == "step" else 1
    found = msvit_energy.profile(network(scale), batches, time_steps=steps, feed=feed, lemaire=2)
    return replace(found, coverage=replace(found.coverage, free={}))  # how a tracer names the scaling


@pytest.mark.parametrize("write", WRITES)
@pytest.mark.parametrize("feed", ["auto", "image", "step"])
def test_a_forward_may_write_to_its_input(write: str, feed: str) -> None:
    batches = images()
    once = measured(WRITES[write], feed, batches)
    assert once.neurons[0].sums == ((3, 3, 3) if feed == "step" else (3,))
    assert [operator.layer for operator in once.operators] == ["small"]
    assert once == measured(lambda x: x * 3, feed, images())
    assert all(map(torch.equal, batches, images()))
    assert measured(WRITES[write], feed, batches) == once


@pytest.mark.parametrize("write", WRITES)
def test_number_formats_are_compared_on_the_same_images(write: str) -> None:
    batches = images()
    found = compare_formats(network(WRITES[write]), batches)
    assert (found.spikes, found.differing) == (3, 0)
    assert all(map(torch.equal, batches, images()))
