"""`msvit-energy compare`: one's own profiled models beside each other and beside published rows."""

from pathlib import Path
from typing import Annotated

import typer

from msvit_energy import price
from msvit_energy.commands._terminal import USUAL_FORMATS, TableOutput
from msvit_energy.pricing.protocols import get_protocol
from msvit_energy.pricing.technology import get_technology, with_prices
from msvit_energy.reporting.comparison import check_order, comparison, measured, ordered


def compare(
    profiles: Annotated[list[Path], typer.Argument(help="Profiles (profile.json).")],
    baselines: Annotated[
        str | None,
        typer.Option(help="measured (small rivals, trained alike); published: spikformer,qkformer,sdt, table2, a CSV."),
    ] = None,
    sort: Annotated[str | None, typer.Option(help="energy, accuracy, parameters, sops or rate.")] = None,
    protocol: Annotated[str, typer.Option(help="Accounting protocol of the profiles.")] = "appendix-c",
    technology: Annotated[str, typer.Option(help="Prices per operation: a name or a .toml file.")] = "45nm-fp32",
    e_mac: Annotated[float | None, typer.Option(help="Price of a multiply-accumulate, in pJ.")] = None,
    e_ac: Annotated[float | None, typer.Option(help="Price of an accumulate, in pJ.")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for the table and a scatter plot.")] = None,
    formats: Annotated[str, typer.Option("--format", help="csv, md, tex, json, parquet.")] = USUAL_FORMATS,
    force: Annotated[bool, typer.Option("--force", help="Replace an earlier run's files in --out.")] = False,
) -> None:
    """Parameters, MACs, SOPs, rate, energy and accuracy side by side; energies relative to the first row."""
    from msvit_energy.workflows.comparison import FIGURES, baseline_entries, load_named, scatter_plot

    check_order(sort)
    choice, prices = str(get_protocol(protocol)), with_prices(get_technology(technology), e_mac, e_ac)
    output = TableOutput("compare", out, formats, force, also=FIGURES)
    named = load_named(profiles)
    entries = [measured(profile, price(profile, choice, prices), name) for name, profile in named.items()]
    others = baseline_entries(baselines or "", named.values(), lambda profile: price(profile, choice, prices))
    entries = ordered(entries + others, sort)
    title = f"energy by {choice}, {prices.name}: E_MAC {prices.e_mac} pJ, E_AC {prices.e_ac} pJ"
    warnings = [f"{name}: {warning}" for name, profile in named.items() for warning in profile.warnings()]
    output.show(comparison(entries, title, warnings), also=scatter_plot(entries) if out else {})
