"""`msvit-energy models`: every registered model with its size and cost."""

import json
from typing import Annotated

import typer

from msvit_energy.commands._options import AsJson, Columns
from msvit_energy.commands._terminal import show

EXAMPLES = """
msvit-energy models msvit
msvit-energy models 'spikformer_*' --json
"""


def models(
    pattern: Annotated[str, typer.Argument(help="Part of a name, or a shell pattern of names.")] = "*",
    columns: Columns = None,
    as_json: AsJson = False,
) -> None:
    """List models: name, family, parameters, input, T, dense GMACs of one time step, source."""
    from msvit_energy.workflows.loading.model_list import model_table, models_like

    rows = models_like(pattern)
    if as_json:
        print(json.dumps(rows, indent=1))
    else:
        show(model_table(rows), columns)
