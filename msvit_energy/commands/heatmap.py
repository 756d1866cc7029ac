"""`msvit-energy heatmap`: draw a saved profile, or the difference of two."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from msvit_energy.commands._options import (
    FIGURE,
    OUTPUT,
    PRICES,
    ColourMap,
    DotsPerInch,
    FontSize,
    Force,
    ForPaper,
    ShownLayers,
    Title,
    Width,
)

EXAMPLES = """
msvit-energy heatmap energy/profile.json --out rates.png
msvit-energy heatmap energy/profile.json --kind energy --out energy.svg
msvit-energy heatmap energy/profile.json --kind all --paper --out figures/
msvit-energy heatmap energy/profile.json --layers 'stage3.*' --width column --out stage3.pdf
msvit-energy heatmap after/profile.json --against before/profile.json --out difference.png
"""


def heatmap(
    profile: Annotated[Path, typer.Argument(help="A profile.json, or its folder.")],
    against: Annotated[Path | None, typer.Option(help="Another profile.json, whose rates are subtracted.")] = None,
    kind: Annotated[
        str,
        typer.Option(help="rates, energy, bubble, all three as PNG, SVG and PDF; or maps, as profile --maps measured."),
    ] = "rates",
    protocol: Annotated[
        str | None,
        typer.Option(help="Accounting protocol. [default: appendix-c]", rich_help_panel=PRICES, metavar="NAME"),
    ] = None,
    technology: Annotated[
        str | None,
        typer.Option(
            help="Prices per operation: a name or a .toml file. [default: 45nm-fp32]",
            rich_help_panel=PRICES,
            metavar="NAME",
        ),
    ] = None,
    width: Width = None,
    font_size: FontSize = None,
    title: Title = None,
    cmap: ColourMap = None,
    dpi: DotsPerInch = None,
    layers: ShownLayers = None,
    every_layer: Annotated[
        bool,
        typer.Option("--every-layer", help="A row for each, also where blocks repeat.", rich_help_panel=FIGURE),
    ] = False,
    paper: ForPaper = False,
    out: Annotated[
        Path | None,
        typer.Option(
            help="A .png, .svg or .pdf file; of all kinds a folder. [default: in the current folder]",
            rich_help_panel=OUTPUT,
            metavar="PATH",
        ),
    ] = None,
    force: Force = False,
) -> None:
    """Draw firing rates (layers x time steps), the energy of every layer, rate x energy x MACs of every operator, or
    maps of layers."""
    from msvit_energy.reporting.figures.look import Look
    from msvit_energy.workflows.heatmaps import check_options, draw_all, draw_file

    look = Look(width, font_size, title, cmap, dpi, layers, every_layer, paper)
    check_options(kind, against, protocol, technology, look)
    if kind == "all":
        written, notes = draw_all(profile, protocol, technology, out, force, look)
    else:
        written, notes = draw_file(profile, against, kind, protocol, technology, out, force, look)
    for path in written:
        print(path)
    for note in notes:
        print(note, file=sys.stderr)
