"""What the commands share of the terminal: its width, a progress bar, a table that is shown and written to files."""

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from msvit_energy.reporting.output_folder import check_free, written_together
from msvit_energy.reporting.table import Table, files, parse_formats, write

if TYPE_CHECKING:
    from rich.console import Console

WIDTH_OF_A_FILE = 240  # the widest table in one line per row
USUAL_FORMATS = "csv,md,tex,json"


def console() -> "Console":
    """Standard output: the terminal at its width, or a file at one that fits every table."""
    from rich.console import Console

    return Console() if sys.stdout.isatty() else Console(width=WIDTH_OF_A_FILE)


def show(table: Table, columns: str | None = None) -> None:
    """Print warnings, the table, notes; `columns` as for Table.with_columns."""
    from msvit_energy.reporting.terminal import TerminalTable

    console().print(TerminalTable(table.with_columns(columns)))


def shows_bars() -> bool:
    """Whether standard error is a terminal, which shows progress bars."""
    from rich.console import Console

    return Console(stderr=True).is_terminal


@contextmanager
def progress_bar(label: str, total: int) -> Iterator[Callable[[float], None]]:
    """A bar of `total` units on standard error, so that standard output holds results only; yields the function that
    advances it."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (TextColumn(label), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    # what is printed meanwhile goes above the bar, unless it goes to a file
    above = sys.stdout.isatty()
    with Progress(
        *columns, console=console, transient=True, redirect_stdout=above, disable=not console.is_terminal
    ) as progress:
        task = progress.add_task(label, total=total)
        yield lambda done: progress.advance(task, done)


class TableOutput:
    """Where a command's table goes: the terminal, and files called `name` in `out`, of which none may be there yet
    unless `force` is given.

    `also` are names of further files that the command may write, `columns` those that the command's own table prints.
    """

    def __init__(
        self,
        name: str,
        out: Path | None,
        formats: str,
        force: bool,
        also: Sequence[str] = (),
        columns: str | None = None,
    ) -> None:
        self.name, self.out, self.formats, self.columns = name, out, parse_formats(formats), columns
        self.names = [*files(name), *also]
        if out is not None:
            check_free(out, self.names, force)

    def show(
        self,
        table: Table,
        also: Mapping[str, Callable[[Path], object]] | None = None,
        beside: Mapping[str, Table] | None = None,
    ) -> None:
        """Print the table, and further ones `beside` it under their own names, and write all with the files `also`."""
        tables = {self.name: table.with_columns(self.columns), **(beside or {})}
        for each in tables.values():
            show(each)
        self.write(tables, also)

    def write(self, tables: Mapping[str, Table], also: Mapping[str, Callable[[Path], object]] | None = None) -> None:
        """Write tables in every format under their names, and the files `also`, all or none."""
        if self.out is None:
            return
        with written_together(self.out, self.names) as folder:
            for name, each in tables.items():
                write(each, folder, name, self.formats)
            for file, writer in (also or {}).items():
                writer(folder / file)
            written = sorted(path.name for path in folder.iterdir())
        for file in written:
            print(self.out / file)
