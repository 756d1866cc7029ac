"""Where the axes of a tensor are after an operator of a traced graph.

Axes are counted from the last one, which is -1: so broadcasting leaves them where they are.
"""

import math
from collections.abc import Collection, Sequence
from typing import Any

import torch

Axes = frozenset[int]

RESHAPING = frozenset("view reshape view_as reshape_as flatten unflatten squeeze unsqueeze".split())
REORDERING = frozenset("permute transpose t mT mH numpy_T movedim".split())
SELECTING = frozenset(("select", "unbind"))


def operator_of(node: Any) -> str:
    """The name of a node's operator, that of an in-place one without its underscore."""
    return str(node.kind()).removeprefix("aten::").removesuffix("_")


def sizes(value: Any) -> tuple[int, ...]:
    """Sizes of a tensor in the graph; nothing for what is no tensor."""
    return tuple(value.type().sizes()) if value.isCompleteTensor() else ()


def elements(value: Any) -> int:
    """Elements of a tensor in the graph."""
    return math.prod(sizes(value))


def varying(value: Any) -> Axes:
    """Axes along which a tensor is not expanded."""
    along = zip(sizes(value), value.type().strides(), strict=True)
    return frozenset(axis - len(sizes(value)) for axis, (size, stride) in enumerate(along) if size > 1 and stride)


def every_axis(value: Any) -> Axes:
    """All axes of a tensor."""
    return frozenset(range(-len(sizes(value)), 0))


def moved(axes: Axes, node: Any, source: Any, output: Any) -> Axes:
    """Where axes of `source` are in `output` of a node that moves, selects, joins or repeats its elements; all axes
    where that cannot be known."""
    operator, arguments = operator_of(node), [constant(value) for value in list(node.inputs())[1:]]
    before, after = sizes(source), sizes(output)
    if operator in RESHAPING:
        return reshaped(axes, before, after)
    if operator in REORDERING:
        return every_axis(output) if None in arguments else reordered(axes, len(before), operator, arguments)
    if operator in SELECTING or operator == "stack":
        if arguments[0] is None:
            return every_axis(output)
        (axis,) = from_the_end(arguments[:1], max(len(before), len(after)))
        return inserted(axes, axis) if operator == "stack" else removed(axes, frozenset((axis,)))
    return every_axis(output) if operator == "index" and len(before) != len(after) else axes


def constant(value: Any) -> Any:
    """A number, or a list of numbers, that an operator was given; None for everything else."""
    if value.node().kind() == "prim::ListConstruct":
        numbers = [each.toIValue() for each in value.node().inputs()]
        return None if None in numbers else numbers
    return value.toIValue()


def from_the_end(axes: Collection[int], rank: int) -> Axes:
    """Axes of a tensor with that many, all counted from the last one."""
    return frozenset(axis if axis < 0 else axis - rank for axis in axes)


def removed(axes: Axes, gone: Axes) -> Axes:
    """Axes after those that are `gone` have been removed."""
    return frozenset(axis + sum(each > axis for each in gone) for axis in axes - gone)


def inserted(axes: Axes, new: int) -> Axes:
    """Axes after a `new` one has been inserted, counted in the result."""
    return frozenset(axis if axis > new else axis - 1 for axis in axes)


def reordered(axes: Axes, rank: int, operator: str, arguments: Sequence[Any]) -> Axes:
    """Axes after a transposition or permutation of a tensor with `rank` axes."""
    if operator == "numpy_T":
        return frozenset(-1 - rank - axis for axis in axes)
    numbered = torch.empty(tuple(range(1, rank + 1)), device="meta")  # each axis has its own size
    result = getattr(numbered, operator)
    shape = (result if isinstance(result, torch.Tensor) else result(*arguments)).shape
    return frozenset(place - rank for place, size in enumerate(shape) if size - 1 - rank in axes)


def reshaped(axes: Axes, before: tuple[int, ...], after: tuple[int, ...]) -> Axes:
    """Axes of a tensor of sizes `before` when its elements are read in order with sizes `after`: the smallest groups of
    axes with equally many elements are each other's."""
    if math.prod(before) != math.prod(after) or not math.prod(before):
        return frozenset(range(-len(after), 0))
    found: set[int] = set()
    i = j = 0
    while i < len(before) and j < len(after):
        first, to, left, right = i, j, before[i], after[j]
        i, j = i + 1, j + 1
        while left != right:
            if left < right:
                left, i = left * before[i], i + 1
            else:
                right, j = right * after[j], j + 1
        if any(axis - len(before) in axes for axis in range(first, i)):
            found |= {axis - len(after) for axis in range(to, j) if after[axis] > 1}
    return frozenset(found)
