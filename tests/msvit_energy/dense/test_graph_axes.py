"""Where axes go when a tensor changes its shape, against values that differ along them."""

import itertools
import math
import random

import pytest
import torch
from torch import Tensor

from msvit_energy.dense import graph_axes


def different_along(axes: frozenset[int], shape: tuple[int, ...]) -> Tensor:
    """Values that differ along these axes and no others."""
    values = torch.zeros(shape, dtype=torch.long)
    for axis in axes:
        along = torch.arange(shape[axis]).reshape(-1, *[1] * (-axis - 1))
        values = values * 10 + along
    return values


def axes_of(values: Tensor) -> frozenset[int]:
    """Axes along which values differ."""
    return frozenset(a for a in range(-values.dim(), 0) if bool((values.amax(a) != values.amin(a)).any()))


def marked(shape: tuple[int, ...]) -> list[frozenset[int]]:
    wide = [axis for axis in range(-len(shape), 0) if shape[axis] > 1]
    return [frozenset(some) for n in range(len(wide) + 1) for some in itertools.combinations(wide, n)]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ((2, 3, 4), (6, 4)),
        ((2, 3, 4), (2, 12)),
        ((6, 4), (2, 3, 4)),
        ((2, 3), (2, 1, 3)),
        ((1, 2, 3, 1), (2, 3)),
        ((2, 3, 5), (1, 30)),
        ((4, 5, 6), (4, 5, 2, 3)),
        ((3, 1, 1, 4), (3, 4, 1)),
        ((5,), (5,)),
    ],
)
def test_axes_after_reshaping(before: tuple[int, ...], after: tuple[int, ...]) -> None:
    for axes in marked(before):
        assert graph_axes.reshaped(axes, before, after) == axes_of(different_along(axes, before).reshape(after))


def test_no_axis_is_lost_whatever_the_shapes() -> None:
    draw = random.Random(0)
    for _ in range(300):
        before = tuple(draw.choice([1, 2, 3, 4]) for _ in range(draw.randint(1, 4)))
        factors = [draw.choice([1, 2]), *before]
        draw.shuffle(factors)
        after = tuple(part for part in factors) if math.prod(factors) == math.prod(before) else (math.prod(before),)
        for axes in marked(before):
            assert graph_axes.reshaped(axes, before, after) >= axes_of(different_along(axes, before).reshape(after))


def test_axes_after_transposing() -> None:
    values = {axes: different_along(axes, (2, 3, 4)) for axes in marked((2, 3, 4))}
    for axes, each in values.items():
        assert graph_axes.reordered(axes, 3, "permute", [[2, 0, -2]]) == axes_of(each.permute(2, 0, -2))
        assert graph_axes.reordered(axes, 3, "transpose", [0, -1]) == axes_of(each.transpose(0, -1))
        assert graph_axes.reordered(axes, 3, "movedim", [[0], [-1]]) == axes_of(each.movedim([0], [-1]))
        assert graph_axes.reordered(axes, 3, "mT", []) == axes_of(each.mT)
        assert graph_axes.reordered(axes, 3, "numpy_T", []) == axes_of(each.permute(2, 1, 0))


def test_axes_after_selecting_and_stacking() -> None:
    for axes in marked((2, 3, 4)):
        values = different_along(axes, (2, 3, 4))
        for axis in (-3, -2, -1):
            gone = frozenset((axis,))
            assert graph_axes.removed(axes, gone) == axes_of(values.select(axis, 0))
        assert graph_axes.removed(axes, frozenset((-3, -1))) == axes_of(values[0, :, 0])
        for axis in (-4, -3, -2, -1):
            assert graph_axes.inserted(axes, axis) == axes_of(torch.stack([values, values], axis))
