"""Quantities that are linear in what was counted, and their uncertainty from the spread over images.

Whatever a protocol computes per image is a constant plus weights times measured counts. So the exact second moments of
the counts, kept in the profile, give the uncertainty of any protocol at any price, without the images.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from operator import add, mul
from typing import Annotated, Self

from msgspec import Meta

from msvit_energy.profiles.field_types import Exact
from msvit_energy.profiles.student_t import student_t

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Amount:
    """A number per image, with its weight on each measured count (per unit of the count's sum over images).

    Amounts add, and are multiplied by plain numbers.
    """

    value: float = 0.0
    weights: Mapping[str, float] = field(default_factory=dict)

    def __float__(self) -> float:
        return float(self.value)

    def __add__(self, other: "Amount | float") -> "Amount":
        if not isinstance(other, Amount):
            return Amount(self.value + other, self.weights)
        weights = dict(self.weights)
        for key, weight in other.weights.items():
            weights[key] = weights.get(key, 0.0) + weight
        return Amount(self.value + other.value, weights)

    __radd__ = __add__

    def __mul__(self, factor: float) -> "Amount":
        return Amount(self.value * factor, {key: weight * factor for key, weight in self.weights.items()})

    __rmul__ = __mul__

    @classmethod
    def total(cls, amounts: Iterable[Self]) -> Self:
        """The sum of many, in the time that it takes to read them once."""
        value, weights = 0.0, dict[str, float]()
        for amount in amounts:
            value += amount.value
            for key, weight in amount.weights.items():
                weights[key] = weights.get(key, 0.0) + weight
        return cls(value, weights)


@dataclass(frozen=True)
class Moments:
    """Sums over images of counts and of all their pairwise products, exact: `[counts]`, `[counts, counts]`. They are
    whole numbers, or fractions where rates of images were given.

    `+` joins the moments of disjoint images.
    """

    keys: Annotated[tuple[str, ...], Meta(description="names of the counts, such as 'layer#0 value'")] = ()
    sums: Annotated[tuple[Exact, ...], Meta(description="sum of each count over images")] = ()
    products: Annotated[
        tuple[tuple[Exact, ...], ...],
        Meta(description="sums over images of products of two counts: upper triangle, row i from column i"),
    ] = ()

    def select(self, keys: Sequence[str], source: Mapping[str, tuple[str, int]]) -> "Moments":
        """The moments of `keys`, where `source` has the stored count and the factor whose product a missing one is."""
        position = {key: index for index, key in enumerate(self.keys)}
        chosen = [(key, 1) if key in position else source[key] for key in keys]
        rows = [(position[key], factor) for key, factor in chosen]
        products = tuple(
            tuple(self.products[min(a, b)][abs(a - b)] * m * n for b, n in rows[start:])
            for start, (a, m) in enumerate(rows)
        )
        return Moments(tuple(keys), tuple(self.sums[row] * factor for row, factor in rows), products)

    def multiplied(self, times: Sequence[int]) -> "Moments":
        """The moments of counts that are each so many times as large."""
        products = tuple(
            tuple(a * b * product for b, product in zip(times[row:], products, strict=True))
            for row, (a, products) in enumerate(zip(times, self.products, strict=True))
        )
        return Moments(self.keys, tuple(a * total for a, total in zip(times, self.sums, strict=True)), products)

    def __add__(self, other: Self) -> "Moments":
        if self.keys != other.keys:
            raise ValueError("moments of different counts do not add")
        return Moments(
            self.keys,
            tuple(map(add, self.sums, other.sums)),
            tuple(tuple(map(add, *rows)) for rows in zip(self.products, other.products, strict=True)),
        )


def quantile(images: int) -> float:
    """Half of a 95 % interval of a mean over images, at least 2, in standard errors: Student's t with as many degrees
    of freedom as the root of their number.

    With n - 1, as for a normal distribution, intervals are too narrow: a few images in hundreds differ from all others
    by many standard deviations, and a small sample has none of them. reports/evidence/intervals.md has measured both.
    """
    return student_t(CONFIDENCE, math.isqrt(images))


@dataclass(frozen=True)
class Uncertainty:
    """Standard error of a mean over images, and the 95 % confidence interval by Student's t (`quantile`)."""

    mean: float
    standard_error: float
    images: int

    @property
    def half_width(self) -> float:
        """Half of the confidence interval."""
        return quantile(self.images) * self.standard_error

    @property
    def interval(self) -> tuple[float, float]:
        """Lower and upper end of the 95 % confidence interval; what is no less than 0 has no end below 0."""
        low = self.mean - self.half_width
        return max(low, 0.0) if self.mean >= 0 else low, self.mean + self.half_width


class Spread:
    """How far amounts of one profile may be off because other images would have been drawn.

    `covariances` gives, for some of the `keys` in their order, those of the counts' sums over the `images`: for each
    key a row, with itself and with the keys after it.
    """

    def __init__(
        self, keys: Iterable[str], covariances: Callable[[Sequence[str]], Iterable[Sequence[float]]], images: int
    ) -> None:
        self.images = images
        self._places = {key: place for place, key in enumerate(keys)}
        self._covariances = covariances

    @classmethod
    def of_moments(cls, moments: Moments, images: int) -> Self:
        """From exact moments over `images` images."""
        position = {key: index for index, key in enumerate(moments.keys)}

        def covariances(keys: Sequence[str]) -> Iterator[list[float]]:
            """n times the sample covariances, subtracted in integers, so that nothing cancels."""
            places = [position[key] for key in keys]
            sums = [moments.sums[place] for place in places]
            for start, (place, total) in enumerate(zip(places, sums, strict=True)):
                products = moments.products[place]
                rest = zip(places[start:], sums[start:], strict=True)
                yield [float((images * products[q - place] - total * other) / (images - 1)) for q, other in rest]

        return cls(moments.keys, covariances, images)

    @classmethod
    def of_samples(cls, samples: Mapping[str, Sequence[float]]) -> Self:
        """From the values of every image."""
        images = len(next(iter(samples.values())))

        def covariances(keys: Sequence[str]) -> Iterator[list[float]]:
            means = {key: math.fsum(samples[key]) / images for key in keys}
            centred = [[x - means[key] for x in samples[key]] for key in keys]
            for start, row in enumerate(centred):
                yield [images * math.fsum(map(mul, row, other)) / (images - 1) for other in centred[start:]]

        return cls(samples, covariances, images)

    def of(self, amount: Amount) -> Uncertainty | None:
        """The amount's uncertainty; None for fewer than two images, or counts that were not observed per image."""
        if self.images < 2 or not amount.weights.keys() <= self._places.keys():
            return None
        variance = math.fsum(self._terms(amount.weights))
        return Uncertainty(float(amount), math.sqrt(max(variance, 0.0)), self.images)

    def _terms(self, weights: Mapping[str, float]) -> Iterator[float]:
        """What adds up to the variance: each pair of counts once, as often as it occurs."""
        keys = sorted(weights, key=self._places.__getitem__)
        factors = [weights[key] for key in keys]
        for place, (factor, row) in enumerate(zip(factors, self._covariances(keys), strict=True)):
            yield factor * factor * row[0]
            yield from map(mul, (2 * factor * other for other in factors[place + 1 :]), row[1:])
