"""Moments of per-image counts, accumulated batch by batch, exactly.

A count is split into two halves of HALF_BITS bits, so that products of halves are exact in float64 and their sums in
int64; the halves are put together as Python integers at the end.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from fractions import Fraction

import numpy as np

from msvit_energy.profiles.amounts import Moments
from msvit_energy.profiles.image_counts import ImageCounts

HALF_BITS = 20
MOST = 1 << 2 * HALF_BITS
ROWS = 1024  # of products in memory at a time, beside their sums


class MomentAccumulator:
    """Accumulates Moments image by image, and with `per_image` keeps the counts themselves. They are whole numbers from
    0; one that is missing for an image is 0."""

    KEPT = ("_keys", "_combined", "_sums", "_gram", "_batches")

    def __init__(self, *, per_image: bool = False) -> None:
        self._batches: list[np.ndarray] | None = [] if per_image else None  # `[keys, images]`, of the keys until then
        self._keys: dict[str, int] = {}
        self._combined: dict[str, Mapping[str, int]] = {}
        self._sums = np.zeros(0, np.int64)
        self._gram = np.zeros((0, 0), np.int64)  # [2 * counts, 2 * counts], of low and high halves in turn

    def add(self, counts: Mapping[str, np.ndarray]) -> None:
        """Count some images: one array `[images]` per key."""
        for key in counts:
            self._keys.setdefault(key, len(self._keys))
        if new := len(self._keys) - len(self._sums):
            self._sums = np.pad(self._sums, (0, new))
            self._gram = np.pad(self._gram, (0, 2 * new))
        images = len(next(iter(counts.values()), ()))
        values = np.zeros((len(self._keys), images), np.int64)
        for key, numbers in counts.items():
            values[self._keys[key]] = numbers
        if values.size and values.max() >= MOST:
            raise OverflowError(f"{values.max()} events in one image; fewer than {MOST} can be counted")
        halves = np.empty((2 * len(values), images))
        halves[0::2], halves[1::2] = values & ((1 << HALF_BITS) - 1), values >> HALF_BITS
        for start in range(0, images, 4096):  # every sum stays below 2^53
            part = halves[:, start : start + 4096]
            for rows in range(0, len(part), ROWS):
                self._gram[rows : rows + ROWS] += (part[rows : rows + ROWS] @ part.T).astype(np.int64)
        self._sums += values.sum(1)
        if self._batches is not None:
            self._batches.append(values)

    def combine(self, key: str, parts: Mapping[str, int]) -> None:
        """Have `key` be the sum of other counts, those that there are, each times a whole number."""
        self._combined[key] = parts

    def moments(self, keys: Iterable[str]) -> Moments:
        """The exact moments of some of the counts; empty if nothing was counted."""
        if not self._keys:
            return Moments()
        chosen = tuple(keys)
        parts = [self._combined.get(key, {key: 1}) for key in chosen]
        names = tuple(name for name in dict.fromkeys(name for each in parts for name in each) if name in self._keys)
        stored = self._stored(names)
        return stored if names == chosen else _sums(stored, chosen, parts)

    def image_counts(self, keys: Sequence[str]) -> ImageCounts | None:
        """Some of the counts of every image; None if they were not to be kept."""
        if self._batches is None or not self._keys:
            return None
        every = np.concatenate([np.pad(part, ((0, len(self._keys) - len(part)), (0, 0))) for part in self._batches], 1)
        stored = ImageCounts(tuple(self._keys), every)
        return ImageCounts(tuple(keys), np.stack([self._combination(stored, key) for key in keys]))

    def _combination(self, stored: ImageCounts, key: str) -> np.ndarray:
        parts = {name: n for name, n in self._combined.get(key, {key: 1}).items() if name in self._keys}
        counts = stored.select(list(parts), {}).multiplied(list(parts.values())).counts
        return np.asarray(counts.sum(0))

    def _stored(self, keys: tuple[str, ...]) -> Moments:
        """The moments of counts as they were added."""
        rows = [self._keys[key] for key in keys]
        products = tuple(tuple(self._products(a, rows[start:])) for start, a in enumerate(rows))
        return Moments(keys, tuple(int(self._sums[row]) for row in rows), products)

    def _products(self, row: int, others: Sequence[int]) -> Iterator[int]:
        """Sums of products of a count with others, put together from those of the halves."""
        low, high = self._gram[2 * row : 2 * row + 2].tolist()  # a row at a time: as objects, all would be large
        for other in others:
            middle = low[2 * other + 1] + high[2 * other]
            yield low[2 * other] + (middle << HALF_BITS) + (high[2 * other + 1] << 2 * HALF_BITS)


def _sums(stored: Moments, keys: tuple[str, ...], parts: Sequence[Mapping[str, int]]) -> Moments:
    """Moments of `keys`, each the sum of some stored counts, those that there are, times whole numbers."""
    place = {name: index for index, name in enumerate(stored.keys)}
    rows = [[(place[name], times) for name, times in each.items() if name in place] for each in parts]

    def product(a: int, b: int) -> int | Fraction:
        return stored.products[min(a, b)][abs(a - b)]

    products = tuple(
        tuple(sum(m * n * product(a, b) for a, m in row for b, n in other) for other in rows[start:])
        for start, row in enumerate(rows)
    )
    return Moments(keys, tuple(sum(times * stored.sums[index] for index, times in row) for row in rows), products)
