"""Products that are written as a multiplication of elements and a sum: unknown work, with MACs by hand."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from spikingjelly.activation_based import neuron
from torch import Tensor, nn
from torch.nn import functional as F

import msvit
import msvit_energy
from msvit_energy.dense.graph import trace
from msvit_energy.meta_tensors import ShapesOnly
from msvit_energy.profiles.coverage import Coverage, Unknown
from msvit_energy.recording.neurons import is_neuron
from msvit_energy.recording.overheads import overhead_name
from msvit_energy.workflows.measuring.profiling import uncounted
from tests.support.foreign_models import Forward, numbers, weight

# images of 3 x 4, `k` and `v` linear layers of width 4 to 4, w [4, 5], gamma [4], shift [3, 1]


def model_of(function: Callable[[Any, Tensor], Tensor]) -> nn.Module:
    return Forward(
        lambda s, x: s.block(x),
        block=Forward(
            function, k=nn.Linear(4, 4), v=nn.Linear(4, 4), w=weight(4, 5), gamma=weight(4), shift=weight(3, 1)
        ),
    )


def coverage_of(function: Callable[[Any, Tensor], Tensor]) -> Coverage:
    return msvit_energy.profile(model_of(function), [numbers(2, 3, 4)], time_steps=1, feed="image").coverage


def in_place(s: Any, x: Tensor) -> Tensor:
    product = s.k(x)
    product *= s.v(x)
    return product.sum(-1)


def in_a_buffer(s: Any, x: Tensor) -> Tensor:
    kept = torch.zeros(len(x), 2, 3, 4)
    kept[:, 0] = s.k(x) * s.v(x)
    kept[:, 1, :2] = (s.k(x) * x)[:, :2]
    return kept.sum(2)


def of_complex_numbers(s: Any, x: Tensor) -> Tensor:
    (a, b), (c, d) = s.k(x).chunk(2, -1), s.v(x).chunk(2, -1)
    return ((a * c - b * d) * s.shift).sum(-1)


WRITTEN: dict[str, tuple[Callable[[Any, Tensor], Tensor], str, int]] = {
    "matrix": (lambda s, x: (s.k(x).unsqueeze(-1) * s.w).sum(-2), "sum", 3 * 4 * 5),
    "column sum": (lambda s, x: s.k(x).mul(s.v(x)).sum(-2), "sum", 3 * 4),
    "torch.sum": (lambda s, x: torch.sum(torch.multiply(s.k(x), s.v(x)), dim=1, keepdim=True), "sum", 3 * 4),
    "vector of weights": (lambda s, x: (x * s.gamma).sum(-1), "sum", 3 * 4),
    "over everything": (lambda s, x: (x * s.gamma).sum(), "sum", 3 * 4),
    "in place": (in_place, "sum", 3 * 4),
    "in a buffer": (in_a_buffer, "sum", 3 * 4 + 2 * 4),
    "mean": (lambda s, x: (s.k(x) * s.v(x)).mean(1), "mean", 3 * 4),
    "cumsum": (lambda s, x: (s.k(x) * s.v(x)).cumsum(1), "cumsum", 3 * 4),
    "einsum of one": (lambda s, x: torch.einsum("b...c->bc", s.k(x) * s.v(x)), "einsum", 3 * 4),
    "Gram matrix": (lambda s, x: (x.unsqueeze(1) * x.unsqueeze(2)).sum(-1), "sum", 3 * 3 * 4),
    "outer products": (lambda s, x: (s.k(x)[..., None] * s.v(x)[..., None, :]).sum(1), "sum", 3 * 4 * 4),
    "convolution": (lambda s, x: (x.unfold(2, 2, 1) * s.w[:2, 0]).sum(-1), "sum", 3 * 3 * 2),
    "weights of tokens": (lambda s, x: (x * s.k(x)[..., :1].softmax(1)).sum(1), "sum", 3 * 4),
    "a gate, summed": (lambda s, x: (x * s.k(x).sigmoid()).sum(1), "sum", 3 * 4),
    "moved": (
        lambda s, x: (s.k(x) * s.v(x)).mT.unflatten(1, (2, 2)).mT.movedim(0, 2).sum((0, 1)),
        "sum",
        3 * 4,
    ),
    "flattened": (lambda s, x: (s.k(x).unsqueeze(-1) * s.w).flatten(2).sum(-1), "sum", 3 * 4 * 5),
    "scaled": (lambda s, x: (-(s.k(x) * s.v(x)).double() / 2 + 1e-6).sum(1), "sum", 3 * 4),
    "scaled by channel": (lambda s, x: (s.k(x) * s.v(x) * s.gamma).sum(1), "sum", 3 * 4),
    "masked": (lambda s, x: (x[:, None] * s.k(x)[:, :, None]).masked_fill(x[..., :1, None] > 0, 0).sum(-1), "sum", 36),
    "a part": (lambda s, x: (s.k(x) * s.v(x))[:, 1:, 0].sum(-1), "sum", 2),
    "halves": (lambda s, x: torch.stack([h.sum(-1) for h in (s.k(x) * s.v(x)).chunk(2, -1)]), "sum", 3 * 4),
    "stacked": (lambda s, x: torch.stack([s.k(x) * s.v(x), s.v(x) * x], 2).sum(1), "sum", 2 * 3 * 4),
    "rows": (lambda s, x: torch.stack([row.sum(-1) for row in (s.k(x) * s.v(x)).unbind(1)]), "sum", 3 * 4),
    "mean of another axis first": (lambda s, x: (x * s.gamma).mean(1).sum(-1), "sum", 3 * 4),
    "sum of another axis first": (lambda s, x: (x * s.shift).sum(-1).sum(-1), "sum", 3 * 4),
    "complex": (of_complex_numbers, "sum", 2 * 3 * 2),
}


@pytest.mark.parametrize(("function", "last", "macs"), WRITTEN.values(), ids=WRITTEN)
def test_a_product_by_hand_is_unknown_with_its_macs(
    function: Callable[[Any, Tensor], Tensor], last: str, macs: int
) -> None:
    coverage = coverage_of(function)
    assert [(item.name, item.macs_per_image) for item in coverage.unknown] == [(f"block: mul and {last}", macs)]
    assert coverage.note == ""
    assert not any("block" in name and "mul" in name for name in coverage.counted)


def layer_norm(s: Any, x: Tensor) -> Tensor:
    x = (x - x.mean(-1, keepdim=True)) * (x.var(-1, keepdim=True) + 1e-5).rsqrt()
    return x * s.gamma + s.w[:, 0]


def layer_norm_with_squares(s: Any, x: Tensor) -> Tensor:
    variance = ((x - x.mean(-1, keepdim=True)) * (x - x.mean(-1, keepdim=True))).mean(-1, keepdim=True)
    return (x - x.mean(-1, keepdim=True)) / variance.sqrt() * s.gamma


def rms_norm(s: Any, x: Tensor) -> Tensor:
    return x * torch.rsqrt((x * x).mean(-1, keepdim=True)) * s.gamma


def scaled_residual(s: Any, x: Tensor) -> Tensor:
    return x + s.gamma * s.k(x)


def squeeze_excite(s: Any, x: Tensor) -> Tensor:
    gate = s.v(s.k(x.mean(1, keepdim=True)).relu()).clamp(0, 1)
    return s.k(x) * gate.expand_as(x)


def entropy(s: Any, x: Tensor) -> Tensor:
    p = x.softmax(-1)
    return -(p * p.log()).sum(-1)


FREE: dict[str, Callable[[Any, Tensor], Tensor]] = {
    "square": lambda s, x: (x * x).sum(-1),
    "layer norm": lambda s, x: layer_norm(s, x).mean(1),
    "layer norm with squares": lambda s, x: layer_norm_with_squares(s, x).mean(1),
    "RMS norm": lambda s, x: rms_norm(s, x).mean(1),
    "scaled residuals, then layer norm": lambda s, x: layer_norm(s, scaled_residual(s, x)).mean(1),
    "scale, then mean over tokens": lambda s, x: (s.gamma * s.k(x)).mean(1),
    "scale, then sum over tokens": lambda s, x: (s.gamma * s.k(x)).flatten(0, 1).unflatten(0, (-1, 3)).sum(1),
    "squeeze-and-excite": lambda s, x: squeeze_excite(s, x).mean(1),
    "squeeze-and-excite, summed": lambda s, x: squeeze_excite(s, x).transpose(1, 2).sum(-1),
    "gate": lambda s, x: s.k(x) * s.v(x).sigmoid(),
    "gated mean": lambda s, x: (s.k(x) * (1 - s.v(x).sigmoid()).unflatten(1, (3, 1)).flatten(1, 2)).mean(1),
    "gate by position": lambda s, x: (s.k(x) * s.v(x)[..., :1].sigmoid()).mean(1),
    "swish": lambda s, x: (s.k(x) * torch.sigmoid(s.k(x) * 2)).mean(1) + F.silu(x).mean(1),
    "GELU": lambda s, x: (0.5 * x * (1 + torch.erf(x / 2**0.5))).sum(1),
    "entropy": entropy,
    "mask without a sum": lambda s, x: s.k((x > 0).float() * s.v(x)),
    "number": lambda s, x: (x * 3).sum(1) + (x * torch.tensor(2.0)).mean(1),
    "sum, then product": lambda s, x: s.k(x).sum(1, keepdim=True) * x,
    "maximum of products": lambda s, x: (s.k(x) * s.v(x)).amax(1) + (s.k(x) * s.v(x)).relu().sum(1),
    "leaky sum": lambda s, x: (x[:, 0] * s.gamma + x[:, 1]) * s.gamma + x[:, 2],
}


@pytest.mark.parametrize("function", FREE.values(), ids=FREE)
def test_what_is_no_product_of_synapses_is_not_listed(function: Callable[[Any, Tensor], Tensor]) -> None:
    coverage = coverage_of(function)
    assert (coverage.unknown, coverage.note) == ((), "")


# T steps


@pytest.mark.parametrize("spelling", ["matrix", "column sum"])
def test_unknown_macs_are_those_of_all_steps(spelling: str) -> None:
    function, _, macs = WRITTEN[spelling]

    def loop(s: Any, x: Tensor) -> Tensor:
        return torch.stack([s.part(s.fire(x)) for _ in range(4)])

    inside = Forward(loop, part=model_of(function), fire=neuron.IFNode())
    outside = nn.Sequential(neuron.IFNode(), model_of(function))
    for model, name in ((inside, "part.block"), (outside, "1.block")):
        profile = msvit_energy.profile(model, [numbers(2, 3, 4)], time_steps=4)
        assert profile.coverage.unknown == (Unknown(f"{name}: mul and sum", 4, 4 * macs),)
        # each linear layer has 3 x 16 MACs
        assert profile.macs_per_step == macs + sum(operator.macs_per_step for operator in profile.operators)


def test_official_sdsa_is_unknown_work_and_strict_says_so() -> None:
    def attend(s: Any, x: Tensor) -> Tensor:
        q, k, v = (fire(part(x)) for fire, part in ((s.fq, s.q), (s.fk, s.k), (s.fv, s.v)))
        heads = [each.unflatten(-1, (2, 4)).transpose(1, 2) for each in (q, k, v)]  # [B, 2, 5, 4]
        mask = s.fm(heads[1].mul(heads[2]).sum(dim=-2, keepdim=True))
        return s.head(heads[0].mul(mask).transpose(1, 2).flatten(2).mean(1))

    parts: dict[str, nn.Module] = {name: nn.Linear(8, 8) for name in "qkv"}
    parts |= {f"f{name}": neuron.IFNode(v_threshold=0.2) for name in "qkvm"}
    profile = msvit_energy.profile(Forward(attend, **parts, head=nn.Linear(8, 3)), [numbers(2, 5, 8)], time_steps=3)
    assert profile.coverage.unknown == (Unknown("(top level): mul and sum", 3, 3 * 5 * 8),)
    assert uncounted(profile) == "work that nothing counts: (top level): mul and sum"
    assert any("unknown work, not in the energy: (top level): mul and sum" in note for note in profile.warnings())


# Modules that say what they are


class Declared(nn.Module):
    """k * v summed over tokens, or `[n, k] x [k, m]`."""

    def __init__(self, op: str) -> None:
        super().__init__()
        self.activation_op = op

    def forward(self, left: Tensor, right: Tensor) -> Tensor:
        if self.activation_op == "matmul":
            return (left.unsqueeze(-1) * right.unsqueeze(-3)).sum(-2)
        return ((left * right).sum(-2, keepdim=True) > 0).to(left.dtype) * left


@pytest.mark.parametrize(("op", "macs"), [("matmul", 3 * 4 * 3), ("column_sum", 0), ("neuron", 0)])
def test_a_module_that_declares_what_it_does_is_not_listed_again(op: str, macs: int) -> None:
    model = Forward(lambda s, x: s.inner(x, x.transpose(1, 2) if op == "matmul" else x.flip(2)), inner=Declared(op))
    coverage = msvit_energy.profile(model, [numbers(2, 3, 4)], time_steps=1, feed="image").coverage
    assert coverage.counted == ({"inner": macs} if macs else {})
    assert (coverage.unknown, coverage.note) == ((), "")


def test_what_a_neuron_adds_up_but_others_multiply_is_listed() -> None:
    fire = Forward(lambda s, x: (x.sum(-2) > 0).to(x.dtype))
    fire.activation_op = "neuron"  # type: ignore[assignment]
    model = Forward(lambda s, x: s.fire(x.unsqueeze(-1) * s.w), fire=fire, w=weight(4, 5))
    coverage = msvit_energy.profile(model, [numbers(2, 3, 4)], time_steps=1, feed="image").coverage
    assert coverage.unknown == (Unknown("(top level): mul and sum", 1, 3 * 4 * 5),)


@pytest.mark.parametrize(
    "function",
    [
        lambda x: torch.inner(x, x[0]),
        lambda x: torch.stack([torch.outer(row[0], row[1]) for row in x]),
        lambda x: torch.stack([row[0].dot(row[1]) for row in x]),
        lambda x: torch.stack([torch.addmv(row[:, 0], row, row[1]) for row in x]),
        lambda x: torch.tensordot(x, x[0], dims=([2], [1])),
        lambda x: torch.linalg.vecdot(x, x + 1),
        lambda x: F.cosine_similarity(x, x + 1, -1),
    ],
    ids=["inner", "outer", "dot", "addmv", "tensordot", "vecdot", "cosine_similarity"],
)
@pytest.mark.parametrize("in_a_neuron", [False, True])
def test_a_product_in_one_function_is_unknown_even_in_a_neuron(
    function: Callable[[Tensor], Tensor], in_a_neuron: bool
) -> None:
    part = Forward(lambda s, x: (function(x) > 0).to(x.dtype))
    if in_a_neuron:
        part.activation_op = "neuron"  # type: ignore[assignment]
    model = Forward(lambda s, x: s.part(x), part=part)
    (item,) = msvit_energy.profile(model, [numbers(2, 3, 4)], time_steps=1, feed="image").coverage.unknown
    assert item.name.startswith("aten::") or (item.name, item.macs_per_image) == ("part.einsum", 3 * 3 * 4)


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    ["msvit_digits_dvs", "msvit_cifar", "qkformer_dvs", "spikformer_cifar", "sdt_cifar", "spikingformer_dvs",
     "sdtv2_15m", "spikingresformer_ti", "swin_tiny_patch4_window7_224"],
)  # fmt: skip
def test_only_declared_modules_of_registered_models_write_products_so(name: str) -> None:
    model = msvit.create_model(name).eval()
    declared = [name for name, module in model.named_modules() if overhead_name(module) or is_neuron(module)]
    images = torch.empty(1, *model.input_size, device="meta")
    with ShapesOnly():
        written = [trace(model, images, listed).written for listed in (declared, [])]
    assert written[0] == ()
    assert bool(written[1]) == (name == "sdt_cifar")  # k * v summed over tokens
