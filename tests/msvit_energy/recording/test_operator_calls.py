"""Products and other operators called as functions: against loops, torch's counter, and each other."""

from collections.abc import Callable
from itertools import product as combinations
from typing import Any

import pytest
import torch
from spikingjelly.activation_based import neuron
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel

import msvit_energy
from msvit_energy.recording import operator_calls as calls
from msvit_energy.recording.operator_calls import FUNCTIONS
from tests.support.operators import spikes, torch_macs

PRODUCT_SHAPES = [
    ((3, 4), (4, 5)),
    ((2, 3, 4), (2, 4, 5)),
    ((2, 6, 3, 4), (2, 6, 4, 5)),
    ((2, 3, 4), (4, 5)),
    ((3, 4), (2, 4, 5)),
    ((2, 1, 3, 4), (1, 6, 4, 5)),
    ((4,), (4,)),
    ((2, 3, 4), (4,)),
    ((4,), (2, 4, 5)),
]


@pytest.mark.parametrize(("left", "right"), PRODUCT_SHAPES)
def test_products_reach_and_meet_what_multiplying_gives(left: tuple[int, ...], right: tuple[int, ...]) -> None:
    a, b = spikes(*left, seed=1), 3 * spikes(*right, seed=2)
    call = calls.product(a, b)
    reached = [float((stream.values * stream.reached).sum()) for stream in call.streams]
    assert reached == [float((a @ torch.ones_like(b)).sum()), float((torch.ones_like(a) @ b).sum())]
    assert call.macs == (a @ b).numel() * a.shape[-1]
    if min(a.dim(), b.dim()) > 1:  # torch counts no products of vectors
        assert call.macs == torch_macs(torch.matmul, a, b)
    assert call.pairs is not None
    met = (a @ b).sum()
    assert met > 0
    assert float(call.pairs.count(a, b, 9).sum()) == float(met)


def test_pairs_of_every_head_are_kept_apart() -> None:
    a, b = spikes(2, 3, 5, 4, seed=1), spikes(2, 3, 4, 6, seed=2)
    for call in (calls.product(a, b), calls.einsum("thnk,thkm->thnm", a, b)):
        assert call is not None
        assert call.pairs is not None
        assert torch.equal(call.pairs.count(a, b, 9).sum(-1), (a @ b).sum((-1, -2)))


X, Y = spikes(2, 3, 4, seed=1), spikes(2, 4, 3, seed=2)
BIAS = torch.zeros(3, 3, dtype=torch.float64)


@pytest.mark.parametrize(
    ("function", "arguments", "factors"),
    [
        (torch.matmul, (X, Y), (X, Y)),
        (torch.bmm, (X, Y), (X, Y)),
        (torch.mm, (X[0], Y[0]), (X[0], Y[0])),
        (torch.mv, (X[0], Y[0, :, 0]), (X[0], Y[0, :, 0])),
        (Tensor.__matmul__, (X, Y), (X, Y)),
        (Tensor.__rmatmul__, (Y, X), (X, Y)),
        (torch.addmm, (BIAS, X[0], Y[0]), (X[0], Y[0])),
        (torch.baddbmm, (BIAS, X, Y), (X, Y)),
    ],
)
def test_every_spelling_of_a_product_is_described(
    function: Callable[..., Tensor], arguments: tuple[Tensor, ...], factors: tuple[Tensor, Tensor]
) -> None:
    call = FUNCTIONS[function](*arguments)
    assert call.macs == (factors[0] @ factors[1]).numel() * 4
    assert call.pairs.count(*factors, 9).sum() == function(*arguments).sum()


