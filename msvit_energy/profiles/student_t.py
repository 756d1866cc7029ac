"""Quantiles of Student's t for whole degrees of freedom (Abramowitz and Stegun, 26.7.3, 26.7.4 and 26.7.5).

A library would have them too; importing it would take longer than pricing a profile.
"""

import math
from functools import lru_cache
from statistics import NormalDist

MANY = 100  # degrees of freedom from which the expansion around the normal quantile is exact to 1e-9 (up to 99 %)


@lru_cache
def student_t(confidence: float, freedom: int) -> float:
    """The t for which |T| < t with probability `confidence`, between 0 and 1; at least 1 degree of freedom."""
    if freedom < 1 or not 0 < confidence < 1:
        raise ValueError(f"no quantile of Student's t for {confidence} with {freedom} degrees of freedom")
    if freedom >= MANY:
        return _expansion(NormalDist().inv_cdf((1 + confidence) / 2), freedom)
    low, high = 0.0, 1.0
    while within(high, freedom) < confidence:
        high *= 2
    while (middle := (low + high) / 2) not in (low, high):
        low, high = (middle, high) if within(middle, freedom) < confidence else (low, middle)
    return high


def within(t: float, freedom: int) -> float:
    """Probability that |T| < t."""
    angle = math.atan(t / math.sqrt(freedom))
    sine, cosine = math.sin(angle), math.cos(angle)
    odd = freedom % 2
    term = cosine if odd else 1.0
    series = 0.0
    for k in range(1 + odd, freedom, 2):  # the numerators' factors; the series has a factor k / (k + 1) per term
        series += term
        term *= cosine * cosine * k / (k + 1)
    return 2 / math.pi * (angle + sine * series) if odd else sine * series


def _expansion(z: float, freedom: int) -> float:
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160,
    )
    return z + sum(term / freedom ** (order + 1) for order, term in enumerate(terms))
