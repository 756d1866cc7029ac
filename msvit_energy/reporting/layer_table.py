"""The tables of a priced profile: every layer, layers by stage for a terminal, protocols side by side."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any

from msvit_energy.errors import EnergyError, did_you_mean
from msvit_energy.pricing.energy import PJ_PER_MJ, EnergyReport, as_accumulates_mj, as_macs_mj
from msvit_energy.pricing.energy_units import UNITS, EnergyUnit, energy_text, energy_unit
from msvit_energy.pricing.scaled_inputs import is_integer, is_real, is_scaled, share
from msvit_energy.profiles.operand import Operand
from msvit_energy.profiles.profile import Profile
from msvit_energy.reporting.formatting import count, digits_of, fixed, percent_off, title
from msvit_energy.reporting.table import Column, Group, Table, check_columns

_IN_TERMINAL = ("kind", "input_rate", "macs_per_step", "acs", "events_difference", "energy_mj", "share")


def layer_table(profile: Profile, report: EnergyReport) -> Table:
    """Measured and priced columns side by side, one record per entry, each with the profile's warnings.

    In print MACs are per time step, SOPs, events and energy per image; "exact" is by how much the events counted one by
    one differ from rate x MACs, "+-" half of the 95 % interval, both in percent.
    """
    unit = energy_unit([report.total_mj])
    digits = digits_of(max((abs(row.energy_pj) for row in report.rows), default=0) / PJ_PER_MJ * unit.per_mj)
    columns = _columns(unit, digits)
    notes = [f"{label}: {value}" for label, value in summary(profile, report)]
    warnings = profile.warnings()
    records = [record | {"warnings": warnings} for record in layer_records(profile, report)]
    return Table(title(profile), records, columns, notes, warnings)


def _columns(unit: EnergyUnit, digits: int) -> dict[str, Column]:
    return {
        "stage": Column("stage", rank=8),
        "layer": Column("layer"),
        "op": Column("operator", rank=9),
        "kind": Column("input", rank=5),
        "input_rate": Column("rate", ".4f", rank=2),
        "macs_per_step": Column("MACs", count, rank=4),
        "acs": Column("SOPs", lambda acs: count(acs) if acs else "", rank=3),
        "events": Column("events", count, rank=7),
        "events_difference": Column("exact", percent_off, rank=6),
        "energy_mj": Column(unit.name, lambda energy: fixed(energy, digits), scale=unit.per_mj),
        "margin": Column("+-", ".1%", rank=5),
        "share": Column("share", ".1%", rank=1),
    }


def stage_table(profile: Profile, report: EnergyReport) -> Table:
    """The same for a terminal of 80 columns: fewer columns, and the sums of every stage above its layers."""
    full = layer_table(profile, report)
    columns = {"name": Column("stage, layer")} | {key: full.columns[key] for key in _IN_TERMINAL}
    columns["acs"] = replace(columns["acs"], form=count)
    records, groups = [], []
    pairs = zip(full.records, report.rows, strict=True)
    for stage, members in groupby(pairs, key=lambda pair: pair[1].stage):
        rows = []
        for record, row in members:
            name = " " + row.layer.removeprefix(f"{stage}.")
            records.append(dict(record) | {"name": name, "acs": row.acs or None})
            rows.append(row)
        sums = {
            "name": stage,
            "acs": sum(row.acs for row in rows),
            "energy_mj": sum(row.energy_pj for row in rows) / PJ_PER_MJ,
            "share": sum(report.share(row) for row in rows),
        }
        groups.append(Group(sums, len(rows)))
    return replace(full, records=records, columns=columns, groups=groups, missing="-")


# what is known of each layer, in print or not
KEYS = (
    *("stage", "layer", "op", "kind", "input_rate", "macs_per_step", "acs", "events", "events_difference", "energy_mj"),
    *("margin", "share", "role", "runs_per_image", "input_mean", "nonzero_rate", "input_max", "sops", "macs"),
    *("energy_pj", "counted", "standard_error_pj", "ci95_low_pj", "ci95_high_pj", "warnings"),
)
ORDERS = {
    "energy": "energy_mj",
    "rate": "input_rate",
    "macs": "macs_per_step",
    "sops": "acs",
    "events": "events",
}


@dataclass(frozen=True)
class LayerView:
    """Which layers a terminal shows, and what of each: columns by name, the order, how many. EnergyError for an order
    that is none of ORDERS."""

    columns: str | None = None
    sort: str | None = None
    top: int | None = None

    def __post_init__(self) -> None:
        check_columns(self.columns, KEYS, *(_columns(unit, 0) for unit in UNITS))
        if self.sort is not None and self.sort not in ORDERS:
            near = did_you_mean(self.sort, ORDERS)
            raise EnergyError(f"--sort is one of {', '.join(ORDERS)}, not {self.sort!r}" + f"; {near}".rstrip("; "))

    def chosen(self, records: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
        """The records in order, the greatest first and unknown ones last, as many as wanted."""
        key = ORDERS[self.sort or "energy"]
        if self.sort is not None or self.top is not None:
            known = [record for record in records if record[key] is not None]
            others = [record for record in records if record[key] is None]
            records = [*sorted(known, key=lambda record: -record[key]), *others]
        return list(records[: self.top])


def shown_layers(profile: Profile, report: EnergyReport, view: LayerView) -> Table:
    """The layers by stage, or where something was chosen, the layers alone."""
    if view == LayerView():
        return stage_table(profile, report)
    full = layer_table(profile, report)
    records = view.chosen(full.records)
    columns = {key: full.columns[key] for key in ("layer", *_IN_TERMINAL)}
    notes = [*full.notes, f"layers: {len(records)} of {len(full.records)}"]
    table = replace(full, records=records, notes=notes, missing="-")
    return table.with_columns(view.columns) if view.columns is not None else replace(table, columns=columns)


def protocol_table(profile: Profile, reports: Sequence[EnergyReport]) -> Table:
    """Protocols side by side on one profile: energy with half of its 95 % interval, operations, ratio to the first."""
    unit = energy_unit(report.total_mj for report in reports)
    columns = {
        "protocol": Column("protocol"),
        "energy_mj": Column(unit.name, ".5g", scale=unit.per_mj),
        "margin": Column("+-", ".1%", rank=2),
        "macs": Column("MACs", count, rank=3),
        "acs": Column("ACs", count, rank=3),
        "ratio": Column("ratio", ".3f", rank=1),
    }
    records = [
        {
            "protocol": report.protocol,
            "energy_mj": report.total_mj,
            "margin": report.spread.half_width / report.total_pj if report.spread and report.total_pj else None,
            "macs": report.macs or None,
            "acs": report.acs or None,
            "ratio": report.total_mj / reports[0].total_mj if reports[0].total_mj else None,
        }
        for report in reports
    ]
    priced_by: dict[str, list[str]] = {}
    for report in reports:
        prices = report.technology
        note = f"{prices.name}: E_MAC {prices.e_mac} pJ, E_AC {prices.e_ac} pJ"
        priced_by.setdefault(note, []).append(report.protocol)
    notes = [note + (f" ({', '.join(by)})" if i else "") for i, (note, by) in enumerate(priced_by.items())]
    return Table(title(profile), records, columns, notes, profile.warnings(), missing="-")


def layer_records(profile: Profile, report: EnergyReport) -> list[dict[str, Any]]:
    """All that is known of every entry; energy is None where the protocol leaves it out."""
    measured = {record["layer"]: record for record in profile.records()}
    blank = dict.fromkeys(next(iter(measured.values()), {}))
    records = []
    for row, priced in zip(report.rows, report.records(), strict=True):
        record = blank | measured.get(row.layer, {}) | priced
        sops, events = record.get("sops"), record.get("events")
        record["events_difference"] = events / sops - 1 if sops and events is not None else None
        record["energy_mj"] = row.energy_pj / PJ_PER_MJ if row.counted else None
        record["margin"] = row.spread.half_width / row.energy_pj if row.spread and row.energy_pj else None
        record["share"] = record["share"] if row.counted else None
        records.append(record)
    return records


def summary(profile: Profile, report: EnergyReport) -> list[tuple[str, str]]:
    """The lines under the table, label and value: totals, accuracy, an ANN of the same shape, what is not priced."""
    prices = report.technology
    lines = [
        ("energy per image", f"{energy_text(report.total_mj)}{_margin(report)} ({report.protocol}, {prices.name}: "
         f"E_MAC {prices.e_mac} pJ, E_AC {prices.e_ac} pJ)"),
        ("operations", f"{count(report.acs)} accumulates, {count(report.macs)} multiply-accumulates per image"),
        ("ANN-equivalent", f"{energy_text(report.ann_mj)} (E_MAC x {count(report.macs_per_step)} MACs, one pass)"
         + (f", {report.ann_mj / report.total_mj:.2f} times this" if report.total_mj else "")),
    ]  # fmt: skip
    if profile.known_images is not None:
        lines.append(("images", f"{profile.images}, T = {profile.time_steps}" + _accuracy(profile)))
    if fed := _found_feed(profile):
        lines.append(("fed", fed))
    if profile.firing_rate is not None:
        lines.append(("mean firing rate", f"{profile.firing_rate:.4f} over {len(profile.neurons)} neuron layers"))
    lines += _counting(profile, report)
    listed = {op.replace("_", " "): f"{count(n)} elements" for op, n in sorted(profile.overhead_totals().items())}
    heads = [operator for operator in profile.operators if operator.role == "head"]
    if heads:
        listed["head"] = f"{count(sum(head.macs_per_image for head in heads))} MACs"
    if listed:
        lines.append(("beside the MACs", "; ".join(f"{name} {amount}" for name, amount in listed.items())))
    return lines


def _counting(profile: Profile, report: EnergyReport) -> list[tuple[str, str]]:
    """How the counts were taken: events one by one, integer inputs, what fvcore says to the MACs."""
    lines = []
    each = profile.events_by_layer()
    known = [(each[op.layer], op.sops) for op in profile.operators if op.role != "head" and op.layer in each]
    if known:
        events, sops = (sum(column) for column in zip(*known, strict=True))
        off = f", {percent_off(events / sops - 1)} of rate x MACs" if sops else ""
        lines.append(("counted one by one", f"{count(events)} events{off}"))
    others = any(row.beside_pj for row in report.rows)  # then another price of an input says little of the total
    if profile.integer_share and not others:
        lines.append(
            (
                "integer inputs",
                f"{profile.integer_share:.1%} of the MACs; priced as multiply-accumulates the total would be "
                f"{energy_text(as_macs_mj(profile, report, is_integer))}",
            )
        )
    lines += [] if others else _scaled_and_real(profile, report)
    idle = profile.coverage.never_called
    if idle:
        lines.append(("never called", f"{', '.join(idle[:4])}{', ...' if len(idle) > 4 else ''} ({len(idle)} modules)"))
    return lines


def _scaled_and_real(profile: Profile, report: EnergyReport) -> list[tuple[str, str]]:
    """How much is fed with numbers on which protocols disagree, and what the total would be the other way."""
    lines = []
    scaled, real = share(profile, is_scaled), share(profile, is_real)
    if scaled:
        layers = {operator.layer for operator in profile.operators if is_scaled(operator)}
        multiplied = any(row.macs for row in report.rows if row.layer in layers)
        other = (
            f"accumulates the total would be {energy_text(as_accumulates_mj(profile, report, is_scaled, _rate))}"
            if multiplied
            else f"multiply-accumulates the total would be {energy_text(as_macs_mj(profile, report, is_scaled))}"
        )
        lines.append(("scaled or signed inputs", f"{scaled:.1%} of the MACs; priced as {other}"))
    if real:
        other_mj = as_accumulates_mj(profile, report, is_real, _nonzero_rate)
        lines.append(
            (
                "real-valued inputs inside",
                f"{real:.1%} of the MACs; priced as accumulates at their non-zero share the total would be "
                f"{energy_text(other_mj)}",
            )
        )
    return lines


def _rate(operand: Operand) -> float:
    return operand.rate


def _nonzero_rate(operand: Operand) -> float:
    """1 where a table of rates does not have it."""
    return operand.nonzero_rate if operand.nonzeros else 1.0


def _found_feed(profile: Profile) -> str:
    """How the model was fed, where that was found out and not given; else nothing."""
    fed = profile.provenance.input
    if not fed or not {fed.feed_from, fed.frames_from, fed.time_steps_from} & {"probes", "loop"}:
        return ""
    steps = f"; T = {profile.time_steps} counted in the model's own loop" if fed.time_steps_from == "loop" else ""
    return f"{'frames' if fed.frames else 'images'}, {fed.feed} (found out{steps})"


def _margin(report: EnergyReport) -> str:
    if report.spread is None or not report.total_mj:
        return ""
    return f" +- {report.spread.half_width / report.spread.mean:.1%}"


def _accuracy(profile: Profile) -> str:
    if profile.accuracy is None:
        return ", accuracy unknown (no labels)"
    return f", accuracy {profile.accuracy:.2%} ({profile.correct} of {profile.labelled})"
