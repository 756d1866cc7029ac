"""Operators as bare function calls inside a forward, and work that nobody can count."""

from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
import torch
from spikingjelly.activation_based import neuron
from torch import Tensor, nn
from torch.nn import functional as F

import msvit_energy
from tests.support.foreign_models import Forward, half_flops, numbers, weight

# Products as bare function calls


class Case(NamedTuple):
    """A forward with one product, the operator's name, and its MACs by hand."""

    function: Callable[[Any, Tensor], Any]
    name: str
    macs: int
    weight: tuple[int, ...] = ()
    shape: tuple[int, ...] = (3, 4)


CASES = {
    "at": Case(lambda s, x: x @ x.transpose(1, 2), "matmul", 3 * 4 * 3),
    "torch.matmul": Case(lambda s, x: torch.matmul(x, s.weight), "matmul", 3 * 4 * 5, (4, 5)),
    "weight on the left": Case(lambda s, x: s.weight @ x, "matmul", 7 * 3 * 4, (7, 3)),
    "weight transposed": Case(lambda s, x: x @ s.weight.t(), "matmul", 3 * 4 * 5, (5, 4)),
    "torch.bmm": Case(lambda s, x: torch.bmm(x, x.transpose(1, 2)), "matmul", 3 * 4 * 3),
    "method": Case(lambda s, x: x.bmm(x.transpose(1, 2)), "matmul", 3 * 4 * 3),
    "einsum": Case(lambda s, x: torch.einsum("bnc,bmc->bnm", x, x), "einsum", 3 * 3 * 4),
    "einsum of a weight": Case(lambda s, x: torch.einsum("bnc,cd->bnd", x, s.weight), "einsum", 3 * 4 * 5, (4, 5)),
    "F.linear": Case(lambda s, x: F.linear(x, s.weight), "linear", 3 * 4 * 6, (6, 4)),
    "F.conv2d": Case(
        lambda s, x: F.conv2d(x, s.weight, stride=2, padding=1), "conv2d", 5 * (2 * 2) * 2 * 9, (5, 2, 3, 3), (2, 4, 4)
    ),
    "F.conv1d": Case(lambda s, x: F.conv1d(x, s.weight), "conv1d", 5 * 2 * 3 * 3, (5, 3, 3)),
    "F.conv1d same": Case(
        lambda s, x: F.conv1d(x, s.weight, padding="same", dilation=2), "conv1d", 5 * 4 * 3 * 4, (5, 3, 4)
    ),
    "F.conv2d same": Case(
        lambda s, x: F.conv2d(x, s.weight, None, 1, "same"), "conv2d", 5 * (4 * 4) * 2 * 6, (5, 2, 2, 3), (2, 4, 4)
    ),
    "F.conv2d valid": Case(
        lambda s, x: F.conv2d(x, s.weight, padding="valid", groups=2),
        "conv2d",
        6 * (3 * 2) * 6,
        (6, 1, 2, 3),
        (2, 4, 4),
    ),
    "F.conv3d same": Case(
        lambda s, x: F.conv3d(x, s.weight, padding="same"), "conv3d", 2 * (2 * 3 * 4) * 8, (2, 1, 2, 2, 2), (1, 2, 3, 4)
    ),
    "einsum of an ellipsis": Case(lambda s, x: torch.einsum("...nc, ...mc -> ...nm", x, x), "einsum", 3 * 3 * 4),
    "einsum of an ellipsis and a weight": Case(
        lambda s, x: torch.einsum("...C,CD", x, s.weight), "einsum", 3 * 4 * 5, (4, 5)
    ),
    "einsum of many digits": Case(  # fvcore's own count has four
        lambda s, x: torch.einsum("...nd,...md->...nm", x, x), "einsum", 3 * 97 * 97 * 33, shape=(3, 97, 33)
    ),
}


def bare(case: Case) -> nn.Module:
    parts = {"weight": weight(*case.weight)} if case.weight else {}
    return Forward(lambda s, x: s.inner(x), inner=Forward(case.function, **parts))


EVEN = pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel lengths")


