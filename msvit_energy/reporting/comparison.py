"""Models side by side: measured profiles and published rows as records of one kind, relative cost, the Pareto front."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from msvit_energy.errors import EnergyError
from msvit_energy.pricing.energy import PJ_PER_MJ, EnergyReport
from msvit_energy.pricing.energy_units import energy_text, energy_unit
from msvit_energy.profiles.profile import Profile
from msvit_energy.profiles.provenance import DataOrigin
from msvit_energy.reporting.formatting import ratio
from msvit_energy.reporting.table import Column, Table


@dataclass(frozen=True)
class Entry:
    """One model: parameters in M, dense GMACs per time step, SOPs in G per image, mean firing rate of its neurons,
    energy and half of its 95 % interval in mJ per image, top-1 accuracy in percent; None for what is not known.

    `data` is what accuracy was taken on, `source` who says all this, `doubt` why the energy cannot be right, `warnings`
    what a reader of a measured row must know first. Figures colour by `family`, and draw `runs`, (energy, accuracy) of
    those whose mean a row is.
    """

    name: str
    data: str
    source: str
    params_m: float | None = None
    time_steps: int | None = None
    gmacs_per_step: float | None = None
    sops_g: float | None = None
    rate: float | None = None
    energy_mj: float | None = None
    energy_mj_half: float | None = None
    top1: float | None = None
    doubt: str = ""
    warnings: tuple[str, ...] = ()
    family: str = ""
    runs: tuple[tuple[float, float], ...] = ()

    @property
    def label(self) -> str:
        """The name, with a star if its energy is in doubt."""
        return f"{self.name}*" if self.doubt else self.name

    @property
    def measured(self) -> bool:
        """Whether a profile of images is behind it."""
        return self.source.startswith("measured")


def labels(paths: Sequence[Path]) -> list[str]:
    """A short name for every file: its folder, or its own name if it is not profile.json (or a folder), with as many of
    the folders above as make it unique. The same file twice raises EnergyError."""
    full = [path.resolve() for path in paths]
    for path, resolved in zip(paths, full, strict=True):
        if full.count(resolved) > 1:
            raise EnergyError(f"{path} is given twice")
    folders = [path.parent if path.name == "profile.json" else path if path.is_dir() else None for path in full]
    named = [folder or path.with_suffix("") for folder, path in zip(folders, full, strict=True)]
    parts = [path.parts[1:] for path in named]  # without the root
    return [_shortest(own, parts) or str(path) for own, path in zip(parts, paths, strict=True)]


def _shortest(own: tuple[str, ...], every: Sequence[tuple[str, ...]]) -> str:
    """The fewest last parts of a path that no other path ends with; empty if all of them are not enough."""
    for length in range(1, len(own) + 1):
        if sum(other[-length:] == own[-length:] for other in every) == 1:
            return "/".join(own[-length:])
    return ""


def measured(profile: Profile, report: EnergyReport, name: str) -> Entry:
    """What a priced profile says."""
    data = profile.provenance.data or DataOrigin()
    split = f" {data.split}" if data.split else ""
    of_images = "" if profile.known_images is None else f"{profile.images} images"
    given = " of ".join(filter(None, ("given rates", of_images)))
    return Entry(
        name=name,
        data=f"{data.name or 'unknown'}{split}",
        source=f"measured, {of_images}" if profile.provenance.is_measured else given,
        params_m=None if profile.parameters is None else profile.parameters / 1e6,
        time_steps=profile.time_steps,
        gmacs_per_step=profile.macs_per_step / 1e9,
        sops_g=report.acs / 1e9 if report.acs else None,
        rate=profile.firing_rate,
        energy_mj=report.total_mj,
        energy_mj_half=report.spread.half_width / PJ_PER_MJ if report.spread else None,
        top1=None if profile.accuracy is None else 100 * profile.accuracy,
        warnings=tuple(profile.warnings()),
        family=profile.provenance.model_name,
    )


def published(row: Mapping[str, Any], data: str, doubt: str = "") -> Entry:
    """A printed row; `data` where the row does not name its data set."""
    method, architecture = row.get("method") or "", row.get("architecture") or ""
    return Entry(
        name=architecture if architecture.startswith(method) else f"{method} {architecture}".strip(),
        data=row.get("dataset") or data,
        source=row.get("source") or "published",
        params_m=row.get("params_m"),
        time_steps=row.get("time_steps"),
        energy_mj=row.get("energy_mj"),
        top1=row.get("top1"),
        doubt=doubt,
        family=method,
    )


def front(entries: Sequence[Entry]) -> list[Entry]:
    """The Pareto front: entries than which no other on the same data has at least their accuracy for at most their
    energy, one of both better. Energies in doubt neither are on it nor beat others."""
    known = [entry for entry in entries if plottable(entry) and not entry.doubt]
    return [entry for entry in known if not any(beats(other, entry) for other in known)]


def plottable(entry: Entry) -> bool:
    """Whether it has both an energy and an accuracy."""
    return entry.energy_mj is not None and entry.top1 is not None


def not_drawn(entries: Sequence[Entry]) -> list[str]:
    """Which entries a picture of energy and accuracy lacks, and why, in words."""
    lines = []
    for what, these in (
        ("no accuracy", [entry for entry in entries if entry.top1 is None and entry.energy_mj is not None]),
        ("no energy", [entry for entry in entries if entry.energy_mj is None]),
    ):
        names = [
            entry.label if entry.energy_mj is None else f"{entry.label} ({energy_text(entry.energy_mj)})"
            for entry in these
        ]
        lines += [f"not drawn, {what}: {', '.join(names)}"] if names else []
    return lines


def beats(a: Entry, b: Entry) -> bool:
    """Whether `a` is nowhere worse than `b`, and somewhere better."""
    assert a.energy_mj is not None and b.energy_mj is not None and a.top1 is not None and b.top1 is not None
    if a.data != b.data or a.energy_mj > b.energy_mj or a.top1 < b.top1:
        return False
    return a.energy_mj < b.energy_mj or a.top1 > b.top1


ONLY_DRAWN = {"family", "runs"}  # not in tables
IN_LATEX = 7  # columns fit into a table* of a two-column page
ORDERS = {  # --sort: key of the records, whether the greatest comes first
    "energy": ("energy_mj", False),
    "accuracy": ("top1", True),
    "parameters": ("params_m", False),
    "sops": ("sops_g", False),
    "rate": ("rate", False),
}


def check_order(order: str | None) -> None:
    """EnergyError for an order that is none of ORDERS."""
    if order is not None and order not in ORDERS:
        raise EnergyError(f"--sort is one of {', '.join(ORDERS)}, not {order!r}")


def ordered(entries: Sequence[Entry], order: str | None) -> list[Entry]:
    """Sorted by one of ORDERS, those without a value last; None leaves them as they are."""
    if order is None:
        return list(entries)
    key, greatest_first = ORDERS[order]
    sign = -1 if greatest_first else 1

    def position(entry: Entry) -> tuple[bool, float]:
        value = getattr(entry, key)
        return value is None, 0.0 if value is None else sign * value

    return sorted(entries, key=position)


def comparison(entries: Sequence[Entry], title: str, warnings: Sequence[str] = ()) -> Table:
    """The table; energies relative to the first row's, where both are of the same data."""
    best = front(entries)
    records = [
        {key: value for key, value in asdict(entry).items() if key not in ONLY_DRAWN}
        | {
            "label": entry.label,
            "relative": _relative(entry, entries[0]),
            "pareto": "yes" if entry in best else "",
            "warnings": list(entry.warnings),
        }
        for entry in entries
    ]
    unit = energy_unit(entry.energy_mj for entry in entries)
    columns = {
        "label": Column("model"),
        "data": Column("data", rank=6),
        "params_m": Column("M params", ".2f", rank=3),
        "time_steps": Column("T", "d", rank=5),
        "gmacs_per_step": Column("GMACs", ".4g", rank=8),
        "sops_g": Column("G SOPs", ".4g", rank=7),
        "rate": Column("rate", ".4f", rank=4),
        "energy_mj": Column(unit.name, ".5g", margin="energy_mj_half", scale=unit.per_mj),
        "relative": Column("x first", ratio, rank=6),
        "top1": Column("top-1 %", ".2f", rank=1),
        "pareto": Column("front", rank=9),
        "source": Column("source", rank=2),
    }
    return Table(title, records, columns, notes(entries), warnings, most_in_latex=IN_LATEX)


def _relative(entry: Entry, first: Entry) -> float | None:
    if entry.energy_mj is None or not first.energy_mj or entry.data != first.data:
        return None
    return entry.energy_mj / first.energy_mj


def notes(entries: Sequence[Entry]) -> list[str]:
    """What a reader must know about the rows."""
    lines = [f"{entry.label}: {entry.doubt}" for entry in entries if entry.doubt]
    if any("published" in entry.source for entry in entries):
        lines.append("published energies are as printed, each by its authors' own counting; table1 audits them")
    if len({entry.data for entry in entries if entry.top1 is not None}) > 1:
        lines.append("accuracies are of different data sets, so each data set has a Pareto front of its own")
    if len({entry.data for entry in entries if entry.energy_mj is not None}) > 1:
        lines.append("x first: of rows with the data of the first one")
    return lines
