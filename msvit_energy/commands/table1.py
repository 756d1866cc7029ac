"""`msvit-energy table1`: the energy column of the paper's Table 1, recomputed and audited."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from msvit_energy import Profile
    from msvit_energy.technology import Technology

FILES = ("table1.csv", "table1.md", "table1.tex", "table1.json")
SHOWN = {  # column of the file -> heading in print
    "method": "method",
    "architecture": "architecture",
    "params_m_published": "M printed",
    "params_m": "M",
    "gmacs_per_step": "GMACs",
    "energy_mj_published": "mJ printed",
    "energy_mj": "mJ",
    "difference_percent": "%",
    "rate": "rate",
    "implied_rate": "implied",
    "implied_rate_every_step": "every step",
    "verdict": "verdict",
}
EVERY_STEP = ":first-layer=every-step"
NO_RATES = "needs rates that are not public"


@dataclass(frozen=True)
class Row:
    """What we have for a printed row: the model and its arguments, a published rate, another model whose energy was
    printed by mistake (its label, name), an error that no number shows, and a note."""

    model: str | None
    args: Mapping[str, Any] = field(default_factory=dict)
    rate: float | None = None
    source: str = ""
    printed_is: tuple[str, str] | None = None
    error: str = ""
    note: str = ""


OURS = "Appendix E, mean of MSViT"
QK = "Appendix E, mean of QKFormer"
LABEL = "the label is wrong: the parameters are those of widths {}"

# in the order of the printed rows
ROWS = (
    Row("deit_base_patch16_224"),
    Row("vit_base_patch16_384", note="the printed parameters are those of the 224 x 224 model"),
    Row("swin_tiny_patch4_window7_224", printed_is=("Swin-B at 224", "swin_base_patch4_window7_224")),
    Row("swin_small_patch4_window7_224", printed_is=("Swin-B at 384", "swin_base_patch4_window12_384")),
    Row("spikformer_8_384", {"num_heads": 8}, error="contradicts its source, which prints 7.734 mJ for 6.82 G SOPs"),
    Row("spikformer_8_768", {"num_heads": 12}, error="contradicts its source, which prints 21.477 mJ for 22.09 G SOPs"),
    Row(None, note="4.69 mJ is also printed for Spikingformer-8-384, another model"),
    Row(None),
    Row("sdt_8_384"),
    Row("sdt_8_512"),
    Row("sdt_8_768", note="77.07 % is at 288 x 288; at 224 x 224 it is 76.3 %"),
    Row("sdtv2_15m", note=LABEL.format("64-128-256-360")),
    Row("sdtv2_31m", note=LABEL.format("96-192-384-480")),
    Row("sdtv2_55m", note=LABEL.format("128-256-512-640")),
    Row("qkformer_10_384", rate=0.285, source=QK, note="the rates behind the printed value are means of integer sums"),
    Row("qkformer_10_512", rate=0.285, source=QK, note="the rates behind the printed value are means of integer sums"),
    Row("qkformer_10_768", rate=0.285, source=QK, note="the rates behind the printed value are means of integer sums"),
    Row("msvit_10_384", rate=0.306, source=OURS),
    Row("msvit_10_512", rate=0.306, source=OURS, note="the printed parameters look like a typing error of 1 M"),
    Row("msvit_10_768", rate=0.306, source=OURS),
)


def table1(
    profile: Annotated[
        list[str] | None,
        typer.Option(help="MODEL=profile.json: a measurement in place of an assumed rate. Repeatable."),
    ] = None,
    protocol: Annotated[str, typer.Option(help="Protocol that is linear in the rate, or all.")] = "appendix-c",
    technology: Annotated[str, typer.Option(help="Prices per operation: a name or a .toml file.")] = "45nm-fp32",
    out: Annotated[Path | None, typer.Option(help="Folder for the table as .csv, .md, .tex and .json.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace an earlier run's files in --out.")] = False,
) -> None:
    """Recompute every row of the paper's Table 1 from our own models, beside what is printed, with a verdict."""
    from msvit_energy.commands.progress import progress_bar
    from msvit_energy.outputs import check_free
    from msvit_energy.published import published_table
    from msvit_energy.technology import get_technology

    if out is not None:
        check_free(out, FILES, force)
    prices, measured = get_technology(technology), profiles(profile or [])
    protocols = chosen(protocol)
    printed: list[dict[str, Any]] = published_table("table1").astype(object).to_dict("records")  # type: ignore[assignment]
    rows = []
    with progress_bar("counting", len(ROWS)) as advance:
        for row, theirs in zip(ROWS, printed, strict=True):
            rows.append(audited(row, theirs, protocols, prices, measured))
            advance(1)
    write(rows, SHOWN if protocol != "all" else crossed(protocols), out)


def chosen(text: str) -> list[str]:
    """The protocols to price by; EnergyError for unknown ones, and for those that need more than a rate."""
    from msvit_energy.errors import EnergyError
    from msvit_energy.protocols import PROTOCOLS, get_protocol

    linear = [name for name in PROTOCOLS if name not in ("exact", "lemaire")]
    if text == "all":
        return linear
    if get_protocol(text).protocol.name not in linear:
        raise EnergyError(f"protocol {text!r} needs more than rates; for Table 1: {', '.join(linear)}, all")
    return [text]


