"""Registered models with their size and cost."""

from typing import Any

import msvit
from msvit.registry import entry
from msvit_energy.errors import EnergyError
from msvit_energy.geometry import geometry
from msvit_energy.reporting.formatting import size_text
from msvit_energy.reporting.table import Column, Table
from msvit_energy.workflows.model_loading import without_memory
from msvit_energy.workflows.progress import Progress, no_progress


def models_like(pattern: str, progress: Progress = no_progress) -> list[dict[str, Any]]:
    """`describe` of every model whose name matches a shell pattern; EnergyError if there is none."""
    names = msvit.list_models(pattern)
    if not names:
        raise EnergyError(f"no model matches {pattern!r}; models: {', '.join(msvit.list_models())}")
    rows = []
    with progress("counting", len(names)) as advance:
        for name in names:
            rows.append(describe(name))
            advance(1)
    return rows


def describe(name: str) -> dict[str, Any]:
    """Name, family, parameters, input `[C, H, W]`, T, dense MACs of one time step, source. Counted on a model without
    memory."""
    registered = entry(name)
    model = without_memory(name, {})
    skeleton = geometry(model, model.input_size, model.time_steps)  # not every model runs over any T
    return {
        "name": name,
        "family": registered.family,
        "parameters": skeleton.parameters,
        "input_size": list(model.input_size),
        "time_steps": model.time_steps,
        "macs_per_step": skeleton.macs_per_step,
        "source": registered.source,
    }


def model_table(rows: list[dict[str, Any]]) -> Table:
    """Models as `describe` gives them."""
    columns = {
        "name": Column("name"),
        "family": Column("family"),
        "parameters": Column("parameters", ","),
        "input": Column("input"),
        "time_steps": Column("T", "d"),
        "gmacs": Column("GMACs", ".4f"),
        "source": Column("source"),
    }
    records = [row | {"input": size_text(row["input_size"]), "gmacs": row["macs_per_step"] / 1e9} for row in rows]
    return Table("", records, columns)
