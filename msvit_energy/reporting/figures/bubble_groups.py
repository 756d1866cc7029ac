"""Operators as bubbles: near-equal ones together, and the names of the most expensive."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile

from msvit_energy.pricing.energy import PJ_PER_MJ, EnergyReport
from msvit_energy.pricing.energy_units import energy_unit
from msvit_energy.profiles.profile import Profile
from msvit_energy.reporting.figures.glyphs import widest
from msvit_energy.reporting.figures.page import Page
from msvit_energy.reporting.figures.style import TEXT, shortened
from msvit_energy.reporting.formatting import digits_of, fixed, percent

ANALOG = "analog"
ALIKE, ALIKE_MACS = 0.01, 0.05  # of the spread of rates and energies, and of the MACs: near-equal operators
LEAST_IN_COMMON = 4  # letters of names that are written as one
MOST_NAMES, LEAST_SHARE = 12, 0.005  # of the total, for a bubble to have its name shown


@dataclass(frozen=True)
class Bubble:
    """An operator: its input rate (None for real numbers, whose mean is no rate), energy in mJ per image, MACs per time
    step and input kind."""

    layer: str
    rate: float | None
    energy: float
    macs: float
    kind: str


@dataclass(frozen=True)
class Group:
    """Operators of one kind whose rate, energy and MACs are nearly the same, drawn as one, at their means."""

    items: tuple[Bubble, ...]

    @property
    def rate(self) -> float:
        return sum(item.rate or 0.0 for item in self.items) / len(self.items)

    @property
    def energy(self) -> float:
        """Of one."""
        return sum(item.energy for item in self.items) / len(self.items)

    @property
    def total(self) -> float:
        """Energy of all."""
        return sum(item.energy for item in self.items)

    @property
    def macs(self) -> float:
        """Of one."""
        return sum(item.macs for item in self.items) / len(self.items)

    @property
    def kind(self) -> str:
        return self.items[0].kind

    @property
    def name(self) -> str:
        """The name, or how many there are and what their names have in common."""
        names = [item.layer for item in self.items]
        if len(names) == 1:
            return names[0]
        start = _common_start(names)
        end = _common_start([name[len(start) :][::-1] for name in names])[::-1]
        if len(start + end) < LEAST_IN_COMMON:
            return f"{names[0]} and {len(names) - 1} more"
        return f"{len(names)} x {start}*{end}"


@dataclass(frozen=True)
class Names:
    """The bubbles with names, from the highest energy of one operator down, and their texts by column."""

    items: tuple[Group, ...]
    columns: tuple[list[str], ...]  # name, energy and share of all operators in the bubble

    @property
    def widths(self) -> tuple[float, ...]:
        """Inches of each column, with the gap to the one before."""
        return tuple(widest(texts, TEXT) + (0.1 if column else 0.0) for column, texts in enumerate(self.columns))

    def write(self, page: Page, row: int, left: float, middle: float) -> None:
        """Write the texts of one bubble from there on."""
        page.label(left, middle, self.columns[0][row])
        for column, texts in enumerate(self.columns[1:], start=1):
            page.label(left + sum(self.widths[: column + 1]), middle, texts[row], 1)


def bubbles(profile: Profile, report: EnergyReport) -> list[Bubble]:
    """The operators that the protocol counts, in the profile's order."""
    energies = {row.layer: row.energy_pj / PJ_PER_MJ for row in report.rows if row.counted}
    return [
        Bubble(
            item.layer,
            None if item.driver.kind == ANALOG else item.driver.rate,
            energies[item.layer],
            item.macs_per_step,
            item.driver.kind,
        )
        for item in profile.operators
        if item.layer in energies
    ]


def groups(items: Sequence[Bubble]) -> list[Group]:
    """Operators that could hardly be told apart, together, in the order of their first."""
    rates, energies = [item.rate or 0.0 for item in items], [item.energy for item in items]
    near = ALIKE * (max(0.0, *rates) - min(0.0, *rates)), ALIKE * (max(0.0, *energies) - min(0.0, *energies))
    found: list[list[Bubble]] = []
    for item in items:
        for group in found:
            first = group[0]
            if (
                item.kind == first.kind
                and abs((item.rate or 0.0) - (first.rate or 0.0)) <= near[0]
                and abs(item.energy - first.energy) <= near[1]
                and abs(item.macs - first.macs) <= ALIKE_MACS * first.macs
            ):
                group.append(item)
                break
        else:
            found.append([item])
    return [Group(tuple(group)) for group in found]


def _common_start(names: Sequence[str]) -> str:
    """What all names start with."""
    return "".join(letters[0] for letters in takewhile(lambda each: len(set(each)) == 1, zip(*names, strict=False)))


def named(grouped: Sequence[Group], report: EnergyReport) -> Names:
    """The bubbles that cost most."""
    costly = sorted((group for group in grouped if group.total > LEAST_SHARE * report.total_mj), key=lambda g: -g.total)
    chosen = sorted(costly[:MOST_NAMES], key=lambda group: -group.energy)
    unit = energy_unit([report.total_mj])
    digits = digits_of(max((group.total for group in chosen), default=0.0) * unit.per_mj)
    return Names(
        tuple(chosen),
        (
            [shortened(group.name, 36) for group in chosen],
            [f"{fixed(group.total * unit.per_mj, digits)} {unit.symbol}" for group in chosen],
            [percent(group.total / report.total_mj) for group in chosen],
        ),
    )


def spread_out(places: Sequence[float], gap: float, end: float) -> list[float]:
    """Ascending places moved as little as needed to be `gap` apart and at most `end`."""
    moved: list[float] = []
    for place in places:
        moved.append(max(place, moved[-1] + gap) if moved else place)
    for index in reversed(range(len(moved))):
        moved[index] = min(moved[index], end)
        end = moved[index] - gap
    return moved
