"""`msvit-energy table3`: the parameters of the paper's ablation, counted beside the printed ones."""

from pathlib import Path
from typing import Annotated

import typer

from msvit_energy.commands._terminal import USUAL_FORMATS, TableOutput


def table3(
    out: Annotated[Path | None, typer.Option(help="Folder for the table.")] = None,
    formats: Annotated[str, typer.Option("--format", help="csv, md, tex, json, parquet.")] = USUAL_FORMATS,
    force: Annotated[bool, typer.Option("--force", help="Replace an earlier run's files in --out.")] = False,
) -> None:
    """Count the parameters of every row of the paper's Table 3 (CIFAR100) and compare."""
    from msvit_energy.workflows.paper_tables.table3 import parameter_table

    output = TableOutput("table3", out, formats, force)
    output.show(parameter_table())
