"""Lattices: spikes with a sign or a constant factor are whole numbers times one constant, found in their values.

Values are rounded products, so they are held against the lattice within some roundings of their number format. A
lattice so fine that any real number is near it is none.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import NamedTuple

import torch
from torch import Tensor

from msvit_energy.profiles.operand import StepBy
from msvit_energy.recording.counts.tensor_stats import MOST_SPIKES, PART, TensorStats, exact_sums, parts

MOST_LEVELS = 1 << 10  # of a lattice that is found
ROUNDINGS = 16  # of the number format, relative to the largest value: sums of many products are off by several
NEAR = 1 / 16  # of a level: with coarser roundings, levels cannot be told apart
SAMPLE = 64
FEW = 1 << 14  # values that are looked at before all are


@dataclass(frozen=True, eq=False)
class Lattice:
    """Whole numbers times `step`, and times one of `factors` `[n]` for each place of `axis`, by what `by` says."""

    step: Fraction
    by: StepBy = ""
    axis: int = 0
    factors: Tensor | None = None

    @property
    def is_binary(self) -> bool:
        """Whether values are whole numbers of a power of two, so that their sums are exact as they are."""
        return self.factors is None and {self.step.numerator.bit_count(), self.step.denominator.bit_count()} == {1}

    def quotients(self, values: Tensor) -> Tensor:
        """`values` by the constants."""
        real = values if values.is_floating_point() else values.double()
        return self.without_factors(real.to(torch.promote_types(real.dtype, torch.float32))) / float(self.step)

    def without_factors(self, values: Tensor) -> Tensor:
        """`values` by the factors alone."""
        if self.factors is None:
            return values
        shape = [1] * values.dim()
        shape[self.axis] = len(self.factors)
        return values / self.factors.to(values.device, values.dtype).view(shape)


class Magnitudes(NamedTuple):
    """The whole numbers of a tensor without their signs; `bounds` are the least of them with its sign, the greatest
    magnitude, and 1 if all values are on the lattice, `[3]`, float64. `stats` are their statistics and `real` those of
    the values, where they were found on the way."""

    values: Tensor
    bounds: Tensor
    stats: TensorStats | None = None
    real: TensorStats | None = None


def magnitudes(values: Tensor, lattice: Lattice) -> Magnitudes:
    """Which whole numbers `values`, `[runs, images, ...]`, are, on the device where they are; nothing waits for it."""
    plain = values.is_cpu and values.is_contiguous() and values.is_floating_point() and values.numel() > 0
    if plain and lattice.factors is None:
        return _in_parts(values, float(lattice.step))
    quotients = lattice.quotients(values)
    whole = torch.empty_like(quotients)
    return Magnitudes(whole, _bounds(values, *_round(quotients, whole)))


def _in_parts(values: Tensor, step: float) -> Magnitudes:
    """On the CPU, part by part, as they fit the cache. Sums of values are those of whole numbers times the step."""
    lines = values.view(math.prod(values.shape[:2]), -1)
    whole = torch.empty_like(lines, dtype=torch.promote_types(values.dtype, torch.float32))
    scratch = torch.empty(PART, dtype=whole.dtype)
    found: list[tuple[Tensor, Tensor, Tensor]] = []
    sums: list[tuple[Tensor, Tensor, Tensor]] = []
    for part, into in zip(parts(lines), parts(whole), strict=True):
        quotients = torch.div(part, step, out=scratch[: part.numel()].view(part.shape))
        low, high, _ = extremes = _round(quotients, into)
        found.append(extremes)
        total = exact_sums(into, 1, most := float(torch.maximum(high, -low)))
        signed = total if low >= 0 else exact_sums(quotients, 1, most)
        nonzeros = total if most <= 1 else exact_sums(torch.clamp(into, max=1, out=quotients), 1, 1)
        sums.append((total, nonzeros, signed))
    low, high, off = (torch.stack(each) for each in zip(*found, strict=True))
    bounds = _bounds(values, low := low.amin(), high := high.amax(), off.amax())
    total, nonzeros, signed = (
        torch.cat(each).double().view(*values.shape[:2], -1).sum(2) for each in zip(*sums, strict=True)
    )
    real = TensorStats(torch.stack([low.double() * step, high.double() * step, bounds[2] * 0]), signed * step, nonzeros)
    return Magnitudes(whole.view(values.shape), bounds, TensorStats(bounds, total, nonzeros), real)


def _round(quotients: Tensor, into: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Write the nearest whole numbers without signs; gives their least and greatest with signs, and how far the
    quotients, which become the numbers with signs, are off."""
    low, high = torch.aminmax(torch.round(quotients, out=into))
    off = quotients.sub_(into).abs_().amax()
    if not low.is_cpu or low < 0:
        quotients.copy_(into)
        into.abs_()
    return low, high, off


def _bounds(values: Tensor, low: Tensor, high: Tensor, off: Tensor) -> Tensor:
    high = torch.maximum(high, -low).double()
    allowed = high.clamp(min=1) * _rounding(values)
    return torch.stack([low.double(), high, ((off.double() <= allowed) & (allowed <= NEAR)).double()])


