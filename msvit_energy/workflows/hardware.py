"""What one saved profile costs under every reading of hardware, and where a quantised dense network would cost less."""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path

from msvit_energy import Profile
from msvit_energy.errors import EnergyError
from msvit_energy.pricing.break_even import PAIRS, BreakEven, break_even
from msvit_energy.pricing.memory_rules import rival_bits
from msvit_energy.pricing.technology import get_technology
from msvit_energy.reporting.break_even_table import break_even_table, record
from msvit_energy.reporting.hardware_table import TECHNOLOGIES, HardwareRow, hardware_rows, hardware_table
from msvit_energy.reporting.table import Table

FIGURES = ("hardware.png", "hardware.svg", "break_even.png", "break_even.svg")


class Hardware:
    """Tables, figures and JSON of one profile. `technology` prices operations and memory; None takes the usual two, and
    8-bit integers for the rival."""

    def __init__(self, path: Path, technology: str | None, counting: str) -> None:
        if counting not in PAIRS:
            raise EnergyError(f"unknown --counting {counting!r}; it is {' or '.join(PAIRS)}")
        if technology is not None:
            get_technology(technology)
        self.profile, self.counting = Profile.load(path), counting
        self.technology = technology or TECHNOLOGIES[-1]
        self.rows: list[HardwareRow] = hardware_rows(self.profile, [technology] if technology else TECHNOLOGIES)
        self.rival: tuple[list[BreakEven], BreakEven] = break_even(self.profile, self.technology, counting)

    @property
    def table(self) -> Table:
        return hardware_table(self.profile, self.rows)

    @property
    def rival_table(self) -> Table:
        return break_even_table(self.profile, *self.rival, self.technology, self.counting)

    @property
    def summary(self) -> str:
        """The rival in one line."""
        rows, total = self.rival
        at = "no rate" if total.break_even is None else f"{total.break_even:.1%}"
        better = "the spiking network" if total.wins else "the rival"
        return (
            f"break-even with a dense network of {rival_bits(self.profile)}-bit numbers ({self.counting}, "
            f"{self.technology}): a mean rate of {at}; it is {total.rate:.1%}, so {better} costs less; "
            f"{sum(row.wins for row in rows)} of {len(rows)} layers cost less than the rival's (--layers lists them)"
        )

    def figures(self) -> Mapping[str, Callable[[Path], object]]:
        """Writers of the figures, by file name."""
        from msvit_energy.reporting.figures.break_even import break_even_figure
        from msvit_energy.reporting.figures.hardware import hardware_figure
        from msvit_energy.reporting.figures.style import save

        drawn = {
            "hardware": hardware_figure(self.profile, self.rows),
            "break_even": break_even_figure(self.profile, *self.rival, self.technology, self.counting),
        }
        return {name: lambda path: save(drawn[path.stem], path) for name in FIGURES}

    def as_json(self) -> str:
        """Both tables for a program, with the profile's warnings."""
        layers, total = self.rival
        content = {
            "readings": [asdict(row) for row in self.rows],
            "break_even": [record(row) for row in (*layers, total)],
            "technology": self.technology,
            "counting": self.counting,
            "warnings": self.profile.warnings(),
        }
        return json.dumps(content, indent=1)
