"""A share as people type it."""

from msvit_energy.errors import EnergyError


def parse_share(text: str, what: str, *, zero: bool = False) -> float:
    """A share below 1 from "1%" or "0.01", above 0 unless `zero` is allowed; else EnergyError, which names `what`."""
    try:
        share = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        share = -1.0
    if not 0 <= share < 1 or (share == 0 and not zero):
        raise EnergyError(f"{what} must be a share of the total between 0 and 1, such as 1% or 0.01, not {text!r}")
    return share
