"""What `energy` prices: a saved profile, a table of layers, or published rates on a model's geometry."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from msvit_energy import EnergyReport, Profile, price, read_table
from msvit_energy.errors import EnergyError
from msvit_energy.pricing.protocols import all_choices
from msvit_energy.pricing.published_rates import fill, fill_uniform, read_rates
from msvit_energy.pricing.spikingformer_log import read_log
from msvit_energy.pricing.technology import Technology
from msvit_energy.profiles.provenance import Provenance, command_line, sha256
from msvit_energy.workflows.loading.model_arguments import parse_arguments
from msvit_energy.workflows.loading.shipped_geometry import geometry_of


@dataclass(frozen=True)
class PublishedRates:
    """A registered model with a table of rates, or one rate, that were measured elsewhere; all as on a command line."""

    model: str | None = None
    model_args: str | None = None
    table: Path | None = None
    log: Path | None = None
    per_image: Path | None = None
    rate: float | None = None
    time_steps: int | None = None
    input_size: str | None = None


def profile_to_price(path: Path | None, layers: Path | None, published: PublishedRates) -> Profile:
    """The saved profile, that of a table of layers, or that of the published rates; EnergyError unless exactly one of
    the three is given."""
    if [path, layers, published.model].count(None) != 2:
        raise EnergyError("give one of a profile.json, --table FILE, or --model with --rates, --log or --rate")
    if published.model is not None and published.per_image is None:
        return from_rates(published)
    of_table = {"time_steps": None, "per_image": None} if layers else {}
    if replace(published, **of_table) != PublishedRates():
        raise EnergyError(
            "--rates, --log, --rate, --input-size and --model-args go with --model, --per-image with --table, "
            "--time-steps with either"
        )
    if layers is not None:
        return read_table(layers, published.time_steps, published.per_image)
    assert path is not None
    return Profile.load(path)


def understood(profile: Profile) -> list[str]:
    """What the columns of a table were read as, and the total that a log has, in words; nothing for other profiles."""
    rates = profile.provenance.rates
    if rates and "printed_mj" in rates.other:
        return [f"{rates.file}: the tool printed {rates.other['printed_mj']} mJ (protocol spikingformer-tool)"]
    if not rates or not rates.columns:
        return []
    columns = ", ".join(f"{name} from {column}" for name, column in rates.columns.items())
    return [f"{rates.file}: {len(profile.operators)} layers, T = {profile.time_steps}; {columns}"]


def from_rates(published: PublishedRates) -> Profile:
    """The geometry of a model with published rates."""
    name, path, rate, size = published.model, published.table or published.log, published.rate, published.input_size
    if name is None or [published.table, published.log, rate].count(None) != 2:
        raise EnergyError("--model needs one of --rates FILE, --log FILE and --rate R")
    log = None if published.log is None else read_log(published.log)
    table = log.rates if log else None if path is None else read_rates(path)
    args = {"time_steps": published.time_steps} | parse_arguments(published.model_args)
    geometry = geometry_of(name, args, size)
    skeleton = geometry.profile
    if rate is not None:
        source: dict[str, Any] = {"rate": rate}
        filled = fill_uniform(skeleton, rate)
        note = f"one rate of {rate} for all layers, not measured here"
    else:
        assert table is not None and path is not None
        filled = fill(skeleton, table, geometry.modules, str(path))
        source = {"file": path.name, "sha256": sha256(path)}
        note = f"rates from {path.name}, not measured here"
    notes = [note, *(log.conflicts() if log else ())]
    if log is not None and log.printed_mj is not None:
        source["printed_mj"] = log.printed_mj
    provenance = {"model": {"name": name, "args": geometry.args}, "rates": source, "warnings": notes}
    return replace(filled, provenance=Provenance.of(provenance).stamped(command_line()))


def price_by(profile: Profile, names: Sequence[str], technology: Technology) -> tuple[list[EnergyReport], list[str]]:
    """One report for each protocol; of "all", those that the profile has the counts for, and why not the others."""
    every = all_choices(tables=bool(profile.provenance.priced_as))
    reports: dict[str, EnergyReport] = {}
    unavailable = []
    for name in names:
        for choice in every if name == "all" else [name]:
            try:
                report = price(profile, choice, technology)
            except EnergyError as error:
                if name != "all":
                    raise
                unavailable.append(f"{choice}: {error}")
            else:
                reports.setdefault(report.protocol, report)
    return list(reports.values()), unavailable


def totals(profile: Profile, report: EnergyReport) -> dict[str, Any]:
    """A report's totals for a program; `images` are those that were measured or whose rates were given, 0 for rates
    without images."""
    return {
        "protocol": report.protocol,
        "technology": report.technology.name,
        "e_mac_pj": report.technology.e_mac,
        "e_ac_pj": report.technology.e_ac,
        "total_mj": report.total_mj,
        "ci95_mj": report.interval_mj,
        "macs": report.macs,
        "acs": report.acs,
        "images": profile.known_images or 0,
        "time_steps": profile.time_steps,
        "warnings": profile.warnings(),
    }
