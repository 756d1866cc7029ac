"""How numbers, and the name of what was measured, are written in tables and figures."""

import math
from collections.abc import Sequence

from msvit_energy.profiles.profile import Profile

MINUS = "\N{MINUS SIGN}"


def title(profile: Profile) -> str:
    """Model and data in one line."""
    origin = profile.provenance
    return f"{origin.model_name}{' on ' if origin.is_measured else ', '}{origin.data_name}"


def count(number: float) -> str:
    """An operation count to three digits with a unit: 640, 20.7 k, 2.65 M, 1.05 G. Files hold the exact numbers."""
    for size, unit in ((1e9, " G"), (1e6, " M"), (1e3, " k")):
        if round(number / size, 3) >= 1:
            digits = 2 - min(2, int(math.log10(number / size)))
            return f"{number / size:.{digits}f}{unit}"
    return f"{number:.0f}"


def percent_off(difference: float) -> str:
    """A relative difference in percent; "0" where all but the last bits are equal."""
    return "0" if abs(difference) < 1e-9 else f"{difference:+.1%}"


def ratio(value: float) -> str:
    """Two decimals, or two digits where there would be none."""
    return f"{value:.2f}" if value >= 0.1 else f"{value:.2g}"


def times(value: float) -> str:
    """How many times as much: three digits, whole numbers from 1000 on."""
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"


def with_margin(value: float, half: float, sign: str = "") -> str:
    """A number and half of its interval, rounded to the interval's second significant digit: 0.004505 ± 0.000057.
    `sign` is that of a format, "+" for all numbers."""
    exponent = int(f"{half:.1e}".partition("e")[2])
    digits = max(0, 1 - exponent)
    return f"{value:{sign}.{digits}f} ± {half:.{digits}f}"


def size_text(size: Sequence[int]) -> str:
    """The size of an image, channels first: 3x224x224."""
    return "x".join(map(str, size))


def plain(number: float) -> str:
    """A number of an axis, without powers of ten unless it is tiny."""
    digits = 6 - math.floor(math.log10(abs(number))) if number else 0
    text = f"{number:.{max(digits, 0)}f}" if digits <= 12 else f"{number:g}"
    return (text.rstrip("0").rstrip(".") if "." in text and "e" not in text else text).replace("-", MINUS)


def fixed(number: float, digits: int) -> str:
    """A number to so many digits after the point; 0 only if it is."""
    text = f"{number:.{digits}f}"
    if number == 0 or float(text):
        return text if number else "0"
    return f"<{10.0**-digits:.{digits}f}"


def percent(share: float) -> str:
    """A share in percent to one digit, without it from 100 % on; 0 only if it is."""
    return f"{share:.0%}" if share >= 1 else f"{fixed(100 * share, 1)}%" if share else "0"


def digits_of(largest: float) -> int:
    """Digits after the point that show four significant ones of the largest number of a column."""
    return max(0, 3 - math.floor(math.log10(largest))) if largest > 0 else 0


def rate_text(rate: float, digits: int = 3) -> str:
    """A rate in a table; 0 only if it is."""
    return fixed(rate, digits).replace("<0.", "<.")


def signed(number: float, digits: int = 3) -> str:
    """A difference with its sign; 0 only if it is."""
    return f"{number:+.{digits}f}".replace("-", MINUS) if number else "0"