@EVEN
@pytest.mark.parametrize("batches", [(2,), (3,), (3, 2), (2, 3)], ids=str)
@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_a_product_in_a_bare_function_call_is_an_operator(case: Case, batches: tuple[int, ...]) -> None:
    model = bare(case)
    profile = msvit_energy.profile(model, numbers(sum(batches), *case.shape).split(batches))
    (operator,) = profile.operators
    assert (operator.layer, operator.macs_per_image) == (f"inner.{case.name}", case.macs)
    assert {operand.origin for operand in operator.operands} <= {"input", "other"}
    assert len(operator.operands) == (1 if case.weight else 2)
    assert sum(profile.coverage.counted.values()) == half_flops(model, numbers(1, *case.shape)) == case.macs
    assert (profile.coverage.unknown, profile.coverage.note) == ((), "")


KEYWORDS: dict[str, Case] = {
    "F.linear": Case(lambda s, x: F.linear(input=x, weight=s.weight), "linear", 3 * 4 * 6, (6, 4)),
    "F.conv1d": Case(lambda s, x: F.conv1d(input=x, weight=s.weight), "conv1d", 5 * 2 * 3 * 3, (5, 3, 3)),
    "torch.matmul": Case(lambda s, x: torch.matmul(input=x, other=s.weight), "matmul", 3 * 4 * 5, (4, 5)),
    "torch.bmm": Case(lambda s, x: torch.bmm(x, mat2=x.transpose(1, 2)), "matmul", 3 * 4 * 3),
}


@pytest.mark.parametrize("case", KEYWORDS.values(), ids=KEYWORDS)
def test_arguments_may_have_names(case: Case) -> None:
    profile = msvit_energy.profile(bare(case), [numbers(2, *case.shape)])
    assert {o.layer: o.macs_per_image for o in profile.operators} == {f"inner.{case.name}": case.macs}


def test_a_vector_of_weights_is_no_input() -> None:
    # by hand: torch counts no flops of a matrix times a vector
    profile = msvit_energy.profile(bare(Case(lambda s, x: x @ s.weight, "", 0, (4,))), numbers(5, 3, 4).split(2))
    (operator,) = profile.operators
    assert (operator.macs_per_image, len(operator.operands)) == (3 * 4, 1)
    assert sum(profile.coverage.counted.values()) == 3 * 4


def test_fused_attention_is_two_products() -> None:
    # 2 heads, 5 queries, 5 keys of width 4, values of width 3
    def attend(module: Any, x: Tensor) -> Tensor:
        return F.scaled_dot_product_attention(x, x, x[..., :3])

    profile = msvit_energy.profile(Forward(attend), [numbers(3, 2, 5, 4)])
    macs = {"attention_scores": 2 * 5 * 5 * 4, "attention_values": 2 * 5 * 5 * 3}
    assert {operator.layer: operator.macs_per_image for operator in profile.operators} == macs
    assert (profile.coverage.counted, profile.coverage.unknown) == (macs, ())
    assert [operand.origin for operator in profile.operators for operand in operator.operands] == ["input"] * 3


def test_a_bare_call_in_a_loop_over_steps_is_one_operator_that_runs_t_times() -> None:
    def loop(module: Any, x: Tensor) -> Tensor:
        return torch.stack([module.fire(F.linear(x, module.weight)) for _ in range(4)])

    model = Forward(loop, fire=neuron.IFNode(), weight=weight(6, 4))
    profile = msvit_energy.profile(model, [numbers(2, 4)], time_steps=4)
    assert {o.layer: (o.macs_per_step, o.runs_per_image) for o in profile.operators} == {"linear": (24, 4)}
    assert profile.macs_per_step == 24


@pytest.mark.parametrize(
    "function",
    [lambda s, x: x @ x.mT, lambda s, x: x @ s.weight.T, lambda s, x: x @ x.adjoint(), lambda s, x: x @ x.mH],
    ids=["mT", "T", "adjoint", "mH"],
)
def test_a_transposed_matrix_is_no_unknown_work(function: Callable[[Any, Tensor], Any]) -> None:
    profile = msvit_energy.profile(Forward(function, weight=weight(3, 4)), [numbers(2, 3, 4)])
    assert [operator.macs_per_image for operator in profile.operators] == [3 * 4 * 3]
    assert profile.coverage.unknown == ()


