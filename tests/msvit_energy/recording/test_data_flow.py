"""Entrances are what the model's input reaches first, heads what makes its output, wherever they stand."""

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


def roles(function: Any, images: Tensor, given: Any = None, **parts: Any) -> dict[str, str]:
    """Roles of the operators of a model of one time step, without those that have none."""
    profile = msvit_energy.profile(Forward(function, **parts), [images], time_steps=1, feed="image", head=given)
    return {operator.layer: operator.role for operator in profile.operators if operator.role}


IMAGES = numbers(2, 1, 8, 8)


def test_a_linear_patch_embedding_is_the_entrance_not_the_first_convolution() -> None:
    """By hand: 4 patches of 16 pixels to 8 channels, encoded once in T = 4: 512 multiply-accumulates."""

    def run(s: Any, x: Tensor) -> Tensor:
        patches = F.unfold(x, 4, stride=4).transpose(1, 2)  # [B, 4, 16]
        spikes = s.fire(s.embed(patches.repeat(4, 1, 1, 1)))  # [T, B, 4, 8]
        maps = s.conv(spikes.transpose(2, 3).flatten(0, 1).unflatten(2, (2, 2)))
        return s.head(s.later(maps.unflatten(0, (4, -1))).mean((0, 3, 4)))

    fire, later = (neuron.IFNode(v_threshold=0.1, step_mode="m") for _ in range(2))
    model = Forward(run, embed=nn.Linear(16, 8), fire=fire, conv=nn.Conv2d(8, 8, 1), later=later, head=nn.Linear(8, 3))
    profile = msvit_energy.profile(model, [IMAGES], time_steps=4, feed="image")
    assert [operator.role for operator in profile.operators] == ["entrance", "", "head"]
    assert price(profile).macs == 4 * 16 * 8


def test_a_stem_of_two_branches_has_two_entrances_also_behind_normalisation() -> None:
    def run(s: Any, x: Tensor) -> Tensor:
        x = (s.norm(x) - 0.1) * 2
        return s.head(s.fire(s.a(x) + s.b(x)).flatten(1))

    parts = {"norm": nn.BatchNorm2d(1), "a": nn.Conv2d(1, 2, 3), "b": nn.Conv2d(1, 2, 3), "fire": Above()}
    found = roles(run, IMAGES, **parts, head=nn.Linear(72, 3))
    assert found == {"a": "entrance", "b": "entrance", "head": "head"}


def test_a_later_layer_that_also_gets_the_input_is_no_entrance() -> None:
    def run(s: Any, x: Tensor) -> Tensor:
        return s.head(s.fire(s.second(s.first(x) + x)).flatten(1))

    parts = {"first": nn.Conv2d(1, 1, 3, padding=1), "second": nn.Conv2d(1, 1, 3), "fire": Above()}
    assert roles(run, IMAGES, **parts, head=nn.Linear(36, 3)) == {"first": "entrance", "head": "head"}


def test_two_heads_and_one_in_front_of_output_neurons() -> None:
    def run(s: Any, x: Tensor) -> Tensor:
        x = s.fire(s.a(x.flatten(1)))
        return s.out(s.one(x)) + s.two(x)

    parts = {"a": nn.Linear(64, 8), "fire": Above(), "out": Above(), "one": nn.Linear(8, 3), "two": nn.Linear(8, 3)}
    assert roles(run, IMAGES, **parts) == {"a": "entrance", "one": "head", "two": "head"}


def test_a_classifier_of_convolutions_has_a_head() -> None:
    def run(s: Any, x: Tensor) -> Tensor:
        return s.b(s.fire(s.a(x))).mean((2, 3))

    parts = {"a": nn.Conv2d(1, 4, 3), "fire": Above(), "b": nn.Conv2d(4, 3, 1)}
    assert roles(run, IMAGES, **parts) == {"a": "entrance", "b": "head"}


def test_a_backbone_has_none_although_a_linear_layer_comes_last() -> None:
    def run(s: Any, x: Tensor) -> Tensor:
        return s.b(s.fire(s.a(x.flatten(2).mT)))  # tokens [B, 64, 4]

    assert roles(run, IMAGES, a=nn.Linear(1, 4), fire=Above(), b=nn.Linear(4, 4)) == {"a": "entrance"}


def test_products_in_a_loop_over_time_may_make_the_output() -> None:
    """Their layers are provisional until the end of the batch."""

    def run(s: Any, x: Tensor) -> Tensor:
        for _ in range(3):
            spikes = s.fire(s.a(x))
            last = (spikes @ spikes.mT).sum(2)
        return last

    model = Forward(run, a=nn.Linear(4, 4), fire=neuron.IFNode())
    profile = msvit_energy.profile(model, [numbers(2, 5, 4)], time_steps=3, feed="image")
    assert [(operator.layer, operator.role) for operator in profile.operators] == [
        ("a", "entrance"),
        ("matmul", "head"),
    ]


def test_the_head_can_be_given_by_hand() -> None:
    def run(s: Any, x: Tensor) -> Tensor:
        return s.b(s.fire(s.a(x.flatten(1))))

    parts = {"a": nn.Linear(64, 8), "fire": Above(), "b": nn.Linear(8, 3)}
    assert roles(run, IMAGES, **parts) == {"a": "entrance", "b": "head"}
    assert roles(run, IMAGES, given=(), **parts) == {"a": "entrance"}
    with pytest.raises(EnergyError, match=r"^no operator is called 'c', so it is no head; operators: a, b, \.\.\.$"):
        roles(run, IMAGES, given="c", **parts)


def test_an_input_that_was_lost_on_its_way_leaves_the_first_convolution() -> None:
    def run(s: Any, x: Tensor) -> Tensor:
        x = torch.from_numpy(x.numpy().copy())
        return s.head(s.fire(s.conv(x)).flatten(1))

    parts = {"conv": nn.Conv2d(1, 2, 3), "fire": Above(), "head": nn.Linear(72, 3)}
    assert roles(run, IMAGES, **parts) == {"conv": "entrance", "head": "head"}
