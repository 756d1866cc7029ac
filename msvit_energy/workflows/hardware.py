"""What one saved profile costs under every reading of hardware, and where a quantised dense network would cost less."""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from msvit_energy import Profile
from msvit_energy.errors import EnergyError
from msvit_energy.pricing.break_even import PAIRS, BreakEven, break_even
from msvit_energy.pricing.memory_rules import rival_bits
from msvit_energy.pricing.technology import get_technology
from msvit_energy.reporting.break_even_table import break_even_table, record
from msvit_energy.reporting.hardware_table import TECHNOLOGIES, HardwareRow, hardware_rows, hardware_table
from msvit_energy.reporting.table import Table

if TYPE_CHECKING:
    from msvit_energy.reporting.figures.look import Look

FIGURES = tuple(f"{name}.{suffix}" for name in ("hardware", "break_even") for suffix in ("png", "svg", "pdf"))


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
        self.rival: tuple[list[BreakEven], BreakEven] | None = None
        self.why = ""  # there is no rival
        try:
            self.rival = break_even(self.profile, self.technology, counting)
        except EnergyError as error:
            self.why = str(error)

    @property
    def table(self) -> Table:
        return hardware_table(self.profile, self.rows)

    @property
    def rival_table(self) -> Table | None:
        """The rival layer by layer; None where the profile lacks what it takes."""
        return self.rival and break_even_table(self.profile, *self.rival, self.technology, self.counting)

    @property
    def summary(self) -> str:
        """The rival in one line, or why there is none."""
        if self.rival is None:
            return f"no break-even by {self.counting}: {self.why}"
        rows, total = self.rival
        at = "no rate" if total.break_even is None else f"{total.break_even:.1%}"
        better = "the spiking network" if total.wins else "the rival"
        return (
            f"break-even with a dense network of {rival_bits(self.profile)}-bit numbers ({self.counting}, "
            f"{self.technology}): a mean rate of {at}; it is {total.rate:.1%}, so {better} costs less; "
            f"{sum(row.wins for row in rows)} of {len(rows)} layers cost less than the rival's (--layers lists them)"
        )

    def figures(self, look: "Look | None" = None) -> tuple[Mapping[str, Callable[[Path], object]], list[str]]:
        """Writers of the figures, by file name, and the lines that the look leaves out of them."""
        from msvit_energy.reporting.figures.break_even import break_even_figure
        from msvit_energy.reporting.figures.hardware import hardware_figure
        from msvit_energy.reporting.figures.look import USUAL
        from msvit_energy.reporting.figures.style import save

        look = look or USUAL
        drawn = {"hardware": hardware_figure(self.profile, self.rows, look=look)}
        if self.rival is not None and any(row.break_even is not None for row in self.rival[0]):
            drawn["break_even"] = break_even_figure(
                self.profile, *self.rival, self.technology, self.counting, look=look
            )
        notes = list(dict.fromkeys(note for figure in drawn.values() for note in figure.notes))
        shown = [name for name in FIGURES if Path(name).stem in drawn]
        return {name: lambda path: save(drawn[path.stem], path, look.resolution) for name in shown}, notes

    def as_json(self) -> str:
        """Both tables for a program, with the profile's warnings."""
        rows = [*self.rival[0], self.rival[1]] if self.rival else []
        content = {
            "readings": [asdict(row) for row in self.rows],
            "break_even": [record(row) for row in rows],
            "no_break_even": self.why or None,
            "technology": self.technology,
            "counting": self.counting,
            "warnings": self.profile.warnings(),
        }
        return json.dumps(content, indent=1)
