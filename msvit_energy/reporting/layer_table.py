"""Tables of a priced profile: its sheet, and what the terminal shows. Takes records only, no torch."""

import math
from collections.abc import Sequence
from itertools import groupby
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Group
from rich.table import Table
from rich.text import Text

from msvit_energy.pricing.energy import PJ_PER_MJ, EnergyReport, integers_as_macs_mj
from msvit_energy.profiles.profile import Profile
from msvit_energy.reporting.table import Column, Sheet

_TERMINAL = ("kind", "input_rate", "macs_per_step", "acs", "events_difference", "energy_mj", "share")


def layer_sheet(profile: Profile, report: EnergyReport) -> Sheet:
    """Measured and priced columns side by side, one record per entry.

    In print MACs are per time step, SOPs, events and energy per image; "exact" is by how much the events counted one by
    one differ from rate x MACs, "+-" half of the 95 % interval, both in percent.
    """
    columns = {
        "stage": Column("stage"),
        "layer": Column("layer"),
        "op": Column("operator"),
        "kind": Column("input"),
        "input_rate": Column("rate", ".4f"),
        "macs_per_step": Column("MACs", count),
        "acs": Column("SOPs", lambda acs: count(acs) if acs else ""),
        "events": Column("events", count),
        "events_difference": Column("exact", percent_off),
        "energy_mj": Column("mJ", ".6f"),
        "margin": Column("+-", ".1%"),
        "share": Column("share", ".1%"),
    }
    notes = [f"{label}: {value}" for label, value in summary(profile, report)]
    return Sheet(title(profile), layer_records(profile, report), columns, notes, profile.warnings())


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


def percent_off(difference: float) -> str:
    """A relative difference in percent; "0" where all but the last bits are equal."""
    return "0" if abs(difference) < 1e-9 else f"{difference:+.1%}"


def summary(profile: Profile, report: EnergyReport) -> list[tuple[str, str]]:
    """The lines under the table, label and value: totals, accuracy, an ANN of the same shape, what is not priced."""
    prices = report.technology
    lines = [
        ("energy per image", f"{millijoule(report.total_mj)}{_margin(report)} ({report.protocol}, {prices.name}: "
         f"E_MAC {prices.e_mac} pJ, E_AC {prices.e_ac} pJ)"),
        ("operations", f"{count(report.acs)} accumulates, {count(report.macs)} multiply-accumulates per image"),
        ("ANN-equivalent", f"{millijoule(report.ann_mj)} (E_MAC x {count(report.macs_per_step)} MACs, one pass)"
         + (f", {report.ann_mj / report.total_mj:.2f} times this" if report.total_mj else "")),
    ]  # fmt: skip
    if profile.provenance.is_measured:
        lines.append(("images", f"{profile.images}, T = {profile.time_steps}" + _accuracy(profile)))
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
    if profile.integer_share:
        lines.append(
            (
                "integer inputs",
                f"{profile.integer_share:.1%} of the MACs; priced as multiply-accumulates the total would be "
                f"{millijoule(integers_as_macs_mj(profile, report))}",
            )
        )
    idle = profile.coverage.never_called
    if idle:
        lines.append(("never called", f"{', '.join(idle[:4])}{', ...' if len(idle) > 4 else ''} ({len(idle)} modules)"))
    return lines


def _margin(report: EnergyReport) -> str:
    if report.spread is None or not report.total_mj:
        return ""
    return f" +- {report.spread.half_width / report.spread.mean:.1%}"


def terminal(profile: Profile, report: EnergyReport) -> Group:
    """Everything for a terminal of 80 columns or more: warnings, the table with a sum for each stage, the summary."""
    table = Table(
        title=Text(title(profile)),
        title_justify="left",
        header_style="bold",
        box=SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        pad_edge=False,
    )
    sheet = layer_sheet(profile, report)
    shown = {key: sheet.columns[key] for key in _TERMINAL}
    table.add_column("stage, layer", overflow="fold")  # where space is short a name gives way, never a number
    for column in shown.values():
        table.add_column(column.heading, justify="right" if column.numeric else "left", no_wrap=True)
    pairs = zip(sheet.records, report.rows, strict=True)
    for stage, group in groupby(pairs, key=lambda pair: pair[1].stage):
        members = list(group)
        acs = sum(row.acs for _, row in members)
        energy = sum(row.energy_pj for _, row in members)
        share = sum(report.share(row) for _, row in members)
        sums = {"acs": count(acs), "energy_mj": f"{energy / PJ_PER_MJ:.6f}", "share": f"{share:.1%}"}
        table.add_row(*map(Text, (stage, *(sums.get(key, "") for key in shown))), style="bold")
        for record, row in members:
            cells = (column.cell(key, record) or "-" for key, column in shown.items())
            table.add_row(*map(Text, (" " + row.layer.removeprefix(f"{stage}."), *cells)))
        table.add_section()
    warnings = [Text(f"warning: {note}", style="bold red") for note in profile.warnings()]
    lines = [Text.assemble((f"{label}: ", "bold"), value) for label, value in summary(profile, report)]
    return Group(*warnings, table, *lines)


def protocols_table(profile: Profile, reports: Sequence[EnergyReport]) -> Group:
    """Protocols side by side on one profile: energy with half of its 95 % interval, operations, ratio to the first."""
    table = Table(
        title=Text(title(profile)), title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False
    )
    for column in ("protocol", "mJ", "+-", "MACs", "ACs", "ratio"):
        table.add_column(column, justify="left" if column == "protocol" else "right")
    for report in reports:
        first = reports[0].total_mj
        cells = (
            report.protocol,
            f"{report.total_mj:.5g}",
            f"{report.spread.half_width / report.total_pj:.1%}" if report.spread and report.total_pj else "-",
            count(report.macs) if report.macs else "-",
            count(report.acs) if report.acs else "-",
            f"{report.total_mj / first:.3f}" if first else "-",
        )
        table.add_row(*map(Text, cells))
    warnings = [Text(f"warning: {note}", style="bold red") for note in profile.warnings()]
    prices = reports[0].technology if reports else None
    used = [Text(f"{prices.name}: E_MAC {prices.e_mac} pJ, E_AC {prices.e_ac} pJ")] if prices else []
    return Group(*warnings, table, *used)


def title(profile: Profile) -> str:
    """Model and data in one line."""
    origin = profile.provenance
    return f"{origin.model_name}{' on ' if origin.is_measured else ', '}{origin.data_name}"


def count(number: float) -> str:
    """An operation count to three digits with a unit: 640, 20.7 k, 2.65 M, 1.05 G. Files hold the exact numbers."""
    for size, unit in ((1e9, " G"), (1e6, " M"), (1e3, " k")):
        if round(number / size, 3) >= 1:
            digits = 2 - min(2, int(math.log10(number / size)))
            return f"{number / size:.{digits}f}{unit}"
    return f"{number:.0f}"


def millijoule(energy: float) -> str:
    """An energy in mJ with five significant digits."""
    return f"{energy:.5g} mJ"


def _accuracy(profile: Profile) -> str:
    if profile.accuracy is None:
        return ", accuracy unknown (no labels)"
    return f", accuracy {profile.accuracy:.2%} ({profile.correct} of {profile.labelled})"
