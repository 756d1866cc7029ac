"""Tables of a priced profile: rows once, rendered for the terminal, Markdown and CSV. Takes records only, no torch."""

import math
from collections.abc import Collection, Sequence
from itertools import groupby

import pandas as pd
from rich.box import SIMPLE_HEAD
from rich.console import Group
from rich.table import Table
from rich.text import Text

from msvit_energy.energy import PJ_PER_MJ, EnergyReport
from msvit_energy.records import Profile

COLUMNS = ("stage", "layer", "operator", "input", "rate", "MACs", "SOPs", "mJ", "share")
_NUMBERS = COLUMNS[4:]


def energy_csv(profile: Profile, report: EnergyReport) -> pd.DataFrame:
    """Measured and priced columns side by side, one row per operator, full precision."""
    priced = report.to_frame().drop(columns=["layer", "stage"])
    return pd.concat([profile.to_frame(), priced], axis=1)


def rows(profile: Profile, report: EnergyReport) -> list[tuple[str, ...]]:
    """The table's cells as text. MACs are per time step, SOPs and energy per image."""
    cells: list[tuple[str, ...]] = []
    for operator, row in zip(profile.operators, report.rows, strict=True):
        counted = row.operations.counted
        cells.append(
            (
                operator.stage,
                operator.layer,
                operator.op,
                operator.driver.kind,
                f"{operator.driver.rate:.4f}",
                count(operator.macs_per_step),
                count(row.operations.acs) if row.operations.acs else "-",
                f"{row.energy_pj / PJ_PER_MJ:.6f}" if counted else "-",
                f"{report.share(row):.1%}" if counted else "-",
            )
        )
    return cells


def summary(profile: Profile, report: EnergyReport) -> list[tuple[str, str]]:
    """The lines under the table, label and value: totals, accuracy, an ANN of the same shape, what is not priced."""
    prices = report.technology
    lines = [
        ("energy per image", f"{millijoule(report.total_mj)} ({report.protocol}, {prices.name}: "
         f"E_MAC {prices.e_mac} pJ, E_AC {prices.e_ac} pJ)"),
        ("operations", f"{count(report.acs)} accumulates, {count(report.macs)} multiply-accumulates per image"),
        ("ANN-equivalent", f"{millijoule(report.ann_mj)} (E_MAC x {count(report.macs_per_step)} MACs, one pass)"
         + (f", {report.ann_mj / report.total_mj:.2f} times this" if report.total_mj else "")),
        ("images", f"{profile.images}, T = {profile.time_steps}" + _accuracy(profile)),
    ]  # fmt: skip
    if profile.firing_rate is not None:
        lines.append(("mean firing rate", f"{profile.firing_rate:.4f} over {len(profile.neurons)} neuron layers"))
    listed = {op.replace("_", " "): f"{count(n)} elements" for op, n in sorted(profile.overhead_totals().items())}
    heads = [operator for operator in profile.operators if operator.role == "head"]
    if heads:
        listed["head"] = f"{count(sum(head.macs_per_image for head in heads))} MACs"
    if listed:
        lines.append(("listed, not priced", "; ".join(f"{name} {amount}" for name, amount in listed.items())))
    if profile.untracked:
        calls = "; ".join(f"{op.split('::')[-1]} {n}" for op, n in sorted(profile.untracked.items()))
        lines.append(("no count exists for", f"{calls} (operators of the graph and their calls)"))
    return lines


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
    for column in COLUMNS[2:]:
        table.add_column(column, justify="right" if column in _NUMBERS else "left", no_wrap=True)
    for stage, group in groupby(zip(rows(profile, report), report.rows, strict=True), key=lambda pair: pair[0][0]):
        members = list(group)
        acs = sum(row.operations.acs for _, row in members)
        energy = sum(row.energy_pj for _, row in members)
        share = sum(report.share(row) for _, row in members)
        sums = (count(acs), f"{energy / PJ_PER_MJ:.6f}", f"{share:.1%}")
        table.add_row(*map(Text, (stage, "", "", "", "", *sums)), style="bold")
        for (_, layer, *cells), _ in members:
            table.add_row(*map(Text, (" " + layer.removeprefix(f"{stage}."), *cells)))
        table.add_section()
    warnings = [Text(f"warning: {note}", style="bold red") for note in profile.warnings()]
    lines = [Text.assemble((f"{label}: ", "bold"), value) for label, value in summary(profile, report)]
    return Group(*warnings, table, *lines)


def markdown(profile: Profile, report: EnergyReport) -> str:
    """The same table and summary as Markdown."""
    notes = [f"> **Warning:** {note}\n" for note in profile.warnings()]
    table = markdown_table(COLUMNS, rows(profile, report), right=_NUMBERS)
    lines = [f"- {label}: {value}" for label, value in summary(profile, report)]
    return "\n".join([f"# {title(profile)}", "", *notes, table, "", *lines, ""])


def title(profile: Profile) -> str:
    """Model and data in one line."""
    model = profile.provenance.get("model", {}).get("name", "model")
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
