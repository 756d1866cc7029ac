"""Registered models with their size and cost."""

from typing import Any

from msvit_energy.errors import EnergyError, did_you_mean
from msvit_energy.reporting.formatting import size_text
from msvit_energy.reporting.table import Column, Table
from msvit_energy.workflows.loading.shipped_geometry import model_records


def models_like(pattern: str) -> list[dict[str, Any]]:
    """`model_records` of a pattern; EnergyError if no model fits."""
    rows = model_records(pattern)
    if not rows:
        names = [row["name"] for row in model_records()]
        raise EnergyError(f"no model matches {pattern!r}; {did_you_mean(pattern, names)}models: {', '.join(names)}")
    return rows


def model_table(rows: list[dict[str, Any]]) -> Table:
    """Models as `model_records` gives them."""
    columns = {
        "name": Column("name"),
        "family": Column("family", rank=4),
        "parameters": Column("parameters", ",", rank=1),
        "input": Column("input", rank=3),
        "time_steps": Column("T", "d", rank=2),
        "gmacs": Column("GMACs", ".4f", rank=1),
        "source": Column("source", rank=5),
    }
    records = [row | {"input": size_text(row["input_size"]), "gmacs": row["macs_per_step"] / 1e9} for row in rows]
    return Table("", records, columns)
