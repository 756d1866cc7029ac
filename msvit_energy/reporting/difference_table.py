"""Two priced profiles layer by layer: which layers make the difference of the totals."""

from collections.abc import Mapping
from typing import Any

from msvit_energy.pricing.energy import PJ_PER_MJ, EnergyReport
from msvit_energy.pricing.energy_units import EnergyUnit, energy_unit
from msvit_energy.pricing.image_energies import DifferenceInterval
from msvit_energy.profiles.profile import Profile
from msvit_energy.reporting.formatting import count
from msvit_energy.reporting.table import Column, Table

Priced = tuple[Profile, EnergyReport]


def _columns(unit: EnergyUnit) -> dict[str, Column]:
    return {
        "layer": Column("layer"),
        "macs_a": Column("MACs A", count, rank=4),
        "macs_b": Column("MACs B", count, rank=4),
        "runs_a": Column("runs A", ".0f", rank=5),
        "runs_b": Column("runs B", ".0f", rank=5),
        "kind_a": Column("input A", rank=6),
        "kind_b": Column("input B", rank=6),
        "rate_a": Column("rate A", ".4f", rank=3),
        "rate_b": Column("rate B", ".4f", rank=3),
        "energy_a_mj": Column(f"{unit.name} A", ".4g", scale=unit.per_mj, rank=1),
        "energy_b_mj": Column(f"{unit.name} B", ".4g", scale=unit.per_mj, rank=1),
        "difference_mj": Column("B - A", "+.4g", "half_width_mj", scale=unit.per_mj),
        "share": Column("share", ".1%", rank=2),
    }


def difference_table(a: Priced, b: Priced, names: tuple[str, str], interval: DifferenceInterval | None = None) -> Table:
    """Layers by how much they differ in energy, the largest difference first; those that are alike in all are left out.

    MACs are per run, energies per image in mJ; `share` is that of a layer in the difference of the totals, and
    `half_width_mj` half of the 95 % interval of its own. A layer that a protocol leaves out, or that only one profile
    has, has no energy there. The last record is the total.
    """
    rows_a, rows_b = _layers(*a), _layers(*b)
    first = a[1].total_mj
    total = b[1].total_mj - first
    unit = energy_unit([first, b[1].total_mj])
    records = [_compared(name, rows_a.get(name, {}), rows_b.get(name, {}), total) for name in {**rows_a, **rows_b}]
    differing = [record for record in records if _differs(record)]
    differing.sort(key=lambda record: -abs(record["difference_mj"]))
    halves = {} if interval is None else interval.layers
    for record in differing:
        half = halves.get(record["layer"])
        record["half_width_mj"] = None if half is None else half / PJ_PER_MJ
    alone = [[name for name in one if name not in other] for one, other in ((rows_a, rows_b), (rows_b, rows_a))]
    notes = [
        f"total: A {first * unit.per_mj:.6g} {unit.name}, B {(first + total) * unit.per_mj:.6g} {unit.name}, "
        f"B - A {total * unit.per_mj:+.6g} {unit.name}{_relative(total, first)}",
        f"interval of B - A: {_interval(total, interval, unit)}",
        f"alike: {len(records) - len(differing)} of {len(records)} layers",
        *(f"only in {which}: {len(layers)} layers" for which, layers in zip("AB", alone, strict=True) if layers),
    ]
    differing.append(_total(first, first + total, interval))
    title = f"A {names[0]}, B {names[1]}, by {a[1].protocol}"
    warnings = [f"A: {text}" for text in a[0].warnings()] + [f"B: {text}" for text in b[0].warnings()]
    return Table(title, differing, _columns(unit), notes, warnings)


def _relative(difference: float, total: float) -> str:
    return f" ({difference / total:+.3%})" if total else ""


def _interval(total: float, interval: DifferenceInterval | None, unit: EnergyUnit) -> str:
    """The 95 % interval of the difference of the totals, and what it is of."""
    if interval is None:
        return "unknown, since A or B has none (of two images or more)"
    half = interval.total / PJ_PER_MJ
    ends = " to ".join(f"{end * unit.per_mj:+.4g}" for end in (total - half, total + half))
    if interval.unpaired:
        return f"within {ends} {unit.name} (95 %), not paired: {interval.unpaired}"
    return f"{ends} {unit.name} (95 %, {interval.images} images, paired)"


def _total(a: float, b: float, interval: DifferenceInterval | None) -> dict[str, Any]:
    """The record of both totals, in mJ."""
    return {
        "layer": "total",
        "energy_a_mj": a,
        "energy_b_mj": b,
        "difference_mj": b - a,
        "half_width_mj": None if interval is None else interval.total / PJ_PER_MJ,
    }


def _layers(profile: Profile, report: EnergyReport) -> dict[str, dict[str, Any]]:
    """What is compared of each layer."""
    operators = {
        operator.layer: {
            "macs": operator.macs_per_step,
            "runs": operator.runs_per_image,
            "kind": operator.driver.label,
            "rate": operator.driver.rate,
        }
        for operator in profile.operators
    }
    return {
        row.layer: operators.get(row.layer, {}) | {"energy_mj": row.energy_pj / PJ_PER_MJ if row.counted else None}
        for row in report.rows
    }


def _compared(name: str, a: Mapping[str, Any], b: Mapping[str, Any], total: float) -> dict[str, Any]:
    record: dict[str, Any] = {"layer": name}
    for key in ("macs", "runs", "kind", "rate"):
        record |= {f"{key}_a": a.get(key), f"{key}_b": b.get(key)}
    energies = a.get("energy_mj"), b.get("energy_mj")
    difference = (energies[1] or 0.0) - (energies[0] or 0.0)
    record |= {"energy_a_mj": energies[0], "energy_b_mj": energies[1], "difference_mj": difference}
    return record | {"share": difference / total + 0.0 if total else None}


def _differs(record: Mapping[str, Any]) -> bool:
    pairs = ("macs", "runs", "kind", "rate")
    return bool(record["difference_mj"]) or any(record[f"{key}_a"] != record[f"{key}_b"] for key in pairs)
