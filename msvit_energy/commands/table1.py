"""`msvit-energy table1`: the energy column of the paper's Table 1 and rows beside it, recomputed and audited."""

from typing import Annotated

import typer

from msvit_energy.commands._options import BatchSize, Columns, Device, Force, Formats, Images, Out, Seed, TechnologyName
from msvit_energy.commands._terminal import USUAL_FORMATS, TableOutput, progress_bar
from msvit_energy.pricing.technology import get_technology

EXAMPLES = """
msvit-energy table1 --out table1/
msvit-energy table1 --profile msvit_10_384=energy/profile.json
msvit-energy table1 --protocol all
"""


def table1(
    profile: Annotated[
        list[str] | None,
        typer.Option(help="MODEL=profile.json: a measurement in place of an assumed rate. Repeatable."),
    ] = None,
    ckpt: Annotated[
        list[str] | None, typer.Option(help="MODEL=weights.pth: the same, measured now on --data. Repeatable.")
    ] = None,
    data: Annotated[str | None, typer.Option(help="Images for --ckpt: a folder, digits or noise.")] = None,
    images: Images = None,
    batch_size: BatchSize = 32,
    seed: Seed = 0,
    device: Device = "auto",
    protocol: Annotated[str, typer.Option(help="Protocol that is linear in the rate, or all.")] = "appendix-c",
    technology: TechnologyName = "45nm-fp32",
    columns: Columns = None,
    out: Out = None,
    formats: Formats = USUAL_FORMATS,
    force: Force = False,
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
    output = TableOutput("table1", out, formats, force, [*table_files(APPENDIX), *profiles], columns)
    taken = measure_checkpoints(weights, data, images, batch_size, seed, device, progress_bar)
    measured = load_assigned(files) | taken
    table = audit(protocols, prices, measured, progress_bar)
    beside = {APPENDIX: appendix(protocols, prices, measured, progress_bar)}
    output.show(table, also={f"{name}.profile.json": found.save for name, found in taken.items()}, beside=beside)
