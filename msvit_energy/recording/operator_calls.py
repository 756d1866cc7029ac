"""What one call of an operator does, read off its arguments: dense MACs, inputs, synapses that each input reaches.

One small function per kind of operator, each a pure function of tensors' shapes (and, for products, of column sums).
FUNCTIONS names torch functions that have MACs; torch_functions.py has all. Modules are described by the same formulas
(module_calls.py).
"""

import math
import string
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from msvit_energy.profiles.layer_shape import LayerShape
from msvit_energy.recording.counts.tensor_stats import whole_sums
from msvit_energy.recording.fanout import reach, reached_on_axis, written_on_axis


@dataclass(frozen=True)
class Stream:
    """One input: the tensor that was passed, the synapses that each element reaches, as a number or as a map
    `[*spatial]` over the last axes, and the axes of a tensor without a time axis of its own (None: any number)."""

    values: Tensor
    reached: float | Tensor
    rank: int | None = None


@dataclass(frozen=True)
class Pairs:
    """The pairs of non-zero elements that meet in a product. `count` maps them, value times value; its arguments are
    the operands of the call, or other whole numbers in their shape, and the highest value of all. `axes` says of each
    operand in which axis of the map each of its axes is found, None for one that was summed over."""

    count: Callable[[Tensor, Tensor, float], Tensor]
    axes: tuple[tuple[int | None, ...], tuple[int | None, ...]]


@dataclass(frozen=True)
class Call:
    """`macs` and the outputs of `shape` are those of the whole call; `pairs` is there for a product of two
    activations."""

    op: str
    macs: int
    streams: tuple[Stream, ...]
    pairs: "Pairs | None" = None
    weight: Tensor | None = None  # of a convolution or linear layer
    shape: LayerShape | None = None

    @property
    def tensors(self) -> list[Tensor]:
        """All inputs, the weight included."""
        return [*(stream.values for stream in self.streams), *([] if self.weight is None else [self.weight])]


