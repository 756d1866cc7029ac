"""What `compare` puts side by side: saved profiles under names of their own, and published rows."""

import re
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from functools import partial
from importlib import resources
from pathlib import Path

from msvit_energy import EnergyReport, Profile, price
from msvit_energy.errors import EnergyError
from msvit_energy.pricing.protocols import get_protocol
from msvit_energy.pricing.technology import Technology, get_technology
from msvit_energy.reporting.comparison import (
    Entry,
    check_order,
    comparison,
    labels,
    measured,
    ordered,
    plottable,
    published,
)
from msvit_energy.reporting.figures.look import USUAL, Look
from msvit_energy.reporting.published import published_table, read_published
from msvit_energy.reporting.table import Table
from msvit_energy.workflows.loading.shipped_geometry import model_records
from msvit_energy.workflows.paper_tables.table1_rows import ROWS

Writers = dict[str, Callable[[Path], object]]

FIGURES = ("compare.png", "compare.svg", "compare.pdf")
MEASURED = "measured"
TABLES = {"table1": "ImageNet-1k", "table2": "", "table3": ""}  # and the data of tables that do not name it
ALIASES = {"spikedriven": "sdt", "spikedrivenv2": "sdtv2", "vitb16": "vit", "swintransformer": "swin"}


def load_named(paths: Sequence[Path]) -> dict[str, Profile]:
    """Profiles by the models' names; where two are alike, with the folder or the file that tells them apart."""
    places = labels(paths)
    profiles = [Profile.load(path) for path in paths]
    models = [profile.provenance.model_name for profile in profiles]
    alike = Counter(models)
    names = [f"{model} ({place})" if alike[model] > 1 else model for model, place in zip(models, places, strict=True)]
    return dict(zip(names, profiles, strict=True))


def compare(
    profiles: Mapping[str, Profile] | Sequence[Profile | str | Path],
    *,
    baselines: str = "",
    sort: str | None = None,
    protocol: str = "appendix-c",
    technology: str | Technology = "45nm-fp32",
) -> Table:
    """Profiles side by side, and beside others: profiles by name, or profiles and their files. The rest is that of
    `msvit-energy compare`; EnergyError for unknown names."""
    prices = get_technology(technology)
    named = profiles if isinstance(profiles, Mapping) else _named(profiles)
    return comparison_of(named, entries_of(named, baselines, sort, protocol, prices), protocol, prices)


def _named(profiles: Sequence[Profile | str | Path]) -> dict[str, Profile]:
    """Under the models' names, with a number where two are alike."""
    opened = [each if isinstance(each, Profile) else Profile.load(each) for each in profiles]
    models = [profile.provenance.model_name for profile in opened]
    alike = Counter(models)
    names = [f"{model} ({i})" if alike[model] > 1 else model for i, model in enumerate(models, start=1)]
    return dict(zip(names, opened, strict=True))


def entries_of(
    named: Mapping[str, Profile], baselines: str, sort: str | None, protocol: str, prices: Technology
) -> list[Entry]:
    """The rows: one's own profiles, then baselines, in the order of `sort`."""
    check_order(sort)
    entries = [measured(profile, price(profile, protocol, prices), name) for name, profile in named.items()]
    entries += baseline_entries(baselines, named.values(), lambda each: price(each, protocol, prices))
    return ordered([replace(entry, family=family_of(entry.family)) for entry in entries], sort)


def family_of(name: str) -> str:
    """The family of a registered model or of a published method; other names are families of their own."""
    found = [record["family"] for record in model_records(name) if record["name"] == name]
    return found[0] if found else slug(name) or name


def comparison_of(named: Mapping[str, Profile], entries: Sequence[Entry], protocol: str, prices: Technology) -> Table:
    """The table of these rows, with the warnings of one's own profiles."""
    title = f"energy by {get_protocol(protocol)}, {prices.name}: E_MAC {prices.e_mac} pJ, E_AC {prices.e_ac} pJ"
    warnings = [f"{name}: {warning}" for name, profile in named.items() for warning in profile.warnings()]
    return comparison(entries, title, warnings)


def baseline_entries(text: str, own: Collection[Profile], priced: Callable[[Profile], EnergyReport]) -> list[Entry]:
    """Published rows by table, method (of Table 1, or as table2:method) or file, and rivals that were measured on the
    data of one's `own` profiles; EnergyError for unknown names."""
    entries = []
    for name in filter(None, (part.strip() for part in text.split(","))):
        if name == MEASURED:
            entries += [
                measured(profile, priced(profile), f"{profile.provenance.model_name} ({MEASURED})")
                for profile in measured_rivals({profile.provenance.data_name for profile in own})
            ]
        elif name.endswith(".csv"):
            entries += [published(row, "unknown") for row in read_published(Path(name))]
        else:
            entries += rows_of(name)
    return list(dict.fromkeys(entries))


def measured_rivals(data: Collection[str]) -> list[Profile]:
    """Profiles of small models of every family that were trained alike (reports/rivals), of seed 0 and on some data;
    EnergyError where there are none."""
    folder = resources.files("msvit_energy.reporting") / "data" / "rivals"
    with resources.as_file(folder) as place:
        every = [Profile.load(path) for path in sorted(place.glob("*.profile.json"))]
    found = [profile for profile in every if profile.provenance.data_name in data]
    if not found:
        known = dict.fromkeys(profile.provenance.data_name for profile in every)
        raise EnergyError(
            f"--baselines {MEASURED}: rivals were measured on {' and '.join(known)}, not {', '.join(data)}"
        )
    return found


def rows_of(name: str) -> list[Entry]:
    """The rows of a table, of a method in Table 1, or of `table:method`."""
    table, _, method = (name, "", "") if name in TABLES else name.rpartition(":")
    table = table or "table1"
    if table not in TABLES:
        raise EnergyError(f"no table {table!r} in --baselines; tables: {', '.join(TABLES)}, or {MEASURED}")
    rows = published_table(table)
    doubts = doubts_of(table, len(rows))
    pairs = [
        (row, doubt)
        for row, doubt in zip(rows, doubts, strict=True)
        if not method or slug(row["method"]) == slug(method)
    ]
    if not pairs:
        known = dict.fromkeys(slug(row["method"]) for row in rows)
        raise EnergyError(f"no {method!r} in {table}; its methods: {', '.join(known)}; tables: {', '.join(TABLES)}")
    return [published(row | {"source": f"published, Table {table[-1]}"}, TABLES[table], doubt) for row, doubt in pairs]


def slug(method: str) -> str:
    """A method's name as one types it."""
    plain = re.sub(r"[^a-z0-9]", "", method.lower())
    return ALIASES.get(plain, plain)


def doubts_of(table: str, rows: int) -> list[str]:
    """What is known to be wrong with printed energies."""
    if table != "table1":
        return [""] * rows
    return [f"the printed energy is that of {row.printed_is[0]}" if row.printed_is else row.error for row in ROWS]


def scatter_plot(entries: Sequence[Entry], look: Look | None = None) -> tuple[Writers, list[str]]:
    """What writes the scatter plot, by file, and the lines that the look leaves out of it; nothing if no model has both
    energy and accuracy."""
    from msvit_energy.reporting.figures.style import save
    from msvit_energy.reporting.figures.tradeoff import energy_accuracy

    if not any(map(plottable, entries)):
        return {}, []
    look = look or USUAL
    figure = energy_accuracy(entries, look=look)
    return dict.fromkeys(FIGURES, partial(save, figure, dots_per_inch=look.resolution)), list(figure.notes)
