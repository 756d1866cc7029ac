"""`msvit-energy table1`: the energy column of the paper's Table 1, recomputed and audited."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from msvit_energy.commands.showing import USUAL, Showing
from msvit_energy.workflows.paper_tables.table1_rows import ROWS, Row

if TYPE_CHECKING:
    from msvit_energy import Profile
    from msvit_energy.pricing.technology import Technology
    from msvit_energy.reporting.table import Sheet
    from msvit_energy.workflows.measurement import Sampling

EVERY_STEP = ":first-layer=every-step"
NO_RATES = "needs rates that are not public"
NOT_MEASURED = "not what was measured"


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
    formats: Annotated[str, typer.Option("--format", help="csv, md, tex, json, parquet.")] = USUAL,
    force: Annotated[bool, typer.Option("--force", help="Replace an earlier run's files in --out.")] = False,
) -> None:
    """Recompute every row of the paper's Table 1 from our own models, beside what is printed, with a verdict."""
    from msvit_energy.commands.progress import progress_bar
    from msvit_energy.pricing.technology import get_technology
    from msvit_energy.reporting.published import published_table
    from msvit_energy.workflows.measurement import Sampling

    protocols, prices, files = chosen(protocol), get_technology(technology), assigned(profile or [], "--profile")
    weights = assigned(ckpt or [], "--ckpt")
    check_apart(files, weights, data)
    showing = Showing("table1", out, formats, force, also=[f"{name}.profile.json" for name in weights])
    sampling = Sampling(data or "", images, batch_size, seed)
    taken = {name: measured_now(name, path, sampling, device) for name, path in weights.items()}
    known = opened(files) | taken
    rows = []
    with progress_bar("counting", len(ROWS)) as advance:
        for row, theirs in zip(ROWS, published_table("table1"), strict=True):
            rows.append(audited(row, theirs, protocols, prices, known))
            advance(1)
    files_too = {f"{name}.profile.json": profile.save for name, profile in taken.items()}
    showing.show(sheet(rows, protocols, known), also=files_too)


def chosen(text: str) -> list[str]:
    """The protocols to price by; EnergyError for unknown ones, and for those that need more than a rate."""
    from msvit_energy.errors import EnergyError
    from msvit_energy.pricing.protocols import PROTOCOLS, get_protocol

    linear = [name for name in PROTOCOLS if name not in ("exact", "lemaire")]
    if text == "all":
        return linear
    if get_protocol(text).protocol.name not in linear:
        raise EnergyError(f"protocol {text!r} needs more than rates; for Table 1: {', '.join(linear)}, all")
    return [text]


def assigned(given: list[str], option: str) -> dict[str, Path]:
    """Files by model, from MODEL=FILE; EnergyError for other models than those of the table."""
    from msvit_energy.errors import EnergyError

    models = [row.model for row in ROWS if row.model is not None]
    files = {}
    for text in given:
        name, _, path = text.partition("=")
        if name not in models or not path:
            raise EnergyError(f"{option} is MODEL=FILE, not {text!r}; models: {', '.join(models)}")
        files[name] = Path(path)
    return files


def check_apart(files: Mapping[str, Path], weights: Mapping[str, Path], data: str | None) -> None:
    """EnergyError for a model that is given twice, and for weights without images."""
    from msvit_energy.errors import EnergyError

    if twice := sorted(files.keys() & weights.keys()):
        raise EnergyError(f"{', '.join(twice)}: give either --profile or --ckpt")
    if weights and data is None:
        raise EnergyError("--ckpt needs --data, such as a folder of ImageNet's validation images")
    if data is not None and not weights:
        raise EnergyError("--data goes with --ckpt MODEL=weights.pth")


def opened(files: Mapping[str, Path]) -> "dict[str, Profile]":
    """Saved profiles by model; EnergyError for one of another model."""
    from msvit_energy import Profile
    from msvit_energy.errors import EnergyError

    profiles = {name: Profile.load(path) for name, path in files.items()}
    for name, profile in profiles.items():
        if (of := profile.provenance.model_name) != name:
            raise EnergyError(f"{files[name]} is a profile of {of}, not of {name}")
    return profiles


def measured_now(name: str, path: Path, sampling: "Sampling", device: str) -> "Profile":
    """The profile of a checkpoint."""
    from msvit_energy.workflows.measurement import measure
    from msvit_energy.workflows.model_loading import open_subject

    subject = open_subject(path, name, None, ema=False, time_steps=None, seed=sampling.seed, device=device)
    return measure(subject, sampling.source(subject), sampling)


def skeleton_of(row_model: str, args: Mapping[str, Any]) -> "Profile":
    """A model's geometry."""
    from msvit_energy.geometry import geometry
    from msvit_energy.workflows.model_loading import without_memory

    model = without_memory(row_model, args)
    return geometry(model, model.input_size, model.time_steps)