@pytest.mark.parametrize(
    "equation",
    [
        "ij,jk->ik",
        "ij,jk",
        "ij , kj -> ki",
        "bij,bjk->bik",
        "bij,bjk->bki",
        "tbhnd,tbhmd->tbhnm",
        "tbhnd,tbhne->tbhde",
        "nbij,jkb->nik",
        "ij,ij->ij",
        "ij,ij->",
        "i,j->ij",
        "bij,bjk->bk",
    ],
)
def test_contractions_equal_loops_over_all_indices(equation: str) -> None:
    left, right = equation.replace(" ", "").partition("->")[0].split(",")
    size = {letter: 2 + n % 3 for n, letter in enumerate(sorted(set(left + right)))}
    a, b = (spikes(*(size[letter] for letter in name), seed=n, rate=0.6) for n, name in enumerate((left, right)))
    loops = [dict(zip(size, places, strict=True)) for places in combinations(*map(range, size.values()))]
    values = [(a[tuple(at[i] for i in left)].item(), b[tuple(at[i] for i in right)].item()) for at in loops]
    call = calls.einsum(equation, a, b)
    assert call is not None
    assert call.macs == len(loops)
    reached = tuple(float((stream.values * stream.reached).sum()) for stream in call.streams)
    assert reached == tuple(map(sum, zip(*values, strict=True)))
    assert call.pairs is not None
    assert call.pairs.count(a, b, 9).sum() == sum(x * y for x, y in values) == torch.einsum(equation, a, b).sum()
    assert FUNCTIONS[torch.einsum](equation, [a, b]).macs == call.macs
    assert call.shape is not None
    assert call.shape.outputs == torch.einsum(equation, a, b).numel()


@pytest.mark.parametrize("equation", ["...i,oi->...o", "...i,oi", "...i,oi->o"])
def test_outputs_of_contractions_with_an_ellipsis_are_those_of_torch(equation: str) -> None:
    a, b = torch.ones(2, 3, 4), torch.ones(5, 4)
    call = calls.einsum(equation, a, b)
    assert call is not None
    assert call.shape is not None
    assert call.shape.outputs == torch.einsum(equation, a, b).numel()


@pytest.mark.parametrize("equation", ["ii,ij->j", "ij,jk,kl->il"])
def test_contractions_that_are_not_understood_are_left_to_others(equation: str) -> None:
    assert calls.einsum(equation, *(torch.ones(3, 3) for _ in range(equation.count(",") + 1))) is None


def test_fused_attention_is_two_products() -> None:
    q, k, v = spikes(2, 3, 5, 4, seed=1), spikes(2, 3, 6, 4, seed=2), spikes(2, 3, 6, 7, seed=3)
    scores, values = FUNCTIONS[F.scaled_dot_product_attention](q, k, v, dropout_p=0.0)
    with sdpa_kernel(SDPBackend.MATH):
        assert scores.macs + values.macs == torch_macs(F.scaled_dot_product_attention, q, k, v)
    assert values.macs == torch_macs(torch.matmul, torch.ones(2, 3, 5, 6).double(), v)
    assert scores.pairs.count(q, k, 1).sum() == (q @ k.mT).sum()
    assert (values.streams[0].values * values.streams[0].reached).sum() == (torch.ones(2, 3, 5, 6).double() @ v).sum()


# SpikingJelly's counter


class Function(nn.Module):
    """Fires over `[T, B, N, d]` and hands the spikes to a function."""

    time_steps = 3

    def __init__(self, function: Callable[[Tensor, Any], Tensor], weight: Tensor | None = None) -> None:
        super().__init__()
        self.function = function
        self.weight = None if weight is None else nn.Parameter(weight)
        self.fire = neuron.IFNode(v_threshold=0.5, step_mode="m")

    def forward(self, x: Tensor) -> Tensor:  # [B, T, N, d]
        return self.function(self.fire(x.transpose(0, 1)), self.weight)


