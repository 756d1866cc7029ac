"""`msvit-energy models`: every registered model with its size and cost."""

import json
from typing import Annotated, Any

import typer


def models(
    pattern: Annotated[str, typer.Argument(help="Shell pattern of names.")] = "*",
    as_json: Annotated[bool, typer.Option("--json", help="A list of objects.")] = False,
) -> None:
    """List models: name, family, parameters, input, T, dense GMACs of one time step, source."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    from msvit_energy.commands._terminal import console
    from msvit_energy.commands.progress import progress_bar

    rows = []
    wanted = names(pattern)
    with progress_bar("counting", len(wanted)) as advance:
        for name in wanted:
            rows.append(describe(name))
            advance(1)
    if as_json:
        print(json.dumps(rows, indent=1))
        return
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for column in ("name", "family", "parameters", "input", "T", "GMACs", "source"):
        table.add_column(column, justify="right" if column in ("parameters", "T", "GMACs") else "left")
    for row in rows:
        cells = (
            row["name"],
            row["family"],
            f"{row['parameters']:,}",
            "x".join(map(str, row["input_size"])),
            str(row["time_steps"]),
            f"{row['macs_per_step'] / 1e9:.4f}",
            row["source"],
        )
        table.add_row(*map(Text, cells))
    console().print(table)


def names(pattern: str) -> list[str]:
    """Names that match; EnergyError when none does."""
    import msvit
    from msvit_energy.errors import EnergyError

    found = msvit.list_models(pattern)
    if not found:
        raise EnergyError(f"no model matches {pattern!r}; models: {', '.join(msvit.list_models())}")
    return found


def describe(name: str) -> dict[str, Any]:
    """One row; parameters and MACs are counted on a model without memory."""
    from msvit.registry import entry
    from msvit_energy.geometry import geometry
    from msvit_energy.workflows.model_loading import without_memory

    registered = entry(name)
    model = without_memory(name, {})
    time_steps = model.time_steps
    skeleton = geometry(model, model.input_size, 1)
    return {
        "name": name,
        "family": registered.family,
        "parameters": skeleton.parameters,
        "input_size": list(model.input_size),
        "time_steps": time_steps,
        "macs_per_step": skeleton.macs_per_step,
        "source": registered.source,
    }
