"""The units in which energies are written: mJ, uJ, nJ."""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class EnergyUnit:
    """A unit of energy: its name in plain text and in figures, and how many of it are 1 mJ."""

    name: str
    symbol: str
    per_mj: float


UNITS = (EnergyUnit("mJ", "mJ", 1.0), EnergyUnit("uJ", "\N{MICRO SIGN}J", 1e3), EnergyUnit("nJ", "nJ", 1e6))


def energy_unit(energies_mj: Iterable[float | None]) -> EnergyUnit:
    """The largest unit of which the largest of some energies is at least a tenth; mJ where all are 0 or unknown."""
    largest = max((abs(energy) for energy in energies_mj if energy), default=1.0)
    return next((unit for unit in UNITS if largest * unit.per_mj >= 0.1), UNITS[-1])


def energy_text(energy_mj: float) -> str:
    """An energy with its unit, to five significant digits."""
    unit = energy_unit([energy_mj])
    return f"{energy_mj * unit.per_mj:.5g} {unit.name}"
