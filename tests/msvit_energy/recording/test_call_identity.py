"""Which bare call is which operator: one network written in several ways has one profile."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from spikingjelly.activation_based import layer, neuron
from timm.layers import Conv2dSame
from torch import Tensor, nn
from torch.nn import functional as F

import msvit_energy
from msvit_energy import Profile, price
from tests.support.foreign_models import Forward, half_flops, numbers, with_weights

T = 4


class Above(nn.Module):
    """Fires above a half, without a state."""

    activation_op = "neuron"

    def forward(self, x: Tensor) -> Tensor:
        return (x > 0.5).to(x.dtype)


def linear(inputs: int, outputs: int) -> nn.Linear:
    return nn.Linear(inputs, outputs, bias=False)


def counts(profile: Profile) -> list[tuple[Any, ...]]:
    """What was counted of every operator, without names."""
    return [
        (o.macs_per_image, o.runs_per_image, o.role, [(x.kind, x.elements, x.sums, x.nonzeros) for x in o.operands])
        for o in profile.operators
    ]


# One network of three layers and a head in a loop over T, in five ways


def modules(s: Any, x: Tensor) -> Tensor:
    for fc, fire in zip(s.layers, s.fires, strict=True):
        x = fire(fc(x))
    return s.head(x)


def weights_in_a_loop(s: Any, x: Tensor) -> Tensor:
    for fc, fire in zip(s.layers, s.fires, strict=True):
        x = fire(F.linear(x, fc.weight))
    return s.head(x)


def a_line_each(s: Any, x: Tensor) -> Tensor:
    x = s.fires[0](F.linear(x, s.layers[0].weight))
    x = s.fires[1](F.linear(x, s.layers[1].weight))
    x = s.fires[2](F.linear(x, s.layers[2].weight))
    return s.head(x)


def transposed(s: Any, x: Tensor) -> Tensor:
    x = s.fires[0](x @ s.layers[0].weight.t())
    x = s.fires[1](x @ s.layers[1].weight.t())
    x = s.fires[2](x @ s.layers[2].weight.t())
    return s.head(x)


def apply(x: Tensor, weight: Tensor) -> Tensor:
    return x @ weight.mT


def by_a_helper(s: Any, x: Tensor) -> Tensor:
    for fc, fire in zip(s.layers, s.fires, strict=True):
        x = fire(apply(x, fc.weight))
    return s.head(x)


def three_layers(step: Callable[[Any, Tensor], Tensor], outside: bool) -> nn.Module:
    torch.manual_seed(0)
    fires = nn.ModuleList(neuron.IFNode(v_threshold=0.5) for _ in range(3))
    parts = {"layers": nn.ModuleList(linear(16, 16) for _ in range(3)), "fires": fires, "head": linear(16, 3)}
    run = step if outside else lambda s, x: sum(step(s, x) for _ in range(T))
    return with_weights(Forward(run, **parts))


WAYS = [modules, weights_in_a_loop, a_line_each, transposed, by_a_helper]


@pytest.mark.parametrize("batch", [1, 2, 3, 4, 16])
@pytest.mark.parametrize("outside", [False, True])
def test_a_loop_over_time_is_the_same_however_it_is_written(batch: int, outside: bool) -> None:
    images, feed = numbers(batch, 16), "step" if outside else "image"
    profiles = [
        msvit_energy.profile(three_layers(way, outside), [images], time_steps=T, feed=feed)  # type: ignore[arg-type]
        for way in WAYS
    ]
    assert [counts(profile) for profile in profiles] == [counts(profiles[0])] * len(WAYS)
    assert price(profiles[0], "ann").macs == 3 * 16 * 16 + 16 * 3
    assert {operator.runs_per_image for operator in profiles[0].operators} == {T}


# Products of activations, which have no weights


def attend(s: Any, x: Tensor) -> Tensor:
    """[B, 5, 8] -> [B, 3]"""
    q, k, v = (fire(fc(x)) for fire, fc in zip(s.fires, s.projections, strict=True))
    return s.head(s.out(s.product(s.product(q, k.mT), v)).mean(1))


def attention(product: Callable[[Tensor, Tensor], Tensor], steps: int = T) -> nn.Module:
    projections = nn.ModuleList(linear(8, 8) for _ in range(3))
    fires = nn.ModuleList(neuron.IFNode(v_threshold=0.5) for _ in range(3))
    model = Forward(
        lambda s, x: sum(attend(s, x) for _ in range(steps)),
        projections=projections, fires=fires, out=neuron.IFNode(v_threshold=0.5), head=linear(8, 3),
    )  # fmt: skip
    model.product = product  # type: ignore[assignment]
    return with_weights(model)


class Product(nn.Module):
    activation_op = "matmul"

    def forward(self, left: Tensor, right: Tensor) -> Tensor:
        return left @ right


@pytest.mark.parametrize("steps", [2, T])
def test_two_products_by_one_helper_are_two_operators(steps: int) -> None:
    images = numbers(3, 5, 8)
    helper = msvit_energy.profile(attention(lambda a, b: a @ b, steps), [images], time_steps=steps)
    products = [operator for operator in helper.operators if operator.op == "matmul"]
    assert [(o.layer, o.macs_per_image, o.runs_per_image) for o in products] == [
        ("matmul", steps * 5 * 5 * 8, steps),
        ("matmul_2", steps * 5 * 5 * 8, steps),
    ]
    # a module that is used for both is one operator, called twice in every step
    of_module = msvit_energy.profile(attention(Product(), steps), [images], time_steps=steps)
    (shared,) = [operator for operator in of_module.operators if operator.op == "matmul"]
    assert (shared.macs_per_image, shared.runs_per_image) == (2 * steps * 5 * 5 * 8, steps)
    for position in (0, 1):
        sums = [operator.operands[position].sums for operator in products]
        assert shared.operands[position].sums == tuple(a + b for a, b in zip(*sums, strict=True))


def test_a_loop_over_as_many_heads_as_time_steps_is_none_over_time() -> None:
    """Four heads, T = 4, four images: products of one constant step stay four operators."""

    def run(s: Any, x: Tensor) -> Tensor:
        spikes = (x > 0.5).to(x.dtype).unflatten(2, (4, 2))  # [4, 3, heads, 2]
        scores = [spikes[:, :, head] @ spikes[:, :, head].mT for head in range(4)]
        return s.later(torch.stack([sum(scores).flatten(1)] * T)).mean(0)

    model = Forward(run, later=neuron.IFNode(step_mode="m"))
    profile = msvit_energy.profile(model, [numbers(4, 3, 8).abs()], time_steps=T, feed="image")
    assert [(o.layer, o.macs_per_image, o.runs_per_image) for o in profile.operators] == [
        (name, 3 * 3 * 2, 1) for name in ("matmul", "matmul_2", "matmul_3", "matmul_4")
    ]


def test_as_many_different_products_as_time_steps_are_no_loop() -> None:
    def run(s: Any, x: Tensor) -> Tensor:
        spikes = s.fire(x.expand(2, *x.shape))  # [T, B, 3, 5]
        scores = spikes.mean(0) @ spikes.mean(0).mT  # [B, 3, 3]
        return s.later((scores @ spikes.mean(0)).expand(2, *x.shape)).mean((0, 2))

    fire, later = (neuron.IFNode(step_mode="m", v_threshold=0.5) for _ in range(2))
    profile = msvit_energy.profile(Forward(run, fire=fire, later=later), [numbers(3, 3, 5)], time_steps=2, feed="image")
    assert [(o.layer, o.macs_per_image) for o in profile.operators] == [("matmul", 3 * 3 * 5), ("matmul_2", 3 * 3 * 5)]


def test_products_of_single_time_steps_of_a_sequence_are_one_operator() -> None:
    def run(s: Any, x: Tensor) -> Tensor:
        spikes = s.fire(x.expand(T, *x.shape))  # [T, B, 3, 2]
        return torch.stack([spikes[t] @ spikes[t].mT for t in range(T)]).mean((0, 3))

    model = Forward(run, fire=neuron.IFNode(step_mode="m", v_threshold=0.5))
    (product,) = msvit_energy.profile(model, [numbers(2, 3, 2).abs()], time_steps=T, feed="image").operators
    assert (product.macs_per_image, product.runs_per_image) == (T * 3 * 3 * 2, T)


# Called several times in a step


def test_a_layer_that_is_called_three_times_a_step_costs_three_times() -> None:
    def run(s: Any, x: Tensor) -> Tensor:
        for fire in s.fires:
            x = fire(s.shared(x))
        return s.head(x)

    model = with_weights(
        Forward(run, shared=linear(16, 16), fires=nn.ModuleList(Above() for _ in range(3)), head=linear(16, 3))
    )
    profile = msvit_energy.profile(model, [numbers(2, 16).abs()], time_steps=1)
    assert price(profile, "ann").macs == 3 * 256 + 48
    assert [operator.runs_per_image for operator in profile.operators] == [1, 1]


@pytest.mark.parametrize("mode", ["s", "m"])
def test_a_layer_used_twice_in_each_of_four_steps_has_four_runs(mode: str) -> None:
    """By hand: all spikes are 1, so each step feeds it 2 x 3 ones of each of two images."""

    def run(s: Any, x: Tensor) -> Tensor:
        def step(x: Tensor) -> Tensor:
            return s.shared(s.a(x)) + s.shared(s.b(x))

        return step(x.expand(T, *x.shape)).mean(0) if mode == "m" else sum(step(x) for _ in range(T)) / T

    a, b = (neuron.IFNode(v_threshold=0.5, step_mode=mode) for _ in range(2))
    model = Forward(run, shared=layer.Linear(3, 2, bias=False, step_mode=mode), a=a, b=b)
    (shared,) = msvit_energy.profile(model, [torch.ones(2, 3)], time_steps=T, feed="image").operators
    assert (shared.macs_per_image, shared.macs_per_step, shared.runs_per_image) == (T * 2 * 6, 2 * 6, T)
    assert shared.driver.sums == (2 * 2 * 3,) * T
    assert shared.driver.rate == 1.0


def test_a_siamese_stem_is_encoded_twice() -> None:
    stem = nn.Conv2d(1, 4, 3, bias=False)
    model = Forward(
        lambda s, x: s.head(s.fire(s.stem(x) + s.stem(x.mT)).mean((2, 3))), stem=stem, fire=Above(), head=linear(4, 3)
    )
    profile = msvit_energy.profile(model, [torch.rand(2, 1, 6, 6)], time_steps=1)
    assert price(profile).total_pj == pytest.approx(4.6 * 2 * (4 * 4) * (4 * 9))


def test_a_neuron_that_layers_of_different_width_share_has_one_rate() -> None:
    model = Forward(lambda s, x: s.fire(s.fire(x).repeat(1, 10)), fire=Above())
    (layer_,) = msvit_energy.profile(model, [torch.ones(2, 3)], time_steps=1).neurons
    assert (layer_.firing_rates, layer_.sums) == ((1.0,), (2 * (3 + 30),))


# What a module really computes


class Thresholded(nn.Linear):
    def forward(self, x: Tensor) -> Tensor:
        return F.linear((x > 0.5).to(x.dtype), self.weight)


def test_a_layer_that_thresholds_its_input_is_fed_with_what_it_thresholded() -> None:
    model = nn.Sequential(linear(4, 4), Thresholded(4, 3, bias=False))
    model[0].weight.data = torch.eye(4)
    profile = msvit_energy.profile(model, [torch.tensor([[0.1, 0.6, 0.9, 0.5]])], time_steps=1)
    assert [(o.layer, o.driver.kind, o.driver.sums) for o in profile.operators][1:] == [("1", "binary", (2,))]
    assert profile.coverage.unknown == ()


class LowRank(nn.Linear):
    """y = x W^T + x A^T B^T"""

    def __init__(self, inputs: int, outputs: int, rank: int) -> None:
        super().__init__(inputs, outputs)
        self.a, self.b = nn.Parameter(torch.rand(rank, inputs)), nn.Parameter(torch.rand(outputs, rank))

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) + x @ self.a.t() @ self.b.t()


@pytest.mark.parametrize(
    ("module", "shape", "layers"),
    [
        (Conv2dSame(2, 3, 3, stride=2), (2, 2, 8, 8), ["0"]),
        (LowRank(6, 4, rank=2), (2, 6), ["0", "0.matmul", "0.matmul_2"]),
    ],
)
def test_layers_with_a_forward_of_their_own_are_counted_as_torch_counts_them(
    module: nn.Module, shape: tuple[int, ...], layers: list[str]
) -> None:
    images = torch.rand(*shape)
    profile = msvit_energy.profile(nn.Sequential(module), [images], time_steps=1)
    assert [operator.layer for operator in profile.operators] == layers
    assert sum(operator.macs_per_image for operator in profile.operators) == half_flops(module, images[:1])
    assert (profile.coverage.unknown, profile.coverage.note) == ((), "")


def test_a_bare_call_never_takes_the_name_of_a_module() -> None:
    model = Forward(
        lambda s, x: F.linear(s.linear(x), s.other), linear=linear(4, 4), other=nn.Parameter(torch.rand(2, 4))
    )
    profile = msvit_energy.profile(model, [torch.rand(2, 4)], time_steps=1)
    assert [(o.layer, o.macs_per_image) for o in profile.operators] == [("linear", 16), ("linear_2", 8)]
