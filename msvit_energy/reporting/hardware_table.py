"""One profile under every reading of hardware: operations alone, memory, chips, and published simulations."""

import csv
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from importlib import resources
from typing import Any

from msvit_energy.errors import EnergyError
from msvit_energy.pricing.chips import CHIPS, PROCESSORS, on_chip, on_processor
from msvit_energy.pricing.energy import PJ_PER_MJ, price
from msvit_energy.pricing.energy_units import energy_unit
from msvit_energy.pricing.memory_rules import rival_bits
from msvit_energy.profiles.profile import Profile
from msvit_energy.reporting.formatting import count, times, title
from msvit_energy.reporting.table import Column, Group, Table

OPERATIONS, MEMORY, ON_CHIPS, DENSE, SIMULATED = (
    "operations only",
    "with memory, analytic",
    "chips, per operation",
    "processors, dense",
    "published simulations",
)
WHAT = {  # two sentences each: what it is, and what it is not
    OPERATIONS: "Counted operations times a price each, as papers print it. No memory, no control, no chip.",
    MEMORY: "Operations, and every word that they read and write, priced by the size of the memory. Nothing is reused "
    "between positions of a map and nothing routed, so it is no chip either.",
    ON_CHIPS: "Synaptic operations times what one cost in an application that was published for that chip, memory and "
    "routing included. The network there was another one, and so were its numbers' width and the node.",
    DENSE: "Every MAC of one pass of a dense network times what an operation costs there. Neither processor was built "
    "for spikes, and none is used here.",
    SIMULATED: "A network of that name on simulated accelerators (Prosperity, HPCA 2025: cycles times power, and DRAM "
    "traffic). Its weights and rates are its authors', not this profile's.",
}
PRICINGS = {
    OPERATIONS: ("appendix-c", "ann", "qnn"),
    MEMORY: ("memory", "memory:schedule=dense", "memory:weights=streamed", "lemaire", "qnn:memory=resident"),
}
TECHNOLOGIES = ("45nm-fp32", "45nm-int8")


@dataclass(frozen=True)
class HardwareRow:
    """One reading: energy in mJ per image (None where the profile lacks what it takes), its 95 % interval where the
    images give one, and what it counts."""

    group: str
    name: str
    energy_mj: float | None
    low_mj: float | None
    high_mj: float | None
    what: str


def hardware_rows(profile: Profile, technologies: Sequence[str] = TECHNOLOGIES) -> list[HardwareRow]:
    """All readings that the profile has the counts for; EnergyError for an unknown technology."""
    return [*_priced(profile, technologies), *_chips(profile), *_simulated(profile)]


def _priced(profile: Profile, technologies: Sequence[str]) -> Iterator[HardwareRow]:
    for group, choices in PRICINGS.items():
        for choice in choices:
            seen: set[float] = set()
            for technology in technologies:
                try:
                    report = price(profile, choice, technology)
                except EnergyError as error:
                    if group == OPERATIONS:
                        raise
                    yield HardwareRow(group, choice, None, None, None, f"not available: {error}")
                    break
                if report.total_pj not in seen:  # some protocols have prices of their own
                    seen.add(report.total_pj)
                    low, high = report.interval_mj or (None, None)
                    what = report.technology.name if choice != "qnn" else f"{rival_bits(profile)}-bit integers"
                    yield HardwareRow(group, choice, report.total_mj, low, high, what)


def _chips(profile: Profile) -> Iterator[HardwareRow]:
    spread = profile.spread()
    for chip in CHIPS.values():
        energy, left_out = on_chip(profile, chip)
        known = spread.of(energy)
        low, high = (end / PJ_PER_MJ for end in known.interval) if known else (None, None)
        more = f"; without {count(left_out)} MACs of real-valued input" if left_out else ""
        yield HardwareRow(ON_CHIPS, chip.name, float(energy) / PJ_PER_MJ, low, high, f"{chip.counts}{more}")
    for processor in PROCESSORS.values():
        energy = on_processor(profile, processor)
        yield HardwareRow(DENSE, processor.name, float(energy) / PJ_PER_MJ, None, None, "MACs of one pass")


def _simulated(profile: Profile) -> Iterator[HardwareRow]:
    model = profile.provenance.model_name
    for row in simulations():
        if row["model"] == model:
            density = f"spike density {float(row['spike_density']):.3f}"
            name = f"{row['network']} on {row['accelerator']}"
            yield HardwareRow(SIMULATED, name, float(row["energy_mj"]), None, None, density)


def simulations() -> list[dict[str, str]]:
    """Published simulations (github.com/dubcyfor3/Prosperity at 6ee1c6f): network, the registered model of that name if
    there is one, accelerator, mJ per inference, and density of spikes."""
    text = (resources.files("msvit_energy.reporting") / "data" / "hardware.csv").read_text()
    return list(csv.DictReader(text.splitlines()))


def hardware_table(profile: Profile, rows: Sequence[HardwareRow]) -> Table:
    """The readings, one under the other, with their ratio to the first."""
    first = rows[0].energy_mj or 0.0
    unit = energy_unit([first])
    columns = {
        "name": Column("reading"),
        "energy_mj": Column(unit.name, ".4g", scale=unit.per_mj),
        "margin": Column("+-", ".1%", rank=2),
        "ratio": Column("x first", times, rank=1),
        "what": Column("what is counted", rank=3),
    }
    records = [asdict(row) | _derived(row, first) for row in rows]
    names = list(dict.fromkeys(row.group for row in rows))
    groups = [Group({"name": name}, sum(row.group == name for row in rows)) for name in names]
    notes = [f"{name}: {WHAT[name]}" for name in names]
    return Table(f"Hardware, {title(profile)}", records, columns, notes, profile.warnings(), groups, missing="-")


def _derived(row: HardwareRow, first: float) -> dict[str, Any]:
    if not row.energy_mj:
        return {}
    known = row.high_mj is not None and row.low_mj is not None
    margin = (row.high_mj - row.low_mj) / 2 / row.energy_mj if known else None  # type: ignore[operator]
    return {"margin": margin or None, "ratio": row.energy_mj / first if first else None}
