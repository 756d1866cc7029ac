"""A forward in which only shapes are worked out, such as tensors of the meta device have.

All contact with the insides of torch that this needs is here. Whatever would take the value of a tensor raises.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode, _disable_current_modes

_ATEN = torch.ops.aten
with_values = _disable_current_modes  # a context inside of ShapesOnly in which operations are what they always are


class ShapesOnly(TorchDispatchMode):
    """Every operation on tensors gives a result on the meta device, where it costs nothing, wherever they are.

    Single numbers that are no parameters keep their values: the tracer hands sizes around in such tensors.
    """

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is _ATEN.convolution.default and torch._C._get_tracing_state() is not None:
            return self._recorded(args)
        kwargs = kwargs or {}
        if _to_be_emptied(func, args, kwargs):
            args, kwargs = _all_emptied(args), dict(zip(kwargs, _all_emptied(kwargs.values()), strict=True))
        if func is _ATEN._convolution.default:  # knows no meta device; its first nine arguments are the other's
            func, args = _ATEN.convolution.default, args[:9]
        output = _normalised(args) if func is _ATEN.native_batch_norm.default else func(*args, **kwargs)
        for value in _tensors((output,)):
            if value.is_meta:
                torch._C._set_throw_on_mutable_data_ptr(value)  # for compiled code that asks for addresses
        return output

    def _recorded(self, args: Any) -> Any:
        """A convolution as the tracer has it from real tensors: it leaves out `convolution` itself and waits for what
        that calls, which on the meta device is nothing. The flags are those of CUDA libraries."""
        included, excluded = torch._C._dispatch_tls_local_include_set(), torch._C._dispatch_tls_local_exclude_set()
        with torch._C._ForceDispatchKeyGuard(included, excluded.remove("Tracer")), self:
            return _ATEN._convolution.default(*args, False, False, True, True)


def _to_be_emptied(func: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> bool:
    """Whether an operation is to run without values. Views of weights stay views of their memory. Writing is done with
    values if all tensors have them; TypeError for writing what has none into what has, whose shape could have to
    change."""
    tensors = [*_tensors(args), *_tensors(kwargs.values())]
    if not func._schema.is_mutable:
        kept = getattr(func, "is_view", False) and not any(tensor.is_meta for tensor in tensors)
        return not kept and not all(map(_is_number, tensors))
    if not any(tensor.is_meta for tensor in tensors):
        return False
    given = dict(zip((argument.name for argument in func._schema.arguments), args, strict=False)) | dict(kwargs)
    for argument in func._schema.arguments:
        if argument.alias_info is not None and argument.alias_info.is_write:
            for value in _tensors((given.get(argument.name),)):
                if not value.is_meta:
                    raise TypeError(f"{func} writes a tensor without values into one with values")
    return True


def _tensors(values: Iterable[Any]) -> Iterator[Tensor]:
    """Those among the arguments or results of an operation, which may be in lists."""
    for value in values:
        if isinstance(value, Tensor):
            yield value
        elif isinstance(value, list | tuple):
            yield from _tensors(value)


def _all_emptied(values: Iterable[Any]) -> list[Any]:
    return [
        _emptied(value) if isinstance(value, Tensor) else _all_emptied(value) if isinstance(value, list) else value
        for value in values
    ]


def _normalised(args: Sequence[Any]) -> tuple[Tensor, Tensor, Tensor]:
    """What batch norm gives: torch works it out on the meta device as operations on every element. Statistics are those
    of each channel while training, and else nothing."""
    values, training = args[0], args[5]
    channels = values.shape[1] if training else 0
    return torch.empty_like(values), values.new_empty(channels), values.new_empty(channels)


def _is_number(tensor: Tensor) -> bool:
    return tensor.dim() == 0 and not tensor.is_meta and not isinstance(tensor, nn.Parameter)


def _emptied(tensor: Tensor) -> Tensor:
    """A tensor like this one in everything but values."""
    return tensor if tensor.is_meta else torch.empty_like(tensor, device="meta")
