"""`msvit-energy hardware`: one profile under operations only, memory, chips and published simulations."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from msvit_energy.commands._options import (
    AsJson,
    Columns,
    DotsPerInch,
    FontSize,
    Force,
    Formats,
    ForPaper,
    Out,
    Width,
)
from msvit_energy.commands._terminal import USUAL_FORMATS, TableOutput, show

EXAMPLES = """
msvit-energy hardware energy/profile.json
msvit-energy hardware energy/profile.json --layers --technology 45nm-int8 --out hardware/
"""


def hardware(
    profile: Annotated[Path, typer.Argument(help="A profile.json, or its folder.")],
    technology: Annotated[
        str | None, typer.Option(help="Prices of operations and memory. [default: 45nm-fp32 and 45nm-int8]")
    ] = None,
    counting: Annotated[str, typer.Option(help="Of the rival: memory or operations.")] = "memory",
    layers: Annotated[bool, typer.Option("--layers", help="Also the break-even rate of every layer.")] = False,
    width: Width = None,
    font_size: FontSize = None,
    dpi: DotsPerInch = None,
    paper: ForPaper = False,
    columns: Columns = None,
    out: Out = None,
    formats: Formats = USUAL_FORMATS,
    force: Force = False,
    as_json: AsJson = False,
) -> None:
    """Print what one profile costs with and without memory, on chips by their published price per synaptic operation,
    and as others simulated the same model; and the rate below which it beats a quantised dense network."""
    from msvit_energy.reporting.figures.look import Look
    from msvit_energy.reporting.table import files
    from msvit_energy.workflows.hardware import FIGURES, Hardware

    look = Look(width, font_size, dpi=dpi, paper=paper)
    output = TableOutput("hardware", out, formats, force, [*files("break_even"), *FIGURES], columns)
    found = Hardware(profile, technology, counting)
    if as_json:
        print(found.as_json())
        return
    table = found.table.with_columns(columns)
    show(table)
    rival = found.rival_table
    if layers and rival:
        show(rival)
    else:
        print(found.summary)
    if out is not None:
        figures, notes = found.figures(look)
        output.write({"hardware": table} | ({"break_even": rival} if rival else {}), figures)
        for note in notes:
            print(note, file=sys.stderr)
