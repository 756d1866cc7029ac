"""`msvit-energy energy`: price a saved profile, or a table of rates on a model's geometry, by several protocols."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from msvit_energy import EnergyReport, Profile
    from msvit_energy.pricing.technology import Technology


def energy(
    profile: Annotated[Path | None, typer.Argument(help="A profile.json.")] = None,
    model: Annotated[str | None, typer.Option(help="Instead of a profile: a model's name, with rates.")] = None,
    model_args: Annotated[str | None, typer.Option(help="Arguments of --model, a JSON object.")] = None,
    rates: Annotated[Path | None, typer.Option(help="CSV: layer,input_rate[,nonzero_rate][,kind].")] = None,
    rate: Annotated[float | None, typer.Option(help="One rate for all layers that are fed with spikes.")] = None,
    time_steps: Annotated[int | None, typer.Option(help="T, if not the model's own.")] = None,
    input_size: Annotated[str | None, typer.Option(help="N, HxW or CxHxW, if not the model's own.")] = None,
    protocol: Annotated[
        list[str] | None, typer.Option(help="Repeat to compare; `all` takes every one. [default: appendix-c]")
    ] = None,
    technology: Annotated[str, typer.Option(help="Prices per operation: a name or a .toml file.")] = "45nm-fp32",
    e_mac: Annotated[float | None, typer.Option(help="Price of a multiply-accumulate, in pJ.")] = None,
    e_ac: Annotated[float | None, typer.Option(help="Price of an accumulate, in pJ.")] = None,
    layers: Annotated[bool, typer.Option("--layers", help="Also the table of all layers, by each protocol.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="A list of objects.")] = False,
) -> None:
    """Price without running anything: a saved profile, or published rates (--model with --rates or --rate)."""
    from msvit_energy.pricing.protocols import get_protocol
    from msvit_energy.pricing.technology import get_technology, with_prices

    wanted = protocol or ["appendix-c"]
    for name in wanted:
        if name != "all":
            get_protocol(name)
    cost = with_prices(get_technology(technology), e_mac, e_ac)
    measured = opened(profile, model, model_args, rates, rate, time_steps, input_size)
    reports = priced(measured, wanted, cost)
    if as_json:
        print(json.dumps([as_object(measured, report) for report in reports], indent=1))
        return
    show(measured, reports, layers)


def opened(
    path: Path | None,
    model: str | None,
    model_args: str | None,
    rates: Path | None,
    rate: float | None,
    time_steps: int | None,
    input_size: str | None,
) -> "Profile":
    """The profile to price; EnergyError unless exactly one way of getting it was named."""
    from msvit_energy import Profile
    from msvit_energy.errors import EnergyError

    if (path is None) == (model is None):
        raise EnergyError("give either a profile.json or --model with --rates or --rate")
    if path is not None:
        if any(option is not None for option in (model_args, rates, rate, time_steps, input_size)):
            raise EnergyError("--rates, --rate, --time-steps, --input-size and --model-args go with --model")
        return Profile.load(path)
    if (rates is None) == (rate is None):
        raise EnergyError("--model needs either --rates FILE or --rate R")
    assert model is not None
    return from_rates(model, model_args, rates, rate, time_steps, input_size)


def from_rates(
    name: str, model_args: str | None, path: Path | None, rate: float | None, time_steps: int | None, size: str | None
) -> "Profile":
    """A registered model's geometry with rates that were measured elsewhere."""
    from dataclasses import replace

    from msvit_energy.geometry import geometry
    from msvit_energy.pricing.published_rates import fill, fill_uniform, read_rates
    from msvit_energy.profiles.provenance import Provenance, command_line, sha256
    from msvit_energy.workflows.model_loading import parse_arguments, parse_size, without_memory

    table = None if path is None else read_rates(path)
    network = without_memory(name, {"time_steps": time_steps} | parse_arguments(model_args))
    own = network.input_size
    skeleton = geometry(network, own if size is None else parse_size(size, own), network.time_steps)
    if table is None or path is None:
        assert rate is not None
        said: dict[str, Any] = {"rate": rate}
        filled = fill_uniform(skeleton, rate)
        note = f"one rate of {rate} for all layers, not measured here"
    else:
        filled = fill(skeleton, table, [module for module, _ in network.named_modules()], str(path))
        said = {"file": path.name, "sha256": sha256(path)}
        note = f"rates from {path.name}, not measured here"
    origin = {"model": {"name": name, "args": network.spec.args}, "rates": said, "warnings": [note]}
    return replace(filled, provenance=Provenance.of(origin).stamped(command_line()))


def priced(measured: "Profile", wanted: list[str], cost: "Technology") -> "list[EnergyReport]":
    """One report for each protocol; of `all`, those that the profile has the counts for. The others are named."""
    from msvit_energy import EnergyError, price
    from msvit_energy.pricing.protocols import all_choices

    reports: dict[str, EnergyReport] = {}
    for name in wanted:
        for choice in all_choices() if name == "all" else [name]:
            try:
                report = price(measured, choice, cost)
            except EnergyError as error:
                if name != "all":
                    raise
                print(f"{choice}: {error}", file=sys.stderr)
            else:
                reports.setdefault(report.protocol, report)
    return list(reports.values())


def as_object(measured: "Profile", report: "EnergyReport") -> dict[str, Any]:
    """A report's totals for a program."""
    return {
        "protocol": report.protocol,
        "technology": report.technology.name,
        "e_mac_pj": report.technology.e_mac,
        "e_ac_pj": report.technology.e_ac,
        "total_mj": report.total_mj,
        "ci95_mj": report.interval_mj,
        "macs": report.macs,
        "acs": report.acs,
        "images": measured.images if report.spread else 0,
        "time_steps": measured.time_steps,
    }


def show(measured: "Profile", reports: "list[EnergyReport]", layers: bool) -> None:
    """The protocols side by side; the first is what the others are compared with."""
    from msvit_energy.commands._terminal import console
    from msvit_energy.reporting.layer_table import protocols_table, terminal

    if layers:
        for report in reports:
            console().print(terminal(measured, report))
    console().print(protocols_table(measured, reports))