def find(values: Tensor, known: Lattice | None, factors: Sequence[Tensor], *, divide: bool = False) -> Lattice | None:
    """The coarsest lattice that `values`, `[runs, images, ...]`, not all 0, are on; a finer one than `known` if that is
    given. None if there is none.

    `factors` are constants that the network multiplies by, perhaps of single channels or time steps: of lattices with
    and without them the one with the fewest levels is taken, then the one with the simplest step. Whole numbers are on
    the lattice of whole numbers, unless they are to be divided by what they have in common (`divide`).
    """
    values = values if values.is_floating_point() else values.double()
    if known is not None:
        step = common_step(known.without_factors(values), [float(known.step)], divide=True)
        return None if step is None else Lattice(step, known.by, known.axis, known.factors)
    best: Lattice | None = None
    least = math.inf, math.inf
    for lattice in (Lattice(Fraction(1)), *_of_factors(values, factors)):
        quotients = lattice.without_factors(values)
        step = common_step(quotients, [], divide=divide or lattice.factors is not None)
        if step is not None:
            levels = round(float(quotients.abs().amax()) / float(step))
            if (levels, step.numerator * step.denominator) < least:
                least = levels, step.numerator * step.denominator
                best = Lattice(step, lattice.by, lattice.axis, lattice.factors)
    return best


def _of_factors(values: Tensor, factors: Sequence[Tensor]) -> Iterator[Lattice]:
    """Whole numbers times factors that fit an axis, and some of the values: time steps in front, channels behind the
    images. An axis may have channels and all else in a row, in either order."""
    some = _sample(values)
    for vector in factors:
        constants = vector.detach().flatten().abs().double().cpu()
        constants[constants == 0] = 1
        if constants.amin() == constants.amax():
            continue
        for axis, size in enumerate(values.shape):
            repeats, rest = divmod(size, len(constants))
            if axis == 1 or rest or not repeats or (axis == 0 and repeats > 1):
                continue
            for along in (constants.repeat_interleave(repeats), constants.repeat(repeats))[: min(repeats, 2)]:
                if step_of((some.values / along[some.places[:, axis]]).tolist(), _rounding(values)) is not None:
                    yield Lattice(Fraction(1), "channel" if axis else "time step", axis, along)


class _Sample(NamedTuple):
    """Magnitudes above 0, `[n]`, and where they are, `[n, axes]`."""

    values: Tensor
    places: Tensor


def _sample(values: Tensor) -> _Sample:
    """Some values of one image, from all over it."""
    for image in range(values.shape[1]):
        found = values[:, image].nonzero()
        if len(found):
            chosen = found[:: math.ceil(len(found) / SAMPLE)]
            places = torch.cat([chosen[:, :1], torch.full_like(chosen[:, :1], image), chosen[:, 1:]], 1)
            some = values[tuple(places.T)].abs().double().cpu()
            large = some > some.amax() * _rounding(values)
            return _Sample(some[large], places.cpu()[large])
    raise ValueError("all values are 0")


def common_step(values: Tensor, start: Sequence[float], *, divide: bool = False) -> Fraction | None:
    """The largest constant of which `values`, not all 0, and the numbers in `start` are whole multiples; None if that
    is none. Of whole numbers it is 1, unless they are to be divided."""
    some = values.reshape(-1)[:: math.ceil(values.numel() / FEW)]
    if values.numel() > FEW and bool(some.any()):
        step = _common_step(some, start, divide=divide)
        if step is None or magnitudes(values, Lattice(step)).bounds[2]:
            return step
    return _common_step(values, start, divide=divide)


def _common_step(values: Tensor, start: Sequence[float], *, divide: bool) -> Fraction | None:
    rounding = _rounding(values)
    found = values.abs().to(torch.promote_types(values.dtype, torch.float32))
    found = found[found > found.amax() * rounding]  # less is what is left of a difference
    if not divide and not found.frac().any():
        return Fraction(1) if float(found.max()) <= MOST_SPIKES else None
    candidates = [float(found.min()), float(found.max()), *found[:SAMPLE].tolist(), *start]
    while (step := step_of(candidates, rounding)) is not None:
        quotients = found / float(step)
        off = (quotients - quotients.round()).abs() > quotients.amax() * rounding
        if not off.any():
            return step
        finer = step_of([float(step), *found[off][:SAMPLE].tolist(), max(candidates)], rounding)
        if finer is None or finer > step * Fraction(3, 4):
            return None
        candidates = [float(finer), max(candidates)]
    return None


def step_of(values: Sequence[float], rounding: float = ROUNDINGS * 2.0**-24) -> Fraction | None:
    """The largest constant of which numbers above 0, rounded so much, are whole multiples; None where the largest of
    them would be more than MOST_LEVELS times that."""
    largest, common = max(values), 0.0
    levels = min(MOST_LEVELS, NEAR / rounding)
    for value in values:
        a, b = value, common
        while b > largest / levels / 8:  # what is less is rounding, or too fine anyway
            a, b = b, abs(math.remainder(a, b))
        common = a
    smallest = min(values)
    if common * levels < largest * (1 - rounding) or smallest < common / 2:
        return None
    simple = simple_fraction(largest / round(largest / common), rounding)
    return Fraction(smallest / round(smallest / common)) if simple is None else simple


def simple_fraction(number: float, rounding: float) -> Fraction | None:
    """The simple fraction that a rounded number stands for, such as 1/3 or 0.1; None if there is none."""
    simple = Fraction(number).limit_denominator(MOST_LEVELS)
    near = abs(float(simple) - number) * ROUNDINGS <= 4 * rounding * number
    return simple if near and simple.numerator * simple.denominator <= 4 * MOST_LEVELS else None


def _rounding(values: Tensor) -> float:
    """By how much values may be off, relative to the largest."""
    return ROUNDINGS * (torch.finfo(values.dtype).eps / 2 if values.is_floating_point() else 2.0**-53)
