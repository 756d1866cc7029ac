"""`msvit-energy energy`: price a saved profile, or a table of rates on a model's geometry, by several protocols."""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from msvit_energy.commands._options import (
    OUTPUT,
    PRICES,
    AsJson,
    Columns,
    PriceOfAc,
    PriceOfMac,
    Sort,
    TechnologyName,
    Top,
)
from msvit_energy.commands._terminal import show
from msvit_energy.errors import printable
from msvit_energy.pricing.protocols import get_protocol
from msvit_energy.pricing.technology import get_technology, with_prices
from msvit_energy.reporting.layer_table import LayerView, layer_records, protocol_table, shown_layers
from msvit_energy.reporting.output_folder import written_together

EXAMPLES = """
msvit-energy energy energy/profile.json --protocol all
msvit-energy energy energy/ --layers --sort energy --top 5
msvit-energy energy --model msvit_10_384 --rate 0.17
msvit-energy energy --table layers.csv --e-mac 4.6 --e-ac 0.9
"""


ELSEWHERE = "Measured elsewhere"


def energy(
    profile: Annotated[Path | None, typer.Argument(help="A profile.json, or the folder it is in.")] = None,
    table: Annotated[
        Path | None,
        typer.Option(
            help="Instead of a profile: a CSV or XLSX of layers, operations and rates.", rich_help_panel=ELSEWHERE
        ),
    ] = None,
    per_image: Annotated[
        Path | None,
        typer.Option(
            help="With --table: a CSV of rates, a row per image, a column per layer.", rich_help_panel=ELSEWHERE
        ),
    ] = None,
    model: Annotated[
        str | None, typer.Option(help="Instead of a profile: a model's name, with rates.", rich_help_panel=ELSEWHERE)
    ] = None,
    model_args: Annotated[
        str | None, typer.Option(help="Arguments of --model, a JSON object.", rich_help_panel=ELSEWHERE)
    ] = None,
    rates: Annotated[
        Path | None,
        typer.Option(help="CSV: layer,input_rate[,nonzero_rate][,kind].", rich_help_panel=ELSEWHERE),
    ] = None,
    log: Annotated[
        Path | None,
        typer.Option(help="What Spikingformer's energy tool printed, as it is.", rich_help_panel=ELSEWHERE),
    ] = None,
    rate: Annotated[
        float | None,
        typer.Option(help="One rate for all layers that are fed with spikes.", rich_help_panel=ELSEWHERE),
    ] = None,
    time_steps: Annotated[
        int | None, typer.Option(help="T, if not the model's own or the table's.", rich_help_panel=ELSEWHERE)
    ] = None,
    input_size: Annotated[
        str | None, typer.Option(help="N, HxW or CxHxW, if not the model's own.", rich_help_panel=ELSEWHERE)
    ] = None,
    protocol: Annotated[
        list[str] | None,
        typer.Option(help="Repeat to compare; `all` takes every one. [default: appendix-c]", rich_help_panel=PRICES),
    ] = None,
    technology: TechnologyName = "45nm-fp32",
    e_mac: PriceOfMac = None,
    e_ac: PriceOfAc = None,
    layers: Annotated[
        bool, typer.Option("--layers", help="Also all layers, by each protocol.", rich_help_panel=OUTPUT)
    ] = False,
    columns: Columns = None,
    sort: Sort = None,
    top: Top = None,
    save: Annotated[
        Path | None, typer.Option(help="Also write what is priced as a profile.json.", rich_help_panel=OUTPUT)
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Price without running anything: a saved profile, a table of layers (--table), or published rates (--model with
    --rates, --log or --rate)."""
    from msvit_energy.workflows.published.published_pricing import (
        PublishedRates,
        price_by,
        profile_to_price,
        totals,
        understood,
    )

    view, layers = LayerView(columns, sort, top), layers or sort is not None or top is not None
    wanted = protocol or ["appendix-c"]
    for name in wanted:
        if name != "all":
            get_protocol(name)
    prices = with_prices(get_technology(technology), e_mac, e_ac)
    published = PublishedRates(model, model_args, rates, log, per_image, rate, time_steps, input_size)
    measured = profile_to_price(profile, table, published)
    for line in understood(measured):
        print(printable(line), file=sys.stderr)
    reports, unavailable = price_by(measured, wanted, prices)
    for line in unavailable:
        print(printable(line), file=sys.stderr)
    if save is not None:
        with written_together(save.parent) as folder:
            measured.save(folder / save.name)
    if as_json:
        found = [totals(measured, report) for report in reports]
        if layers:
            found = [
                total | {"layers": view.chosen(layer_records(measured, report))}
                for total, report in zip(found, reports, strict=True)
            ]
        print(json.dumps(found, indent=1, allow_nan=False))
        return
    for report in reports if layers else ():
        show(shown_layers(measured, report, view))
    show(protocol_table(measured, reports), None if layers else columns)
