"""Tables of a priced profile: rows once, rendered for the terminal, Markdown and CSV. Takes records only, no torch."""

import math
from collections.abc import Collection, Sequence
from itertools import groupby
from typing import TYPE_CHECKING

from rich.box import SIMPLE_HEAD
from rich.console import Group
from rich.table import Table
from rich.text import Text

from msvit_energy.energy import PJ_PER_MJ, EnergyReport, EnergyRow, integers_as_macs_mj
from msvit_energy.records import Operator, Profile

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = ("stage", "layer", "operator", "input", "rate", "MACs", "SOPs", "events", "exact", "mJ", "+-", "share")
_NUMBERS = COLUMNS[4:]
_TERMINAL = ("input", "rate", "MACs", "SOPs", "exact", "mJ", "share")


def energy_csv(profile: Profile, report: EnergyReport) -> "pd.DataFrame":
    """Measured and priced columns side by side, one row per entry, full precision."""
    return report.to_frame().merge(profile.to_frame().drop(columns="stage"), on="layer", how="left")


def rows(profile: Profile, report: EnergyReport) -> list[dict[str, str]]:
    """The table's cells as text, by column. MACs are per time step, SOPs, events and energy per image.

    "exact" is by how much the events counted one by one differ from rate x MACs, "+-" half of the 95 % interval; both
    are in percent.
    """
    operators = {operator.layer: operator for operator in profile.operators}
    events = profile.events_by_layer()
    return [_row(row, operators.get(row.layer), events.get(row.layer), report) for row in report.rows]


def _row(row: EnergyRow, operator: Operator | None, events: float | None, report: EnergyReport) -> dict[str, str]:
    cells = dict.fromkeys(COLUMNS, "-") | {
        "stage": row.stage,
        "layer": row.layer,
        "SOPs": count(row.acs) if row.acs else "-",
        "mJ": f"{row.energy_pj / PJ_PER_MJ:.6f}" if row.counted else "-",
        "+-": f"{row.spread.half_width / row.energy_pj:.1%}" if row.spread and row.energy_pj else "-",
        "share": f"{report.share(row):.1%}" if row.counted else "-",
    }
    if operator is not None:
        cells |= {
            "operator": operator.op,
            "input": operator.driver.kind,
            "rate": f"{operator.driver.rate:.4f}",
            "MACs": count(operator.macs_per_step),
        }
        if events is not None:
            cells |= {"events": count(events), "exact": difference(events, operator.sops)}
    return cells


def difference(events: float, sops: float) -> str:
    """Events against rate x MACs, in percent; "0" where they are equal but for the last bits."""
    if not sops:
        return "-"
    return "0" if abs(events / sops - 1) < 1e-9 else f"{events / sops - 1:+.1%}"


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
    if "rates" not in profile.provenance:
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
    counted = [(profile.events_by_layer().get(op.layer), op.sops) for op in profile.operators if op.role != "head"]
    known = [(events, sops) for events, sops in counted if events is not None]
    if known:
        events, sops = (sum(column) for column in zip(*known, strict=True))
        lines.append(("counted one by one", f"{count(events)} events, {difference(events, sops)} of rate x MACs"))
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
    table.add_column("stage, layer", overflow="fold")  # where space is short a name gives way, never a number
    for column in _TERMINAL:
        table.add_column(column, justify="right" if column in _NUMBERS else "left", no_wrap=True)
    cells = zip(rows(profile, report), report.rows, strict=True)
    for stage, group in groupby(cells, key=lambda pair: pair[1].stage):
        members = list(group)
        acs = sum(row.acs for _, row in members)
        energy = sum(row.energy_pj for _, row in members)
        share = sum(report.share(row) for _, row in members)
        sums = {"SOPs": count(acs), "mJ": f"{energy / PJ_PER_MJ:.6f}", "share": f"{share:.1%}"}
        table.add_row(*map(Text, (stage, *(sums.get(column, "") for column in _TERMINAL))), style="bold")
        for cell, _ in members:
            name = " " + cell["layer"].removeprefix(f"{stage}.")
            table.add_row(*map(Text, (name, *(cell[column] for column in _TERMINAL))))
        table.add_section()
    warnings = [Text(f"warning: {note}", style="bold red") for note in profile.warnings()]
    lines = [Text.assemble((f"{label}: ", "bold"), value) for label, value in summary(profile, report)]
    return Group(*warnings, table, *lines)


def markdown(profile: Profile, report: EnergyReport) -> str:
    """The same table and summary as Markdown."""
    notes = [f"> **Warning:** {note}\n" for note in profile.warnings()]
    table = markdown_table(COLUMNS, [list(cells.values()) for cells in rows(profile, report)], right=_NUMBERS)
    lines = [f"- {label}: {value}" for label, value in summary(profile, report)]
    return "\n".join([f"# {title(profile)}", "", *notes, table, "", *lines, ""])


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
    model = profile.provenance.get("model", {}).get("name", "model")
    if "rates" in profile.provenance:
        return f"{model}, given rates"
    data = profile.provenance.get("data", {}).get("name", "given images")
    return f"{model} on {data}"


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


def markdown_table(header: Sequence[str], body: Sequence[Sequence[str]], right: Collection[str] = ()) -> str:
    """A Markdown table; the columns named in `right` are set flush right."""
    rule = ["---:" if column in right else "---" for column in header]
    return "\n".join(
        "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |" for cells in (header, rule, *body)
    )


LATEX = str.maketrans({c: f"\\{c}" for c in "&%$#_{}"} | {"~": r"\textasciitilde{}", "^": r"\textasciicircum{}"})


def latex_table(header: Sequence[str], body: Sequence[Sequence[str]], right: Collection[str] = ()) -> str:
    """A LaTeX table (booktabs); the columns named in `right` are set flush right."""
    columns = "".join("r" if column in right else "l" for column in header)
    lines = [" & ".join(cell.translate(LATEX) for cell in cells) + r" \\" for cells in (header, *body)]
    rows = [rf"\begin{{tabular}}{{{columns}}}", r"\toprule", lines[0], r"\midrule", *lines[1:]]
    return "\n".join([*rows, r"\bottomrule", r"\end{tabular}", ""])
