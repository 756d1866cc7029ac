"""Which axes of a tensor have time steps and images."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Layout:
    """The axes of a tensor that have time steps (T) or images (B), each with its factors in order; "k" is all else.

    `[T, B, ...]` is `((0, "T"), (1, "B"))`, `[T*B, ...]` is `((0, "TB"),)`, `[B, T*tokens, ...]` is
    `((0, "B"), (1, "Tk"))`. Without T the tensor is constant in time; without B it is that of one image.
    """

    axes: tuple[tuple[int, str], ...]

    @property
    def has_time(self) -> bool:
        """Whether the tensor has all time steps."""
        return any("T" in factors for _, factors in self.axes)

    @property
    def in_parts(self) -> bool:
        """Whether time steps or images share their axis with parts of an image, such as windows or heads."""
        return any("k" in factors for _, factors in self.axes)

    def split(self, values: Tensor, steps: int, images: int) -> Tensor | None:
        """A view of `values` as `[T or 1, B, ...]`; None where the sizes do not fit."""
        sizes, orders = {"T": steps, "B": images}, dict(self.axes)
        shape: list[int] = []
        place: dict[str, int] = {}
        for axis, size in enumerate(values.shape):
            factors = orders.get(axis, "k")
            known = math.prod(sizes.get(factor, 1) for factor in factors)
            if size % known or ("k" not in factors and size != known):
                return None
            place |= {factor: len(shape) + i for i, factor in enumerate(factors) if factor in sizes}
            shape += [sizes.get(factor, size // known) for factor in factors]
        if "B" not in place and images != 1:
            return None
        found = values.view(shape).movedim([place[each] for each in "TB" if each in place], list(range(len(place))))
        missing = [number for number, each in enumerate("TB") if each not in place]
        for axis in missing:
            found = found.unsqueeze(axis)
        return found

    def images_moved(self, axes: Sequence[int | None]) -> "Layout | None":
        """Where a tensor has images that was made from one of this layout, `axes` being where each axis has gone (None:
        summed over); None where images were summed over."""
        moved = [(axes[axis], factors) for axis, factors in self.axes if "B" in factors]
        found = tuple((axis, factors) for axis, factors in moved if axis is not None)
        return Layout(found) if len(found) == len(moved) else None


def by_size(shape: Sequence[int], steps: int, images: int, rank: int | None) -> Layout | None:
    """The layout that sizes alone suggest, time first; None for a tensor that belongs to no image.

    `rank` is the number of axes without a time axis of its own, None where that is free.
    """
    if len(shape) > 2 and len(shape) != rank and tuple(shape[:2]) == (steps, images):
        return Layout(((0, "T"), (1, "B")))
    if tuple(shape[:1]) == (steps * images,):
        return Layout(((0, "TB"),))
    if tuple(shape[:1]) == (images,):
        return Layout(((0, "B"),))
    if shape and shape[0] % (steps * images) == 0:
        return Layout(((0, "TBk"),))
    return None
