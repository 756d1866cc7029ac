"""The command line: one small file per command, which parses, calls and prints."""

import os
import sys
from contextlib import AbstractContextManager, nullcontext

import typer

from msvit_energy.commands.compare import compare
from msvit_energy.commands.energy import energy
from msvit_energy.commands.heatmap import heatmap
from msvit_energy.commands.merge import merge
from msvit_energy.commands.models import models
from msvit_energy.commands.precision import precision
from msvit_energy.commands.profile import profile
from msvit_energy.commands.protocols import protocols
from msvit_energy.commands.recipes import recipes
from msvit_energy.commands.report import report
from msvit_energy.commands.table1 import table1
from msvit_energy.commands.table2 import table2
from msvit_energy.commands.table3 import table3
from msvit_energy.commands.train import train

app = typer.Typer(
    name="msvit-energy",
    help="Profile spiking transformers and price their energy.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.command()(profile)
app.command()(energy)
app.command()(compare)
app.command()(heatmap)
app.command()(protocols)
app.command()(merge)
app.command()(train)
app.command()(recipes)
app.command()(models)
app.command()(table1)
app.command()(table2)
app.command()(table3)
app.command()(precision)
app.command()(report)


ACROSS_PROCESSES = ("train", "profile")


def processes() -> AbstractContextManager[None]:
    """All processes of a torchrun together, if it is one that started this."""
    if "TORCHELASTIC_RUN_ID" not in os.environ:
        return nullcontext()
    if not any(command in sys.argv[1:2] for command in ACROSS_PROCESSES):
        from msvit_energy.errors import EnergyError

        raise EnergyError(f"torchrun can start {' and '.join(ACROSS_PROCESSES)}, not {' '.join(sys.argv[1:2])}")
    from msvit.distributed import together

    return together()


def main() -> None:
    """Run the command line; what a user can mend becomes one line and exit code 2, a bug keeps its traceback."""
    try:
        with processes():
            app()
    except ValueError as error:
        # looked up, not imported: what was raised is there, and importing msvit takes seconds
        known = {"msvit.errors": "ModelError", "msvit_energy.errors": "EnergyError"}
        kinds = tuple(getattr(sys.modules[name], kind) for name, kind in known.items() if name in sys.modules)
        if not isinstance(error, kinds):
            raise
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(2) from None
