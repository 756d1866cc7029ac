"""The command line: one small file per command, which parses, calls and prints."""

import sys

import typer

from msvit_energy.commands.compare import compare
from msvit_energy.commands.diff import diff
from msvit_energy.commands.energy import energy
from msvit_energy.commands.evidence import evidence
from msvit_energy.commands.hardware import hardware
from msvit_energy.commands.heatmap import heatmap
from msvit_energy.commands.leak import leak
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
from msvit_energy.commands.technologies import technologies
from msvit_energy.commands.train import train
from msvit_energy.workflows.processes import processes
from msvit_energy.workflows.user_errors import USER_ERRORS, fault_in_words

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
app.command()(diff)
app.command()(heatmap)
app.command()(hardware)
app.command()(protocols)
app.command()(technologies)
app.command()(merge)
app.command()(train)
app.command()(recipes)
app.command()(models)
app.command()(table1)
app.command()(table2)
app.command()(table3)
app.command()(evidence)
app.command()(leak)
app.command()(precision)
app.command()(report)


def main() -> None:
    """Run the command line; what a user can correct and faults of the machine become one line and exit code 2, Ctrl-C
    code 130 without a word, a bug keeps its traceback."""
    try:
        with processes("".join(sys.argv[1:2])):
            app()
    except KeyboardInterrupt:
        raise SystemExit(130) from None
    except USER_ERRORS as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(2) from None
    except (RuntimeError, MemoryError) as error:
        words = fault_in_words(error)
        if words is None:
            raise
        print(f"error: {words}", file=sys.stderr)
        raise SystemExit(2) from None
