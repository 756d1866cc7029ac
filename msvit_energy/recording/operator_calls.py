"""What one call of an operator does, read off its arguments: dense MACs, inputs, synapses that each input reaches.

One small function per kind of operator, each a pure function of tensors' shapes (and, for products, of column sums).
FUNCTIONS names the torch functions that have MACs; a module is described by the same formulas.
"""

import math
import string
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.modules.conv import _ConvNd

from msvit_energy.recording.fanout import reach, reached_on_axis, written_on_axis
from msvit_energy.recording.tensor_stats import whole_sums


@dataclass(frozen=True)
class Stream:
    """One input: the tensor that was passed, the synapses that each element reaches, as a number or as a map
    `[*spatial]` over the last axes, and the axes of a tensor without a time axis of its own (None: any number)."""

    values: Tensor
    reached: float | Tensor
    rank: int | None = None


@dataclass(frozen=True)
class Call:
    """`macs` are those of the whole call. `pairs`, for a product of two activations, maps the pairs of non-zero
    elements that meet, value times value, with the operands' leading axes; it is told the highest value, and all are
    whole."""

    op: str
    macs: int
    streams: tuple[Stream, ...]
    pairs: Callable[[float], Tensor] | None = None


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
    macs = x.shape[0] * math.prod(outputs) * weight.numel()
    stream = Stream(x, reached, rank=len(taps) + 2)
    return Call(f"conv{len(taps)}d", macs, (stream,))


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
    outputs: tuple[int, ...] | None = None,
) -> Call:
    """`[B, C, *S]`, weight `[C, O / groups, *taps]`; `outputs` is the output's size, else the padding says it."""
    spatial, taps = x.shape[2:], weight.shape[2:]
    if outputs is None:
        geometry = zip(spatial, taps, stride, padding, output_padding, dilation, strict=True)
        outputs = tuple((size - 1) * s - 2 * p + d * (k - 1) + extra + 1 for size, k, s, p, extra, d in geometry)
    geometry = zip(spatial, taps, stride, dilation, padding, outputs, strict=True)
    axes = [written_on_axis(*along) for along in geometry]
    macs = x.shape[0] * math.prod(spatial) * weight.numel()
    stream = Stream(x, reach(axes, weight.shape[1]), rank=len(taps) + 2)
    return Call(f"conv_transpose{len(taps)}d", macs, (stream,))


def linear(x: Tensor, weight: Tensor) -> Call:
    """`[..., in]`, weight `[out, in]`."""
    return Call("linear", x.numel() * weight.shape[0], (Stream(x, weight.shape[0]),))


