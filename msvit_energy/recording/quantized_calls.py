"""What modules with quantised weights do (`torch.ao.nn.quantized`), whose functions take packed weights."""

import torch
from torch import Tensor, nn

from msvit_energy.recording.operator_calls import Call, Stream, convolution, linear, many, transposed_convolution

PLACES = ("torch.ao.nn.quantized", "torch.ao.nn.intrinsic.quantized")
GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}  # products of a recurrent layer, by the front of its class's name


def is_quantized(module: nn.Module) -> bool:
    """Whether a module is an operator with quantised weights."""
    return type(module).__module__.startswith(PLACES) and (_is_recurrent(module) or hasattr(module, "_weight_bias"))


def quantized_call(module: nn.Module, x: Tensor) -> Call:
    """The call of such a module. What is inside of a recurrent layer cannot be had: its call has no inputs."""
    if _is_recurrent(module):
        return Call("linear", _recurrent_macs(module, x), ())
    plain = x.dequantize() if x.is_quantized else x
    weight = torch.empty(module.weight().shape, device="meta")  # type: ignore[operator]
    call = linear(plain, weight) if weight.dim() == 2 else _convolution(module, plain, weight)
    (stream,) = call.streams
    return Call(call.op, call.macs, (Stream(plain, stream.reached, stream.rank),), shape=call.shape)


def _is_recurrent(module: nn.Module) -> bool:
    return hasattr(module, "hidden_size") and hasattr(module, "input_size")


def _convolution(module: nn.Module, x: Tensor, weight: Tensor) -> Call:
    rank = weight.dim() - 2
    geometry = {name: many(getattr(module, name), rank) for name in ("stride", "padding", "dilation")}
    if module.transposed:
        extra = many(module.output_padding, rank)  # type: ignore[arg-type]
        groups = int(module.groups)  # type: ignore[arg-type]
        return transposed_convolution(x, weight, output_padding=extra, groups=groups, **geometry)
    pads = tuple((pad, pad) for pad in geometry.pop("padding"))
    mode = str(module.padding_mode)
    return convolution(x, weight, padding=pads, mode=mode, groups=int(module.groups), **geometry)  # type: ignore[arg-type]


def _recurrent_macs(module: nn.Module, x: Tensor) -> int:
    """Of `[..., in]`, over all layers and directions."""
    gates = next(gates for name, gates in GATES.items() if type(module).__name__.startswith(name))
    size, hidden = int(module.input_size), int(module.hidden_size)  # type: ignore[arg-type]
    layers, both = int(getattr(module, "num_layers", 1)), 1 + bool(getattr(module, "bidirectional", False))
    widths = [size + hidden, *[both * hidden + hidden] * (layers - 1)]
    return x.numel() // size * gates * hidden * both * sum(widths)
