"""`msvit-energy diff`: which layers make the difference of two energies."""

from pathlib import Path
from typing import Annotated

import typer

from msvit_energy.commands._terminal import USUAL_FORMATS, TableOutput
from msvit_energy.pricing.protocols import get_protocol
from msvit_energy.pricing.technology import get_technology, with_prices


def diff(
    a: Annotated[Path, typer.Argument(help="A profile.json, a table of layers (CSV, XLSX), or a log with --model.")],
    b: Annotated[Path, typer.Argument(help="Likewise.")],
    tolerance: Annotated[str, typer.Option(help="Totals may differ by that share of A's, such as 0.1%.")] = "0",
    model: Annotated[str | None, typer.Option(help="Name of the model whose geometry a log has.")] = None,
    time_steps: Annotated[int | None, typer.Option(help="T of tables without a column of runs.")] = None,
    protocol: Annotated[str, typer.Option(help="Accounting protocol.")] = "appendix-c",
    technology: Annotated[str, typer.Option(help="Prices per operation: a name or a .toml file.")] = "45nm-fp32",
    e_mac: Annotated[float | None, typer.Option(help="Price of a multiply-accumulate, in pJ.")] = None,
    e_ac: Annotated[float | None, typer.Option(help="Price of an accumulate, in pJ.")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for the table.")] = None,
    formats: Annotated[str, typer.Option("--format", help="csv, md, tex, json, parquet.")] = USUAL_FORMATS,
    force: Annotated[bool, typer.Option("--force", help="Replace an earlier run's files in --out.")] = False,
) -> None:
    """Layers that differ in MACs, input, rate or energy, the largest difference first. Exit code 1 if the totals differ
    by more than --tolerance."""
    from msvit_energy.workflows.difference import compared, opened
    from msvit_energy.workflows.share import parse_share

    choice, prices = str(get_protocol(protocol)), with_prices(get_technology(technology), e_mac, e_ac)
    allowed = parse_share(tolerance, "--tolerance", zero=True)
    output = TableOutput("diff", out, formats, force)
    first, second = (opened(path, model, time_steps) for path in (a, b))
    table, differ = compared(first, second, (str(a), str(b)), choice, prices, allowed)
    output.show(table)
    if differ:
        raise typer.Exit(1)
