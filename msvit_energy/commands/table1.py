"""`msvit-energy table1`: the energy column of the paper's Table 1 and rows beside it, recomputed and audited."""

from pathlib import Path
from typing import Annotated

import typer

from msvit_energy.commands._terminal import USUAL_FORMATS, TableOutput, progress_bar
from msvit_energy.pricing.technology import get_technology


def table1(
    profile: Annotated[
        list[str] | None,
        typer.Option(help="MODEL=profile.json: a measurement in place of an assumed rate. Repeatable."),
    ] = None,
    ckpt: Annotated[
        list[str] | None, typer.Option(help="MODEL=weights.pth: the same, measured now on --data. Repeatable.")
    ] = None,
    data: Annotated[str | None, typer.Option(help="Images for --ckpt: a folder, digits or noise.")] = None,
    images: Annotated[int | None, typer.Option(help="Random subset of that many images.")] = None,
    batch_size: Annotated[int, typer.Option(help="Images per forward.")] = 32,
    seed: Annotated[int, typer.Option(help="Seed of the subset.")] = 0,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, ...")] = "auto",
    protocol: Annotated[str, typer.Option(help="Protocol that is linear in the rate, or all.")] = "appendix-c",
    technology: Annotated[str, typer.Option(help="Prices per operation: a name or a .toml file.")] = "45nm-fp32",
    out: Annotated[Path | None, typer.Option(help="Folder for the table.")] = None,
    formats: Annotated[str, typer.Option("--format", help="csv, md, tex, json, parquet.")] = USUAL_FORMATS,
    force: Annotated[bool, typer.Option("--force", help="Replace an earlier run's files in --out.")] = False,
) -> None:
    """Recompute every row of the paper's Table 1 from our own models, beside what is printed, with a verdict.

    An appendix has rows that the paper does not have.
    """
    from msvit_energy.reporting.table import files as table_files
    from msvit_energy.workflows.paper_tables.table1 import (
        assigned,
        audit,
        check_apart,
        linear_protocols,
        load_assigned,
        measure_checkpoints,
    )
    from msvit_energy.workflows.paper_tables.table1_appendix import appendix
    from msvit_energy.workflows.paper_tables.table1_rows import APPENDIX

    protocols, prices = linear_protocols(protocol), get_technology(technology)
    files, weights = assigned(profile or [], "--profile"), assigned(ckpt or [], "--ckpt")
    check_apart(files, weights, data)
    profiles = [f"{name}.profile.json" for name in weights]
    output = TableOutput("table1", out, formats, force, also=[*table_files(APPENDIX), *profiles])
    taken = measure_checkpoints(weights, data, images, batch_size, seed, device, progress_bar)
    measured = load_assigned(files) | taken
    table = audit(protocols, prices, measured, progress_bar)
    beside = {APPENDIX: appendix(protocols, prices, measured, progress_bar)}
    output.show(table, also={f"{name}.profile.json": found.save for name, found in taken.items()}, beside=beside)