FRAMES = torch.rand(2, 3, 5, 6, generator=torch.Generator().manual_seed(0))
WEIGHT = torch.randn(7, 6, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(
    ("function", "macs"),
    [
        (lambda x, w: F.linear(input=x, weight=w), 5 * 6 * 7),
        (lambda x, w: torch.matmul(x, other=x.mT), 5 * 5 * 6),
        (lambda x, w: torch.matmul(input=x, other=x.mT), 5 * 5 * 6),
        (lambda x, w: torch.bmm(x.flatten(0, 1), mat2=x.flatten(0, 1).mT), 5 * 5 * 6),
        (lambda x, w: F.conv1d(input=x.flatten(0, 1), weight=torch.ones(4, 5, 3)), 4 * 4 * 5 * 3),
        (lambda x, w: torch.addmm(torch.zeros(7), mat1=x.flatten(0, 2), mat2=w.T), 5 * 6 * 7),
    ],
)
def test_arguments_by_name_are_understood(function: Callable[[Tensor, Any], Tensor], macs: int) -> None:
    (operator,) = msvit_energy.profile(Function(function, WEIGHT), [FRAMES]).operators
    assert operator.macs_per_image == 3 * macs


def test_attention_with_grouped_heads_is_counted_for_every_query_head() -> None:
    def attend(x: Tensor, _: Any) -> Tensor:
        query, keys = x.unsqueeze(2).repeat(1, 1, 4, 1, 1), x.unsqueeze(2).repeat(1, 1, 2, 1, 1)
        return F.scaled_dot_product_attention(query, keys, keys, enable_gqa=True)

    scores, values = msvit_energy.profile(Function(attend), [FRAMES]).operators
    assert scores.macs_per_image == values.macs_per_image == 3 * 4 * 5 * 5 * 6
    spikes_per_image = sum(int(total) for total in scores.operands[1].sums) / 2
    assert scores.operands[1].events == spikes_per_image * 2 * 5 * 2  # each key meets 5 queries of 2 heads


@pytest.mark.parametrize("batch", [1, 2, 3])
def test_a_product_with_a_weight_is_counted_whatever_the_batch(batch: int) -> None:
    images = FRAMES[:1].expand(batch, -1, -1, -1)
    for function in (lambda x, w: x @ w.T, lambda x, w: torch.einsum("...i,oi->...o", x, w)):
        (operator,) = msvit_energy.profile(Function(function, WEIGHT), [images]).operators
        assert operator.macs_per_image == 3 * 5 * 6 * 7
        assert len(operator.operands) == 1


def test_a_weight_vector_is_no_stream() -> None:
    profile = msvit_energy.profile(Function(lambda x, w: x @ w, WEIGHT[0]), [FRAMES])
    assert [len(operator.operands) for operator in profile.operators] == [1]


def test_fused_attention_of_spikes_counts_pairs_like_a_product() -> None:
    fused = msvit_energy.profile(Function(lambda x, _: F.scaled_dot_product_attention(x, x, x)), [FRAMES])
    plain = msvit_energy.profile(Function(lambda x, _: x @ x.transpose(-1, -2)), [FRAMES])
    assert float(fused.operators[0].events(2)) == float(plain.operators[0].events(2)) > 0


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_pairs_are_exact_in_low_precision(dtype: torch.dtype) -> None:
    a = torch.ones(1, 300, 3, dtype=dtype)
    a[0, 0] = 0
    assert calls.product(a, a.mT).pairs.count(a, a.mT, 1).sum() == 3 * 299**2


def test_products_of_large_real_numbers_have_no_pairs() -> None:
    class Square(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x @ x.mT

    (operator,) = msvit_energy.profile(Square(), [1e20 * torch.rand(2, 64, 64)]).operators
    assert operator.pairs is None


def test_output_size_of_a_transposed_convolution_is_respected() -> None:
    class Upsample(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.up = nn.ConvTranspose2d(1, 1, 2, stride=2, padding=1, bias=False)
            nn.init.ones_(self.up.weight)

        def forward(self, x: Tensor) -> Tensor:
            return self.up(x, output_size=[5, 5])

    model, image = Upsample(), torch.ones(1, 1, 3, 3)
    (operator,) = msvit_energy.profile(model, [image]).operators
    assert float(operator.events(1)) == float(model(image).detach().sum()) == 25


def test_rate_of_a_layer_used_at_two_sizes_is_that_of_all_its_inputs() -> None:
    class Shared(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(1, 2, 3, padding=1)

        def forward(self, x: Tensor) -> Tensor:
            return self.conv(x).mean((1, 2, 3)) + self.conv(x[..., :3, :3]).mean((1, 2, 3))

    (operator,) = msvit_energy.profile(Shared(), [torch.ones(2, 1, 6, 6)]).operators
    assert operator.driver.rate == 1.0
    assert operator.macs_per_image == 2 * 9 * (36 + 9)


def test_axes_of_length_one_are_spread() -> None:
    assert calls.einsum("ij,jk->ik", torch.ones(2, 3), torch.ones(1, 4)).macs == 2 * 3 * 4


@pytest.mark.parametrize("groups", [1, 2, 4])
def test_a_grouped_convolution_says_how_many_channels_an_input_reaches(groups: int) -> None:
    x, weight = spikes(1, 4, 5, 5, seed=1), torch.ones(8, 4 // groups, 3, 3)
    call = calls.convolution(x, weight, stride=(1, 1), padding=((1, 1), (1, 1)), dilation=(1, 1), groups=groups)
    assert call.shape is not None
    assert (call.shape.channels, call.shape.groups, call.shape.outputs) == (8 // groups, groups, 8 * 25)
