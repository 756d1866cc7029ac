"""The energy column of the paper's Table 1, recomputed from our own models and audited."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from msvit_energy import Profile, price
from msvit_energy.errors import EnergyError
from msvit_energy.pricing.energy import PJ_PER_MJ
from msvit_energy.pricing.implied_rate import REPRODUCED, line
from msvit_energy.pricing.memory_protocols import MEMORY_PROTOCOLS
from msvit_energy.pricing.protocols import PROTOCOLS, get_protocol
from msvit_energy.pricing.technology import Technology
from msvit_energy.reporting.published import published_table
from msvit_energy.reporting.table import Column, Table
from msvit_energy.workflows.loading.shipped_geometry import geometry_of
from msvit_energy.workflows.paper_tables.table1_rows import ROWS, Row, appendix_models
from msvit_energy.workflows.progress import Progress, no_progress

EVERY_STEP = ":first-layer=every-step"
NO_RATES = "needs rates that are not public"
NOT_MEASURED = "not what was measured"


def linear_protocols(text: str) -> list[str]:
    """The protocols to price by; EnergyError for unknown ones, and for those that need more than a rate or count
    more than operations."""
    others = {"exact", "spikingresformer", "as-given", *(protocol.name for protocol in MEMORY_PROTOCOLS)}
    linear = [name for name in PROTOCOLS if name not in others]
    if text == "all":
        return linear
    if get_protocol(text).protocol.name not in linear:
        raise EnergyError(f"protocol {text!r} is not of operations at a rate; for Table 1: {', '.join(linear)}, all")
    return [text]


def assigned(given: list[str], option: str) -> dict[str, Path]:
    """Files by model, from MODEL=FILE; EnergyError for other models than those of the table and its appendix."""
    models = [row.model for row in ROWS if row.model is not None] + appendix_models()
    files = {}
    for text in given:
        name, _, path = text.partition("=")
        if name not in models or not path:
            raise EnergyError(f"{option} is MODEL=FILE, not {text!r}; models: {', '.join(models)}")
        files[name] = Path(path)
    return files


def check_apart(files: Mapping[str, Path], weights: Mapping[str, Path], data: str | None) -> None:
    """EnergyError for a model that is given twice, and for weights without images."""
    if twice := sorted(files.keys() & weights.keys()):
        raise EnergyError(f"{', '.join(twice)}: give either --profile or --ckpt")
    if weights and data is None:
        raise EnergyError("--ckpt needs --data, such as a folder of ImageNet's validation images")
    if data is not None and not weights:
        raise EnergyError("--data goes with --ckpt MODEL=weights.pth")


def load_assigned(files: Mapping[str, Path]) -> dict[str, Profile]:
    """Saved profiles by model; EnergyError for one of another model."""
    profiles = {name: Profile.load(path) for name, path in files.items()}
    for name, profile in profiles.items():
        of = profile.provenance.model_name
        if of != name:
            raise EnergyError(f"{files[name]} is a profile of {of}, not of {name}")
    return profiles


def measure_checkpoints(
    weights: Mapping[str, Path], data: str | None, images: int | None, batch_size: int, seed: int, device: str,
    progress: Progress,
) -> dict[str, Profile]:  # fmt: skip
    """The profiles of checkpoints on the same images, by model."""
    if not weights:
        return {}
    from msvit_energy.workflows.loading.model_loading import load_model
    from msvit_energy.workflows.measuring.measurement import DataOptions, measure

    options = DataOptions(data or "", images, batch_size, seed)
    found = {}
    for name, path in weights.items():
        loaded = load_model(path, name, None, ema=False, time_steps=None, seed=seed, device=device)
        found[name] = measure(loaded, options.open(loaded), options, progress)
    return found


def audit(
    protocols: list[str], prices: Technology, measured: Mapping[str, Profile], progress: Progress = no_progress
) -> Table:
    """Every row of the paper's Table 1; `measured` are profiles by model that take the place of assumed rates."""
    rows = []
    with progress("counting", len(ROWS)) as advance:
        for row, theirs in zip(ROWS, published_table("table1"), strict=True):
            rows.append(audited(row, theirs, protocols, prices, measured))
            advance(1)
    return energy_table(rows, protocols, measured)