def audited(
    row: Row,
    theirs: Mapping[str, Any],
    protocols: list[str],
    prices: "Technology",
    measured: "Mapping[str, Profile]",
) -> dict[str, Any]:
    """One row of the files: what is printed and what comes out, None where nothing does."""
    cells: dict[str, Any] = {
        "method": theirs["method"],
        "architecture": theirs["architecture"],
        "params_m_published": theirs["params_m"],
        "params_m": None,
        "gmacs_per_step": None,
        "energy_mj_published": theirs["energy_mj"],
        "energy_mj": None,
        "rate": row.rate,
        "rate_source": row.source,
        "implied_rate": None,
        "implied_rate_every_step": None,
        "difference_percent": None,
        "top1_published": theirs["top1"],
        "verdict": "no public code",
        "note": row.note,
    }
    if row.model is None:
        return cells
    skeleton = skeleton_of(row.model, row.args)
    assert skeleton.parameters is not None
    cells |= {"params_m": skeleton.parameters / 1e6, "gmacs_per_step": skeleton.macs_per_step / 1e9}
    profile = measured.get(row.model)
    energies = {name: priced(row, skeleton, profile, name, prices) for name in protocols}
    if len(protocols) > 1:
        cells |= {f"energy_mj {name}": energy for name, energy in energies.items()}
    cells["energy_mj"] = next(iter(energies.values()))
    if skeleton.neurons:
        cells |= implied(skeleton, theirs["energy_mj"], protocols[0], prices)
    if profile is not None:
        cells |= described(profile, protocols[0], prices)
    if cells["energy_mj"] is not None:
        cells["difference_percent"] = 100 * (cells["energy_mj"] / theirs["energy_mj"] - 1)
    return cells | {"verdict": verdict(row, cells, prices, profile is not None)}


def priced(
    row: Row, skeleton: "Profile", profile: "Profile | None", protocol: str, prices: "Technology"
) -> float | None:
    """Energy in mJ: measured, of a network without neurons, or at the row's rate; None where that cannot be said."""
    from msvit_energy import EnergyError, price
    from msvit_energy.pricing.implied_rate import line

    if profile is not None:
        return price(profile, protocol, prices).total_mj
    if not skeleton.neurons:
        return price(skeleton, "ann", prices).total_mj
    if row.rate is None and protocol != "ann":
        return None
    try:
        return line(skeleton, protocol, prices).energy(row.rate or 0.0)
    except EnergyError:  # the protocol wants to know more about integer inputs than one rate
        return None


def implied(skeleton: "Profile", energy: float, protocol: str, prices: "Technology") -> dict[str, float | None]:
    """The rates that the printed energy implies, first layer once and at every step."""
    from msvit_energy.pricing.implied_rate import line
    from msvit_energy.pricing.protocols import get_protocol

    base = get_protocol(protocol).protocol
    if "first-layer" not in base.options:
        return {}
    return {
        "implied_rate": line(skeleton, base.name, prices).rate(energy),
        "implied_rate_every_step": line(skeleton, base.name + EVERY_STEP, prices).rate(energy),
    }


def described(profile: "Profile", protocol: str, prices: "Technology") -> dict[str, Any]:
    """What a measured profile says about its rate, and half of its energy's interval where that is known."""
    from msvit_energy import price
    from msvit_energy.pricing.energy import PJ_PER_MJ

    report = price(profile, protocol, prices)
    interval = report.interval_mj
    said = f", 95 % interval {interval[0]:.4f} to {interval[1]:.4f} mJ" if interval else ""
    inner = [operator for operator in profile.operators if operator.role == ""]
    macs = sum(operator.macs_per_image for operator in inner)
    half = {"energy_mj_half": report.spread.half_width / PJ_PER_MJ} if report.spread else {}
    return half | {
        "rate": sum(operator.sops for operator in inner) / macs,
        "rate_source": f"measured on {profile.images} images{said}",
    }


def verdict(row: Row, cells: Mapping[str, Any], prices: "Technology", measured: bool) -> str:
    """Whether the printed energy comes out, or what is the matter with it."""
    from msvit_energy import price
    from msvit_energy.pricing.implied_rate import REPRODUCED

    difference = cells["difference_percent"]
    if difference is not None and abs(difference) <= 100 * REPRODUCED:
        return "reproduced"
    if row.printed_is is not None:
        label, name = row.printed_is
        other = price(skeleton_of(name, {}), "ann", prices).total_mj
        return f"table error: printed is {label}, {other:.2f} mJ"
    if row.error:
        return f"table error: {row.error}"
    return NOT_MEASURED if measured else NO_RATES


def sheet(rows: list[dict[str, Any]], protocols: list[str], measured: "Mapping[str, Profile]") -> "Sheet":
    """The table in print: the audit by one protocol, or rows x protocols."""
    from msvit_energy.reporting.table import Column, Sheet

    columns = {
        "method": Column("method"),
        "architecture": Column("architecture"),
        "params_m_published": Column("M printed", ".2f"),
        "params_m": Column("M", ".2f"),
        "gmacs_per_step": Column("GMACs", ".4f"),
        "energy_mj_published": Column("mJ printed", ".2f"),
        "energy_mj": Column("mJ", ".2f", margin="energy_mj_half"),
        "difference_percent": Column("%", "+.2f"),
        "rate": Column("rate", ".3f"),
        "implied_rate": Column("implied", ".3f"),
        "implied_rate_every_step": Column("every step", ".3f"),
        "verdict": Column("verdict"),
    }
    if len(protocols) > 1:
        kept = ("method", "architecture", "energy_mj_published", "rate")
        columns = {name: columns[name] for name in kept} | {
            f"energy_mj {name}": Column(f"mJ {name}", ".2f") for name in protocols
        }
    notes = [f"{row['architecture']}: {row['note']}" for row in rows if row["note"]]
    warnings = [f"{name}: {warning}" for name, profile in measured.items() for warning in profile.warnings()]
    return Sheet("Table 1, energy", rows, columns, notes, warnings)
