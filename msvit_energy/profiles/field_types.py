"""Types of the fields of a stored profile, with their bounds. Beyond them, floating-point arithmetic would overflow."""

from fractions import Fraction
from numbers import Rational
from typing import TYPE_CHECKING, Annotated

from msgspec import Meta

MOST_REAL = 1e100
Count = Annotated[int, Meta(ge=0, le=2**63 - 1)]
Positive = Annotated[int, Meta(ge=1, le=2**63 - 1)]
Real = Annotated[float, Meta(ge=-MOST_REAL, le=MOST_REAL)]
if TYPE_CHECKING:
    Exact = int | Fraction
else:
    Exact = Rational  # of both; msgspec reads no union of a class with anything else
