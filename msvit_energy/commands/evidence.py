"""`msvit-energy evidence`: energies that others published with their rates, recomputed."""

from pathlib import Path
from typing import Annotated

import typer

from msvit_energy.commands._terminal import USUAL_FORMATS, TableOutput


def evidence(
    out: Annotated[Path | None, typer.Option(help="Folder for the table.")] = None,
    formats: Annotated[str, typer.Option("--format", help="csv, md, tex, json, parquet.")] = USUAL_FORMATS,
    force: Annotated[bool, typer.Option("--force", help="Replace an earlier run's files in --out.")] = False,
) -> None:
    """Recompute every published energy whose rates are public, by its authors' convention and by Appendix C."""
    from msvit_energy.workflows.evidence import evidence as recomputed
    from msvit_energy.workflows.evidence import write_page

    output = TableOutput("evidence", out, formats, force, also=["evidence.html"])
    output.show(recomputed(), also={"evidence.html": write_page})
