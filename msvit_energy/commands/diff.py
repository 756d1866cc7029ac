"""`msvit-energy diff`: which layers make the difference of two energies."""

from pathlib import Path
from typing import Annotated

import typer

from msvit_energy.commands._options import Columns, Force, Formats, Out, PriceOfAc, PriceOfMac, Protocol, TechnologyName
from msvit_energy.commands._terminal import USUAL_FORMATS, TableOutput
from msvit_energy.pricing.protocols import get_protocol
from msvit_energy.pricing.technology import get_technology, with_prices

EXAMPLES = """
msvit-energy diff before/profile.json after/profile.json
msvit-energy diff profile.json spreadsheet.csv --tolerance 1%
"""


def diff(
    a: Annotated[Path, typer.Argument(help="A profile.json, a table of layers (CSV, XLSX), or a log with --model.")],
    b: Annotated[Path, typer.Argument(help="Likewise.")],
    tolerance: Annotated[str, typer.Option(help="Totals may differ by that share of A's, such as 0.1%.")] = "0",
    model: Annotated[str | None, typer.Option(help="Name of the model whose geometry a log has.")] = None,
    time_steps: Annotated[int | None, typer.Option(help="T of tables without a column of runs.")] = None,
    protocol: Protocol = "appendix-c",
    technology: TechnologyName = "45nm-fp32",
    e_mac: PriceOfMac = None,
    e_ac: PriceOfAc = None,
    columns: Columns = None,
    out: Out = None,
    formats: Formats = USUAL_FORMATS,
    force: Force = False,
) -> None:
    """Layers that differ in MACs, input, rate or energy, the largest difference first. Exit code 1 if the totals differ
    by more than --tolerance.

    Profiles of the same images that were made with --per-image are paired image by image for the interval.
    """
    from msvit_energy.workflows.difference import compared, opened
    from msvit_energy.workflows.share import parse_share

    choice, prices = str(get_protocol(protocol)), with_prices(get_technology(technology), e_mac, e_ac)
    allowed = parse_share(tolerance, "--tolerance", zero=True)
    output = TableOutput("diff", out, formats, force, columns=columns)
    first, second = (opened(path, model, time_steps) for path in (a, b))
    table, differ = compared(first, second, (str(a), str(b)), choice, prices, allowed)
    output.show(table)
    if differ:
        raise typer.Exit(1)
