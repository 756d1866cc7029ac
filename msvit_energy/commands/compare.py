"""`msvit-energy compare`: one's own profiled models beside each other and beside published rows."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from msvit_energy.commands._options import (
    Columns,
    DotsPerInch,
    FontSize,
    Force,
    Formats,
    ForPaper,
    Out,
    PriceOfAc,
    PriceOfMac,
    Protocol,
    TechnologyName,
    Title,
    Width,
)
from msvit_energy.commands._terminal import USUAL_FORMATS, TableOutput
from msvit_energy.pricing.protocols import get_protocol
from msvit_energy.pricing.technology import get_technology, with_prices
from msvit_energy.reporting.comparison import check_order

EXAMPLES = """
msvit-energy compare mine/profile.json other/profile.json
msvit-energy compare mine/profile.json --baselines spikformer,qkformer --sort energy
msvit-energy compare mine/profile.json --baselines measured --out table/ --columns label,energy_mj,top1
"""


def compare(
    profiles: Annotated[list[Path], typer.Argument(help="Profiles (profile.json), or their folders.")],
    baselines: Annotated[
        str | None,
        typer.Option(help="measured (small rivals, trained alike); published: spikformer,qkformer,sdt, table2, a CSV."),
    ] = None,
    sort: Annotated[str | None, typer.Option(help="energy, accuracy, parameters, sops or rate.")] = None,
    protocol: Protocol = "appendix-c",
    technology: TechnologyName = "45nm-fp32",
    e_mac: PriceOfMac = None,
    e_ac: PriceOfAc = None,
    width: Width = None,
    font_size: FontSize = None,
    title: Title = None,
    dpi: DotsPerInch = None,
    paper: ForPaper = False,
    columns: Columns = None,
    out: Out = None,
    formats: Formats = USUAL_FORMATS,
    force: Force = False,
) -> None:
    """Parameters, MACs, SOPs, rate, energy and accuracy side by side; energies relative to the first row."""
    from msvit_energy.reporting.figures.look import Look
    from msvit_energy.workflows.comparison import FIGURES, comparison_of, entries_of, load_named, scatter_plot

    look = Look(width, font_size, title, dpi=dpi, paper=paper)
    check_order(sort)
    choice, prices = str(get_protocol(protocol)), with_prices(get_technology(technology), e_mac, e_ac)
    output = TableOutput("compare", out, formats, force, also=FIGURES, columns=columns)
    named = load_named(profiles)
    entries = entries_of(named, baselines or "", sort, choice, prices)
    figures, notes = scatter_plot(entries, look) if out else ({}, [])
    output.show(comparison_of(named, entries, choice, prices), also=figures)
    for note in notes:
        print(note, file=sys.stderr)
