"""Units of energies, by hand."""

import pytest

from msvit_energy.pricing.energy_units import energy_text, energy_unit


@pytest.mark.parametrize(
    ("energies_mj", "unit"),
    [
        ([45.88, 0.001], "mJ"),
        ([0.1], "mJ"),
        ([0.0999, None], "uJ"),
        ([4.8e-3, 1e-7], "uJ"),
        ([1e-4], "uJ"),
        ([9.9e-5], "nJ"),
        ([3e-12], "nJ"),
        ([-0.2, 0.001], "mJ"),
        ([0.0, None], "mJ"),
        ([], "mJ"),
    ],
)
def test_the_largest_of_some_energies_has_the_unit(energies_mj: list[float | None], unit: str) -> None:
    assert energy_unit(energies_mj).name == unit


def test_an_energy_has_five_digits_and_its_unit() -> None:
    texts = [energy_text(energy) for energy in (45.8764321, 0.0048104, 0.000003, 0.0, -0.0123456)]
    assert texts == ["45.876 mJ", "4.8104 uJ", "3 nJ", "0 mJ", "-12.346 uJ"]
