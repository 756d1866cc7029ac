"""The command line: one small file per command, which parses, calls and prints."""

import sys
from importlib.metadata import version
from types import ModuleType
from typing import Annotated

import typer

from msvit_energy.commands import (
    compare,
    diff,
    energy,
    evidence,
    hardware,
    heatmap,
    leak,
    merge,
    models,
    precision,
    profile,
    protocols,
    recipes,
    report,
    table1,
    table2,
    table3,
    technologies,
    train,
)
from msvit_energy.commands._help import Command, Group
from msvit_energy.workflows.processes import processes
from msvit_energy.workflows.user_errors import USER_ERRORS, fault_in_words

COMMANDS: dict[str, tuple[ModuleType, ...]] = {
    "Measure": (profile, merge, leak, precision),
    "Price and compare": (energy, compare, diff, hardware),
    "Show": (report, heatmap),
    "Train": (train, recipes, models),
    "Check the literature": (table1, table2, table3, evidence),
    "Conventions": (protocols, technologies),
}

app = typer.Typer(
    name="msvit-energy",
    cls=Group,
    help="Profile spiking transformers and price their energy.",
    context_settings={"help_option_names": ["-h", "--help"]},
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def show_version(wanted: bool) -> None:
    """Print the version of the package and end."""
    if wanted:
        print(f"msvit-energy {version('msvit-energy')}")
        raise typer.Exit


@app.callback()
def options(
    _: Annotated[
        bool, typer.Option("--version", help="Show the version and exit.", is_eager=True, callback=show_version)
    ] = False,
) -> None:
    """Profile spiking transformers and price their energy."""


for panel, modules in COMMANDS.items():
    for module in modules:
        name = module.__name__.rpartition(".")[2]
        app.command(name, cls=Command, epilog=module.EXAMPLES, rich_help_panel=panel)(getattr(module, name))


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