@EVEN
@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("dilation", [1, 2])
@pytest.mark.parametrize("taps", [(1, 1), (3, 3), (2, 3), (4, 2)], ids=str)
def test_padding_by_name_reaches_the_synapses_of_the_module(taps: tuple[int, int], dilation: int, groups: int) -> None:
    spikes = (numbers(3, 2, 6, 7) > 0).float()
    module = nn.Conv2d(2, 4, taps, padding="same", dilation=dilation, groups=groups, bias=False)
    called = Forward(
        lambda s, x: F.conv2d(x, s.weight, padding="same", dilation=dilation, groups=groups), weight=module.weight
    )
    profiles = [msvit_energy.profile(model, [spikes]) for model in (nn.Sequential(module), called)]
    (expected,), (found,) = (profile.operators for profile in profiles)
    assert found.macs_per_image == expected.macs_per_image == half_flops(called, spikes[:1])
    mine, theirs = found.operands[0], expected.operands[0]
    assert (mine.events, mine.fan_out) == (theirs.events, theirs.fan_out)
    ones = nn.Conv2d(2, 4, taps, padding="same", dilation=dilation, groups=groups, bias=False)
    ones.weight.data.fill_(1)
    assert mine.events == ones(spikes).sum().item()


def test_an_outer_product_in_einsum_is_counted_in_full() -> None:
    model = Forward(lambda s, x: torch.einsum("bnc,bmd->bncmd", x, x))
    profile = msvit_energy.profile(model, [numbers(2, 3, 4)])
    assert [operator.macs_per_image for operator in profile.operators] == [3 * 4 * 3 * 4]
    assert (profile.coverage.unknown, profile.coverage.note) == ((), "")


@pytest.mark.parametrize(
    "function",
    [
        lambda x: x.flip(1),
        lambda x: x.erf(),
        lambda x: x + torch.rand(3, 4),
        lambda x: x + torch.rand_like(x) + torch.randn_like(x) + torch.randn(3, 4),
        lambda x: x + torch.empty_like(x).normal_() + torch.normal(0.0, 1.0, (3, 4)),
        lambda x: x.clamp_max(1) + x.clone().clamp_max_(1),
        lambda x: torch.einsum("...ij->...ji", x) + torch.einsum("bij->b", x).sum(),
    ],
    ids=["flip", "erf", "rand", "rand_like", "normal", "clamp_max", "einsum of one"],
)
def test_work_without_products_is_not_unknown(function: Callable[[Tensor], Tensor]) -> None:
    model = Forward(lambda s, x: s.part(function(x).reshape(len(x), -1)), part=nn.Linear(12, 5))
    profile = msvit_energy.profile(model, [numbers(2, 3, 4)])
    assert (profile.coverage.unknown, profile.coverage.note) == ((), "")


class OwnRNN(nn.Module):
    """A neuron with work of its own."""

    activation_op = "neuron"

    def __init__(self) -> None:
        super().__init__()
        self.rnn = nn.RNN(4, 4, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        return (self.rnn(x)[0] > 0).to(x.dtype)


@pytest.mark.parametrize(
    ("model", "name"),
    [
        (Forward(lambda s, x: torch.fft.fft2(x).abs()), "aten::fft_fft2"),
        (Forward(lambda s, x: s.part(x)[0], part=nn.LSTM(4, 5, batch_first=True)), "aten::lstm"),
        (
            Forward(lambda s, x: s.part(x, x, x)[0], part=nn.MultiheadAttention(4, 2, batch_first=True)),
            "aten::_native_multi_head_attention",
        ),
        (Forward(lambda s, x: torch.einsum("bnc,cd,de->bne", x, s.weight, s.weight), weight=weight(4, 4)), "(top"),
        (Forward(lambda s, x: torch.cdist(x, x)), "aten::cdist"),
        (OwnRNN(), "aten::rnn_tanh"),
    ],
    ids=["fft", "LSTM", "MultiheadAttention", "einsum of three", "cdist", "RNN in a neuron"],
)
def test_what_nobody_can_count_is_unknown(model: nn.Module, name: str) -> None:
    profile = msvit_energy.profile(model, [numbers(2, 3, 4)], time_steps=1, feed="image")
    assert any(item.name.startswith(name) for item in profile.coverage.unknown)
    assert any("unknown work" in note and name in note for note in profile.warnings())


def test_a_module_that_is_never_called_is_named() -> None:
    model = Forward(lambda s, x: s.used(x), used=nn.Linear(4, 4), spare=nn.Linear(4, 4))
    assert msvit_energy.profile(model, [numbers(2, 4)]).coverage.never_called == ("spare",)
