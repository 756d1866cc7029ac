"""One network has one price: a stem that is fed with the same at every time step, computed once or T times."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from spikingjelly.activation_based import neuron
from torch import Tensor, nn

import msvit_energy
from msvit_energy import Profile, price
from msvit_energy.profiles.operand import Operand
from msvit_energy.profiles.operators import Operator
from tests.support.foreign_models import Forward, numbers

T = 4
SPELLINGS = ("stem once", "image repeated", "stem in the loop", "model called T times")
ONE_NUMBER = ("appendix-c", "spikformer", "exact", "exact:integers=macs", "sdt", "spikingformer-tool", "ann")


def written(spelling: str, stem: Callable[[Any, Tensor], Tensor]) -> Callable[[Any, Tensor], Tensor]:
    """A forward of images `[B, ...]`: `stem` without neurons, and behind it `fire`, `fc`, `second` and `head`."""

    def step(s: Any, current: Tensor) -> Tensor:
        return s.head(s.second(s.fc(s.fire(current).flatten(1))))

    def run(s: Any, x: Tensor) -> Tensor:
        if spelling == "model called T times":
            return step(s, stem(s, x))
        if spelling == "stem in the loop":
            return sum(step(s, stem(s, x)) for _ in range(T)) / T
        if spelling == "stem once":
            currents = stem(s, x).expand(T, *[-1] * (x.dim()))
        else:
            currents = stem(s, x.repeat(T, *[1] * (x.dim() - 1))).unflatten(0, (T, -1))
        return sum(step(s, current) for current in currents) / T

    return run


def measured(spelling: str, stem: Callable[[Any, Tensor], Tensor], images: Tensor, **parts: nn.Module) -> Profile:
    model = Forward(written(spelling, stem), fire=neuron.IFNode(), second=neuron.IFNode(), **parts)
    feed = "step" if spelling == "model called T times" else "image"
    return msvit_energy.profile(model.double(), [images], time_steps=T, feed=feed)


def linear(weights: Tensor) -> nn.Linear:
    layer = nn.Linear(*reversed(weights.shape), bias=False)
    layer.weight.data = weights
    return layer


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_a_stem_of_two_layers_counts_once(spelling: str) -> None:
    """By hand: everything fires at every step, so 4 x 3 spikes reach 5 neurons and 4 x 5 reach 2; 2 x 3 + 3 x 3 weights
    encode the image, once."""
    parts = {
        "a": linear(torch.full((3, 2), 0.5)),
        "b": linear(torch.eye(3)),
        "fc": linear(torch.ones(5, 3)),
        "head": linear(torch.ones(2, 5)),
    }
    profile = measured(spelling, lambda s, x: s.b(s.a(x)), torch.tensor([[1.0, 1.5]]).repeat(3, 1), **parts)
    report = price(profile, "exact")
    assert (report.macs, report.acs) == (2 * 3 + 3 * 3, T * 3 * 5 + T * 5 * 2)
    assert price(profile, "appendix-c").macs == 2 * 3 + 3 * 3
    rows = {row.layer: row.macs for row in price(profile, "exact:first-layer=every-step").rows}
    assert rows["a"] == T * 2 * 3
    assert rows["b"] == (3 * 3 if spelling == "stem once" else T * 3 * 3)  # as often as it ran


def conv_stem(images: Tensor, spelling: str) -> Profile:
    """As SpikingResformer begins: convolution, batch norm, maximum pooling, neurons."""
    torch.manual_seed(0)
    parts = {
        "conv": nn.Conv2d(1, 4, 5, stride=2, padding=2, bias=False),
        "norm": nn.BatchNorm2d(4),
        "pool": nn.MaxPool2d(3, 2, 1),
        "fc": nn.Linear(4 * 3 * 3, 6),
        "head": nn.Linear(6, 2),
    }
    for layer in ("conv", "fc"):
        parts[layer].weight.data.mul_(8)
    return measured(spelling, lambda s, x: s.pool(s.norm(s.conv(x))), images, **parts)


@pytest.mark.parametrize("protocol", ONE_NUMBER)
def test_energy_and_interval_do_not_depend_on_where_the_stem_is_written(protocol: str) -> None:
    reports = [price(conv_stem(numbers(5, 1, 12, 12).double(), spelling), protocol) for spelling in SPELLINGS]
    totals = {(report.total_pj, report.interval_mj) for report in reports}
    assert len(totals) == 1
    assert reports[0].total_pj > 0


@pytest.mark.parametrize("spelling", SPELLINGS)
@pytest.mark.parametrize("protocol", ["exact", "appendix-c"])
def test_a_constant_drawing_of_zeros_and_ones_is_no_stream_of_events(spelling: str, protocol: str) -> None:
    """By hand: images of 1, 2 and 3 points, each of which reaches 3 neurons, give 3, 6, 9 accumulates: 6 in the mean,
    with a deviation of 3, however often the image was repeated."""
    images = torch.tensor([[1, 0, 0, 0], [1, 1, 0, 0], [1, 1, 1, 0]], dtype=torch.float64)
    parts = {"a": linear(torch.ones(3, 4)), "fc": linear(torch.zeros(5, 3)), "head": linear(torch.zeros(2, 5))}
    profile = measured(spelling, lambda s, x: s.a(x), images, **parts)
    entrance = price(profile, protocol).rows[0]
    assert (entrance.macs, entrance.acs) == (0, 6)
    assert entrance.spread is not None
    assert entrance.spread.standard_error == pytest.approx(0.9 * 3 / 3**0.5, rel=1e-12)
    assert price(profile, f"{protocol}:first-layer=every-step").rows[0].acs == T * 6


def test_frames_that_change_are_counted_at_every_step() -> None:
    frames = numbers(2, T, 3).double()
    model = Forward(lambda s, x: sum(s.fire(s.a(frame)) for frame in x.unbind(1)), a=linear(torch.ones(2, 3)))
    model.fire = neuron.IFNode()
    profile = msvit_energy.profile(model.double(), [frames], time_steps=T, feed="image")
    assert [price(profile, text).macs for text in ("exact", "exact:first-layer=every-step")] == [T * 3 * 2] * 2


def test_a_product_of_two_inputs_counts_once_only_if_both_stay_the_same() -> None:
    still = Operand("a#0", "analog", "input", (), 12, (1, 1), (3, 3), 1.0, varies=False)
    for varies, runs in ((False, 1), (True, T)):
        operands = (still, replace(still, name="a#1", varies=varies))
        product = Operator("a", "", "matmul", "entrance", 8 * T, T, operands)
        assert price(Profile(1, T, (product,)), "exact").macs == 8 * runs


def test_a_first_convolution_behind_neurons_counts_as_often_as_it_runs() -> None:
    """By hand: two of four points exceed 1/2 and fire at all four steps, their sums 4 reach 3 channels, once."""
    fire = neuron.IFNode(v_threshold=0.5)
    model = Forward(
        lambda s, x: s.conv(sum(s.fire(x) for _ in range(T))).flatten(1), conv=nn.Conv2d(1, 3, 1), fire=fire
    )
    images = torch.tensor([1.0, 0.0, 0.0, 1.0]).reshape(1, 1, 2, 2).double()
    profile = msvit_energy.profile(model.double(), [images], time_steps=T, feed="image")
    (conv,) = profile.operators
    assert (conv.role, conv.driver.kind, conv.runs_per_image) == ("entrance", "integer", 1)
    for protocol in ("exact", "appendix-c", "exact:first-layer=every-step", "sdt:rate=mean"):
        assert price(profile, protocol).acs == 2 * 4 * 3
