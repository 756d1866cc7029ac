"""Tensors inside of `torch.vmap`, which hides an axis of them, such as time in containers that want it last."""

from typing import Any

from torch import Tensor
from torch._C import _functorch

from msvit_energy.errors import EnergyError


def inside_vmap() -> bool:
    """Whether a forward runs inside of it."""
    return _functorch.maybe_current_level() is not None


def refuse_vmap() -> None:
    """EnergyError for a bare function inside of it, whose tensors do not show to which image they belong."""
    if inside_vmap():
        raise EnergyError(
            "the model calls functions inside of torch.vmap, where no tensor shows its images; call them on the whole "
            "batch, or in a loop"
        )


def with_hidden_axes(values: Any) -> Any:
    """The tensor, or the tensors in lists and tuples, with the axes that are hidden in front; all else as it is."""
    if isinstance(values, list | tuple):
        found = [with_hidden_axes(value) for value in values]
        return found if any(a is not b for a, b in zip(found, values, strict=True)) else values
    while isinstance(values, Tensor) and _functorch.is_batchedtensor(values):
        axis = _functorch.maybe_get_bdim(values)
        values = _functorch.get_unwrapped(values).movedim(axis, 0)
    return values


def whole(tensor: Tensor) -> Tensor:
    """The tensor with all axes, in whatever order, of which vmap shows a part; always the same object."""
    while _functorch.is_batchedtensor(tensor):
        tensor = _functorch.get_unwrapped(tensor)
    return tensor