def profiles(given: list[str]) -> "dict[str, Profile]":
    """Measured profiles by model; EnergyError for other models than those of the table."""
    from msvit_energy import Profile
    from msvit_energy.errors import EnergyError

    found = {}
    models = [row.model for row in ROWS if row.model is not None]
    for text in given:
        name, _, path = text.partition("=")
        if name not in models or not path:
            raise EnergyError(f"--profile is MODEL=profile.json, not {text!r}; models: {', '.join(models)}")
        found[name] = Profile.load(path)
        of = found[name].provenance.get("model", {}).get("name")
        if of != name:
            raise EnergyError(f"{path} is a profile of {of}, not of {name}")
    return found


def crossed(protocols: list[str]) -> dict[str, str]:
    """The columns of rows x protocols."""
    return {name: SHOWN[name] for name in ("method", "architecture", "energy_mj_published", "rate")} | {
        f"energy_mj {name}": name for name in protocols
    }


def skeleton_of(name: str, args: Mapping[str, Any]) -> "tuple[Profile, int]":
    """A model's geometry and its parameters."""
    import torch

    import msvit
    from msvit_energy.geometry import geometry

    with torch.device("meta"):
        model = msvit.create_model(name, **args)
    parameters = sum(parameter.numel() for parameter in model.parameters())
    return geometry(model, model.input_size, model.time_steps), parameters


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
    skeleton, parameters = skeleton_of(row.model, row.args)
    cells |= {"params_m": parameters / 1e6, "gmacs_per_step": skeleton.macs_per_step / 1e9}
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
    return cells | {"verdict": verdict(row, cells, prices)}


def priced(
    row: Row, skeleton: "Profile", profile: "Profile | None", protocol: str, prices: "Technology"
) -> float | None:
    """Energy in mJ: measured, of a network without neurons, or at the row's rate; None where that cannot be said."""
    from msvit_energy import EnergyError, price
    from msvit_energy.audit import line

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
    from msvit_energy.audit import line
    from msvit_energy.protocols import get_protocol

    base = get_protocol(protocol).protocol
    if "first-layer" not in base.options:
        return {}
    return {
        "implied_rate": line(skeleton, base.name, prices).rate(energy),
        "implied_rate_every_step": line(skeleton, base.name + EVERY_STEP, prices).rate(energy),
    }


def described(profile: "Profile", protocol: str, prices: "Technology") -> dict[str, Any]:
    """What a measured profile says about its rate."""
    from msvit_energy import price

    interval = price(profile, protocol, prices).interval_mj
    said = f", 95 % interval {interval[0]:.4f} to {interval[1]:.4f} mJ" if interval else ""
    inner = [operator for operator in profile.operators if operator.role == ""]
    macs = sum(operator.macs_per_image for operator in inner)
    return {
        "rate": sum(operator.sops for operator in inner) / macs,
        "rate_source": f"measured on {profile.images} images{said}",
    }


def verdict(row: Row, cells: Mapping[str, Any], prices: "Technology") -> str:
    """Whether the printed energy comes out, or what is the matter with it."""
    from msvit_energy import price
    from msvit_energy.audit import REPRODUCED

    difference = cells["difference_percent"]
    if difference is not None and abs(difference) <= 100 * REPRODUCED:
        return "reproduced"
    if row.printed_is is not None:
        label, name = row.printed_is
        other = price(skeleton_of(name, {})[0], "ann", prices).total_mj
        return f"table error: printed is {label}, {other:.2f} mJ"
    return f"table error: {row.error}" if row.error else NO_RATES


def shown(value: Any, column: str) -> str:
    """A cell in print."""
    if value is None:
        return ""
    if isinstance(value, float):
        digits = {"difference_percent": "+.2f", "gmacs_per_step": ".4f"}.get(column)
        if digits is None:
            digits = ".3f" if "rate" in column else ".2f"
        return f"{value:{digits}}"
    return str(value)


def write(rows: list[dict[str, Any]], columns: Mapping[str, str], out: Path | None) -> None:
    """Print the table; write it in every format, all columns in the files for programs."""
    import pandas as pd

    from msvit_energy.outputs import written_together
    from msvit_energy.tables import latex_table, markdown_table

    numbers = [heading for column, heading in columns.items() if column not in ("method", "architecture", "verdict")]
    body = [[shown(row.get(column), column) for column in columns] for row in rows]
    header = list(columns.values())
    text = markdown_table(header, body, right=numbers)
    print(text)
    if out is None:
        return
    notes = "\n".join(f"- {row['architecture']}: {row['note']}" for row in rows if row["note"])
    with written_together(out) as folder:
        pd.DataFrame(rows).to_csv(folder / FILES[0], index=False)
        (folder / FILES[1]).write_text(f"# Table 1, energy\n\n{text}\n\n{notes}\n")
        (folder / FILES[2]).write_text(latex_table(header, body, right=numbers))
        (folder / FILES[3]).write_text(json.dumps(rows, indent=1) + "\n")
    for name in FILES:
        print(out / name)