def audited(
    row: Row,
    theirs: Mapping[str, Any],
    protocols: list[str],
    prices: Technology,
    measured: Mapping[str, Profile],
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
        "accuracy_note": row.accuracy,
        "note": row.note,
    }
    if row.model is None:
        return cells
    skeleton = geometry_of(row.model, row.args).profile
    assert skeleton.parameters is not None
    cells |= {"params_m": skeleton.parameters / 1e6, "gmacs_per_step": skeleton.macs_per_step / 1e9}
    profile = measured.get(row.model)
    energies = {name: priced(row, skeleton, profile, name, prices) for name in protocols}
    if len(protocols) > 1:
        cells |= {f"energy_mj {name}": energy for name, energy in energies.items()}
    cells["energy_mj"] = next(iter(energies.values()))
    if skeleton.neurons and theirs["energy_mj"] is not None:
        cells |= implied(skeleton, theirs["energy_mj"], protocols[0], prices)
    if profile is not None:
        cells |= described(profile, protocols[0], prices)
    if cells["energy_mj"] is not None and theirs["energy_mj"] is not None:
        cells["difference_percent"] = 100 * (cells["energy_mj"] / theirs["energy_mj"] - 1)
    return cells | {"verdict": verdict(row, cells, prices, profile is not None)}


def priced(row: Row, skeleton: Profile, profile: Profile | None, protocol: str, prices: Technology) -> float | None:
    """Energy in mJ: measured, of a network without neurons, or at the row's rate; None where that cannot be known."""
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


def implied(skeleton: Profile, energy: float, protocol: str, prices: Technology) -> dict[str, float | None]:
    """The rates that the printed energy implies, first layer once and at every step."""
    base = get_protocol(protocol).protocol
    if "first-layer" not in base.options:
        return {}
    return {
        "implied_rate": line(skeleton, base.name, prices).rate(energy),
        "implied_rate_every_step": line(skeleton, base.name + EVERY_STEP, prices).rate(energy),
    }


def described(profile: Profile, protocol: str, prices: Technology) -> dict[str, Any]:
    """What a measured profile says about its rate, and half of its energy's interval where that is known."""
    report = price(profile, protocol, prices)
    interval = report.interval_mj
    interval_text = f", 95 % interval {interval[0]:.4f} to {interval[1]:.4f} mJ" if interval else ""
    inner = [operator for operator in profile.operators if operator.role == ""]
    macs = sum(operator.macs_per_image for operator in inner)
    half = {"energy_mj_half": report.spread.half_width / PJ_PER_MJ} if report.spread else {}
    return half | {
        "rate": math.fsum(operator.sops for operator in inner) / macs,
        "rate_source": f"measured on {profile.images} images{interval_text}",
        "warnings": profile.warnings(),
    }


def verdict(row: Row, cells: Mapping[str, Any], prices: Technology, measured: bool) -> str:
    """Whether the printed energy comes out, or what is the matter with it."""
    difference = cells["difference_percent"]
    if difference is not None and abs(difference) <= 100 * REPRODUCED:
        return "reproduced"
    if row.printed_is is not None:
        label, name = row.printed_is
        other = price(geometry_of(name, {}).profile, "ann", prices).total_mj
        return f"table error: printed is {label}, {other:.2f} mJ"
    if row.error:
        return f"table error: {row.error}"
    return NOT_MEASURED if measured else NO_RATES


def energy_table(rows: list[dict[str, Any]], protocols: list[str], measured: Mapping[str, Profile]) -> Table:
    """The table in print: the audit by one protocol, or rows x protocols."""
    columns = {
        "method": Column("method", rank=8),
        "architecture": Column("architecture"),
        "params_m_published": Column("M printed", ".2f", rank=6),
        "params_m": Column("M", ".2f", rank=5),
        "gmacs_per_step": Column("GMACs", ".4f", rank=5),
        "energy_mj_published": Column("mJ printed", ".2f"),
        "energy_mj": Column("mJ", ".2f", margin="energy_mj_half", rank=1),
        "difference_percent": Column("%", "+.2f", rank=3),
        "rate": Column("rate", ".3f", rank=4),
        "implied_rate": Column("implied", ".3f", rank=2),
        "implied_rate_every_step": Column("every step", ".3f", rank=6),
        "verdict": Column("verdict", rank=1),
        "accuracy_note": Column("accuracy hangs on", rank=7),
    }
    if len(protocols) > 1:
        kept = ("method", "architecture", "energy_mj_published", "rate")
        columns = {name: columns[name] for name in kept} | {
            f"energy_mj {name}": Column(f"mJ {name}", ".2f") for name in protocols
        }
    notes = [f"{row['architecture']}: {row['note']}" for row in rows if row["note"]]
    warnings = [f"{name}: {warning}" for name, profile in measured.items() for warning in profile.warnings()]
    return Table("Table 1, energy", rows, columns, notes, warnings)
