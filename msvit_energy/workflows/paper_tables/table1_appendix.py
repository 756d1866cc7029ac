"""Rows that the paper's Table 1 does not have: energies that other authors print, held against our own models."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from msvit_energy import Profile, price
from msvit_energy.pricing.implied_rate import REPRODUCED
from msvit_energy.pricing.technology import Technology
from msvit_energy.reporting.published import published_table
from msvit_energy.reporting.table import Column, Table
from msvit_energy.workflows.paper_tables.table1 import audited, energy_table
from msvit_energy.workflows.paper_tables.table1_rows import APPENDIX, Row, appendix_models
from msvit_energy.workflows.progress import Progress, no_progress
from msvit_energy.workflows.published.evidence import FOLDER
from msvit_energy.workflows.published.published_pricing import PublishedRates, from_rates

TITLE = "Table 1, appendix: rows that the paper does not have"
NOT_PRINTED = "energy not printed"
NO_MODEL = "no model here"
PUBLISHED = "rates that its authors published"
SOURCES = "printed: in the named place; papers of the same authors may print more"


def appendix(
    protocols: list[str], prices: Technology, measured: Mapping[str, Profile], progress: Progress = no_progress
) -> Table:
    """Every row of the appendix, as `table1.audit` has those of the table. Where neither a profile is in `measured` nor
    rates were published, there is no energy of ours, and only the rate that the printed one implies."""
    known, printed = appendix_models(), published_table(APPENDIX)
    rows = []
    with progress("counting", len(printed)) as advance:
        for theirs in printed:
            model = theirs["model"] if theirs["model"] in known else None
            rows.append(judged(model, theirs, protocols, prices, measured))
            advance(1)
    table = energy_table(rows, protocols, {name: profile for name, profile in measured.items() if name in known})
    columns = {key: column for key, column in table.columns.items() if key != "accuracy_note"}
    return replace(
        table, title=TITLE, columns=columns | {"source": Column("printed in", rank=7)}, notes=[*table.notes, SOURCES]
    )


def judged(
    model: str | None,
    theirs: Mapping[str, Any],
    protocols: list[str],
    prices: Technology,
    measured: Mapping[str, Profile],
) -> dict[str, Any]:
    """One row: what is printed, and what comes out of a measured profile or of published rates."""
    published = theirs["rates"] is not None and model is not None and model not in measured
    if published:
        rates = from_rates(PublishedRates(model=model, log=FOLDER / theirs["rates"]))
        measured = {**measured, model or "": rates}
    cells = audited(Row(model, note=theirs["note"] or ""), theirs, protocols, prices, measured)
    cells["source"] = theirs["source"]
    if theirs["energy_mj"] is None:
        return cells | {"verdict": NOT_PRINTED}
    if model is None:
        return cells | {"verdict": NO_MODEL}
    if published:
        own = price(rates, theirs["protocol"], prices).total_mj
        cells |= {"rate_source": PUBLISHED}
        if abs(own / theirs["energy_mj"] - 1) <= REPRODUCED:
            cells |= {"verdict": f"reproduced by {theirs['protocol']}: {own:.2f} mJ"}
    return cells
