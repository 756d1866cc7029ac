"""Modules that are operators by themselves: convolutions, linear layers, quantised ones, and declared products."""

from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd

from msvit_energy.recording.operator_calls import (
    Call,
    Stream,
    convolution,
    linear,
    product,
    transposed_convolution,
)
from msvit_energy.recording.quantized_calls import is_quantized, quantized_call

UNCHANGED = ("torch.nn.", "spikingjelly.")  # where forwards apply the formula of their class


def of_module(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor | None = None) -> Call | None:
    """The call of a module that is an operator by itself, None for all others.

    The output is needed only of a transposed convolution that was asked for an `output_size`.
    """
    if isinstance(module, _ConvNd):
        return _of_convolution(module, inputs[0], output)
    if isinstance(module, nn.Linear):
        return linear(inputs[0], module.weight)
    if is_quantized(module):
        return quantized_call(module, inputs[0])
    if getattr(module, "activation_op", None) == "matmul":
        return product(inputs[0], inputs[1])
    return None


def dense_macs(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> int:
    """Dense MACs of one call of a module, as a profile counts them; 0 if it is no operator."""
    call = of_module(module, inputs, output)
    return 0 if call is None else call.macs


def is_operator(module: nn.Module) -> bool:
    """Whether a module is an operator by itself: what it is fed is what its formula applies to."""
    if getattr(module, "activation_op", None) == "matmul" or is_quantized(module):
        return True
    return has_own_weight(module) and not _overrides_forward(module)


def has_own_weight(module: nn.Module) -> bool:
    """Whether a module is a convolution or linear layer, whatever its forward does."""
    return isinstance(module, _ConvNd | nn.Linear)


def _overrides_forward(module: nn.Module) -> bool:
    """Whether a convolution or linear layer may compute something else than torch's: by a forward of a subclass (those
    of SpikingJelly only add the time axis) or of the instance."""
    functions = [getattr(type(module), name, None) for name in ("forward", "_conv_forward")]
    own = [function for function in functions if function is not None]
    return "forward" in vars(module) or not all(each.__module__.startswith(UNCHANGED) for each in own)


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
            groups=module.groups,
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
    return Call(call.op, call.macs, (Stream(x, stream.reached, stream.rank),), shape=call.shape)
