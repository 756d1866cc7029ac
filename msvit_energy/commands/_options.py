"""Options that several commands have, under one name with one text each."""

from pathlib import Path
from typing import Annotated

import typer

from msvit_energy.reporting.table import FORMATS

MODEL, DATA, PRICES, OUTPUT, RUN = "Model", "Data", "Protocol and prices", "Output", "Run"
FIGURE = "Figure"

Protocol = Annotated[
    str, typer.Option(help="Accounting protocol; `protocols` lists them.", rich_help_panel=PRICES, metavar="NAME")
]
TechnologyName = Annotated[
    str,
    typer.Option(
        "--technology", help="Prices per operation: a name or a .toml file.", rich_help_panel=PRICES, metavar="NAME"
    ),
]
PriceOfMac = Annotated[
    float | None,
    typer.Option("--e-mac", help="Price of a multiply-accumulate, in pJ.", rich_help_panel=PRICES, metavar="PJ"),
]
PriceOfAc = Annotated[
    float | None, typer.Option("--e-ac", help="Price of an accumulate, in pJ.", rich_help_panel=PRICES, metavar="PJ")
]
Images = Annotated[
    int | None, typer.Option(help="Random subset of that many images.", rich_help_panel=DATA, metavar="N")
]
BatchSize = Annotated[int, typer.Option(help="Images per forward.", rich_help_panel=RUN, metavar="N")]
Seed = Annotated[
    int,
    typer.Option(help="Seed of subsets, orders, noise and random weights.", rich_help_panel=RUN, metavar="N"),
]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, ...", rich_help_panel=RUN, metavar="NAME")]
Out = Annotated[Path | None, typer.Option(help="Folder for all files.", rich_help_panel=OUTPUT, metavar="DIR")]
Formats = Annotated[
    str,
    typer.Option("--format", help=f"Of tables: {', '.join(FORMATS)}.", rich_help_panel=OUTPUT, metavar="LIST"),
]
Force = Annotated[bool, typer.Option("--force", help="Replace the files of an earlier run.", rich_help_panel=OUTPUT)]
Columns = Annotated[
    str | None,
    typer.Option(
        help="Columns of the table, by name, with commas; a wrong one lists all.",
        rich_help_panel=OUTPUT,
        metavar="LIST",
    ),
]
Sort = Annotated[
    str | None,
    typer.Option(help="Layers by energy, rate, macs, sops or events.", rich_help_panel=OUTPUT, metavar="KEY"),
]
Top = Annotated[int | None, typer.Option(help="The first N layers only.", rich_help_panel=OUTPUT, metavar="N", min=1)]
AsJson = Annotated[
    bool, typer.Option("--json", help="JSON on standard output, and nothing else there.", rich_help_panel=OUTPUT)
]
Width = Annotated[
    str | None,
    typer.Option(help="column (3.5 inches), text (7.16), or inches.", rich_help_panel=FIGURE, metavar="INCHES"),
]
FontSize = Annotated[
    float | None, typer.Option(help="Of ordinary text, from 7 on.", rich_help_panel=FIGURE, metavar="POINTS")
]
Title = Annotated[
    str | None,
    typer.Option(help="Instead of the usual; none for no title.", rich_help_panel=FIGURE, metavar="TEXT"),
]
ColourMap = Annotated[
    str | None, typer.Option(help="Of rates: a name of matplotlib's.", rich_help_panel=FIGURE, metavar="NAME")
]
DotsPerInch = Annotated[
    float | None, typer.Option(help="Of a PNG. [default: 150, on paper 300]", rich_help_panel=FIGURE, metavar="N")
]
ShownLayers = Annotated[
    str | None,
    typer.Option("--layers", help="Names or patterns of those shown.", rich_help_panel=FIGURE, metavar="PATTERN"),
]
ForPaper = Annotated[
    bool,
    typer.Option(
        "--paper",
        help="PDF at column width without a title; notes and warnings are printed instead of drawn.",
        rich_help_panel=FIGURE,
    ),
]