def product(left: Tensor, right: Tensor) -> Call:
    """`[..., n, k] @ [..., k, m]`, with broadcasting."""
    a = left.unsqueeze(0) if left.dim() == 1 else left
    b = right.unsqueeze(1) if right.dim() == 1 else right
    (n, k), m = a.shape[-2:], b.shape[-1]
    batch = math.prod(torch.broadcast_shapes(a.shape[:-2], b.shape[:-2]))
    repeats = [batch // max(1, math.prod(side.shape[:-2])) for side in (a, b)]
    streams = (Stream(left, m * repeats[0]), Stream(right, n * repeats[1]))

    def pairs(highest: float) -> Tensor:
        left, right = (side.cpu() if side.is_mps else side for side in (a, b))  # which has no float64
        return whole_sums(left, -2, highest) * whole_sums(right, -1, highest)

    return Call("matmul", batch * n * k * m, streams, pairs)


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

    def pairs(highest: float) -> Tensor:
        here = (x.cpu() if x.is_mps else x for x in operands)
        left, right = (torch.einsum(f"{own}->{shared}", x.double()) for own, x in zip(names, here, strict=True))
        return left * right

    return Call("einsum", macs, streams, pairs)


def _spelled(names: list[str], operands: Sequence[Tensor]) -> list[str]:
    """Names of axes with every ellipsis spelled out in capital letters, aligned at the right."""
    spelled = []
    for name, operand in zip(names, operands, strict=False):
        hidden = operand.dim() - len(name.replace("...", ""))
        spelled.append(name.replace("...", string.ascii_uppercase[::-1][:hidden][::-1]))
    return spelled


def of_module(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor | None = None) -> Call | None:
    """The call of a module that is an operator by itself, None for all others.

    The output is needed only of a transposed convolution that was asked for an `output_size`.
    """
    if isinstance(module, _ConvNd):
        return _of_convolution(module, inputs[0], output)
    if isinstance(module, nn.Linear):
        return linear(inputs[0], module.weight)
    if getattr(module, "activation_op", None) == "matmul":
        return product(inputs[0], inputs[1])
    return None


Arguments = Mapping[str, Any]
Described = Call | tuple[Call, ...] | None


def is_operator(module: nn.Module) -> bool:
    """Whether a module has dense MACs of its own."""
    return isinstance(module, _ConvNd | nn.Linear) or getattr(module, "activation_op", None) == "matmul"


def _of_convolution(module: _ConvNd, x: Tensor, output: Tensor | None) -> Call:
    rank = len(module.kernel_size) + 2
    flat = x.flatten(0, x.dim() - rank) if x.dim() > rank else x if x.dim() == rank else x.unsqueeze(0)
    if module.transposed:
        call = transposed_convolution(
            flat,
            module.weight,
            stride=module.stride,
            padding=module.padding,  # type: ignore[arg-type]  # torch allows strings only where not transposed
            output_padding=module.output_padding,
            dilation=module.dilation,
            outputs=None if output is None else tuple(output.shape[2 - rank :]),
        )
    else:
        both = module._reversed_padding_repeated_twice
        pads = tuple((both[i], both[i + 1]) for i in range(len(both) - 2, -1, -2))
        call = convolution(
            flat,
            module.weight,
            stride=module.stride,
            padding=pads,
            dilation=module.dilation,
            groups=module.groups,
            mode=module.padding_mode,
        )
    (stream,) = call.streams
    return Call(call.op, call.macs, (Stream(x, stream.reached, stream.rank),))


def _many(value: int | tuple[int, ...], rank: int) -> tuple[int, ...]:
    return (value,) * rank if isinstance(value, int) else tuple(value) * (rank if len(value) == 1 else 1)


def _convolution_function(arguments: Arguments) -> Call:
    x, weight = arguments["input"], arguments["weight"]
    rank = weight.dim() - 2
    strides, dilations = (_many(arguments.get(name, 1), rank) for name in ("stride", "dilation"))
    padding = arguments.get("padding", 0)
    if padding == "same":
        total = [d * (k - 1) for d, k in zip(dilations, weight.shape[2:], strict=True)]
        pads = tuple((t // 2, t - t // 2) for t in total)
    else:
        pads = tuple((p, p) for p in _many(0 if padding == "valid" else padding, rank))
    flat = x if x.dim() == rank + 2 else x.unsqueeze(0)
    groups = arguments.get("groups", 1)
    return _passed(x, convolution(flat, weight, stride=strides, padding=pads, dilation=dilations, groups=groups))


def _transposed_function(arguments: Arguments) -> Call:
    x, weight = arguments["input"], arguments["weight"]
    rank = weight.dim() - 2
    defaults = {"stride": 1, "padding": 0, "output_padding": 0, "dilation": 1}
    several = {name: _many(arguments.get(name, default), rank) for name, default in defaults.items()}
    return _passed(x, transposed_convolution(x if x.dim() == rank + 2 else x.unsqueeze(0), weight, **several))


def _passed(x: Tensor, call: Call) -> Call:
    """The call with the tensor that was passed in place of a view of it."""
    (stream,) = call.streams
    return replace(call, streams=(replace(stream, values=x),))


def _linear_function(arguments: Arguments) -> Call:
    return linear(arguments["input"], arguments["weight"])


def _product_function(arguments: Arguments) -> Call:
    return product(arguments["left"], arguments["right"])


def _attention(arguments: Arguments) -> tuple[Call, Call]:
    """softmax(q k^T) v: the product of q and k, and that of the weights, which nobody sees, and v."""
    query, key, value = (arguments[name] for name in ("query", "key", "value"))
    shared = query.shape[-3] // key.shape[-3] if arguments.get("enable_gqa") else 1  # query heads for each key head
    scores = product(
        query, key.repeat_interleave(shared, -3).transpose(-1, -2) if shared > 1 else key.transpose(-1, -2)
    )
    queries, keys = scores.streams
    streams = (queries, Stream(key, keys.reached * shared))
    weighted = Call(
        "attention_values", scores.macs // query.shape[-1] * value.shape[-1], (Stream(value, query.shape[-2] * shared),)
    )
    return replace(scores, op="attention_scores", streams=streams), weighted


def _einsum_function(arguments: Arguments) -> Call | None:
    operands = arguments["operands"]
    if len(operands) == 1 and isinstance(operands[0], list | tuple):
        operands = tuple(operands[0])
    equation = arguments["equation"]
    return einsum(equation, *operands) if isinstance(equation, str) else None


@dataclass(frozen=True)
class Function:
    """How a torch function with dense MACs is read: the names of its arguments, in order, and what a call does.

    Names joined by "|" are one argument, which different functions call differently.
    """

    names: tuple[str, ...]
    read: Callable[[Arguments], Described]

    def __call__(self, *args: Any, **kwargs: Any) -> Described:
        """What a call does; None where its arguments cannot be read, which leaves its MACs to fvcore as unknown."""
        if self.names[-1].startswith("*"):
            kwargs[self.names[-1][1:]] = args[len(self.names) - 1 :]
            args = args[: len(self.names) - 1]
        given = dict(zip(self.names, args, strict=False))
        spelled = {name: spelling for spelling in self.names for name in spelling.split("|")}
        given |= {spelled.get(name, name): value for name, value in kwargs.items()}
        try:
            return self.read({spelling.partition("|")[0]: value for spelling, value in given.items()})
        except (KeyError, RuntimeError, ValueError):
            return None


_CONVOLUTION = ("input", "weight", "bias", "stride", "padding", "dilation", "groups")
_TRANSPOSED = ("input", "weight", "bias", "stride", "padding", "output_padding", "groups", "dilation")
_PRODUCT = ("left|input|self", "right|other|mat2|vec|tensor2")
_ADDED = ("added|input|self", "left|mat1|batch1", "right|mat2|batch2")

FUNCTIONS: Mapping[Any, Function] = {
    function: Function(names, read)
    for names, read, functions in (
        (_CONVOLUTION, _convolution_function, (F.conv1d, F.conv2d, F.conv3d)),
        (_TRANSPOSED, _transposed_function, (F.conv_transpose1d, F.conv_transpose2d, F.conv_transpose3d)),
        (("input", "weight", "bias"), _linear_function, (F.linear,)),
        (_PRODUCT, _product_function, (torch.matmul, torch.mm, torch.bmm, torch.mv, torch.linalg.matmul)),
        (_PRODUCT, _product_function, (Tensor.matmul, Tensor.mm, Tensor.bmm, Tensor.mv, Tensor.__matmul__)),
        (("right", "left"), _product_function, (Tensor.__rmatmul__,)),
        (_ADDED, _product_function, (torch.addmm, torch.baddbmm, Tensor.addmm, Tensor.baddbmm)),
        (("equation", "*operands"), _einsum_function, (torch.einsum,)),
        (("query", "key", "value"), _attention, (F.scaled_dot_product_attention,)),
    )
    for function in functions
}