def convolution(
    x: Tensor,
    weight: Tensor,
    *,
    stride: tuple[int, ...],
    padding: tuple[tuple[int, int], ...],
    dilation: tuple[int, ...],
    groups: int = 1,
    mode: str = "zeros",
) -> Call:
    """`[B, C, *S]`, weight `[O, C / groups, *taps]`; padding before and after for each axis."""
    spatial, taps = x.shape[2:], weight.shape[2:]
    padded = [size + sum(pad) for size, pad in zip(spatial, padding, strict=True)]
    outputs = [(p - d * (k - 1) - 1) // s + 1 for p, d, k, s in zip(padded, dilation, taps, stride, strict=True)]
    reached = _reached(tuple(spatial), tuple(taps), stride, dilation, padding, mode, weight.shape[0] // groups)
    places = x.shape[0] * math.prod(outputs)
    stream = Stream(x, reached, rank=len(taps) + 2)
    outs = weight.shape[0]
    shape = LayerShape(places * outs, weight.numel(), outs // groups, tuple(taps), tuple(stride), groups)
    return Call(f"conv{len(taps)}d", places * weight.numel(), (stream,), weight=weight, shape=shape)


@lru_cache(maxsize=4096)
def _reached(
    spatial: tuple[int, ...],
    taps: tuple[int, ...],
    stride: tuple[int, ...],
    dilation: tuple[int, ...],
    padding: tuple[tuple[int, int], ...],
    mode: str,
    channels: int,
) -> float | Tensor:
    """Synapses reached from each position of a convolution's input, over `channels` outputs."""
    along = zip(spatial, taps, stride, dilation, padding, strict=True)
    return reach([reached_on_axis(size, k, s, d, *pad, mode) for size, k, s, d, pad in along], channels)


def transposed_convolution(
    x: Tensor,
    weight: Tensor,
    *,
    stride: tuple[int, ...],
    padding: tuple[int, ...],
    output_padding: tuple[int, ...],
    dilation: tuple[int, ...],
    groups: int = 1,
    outputs: tuple[int, ...] | None = None,
) -> Call:
    """`[B, C, *S]`, weight `[C, O / groups, *taps]`; `outputs` is the output's size, if not that of the padding."""
    spatial, taps = x.shape[2:], weight.shape[2:]
    if outputs is None:
        geometry = zip(spatial, taps, stride, padding, output_padding, dilation, strict=True)
        outputs = tuple((size - 1) * s - 2 * p + d * (k - 1) + extra + 1 for size, k, s, p, extra, d in geometry)
    geometry = zip(spatial, taps, stride, dilation, padding, outputs, strict=True)
    axes = [written_on_axis(*along) for along in geometry]
    macs = x.shape[0] * math.prod(spatial) * weight.numel()
    stream = Stream(x, reach(axes, weight.shape[1]), rank=len(taps) + 2)
    channels = weight.shape[1]
    written = x.shape[0] * channels * groups * math.prod(outputs)
    shape = LayerShape(written, weight.numel(), channels, tuple(taps), tuple(stride), groups)
    return Call(f"conv_transpose{len(taps)}d", macs, (stream,), weight=weight, shape=shape)


def linear(x: Tensor, weight: Tensor) -> Call:
    """`[..., in]`, weight `[out, in]`."""
    features = weight.shape[0]
    shape = LayerShape(x.numel() // weight.shape[1] * features if x.numel() else 0, weight.numel(), features)
    return Call("linear", x.numel() * features, (Stream(x, features),), weight=weight, shape=shape)


def product(left: Tensor, right: Tensor) -> Call:
    """`[..., n, k] @ [..., k, m]`, with broadcasting."""
    a = left.unsqueeze(0) if left.dim() == 1 else left
    b = right.unsqueeze(1) if right.dim() == 1 else right
    (n, k), m = a.shape[-2:], b.shape[-1]
    batch = math.prod(np.broadcast_shapes(a.shape[:-2], b.shape[:-2]))  # torch's own takes half a second to import
    repeats = [batch // max(1, math.prod(side.shape[:-2])) for side in (a, b)]
    streams = (Stream(left, m * repeats[0]), Stream(right, n * repeats[1]))

    def pairs(left: Tensor, right: Tensor, highest: float) -> Tensor:
        rows, columns = (side.cpu() if side.is_mps else side for side in (left, right))  # which has no float64
        rows = rows.unsqueeze(0) if rows.dim() == 1 else rows
        columns = columns.unsqueeze(1) if columns.dim() == 1 else columns
        return whole_sums(rows, -2, highest) * whole_sums(columns, -1, highest)

    last = max(a.dim(), b.dim()) - 2  # of the map, whose leading axes are aligned at the right
    leading = [[last - axes + axis for axis in range(axes)] for axes in (a.dim() - 2, b.dim() - 2)]
    of_left = (*leading[0], None, last) if left.dim() > 1 else (last,)
    of_right = (*leading[1], last, None) if right.dim() > 1 else (last,)
    shape = LayerShape(batch * n * m)
    return Call("matmul", batch * n * k * m, streams, Pairs(pairs, (of_left, of_right)), shape=shape)


def einsum(equation: str, *operands: Tensor) -> Call | None:
    """A contraction of two tensors; None for any other number of them, and for letters repeated in one."""
    names = _spelled(equation.replace(" ", "").partition("->")[0].split(","), operands)
    if len(operands) != 2 or len(names) != 2 or any(len(set(name)) < len(name) for name in names):
        return None
    a, b = names
    size: dict[str, int] = {}
    for letter, length in zip(a + b, (*operands[0].shape, *operands[1].shape), strict=True):
        size[letter] = max(length, size.get(letter, 1))  # an axis of length 1 is repeated
    macs = math.prod(size.values())
    streams = tuple(Stream(x, macs // x.numel() if x.numel() else 0) for x in operands)
    shared = "".join(letter for letter in a if letter in b)
    outputs = math.prod(size[letter] for letter in _kept(equation, names, operands))

    def pairs(left: Tensor, right: Tensor, highest: float) -> Tensor:
        here = (x.cpu() if x.is_mps else x for x in (left, right))
        rows, columns = (torch.einsum(f"{own}->{shared}", x.double()) for own, x in zip(names, here, strict=True))
        return rows * columns

    places = [tuple(shared.index(letter) if letter in shared else None for letter in name) for name in names]
    return Call("einsum", macs, streams, Pairs(pairs, (places[0], places[1])), shape=LayerShape(outputs))


def _kept(equation: str, names: Sequence[str], operands: Sequence[Tensor]) -> str:
    """The letters of an einsum's output: those behind the arrow, or all that stand once, and every ellipsis."""
    inputs, arrow, given = equation.replace(" ", "").partition("->")
    hidden = "".join(sorted({letter for name in names for letter in name if letter not in inputs}))
    if arrow:
        return given.replace("...", hidden)
    return hidden + "".join(letter for letter in {*inputs} - {*",."} if inputs.count(letter) == 1)


def _spelled(names: list[str], operands: Sequence[Tensor]) -> list[str]:
    """Names of axes with every ellipsis spelled out in capital letters, aligned at the right."""
    spelled = []
    for name, operand in zip(names, operands, strict=False):
        hidden = operand.dim() - len(name.replace("...", ""))
        spelled.append(name.replace("...", string.ascii_uppercase[::-1][:hidden][::-1]))
    return spelled


def many(value: int | tuple[int, ...], rank: int) -> tuple[int, ...]:
    """One number for each axis of space."""
    return (value,) * rank if isinstance(value, int) else tuple(value) * (rank if len(value) == 1 else 1)


def _convolution_function(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: int | tuple[int, ...] = 1,
    padding: int | tuple[int, ...] | str = 0,
    dilation: int | tuple[int, ...] = 1,
    groups: int = 1,
) -> Call:
    rank = weight.dim() - 2
    strides, dilations = many(stride, rank), many(dilation, rank)
    if padding == "same":
        total = [d * (k - 1) for d, k in zip(dilations, weight.shape[2:], strict=True)]
        pads = tuple((t // 2, t - t // 2) for t in total)
    else:
        pads = tuple((p, p) for p in many(0 if isinstance(padding, str) else padding, rank))
    flat = input if input.dim() == rank + 2 else input.unsqueeze(0)
    call = convolution(flat, weight, stride=strides, padding=pads, dilation=dilations, groups=groups)
    return _passed(input, call)


def _transposed_function(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: int | tuple[int, ...] = 1,
    padding: int | tuple[int, ...] = 0,
    output_padding: int | tuple[int, ...] = 0,
    groups: int = 1,
    dilation: int | tuple[int, ...] = 1,
) -> Call:
    rank = weight.dim() - 2
    call = transposed_convolution(
        input if input.dim() == rank + 2 else input.unsqueeze(0),
        weight,
        stride=many(stride, rank),
        padding=many(padding, rank),
        output_padding=many(output_padding, rank),
        dilation=many(dilation, rank),
        groups=groups,
    )
    return _passed(input, call)


def _passed(x: Tensor, call: Call) -> Call:
    """The call with the tensor that was passed in place of a view of it."""
    (stream,) = call.streams
    return replace(call, streams=(replace(stream, values=x),))


def _linear_function(input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Call:
    return linear(input, weight)


def _matmul_function(input: Tensor, other: Tensor, **options: Any) -> Call:
    return product(input, other)


def _mm_function(input: Tensor, mat2: Tensor, **options: Any) -> Call:
    return product(input, mat2)


def _mv_function(input: Tensor, vec: Tensor, **options: Any) -> Call:
    return product(input, vec)


def _reflected_matmul(right: Tensor, left: Tensor) -> Call:
    return product(left, right)


def _addmm_function(input: Tensor, mat1: Tensor, mat2: Tensor, **options: Any) -> Call:
    return product(mat1, mat2)


def _baddbmm_function(input: Tensor, batch1: Tensor, batch2: Tensor, **options: Any) -> Call:
    return product(batch1, batch2)


def _attention_function(
    query: Tensor, key: Tensor, value: Tensor, *mask: Any, enable_gqa: bool = False, **options: Any
) -> tuple[Call, Call]:
    """softmax(q k^T) v: the product of q and k, and that of the weights, which stay inside, and v."""
    shared = query.shape[-3] // key.shape[-3] if enable_gqa else 1  # query heads for each key head

    def turned(key: Tensor) -> Tensor:
        return (key.repeat_interleave(shared, -3) if shared > 1 else key).transpose(-1, -2)

    scores = product(query, turned(key))
    assert scores.pairs is not None
    count = scores.pairs.count
    met = replace(scores.pairs, count=lambda left, right, highest: count(left, turned(right), highest))
    of_query, of_key = scores.streams
    streams = (of_query, Stream(key, of_key.reached * shared))
    macs = scores.macs // query.shape[-1] * value.shape[-1]
    outputs = LayerShape(macs // key.shape[-2] if macs else 0)
    weighted = Call("attention_values", macs, (Stream(value, query.shape[-2] * shared),), shape=outputs)
    return replace(scores, op="attention_scores", streams=streams, pairs=met), weighted


def _einsum_function(equation: Any, *operands: Any) -> Call | None:
    if len(operands) == 1 and isinstance(operands[0], list | tuple):
        operands = tuple(operands[0])
    return einsum(equation, *operands) if isinstance(equation, str) else None


# torch functions with dense MACs -> what a call with the same arguments does
FUNCTIONS: Mapping[Any, Callable[..., Call | tuple[Call, ...] | None]] = {
    **dict.fromkeys((F.conv1d, F.conv2d, F.conv3d), _convolution_function),
    **dict.fromkeys((F.conv_transpose1d, F.conv_transpose2d, F.conv_transpose3d), _transposed_function),
    F.linear: _linear_function,
    **dict.fromkeys((torch.matmul, torch.linalg.matmul, Tensor.matmul, Tensor.__matmul__), _matmul_function),
    **dict.fromkeys((torch.mm, torch.bmm, Tensor.mm, Tensor.bmm), _mm_function),
    **dict.fromkeys((torch.mv, Tensor.mv), _mv_function),
    Tensor.__rmatmul__: _reflected_matmul,
    **dict.fromkeys((torch.addmm, Tensor.addmm), _addmm_function),
    **dict.fromkeys((torch.baddbmm, Tensor.baddbmm), _baddbmm_function),
    torch.einsum: _einsum_function,
    F.scaled_dot_product_attention: _attention_function,
}
