"""Prices as every command takes them."""

from msvit_energy.technology import Technology, get_technology, with_prices


def prices(technology: str, e_mac: float | None, e_ac: float | None) -> Technology:
    """A technology by name or TOML file, with prices given by hand in their place."""
    return with_prices(get_technology(technology), e_mac, e_ac)
