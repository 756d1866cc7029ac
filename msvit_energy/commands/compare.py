"""`msvit-energy compare`: one's own profiled models beside each other and beside published rows."""

import re
from collections import Counter
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from msvit_energy.commands.showing import USUAL, Showing, Writer

if TYPE_CHECKING:
    from msvit_energy import Profile
    from msvit_energy.reporting.comparison import Entry

FIGURES = ("compare.png", "compare.svg")
TABLES = {"table1": "ImageNet-1k", "table2": "", "table3": ""}  # and the data of tables that do not name it
ALIASES = {"spikedriven": "sdt", "spikedrivenv2": "sdtv2", "vitb16": "vit", "swintransformer": "swin"}


def compare(
    profiles: Annotated[list[Path], typer.Argument(help="Profiles (profile.json).")],
    baselines: Annotated[
        str | None,
        typer.Option(help="Published rows: methods such as spikformer,qkformer,sdt; table1, table2, table3; a CSV."),
    ] = None,
    sort: Annotated[str | None, typer.Option(help="energy, accuracy, parameters, sops or rate.")] = None,
    protocol: Annotated[str, typer.Option(help="Accounting protocol of the profiles.")] = "appendix-c",
    technology: Annotated[str, typer.Option(help="Prices per operation: a name or a .toml file.")] = "45nm-fp32",
    e_mac: Annotated[float | None, typer.Option(help="Price of a multiply-accumulate, in pJ.")] = None,
    e_ac: Annotated[float | None, typer.Option(help="Price of an accumulate, in pJ.")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for the table and a scatter plot.")] = None,
    formats: Annotated[str, typer.Option("--format", help="csv, md, tex, json, parquet.")] = USUAL,
    force: Annotated[bool, typer.Option("--force", help="Replace an earlier run's files in --out.")] = False,
) -> None:
    """Parameters, MACs, SOPs, rate, energy and accuracy side by side; energies relative to the first row."""
    from msvit_energy import price
    from msvit_energy.errors import EnergyError
    from msvit_energy.pricing.protocols import get_protocol
    from msvit_energy.pricing.technology import get_technology, with_prices
    from msvit_energy.reporting.comparison import ORDERS, comparison, measured, ordered

    if sort is not None and sort not in ORDERS:
        raise EnergyError(f"--sort is one of {', '.join(ORDERS)}, not {sort!r}")
    choice, prices = str(get_protocol(protocol)), with_prices(get_technology(technology), e_mac, e_ac)
    showing = Showing("compare", out, formats, force, also=FIGURES)
    opened = named(profiles)
    entries = [measured(p, price(p, choice, prices), name) for name, p in opened.items()] + chosen(baselines or "")
    if sort is not None:
        entries = ordered(entries, sort)
    title = f"energy by {choice}, {prices.name}: E_MAC {prices.e_mac} pJ, E_AC {prices.e_ac} pJ"
    warnings = [f"{name}: {warning}" for name, p in opened.items() for warning in p.warnings()]
    showing.show(comparison(entries, title, warnings), also=pictures(entries) if out else {})


def named(paths: Sequence[Path]) -> "dict[str, Profile]":
    """Profiles by the models' names; where two are alike, with the folder or the file that tells them apart."""
    from msvit_energy import Profile
    from msvit_energy.reporting.comparison import labels

    places = labels(paths)
    profiles = [Profile.load(path) for path in paths]
    models = [profile.provenance.model_name for profile in profiles]
    alike = Counter(models)
    names = [f"{model} ({place})" if alike[model] > 1 else model for model, place in zip(models, places, strict=True)]
    return dict(zip(names, profiles, strict=True))


def chosen(text: str) -> "list[Entry]":
    """Published rows by table, method (of Table 1, or as table2:method) or file; EnergyError for unknown names."""
    from msvit_energy.reporting.comparison import published
    from msvit_energy.reporting.published import read_published

    entries = []
    for name in filter(None, (part.strip() for part in text.split(","))):
        if name.endswith(".csv"):
            entries += [published(row, "unknown") for row in read_published(Path(name))]
        else:
            entries += rows_of(name)
    return list(dict.fromkeys(entries))


def rows_of(name: str) -> "list[Entry]":
    """The rows of a table, of a method in Table 1, or of `table:method`."""
    from msvit_energy.errors import EnergyError
    from msvit_energy.reporting.comparison import published
    from msvit_energy.reporting.published import published_table

    table, _, method = (name, "", "") if name in TABLES else name.rpartition(":")
    table = table or "table1"
    if table not in TABLES:
        raise EnergyError(f"no table {table!r} in --baselines; tables: {', '.join(TABLES)}")
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
    from msvit_energy.workflows.paper_tables.table1_rows import ROWS

    if table != "table1":
        return [""] * rows
    return [f"the printed energy is that of {row.printed_is[0]}" if row.printed_is else row.error for row in ROWS]


def pictures(entries: "Sequence[Entry]") -> dict[str, Writer]:
    """The scatter plot, if any model has both energy and accuracy."""
    from msvit_energy.reporting.comparison import plottable
    from msvit_energy.reporting.figures.style import save
    from msvit_energy.reporting.figures.tradeoff import energy_accuracy

    if not any(map(plottable, entries)):
        return {}
    figure = energy_accuracy(entries)
    return dict.fromkeys(FIGURES, partial(save, figure))
