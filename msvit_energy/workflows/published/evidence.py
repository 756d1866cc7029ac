"""Energies that others published together with their rates, recomputed: by their own convention, and by Appendix C."""

import csv
from collections.abc import Iterator, Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

from msvit_energy import EnergyReport, Profile, price, read_table
from msvit_energy.pricing.energy import PJ_PER_MJ
from msvit_energy.pricing.technology import get_technology
from msvit_energy.profiles.operators import Operator
from msvit_energy.reporting.table import Column, Table
from msvit_energy.workflows.published.published_pricing import PublishedRates, from_rates

FOLDER = Path(str(resources.files("msvit_energy.reporting"))) / "data" / "rates"
TECHNOLOGY = "45nm-fp32"  # whose prices all sources have
NEAR = 1e-6  # by so much do operation counts differ that were meant to be the same
COLUMNS = {
    "name": Column("network"),
    "printed_mj": Column("printed mJ", ".10g"),
    "ours_mj": Column("ours mJ", ".10g"),
    "difference": Column("difference", "+z.2%", rank=1),
    "protocol": Column("their convention", rank=2),
    "appendix_c_mj": Column("appendix-c mJ", ".5g", rank=1),
    "explained": Column("appendix-c against it", rank=3),
    "seen": Column("seen", rank=4),
    "source": Column("source", rank=4),
}


def write_page(path: Path) -> None:
    """The report page of all sources that have rates, each once, by its own convention and every other."""
    from msvit_energy.reporting.page import page

    profiles = {row["name"]: published_profile(row) for row in sources() if row["file"]}
    path.write_text(page(profiles, "appendix-c", get_technology(TECHNOLOGY)), encoding="utf-8", errors="replace")


def sources() -> list[dict[str, str]]:
    """What is known of each published energy: names, files, conventions, where they are from."""
    with (FOLDER / "sources.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def evidence() -> Table:
    """One record per published energy; what lacks rates is there as incomplete, without a total."""
    records = [_record(row) for row in sources()]
    notes = (
        "ours: the authors' rates priced by the authors' own convention; exact needs events, which no source counts",
        "where printed digits are fewer, the difference is their rounding; all others are explained under seen",
    )
    return Table("published energies, recomputed from published rates", records, COLUMNS, notes)


def published_profile(row: Mapping[str, str]) -> Profile:
    """The profile of a source that has a file: a log on a model's geometry, or a table."""
    path = FOLDER / row["file"]
    if not row["model"]:
        return read_table(path)
    return from_rates(PublishedRates(model=row["model"], model_args=row["model_args"] or None, log=path))


def _record(row: Mapping[str, str]) -> dict[str, Any]:
    printed = float(row["printed_mj"]) if row["printed_mj"] else None
    source = " ".join(filter(None, (row["source"], row["commit"] and f"at {row['commit']}", row["licence"])))
    known = {"name": row["name"], "printed_mj": printed, "source": source, "about": row["about"]}
    if not row["file"]:
        return known | {"seen": f"incomplete: {row['about']}"}
    profile = published_profile(row)
    theirs, ours = price(profile, row["protocol"]), price(profile, "appendix-c")
    assert printed is not None
    return known | {
        "ours_mj": theirs.total_mj,
        "difference": theirs.total_mj / printed - 1,
        "protocol": row["protocol"],
        "appendix_c_mj": ours.total_mj,
        "explained": explained(profile, theirs, ours),
        "seen": "; ".join(_seen(profile, row)),
    }


def explained(profile: Profile, before: EnergyReport, after: EnergyReport) -> str:
    """The difference of two totals of one profile by kind of layer, the largest first, in words."""
    groups: dict[str, float] = {}
    energies = [
        {row.layer: row.energy_pj / PJ_PER_MJ for row in report.rows if row.counted} for report in (before, after)
    ]
    for operator in profile.operators:
        change = energies[1].get(operator.layer, 0.0) - energies[0].get(operator.layer, 0.0)
        groups[_group(operator)] = groups.get(_group(operator), 0.0) + change
    large = {name: change for name, change in groups.items() if abs(change) > 1e-6 * before.total_mj}
    return ", ".join(
        f"{name} {change:+.4g} mJ" for name, change in sorted(large.items(), key=lambda item: -abs(item[1]))
    )


def _group(operator: Operator) -> str:
    if operator.role:
        return {"entrance": "first layer", "head": "head"}[operator.role]
    return "products" if len(operator.operands) > 1 else "other layers"


def _seen(profile: Profile, row: Mapping[str, str]) -> Iterator[str]:
    """What the source itself shows that a reader should know."""
    yield from (warning for warning in profile.warnings() if "the tool was given" in warning)
    if row["protocol"] == "as-given":
        yield from _dense_accumulates(profile)
        yield from _typing_errors(profile.operators)


def _dense_accumulates(profile: Profile) -> Iterator[str]:
    """Layers whose input is taken for dense and priced as accumulates."""
    prices, technology = profile.provenance.priced_as, get_technology(TECHNOLOGY)
    found = [
        (line, operator)
        for line, operator in enumerate(profile.operators, 2)  # below the header
        if operator.op == "layer" and operator.driver.rate == 1 and prices.get(operator.layer) == "AC"
    ]
    if found:
        more = sum(operator.macs_per_image for _, operator in found) * (technology.e_mac - technology.e_ac) / PJ_PER_MJ
        line, first = found[0]
        yield (
            f"{len(found)} layers with a rate of 1 are priced as accumulates, {first.layer} (line {line}) the first; "
            f"as multiply-accumulates the total would be {more:.4g} mJ more"
        )


def _typing_errors(operators: Sequence[Operator]) -> Iterator[str]:
    """Operation counts that nearly are those of several other layers."""
    counts = [operator.macs_per_step for operator in operators]
    for line, (operator, count) in enumerate(zip(operators, counts, strict=True), 2):
        near = {other for other in counts if other != count and abs(other - count) <= NEAR * count}
        for other in near:
            if operator.op == "layer" and counts.count(other) > counts.count(count):
                others = f"{counts.count(other)} others {other:.0f}"
                yield f"{operator.layer} (line {line}) has {count:.0f} operations, {others}"
