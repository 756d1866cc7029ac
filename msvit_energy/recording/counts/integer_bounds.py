"""Torch functions whose results are whole numbers wherever their inputs are, so that this need not be looked up.

Each rule bounds the result of whole numbers from 0 by the highest of them. Results are exact in float32 as long as
they stay below 2^24, and products of matrices also where the inputs are rounded to 8 bits, as some processors do.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

EIGHT_BITS = 1 << 8  # whole numbers up to here are exact in bfloat16


def _product(left: float, right: float, terms: int) -> float:
    return left * right * terms if max(left, right) <= EIGHT_BITS else math.inf


# of the highest values of both, and of how many terms an element of a matrix product has
_OF_TWO: Mapping[Any, Callable[[float, float, int], float]] = {
    **dict.fromkeys((torch.add, Tensor.add, Tensor.__add__), lambda left, right, terms: left + right),
    **dict.fromkeys((torch.mul, Tensor.mul, Tensor.__mul__), lambda left, right, terms: left * right),
    **dict.fromkeys((torch.matmul, torch.bmm, Tensor.matmul, Tensor.bmm, Tensor.__matmul__), _product),
}
_MAX_POOL = {F.max_pool1d, F.max_pool2d, F.max_pool3d, torch.max_pool1d, torch.max_pool2d, torch.max_pool3d}
FUNCTIONS = frozenset({*_OF_TWO, *_MAX_POOL})


def bound(func: Any, args: tuple[Any, ...], kwargs: Any, highest: Callable[[Tensor], float | None]) -> float | None:
    """What the whole numbers that a function returns do not exceed; None if they may be no whole numbers.

    `highest` gives the same for a tensor.
    """
    if func in _MAX_POOL:
        return highest(args[0]) if args and _undilated(*args[4:5], **kwargs) else None
    if func not in _OF_TWO or len(args) != 2 or kwargs or not all(isinstance(given, Tensor) for given in args):
        return None
    left, right = (highest(given) for given in args)
    return None if left is None or right is None else _OF_TWO[func](left, right, args[0].shape[-1])


def _undilated(dilation: Any = 1, **others: Any) -> bool:
    """Whether every window holds a value; a dilated one may hold nothing but padding."""
    return {1}.issuperset(dilation if isinstance(dilation, Sequence) else [dilation])
