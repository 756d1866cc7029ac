"""Contractions that torch has a name for: what they do, as products of which the formulas are known."""

import string
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from msvit_energy.profiles.layer_shape import LayerShape
from msvit_energy.recording.operator_calls import Call, Stream, einsum, linear

Axes = Sequence[int]


def _tensordot(a: Tensor, b: Tensor, dims: int | Sequence[Axes] | Tensor = 2, **options: Any) -> Call | None:
    """The last axes of one with the first of the other, or the axes that are named."""
    named = dims.tolist() if isinstance(dims, Tensor) else dims
    if isinstance(named, int):
        named = (range(a.dim() - named, a.dim()), range(named))
    return _contraction(a, b, *((axes,) if isinstance(axes, int) else axes for axes in named))


def _inner(input: Tensor, other: Tensor, **options: Any) -> Call | None:
    """The last axes of both; with a single number it is a multiplication."""
    return _contraction(input, other, (-1,), (-1,)) if input.dim() and other.dim() else None


def _contraction(a: Tensor, b: Tensor, of_a: Axes, of_b: Axes) -> Call | None:
    letters = string.ascii_lowercase
    left, right = list(letters[: a.dim()]), list(letters[a.dim() : a.dim() + b.dim()])
    for i, j in zip(of_a, of_b, strict=True):
        right[j] = left[i]
    kept = [letter for letter in (*left, *right) if (letter in left) != (letter in right)]
    return einsum(f"{''.join(left)},{''.join(right)}->{''.join(kept)}", a, b)


def _bilinear(input1: Tensor, input2: Tensor, weight: Tensor, bias: Tensor | None = None) -> tuple[Call, ...]:
    """x1 W x2 with weight `[out, in1, in2]`: a linear layer of the second input, and a product of what it gives, which
    stays inside, with the first."""
    outputs = weight.shape[0]
    places = input1.numel() // max(1, input1.shape[-1])
    stream = Stream(input1, outputs)
    rows = Call("bilinear_product", input1.numel() * outputs, (stream,), shape=LayerShape(places * outputs))
    return linear(input2, weight.flatten(0, 1)), rows


FUNCTIONS: Mapping[Any, Callable[..., Call | tuple[Call, ...] | None]] = {
    torch.tensordot: _tensordot,
    **dict.fromkeys((torch.inner, Tensor.inner), _inner),
    F.bilinear: _bilinear,
}
