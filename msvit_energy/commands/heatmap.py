"""`msvit-energy heatmap`: draw a saved profile, or the difference of two."""

from pathlib import Path
from typing import Annotated

import typer

from msvit_energy.commands._options import Force

EXAMPLES = """
msvit-energy heatmap energy/profile.json --out rates.png
msvit-energy heatmap energy/profile.json --kind energy --out energy.svg
msvit-energy heatmap after/profile.json --against before/profile.json --out difference.png
"""


def heatmap(
    profile: Annotated[Path, typer.Argument(help="A profile.json, or its folder.")],
    against: Annotated[Path | None, typer.Option(help="Another profile.json, whose rates are subtracted.")] = None,
    kind: Annotated[str, typer.Option(help="rates, energy, bubble, or all of them as PNG and SVG.")] = "rates",
    protocol: Annotated[str | None, typer.Option(help="Accounting protocol. [default: appendix-c]")] = None,
    technology: Annotated[
        str | None, typer.Option(help="Prices per operation: a name or a .toml file. [default: 45nm-fp32]")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="A .png or .svg file; of all kinds a folder. [default: in the current folder]")
    ] = None,
    force: Force = False,
) -> None:
    """Draw firing rates (layers x time steps), the energy of every layer, or rate x energy x MACs of every operator."""
    from msvit_energy.workflows.heatmaps import check_options, draw_all, draw_file

    check_options(kind, against, protocol, technology)
    if kind == "all":
        written = draw_all(profile, protocol, technology, out, force)
    else:
        written = draw_file(profile, against, kind, protocol, technology, out, force)
    for path in written:
        print(path)
