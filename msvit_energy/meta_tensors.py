"""A forward in which only shapes are worked out, such as tensors of the meta device have.

All contact with the insides of torch that this needs is here. Whatever would take the value of a tensor raises.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode, _disable_current_modes
from torch.utils._pytree import tree_leaves, tree_map_only

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
            args, kwargs = tree_map_only(Tensor, _emptied, (args, kwargs))
        if func is _ATEN._convolution.default:  # knows no meta device; its first nine arguments are the other's
            func, args = _ATEN.convolution.default, args[:9]
        output = func(*args, **kwargs)
        for value in tree_leaves(output):
            if isinstance(value, Tensor) and value.is_meta:
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
    tensors = [value for value in tree_leaves((args, kwargs)) if isinstance(value, Tensor)]
    if not func._schema.is_mutable:
        kept = getattr(func, "is_view", False) and not any(tensor.is_meta for tensor in tensors)
        return not kept and not all(map(_is_number, tensors))
    if not any(tensor.is_meta for tensor in tensors):
        return False
    given = dict(zip((argument.name for argument in func._schema.arguments), args, strict=False)) | dict(kwargs)
    for argument in func._schema.arguments:
        if argument.alias_info is not None and argument.alias_info.is_write:
            for value in tree_leaves(given.get(argument.name)):
                if isinstance(value, Tensor) and not value.is_meta:
                    raise TypeError(f"{func} writes a tensor without values into one with values")
    return True


def _is_number(tensor: Tensor) -> bool:
    return tensor.dim() == 0 and not tensor.is_meta and not isinstance(tensor, nn.Parameter)


def _emptied(tensor: Tensor) -> Tensor:
    """A tensor like this one in everything but values."""
    return tensor if tensor.is_meta else torch.empty_like(tensor, device="meta")
