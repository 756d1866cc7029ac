"""`msvit-energy energy`: price a saved profile, or a table of rates on a model's geometry, by several protocols."""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from msvit_energy.commands._terminal import show
from msvit_energy.errors import printable
from msvit_energy.pricing.protocols import get_protocol
from msvit_energy.pricing.technology import get_technology, with_prices
from msvit_energy.reporting.layer_table import protocol_table, stage_table


def energy(
    profile: Annotated[Path | None, typer.Argument(help="A profile.json.")] = None,
    table: Annotated[
        Path | None, typer.Option(help="Instead of a profile: a CSV or XLSX of layers, operations and rates.")
    ] = None,
    per_image: Annotated[
        Path | None, typer.Option(help="With --table: a CSV of rates, a row per image, a column per layer.")
    ] = None,
    model: Annotated[str | None, typer.Option(help="Instead of a profile: a model's name, with rates.")] = None,
    model_args: Annotated[str | None, typer.Option(help="Arguments of --model, a JSON object.")] = None,
    rates: Annotated[Path | None, typer.Option(help="CSV: layer,input_rate[,nonzero_rate][,kind].")] = None,
    log: Annotated[Path | None, typer.Option(help="What Spikingformer's energy tool printed, as it is.")] = None,
    rate: Annotated[float | None, typer.Option(help="One rate for all layers that are fed with spikes.")] = None,
    time_steps: Annotated[int | None, typer.Option(help="T, if not the model's own or the table's.")] = None,
    input_size: Annotated[str | None, typer.Option(help="N, HxW or CxHxW, if not the model's own.")] = None,
    protocol: Annotated[
        list[str] | None, typer.Option(help="Repeat to compare; `all` takes every one. [default: appendix-c]")
    ] = None,
    technology: Annotated[str, typer.Option(help="Prices per operation: a name or a .toml file.")] = "45nm-fp32",
    e_mac: Annotated[float | None, typer.Option(help="Price of a multiply-accumulate, in pJ.")] = None,
    e_ac: Annotated[float | None, typer.Option(help="Price of an accumulate, in pJ.")] = None,
    layers: Annotated[bool, typer.Option("--layers", help="Also the table of all layers, by each protocol.")] = False,
    save: Annotated[Path | None, typer.Option(help="Also write what is priced as a profile.json.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="A list of objects.")] = False,
) -> None:
    """Price without running anything: a saved profile, a table of layers (--table), or published rates (--model with
    --rates, --log or --rate)."""
    from msvit_energy.workflows.published_pricing import (
        PublishedRates,
        price_by,
        profile_to_price,
        totals,
        understood,
    )

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
        measured.save(save)
    if as_json:
        print(json.dumps([totals(measured, report) for report in reports], indent=1))
        return
    for report in reports if layers else ():
        show(stage_table(measured, report))
    show(protocol_table(measured, reports))
