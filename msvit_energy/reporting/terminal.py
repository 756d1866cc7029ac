"""A table in the terminal."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console, ConsoleOptions, RenderableType
from rich.measure import Measurement
from rich.table import Table as RichTable
from rich.text import Text

from msvit_energy.errors import printable
from msvit_energy.reporting.table import Column, Table

READABLE = 12  # characters of a line of folded text


@dataclass(frozen=True)
class TerminalTable:
    """Warnings, a table and its notes at the width of a terminal. Text folds, numbers never; where that is not enough,
    columns are left out by rank, and a line names them."""

    table: Table

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[RenderableType]:
        for warning in self.table.warnings:
            yield Text(f"warning: {printable(warning)}", style="bold red")
        shown, left_out = _fitted(self.table, console, options)
        yield shown
        if left_out:
            yield _note(f"not shown: {', '.join(left_out)} (wider than {options.max_width} columns; --columns chooses)")
        yield from map(_note, self.table.notes)


def _fitted(table: Table, console: Console, options: ConsoleOptions) -> tuple[RichTable, list[str]]:
    """The table with as many columns as fit, at least two, and the headings of the others."""
    for count in range(len(table.columns), 1, -1):
        narrow = table.narrowed(count)
        shown = _drawn(narrow, READABLE)
        if Measurement.get(console, options.update(max_width=10_000), shown).minimum <= options.max_width:
            break
    else:
        narrow = table.narrowed(2)
        shown = _drawn(narrow, 1)
    return shown, [column.heading for key, column in table.columns.items() if key not in narrow.columns]


def _drawn(table: Table, readable: int) -> RichTable:
    """The table; text folds to lines of no fewer characters than `readable`."""
    title = Text(printable(table.title))
    shown = RichTable(title=title, title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    everything = (*table.records, *(group.sums for group in table.groups))
    for key, column in table.columns.items():
        _add_column(shown, column, [column.cell(key, record) for record in everything], readable)
    for sums, records in _sections(table):
        if sums is not None:
            shown.add_row(*_cells(table, sums, ""), style="bold")
        for record in records:
            shown.add_row(*_cells(table, record, table.missing))
        shown.add_section()
    return shown


def _sections(table: Table) -> Iterator[tuple[Mapping[str, Any] | None, Sequence[Mapping[str, Any]]]]:
    """The records of every group with its sums; all records without any where there are no groups."""
    if not table.groups:
        yield None, table.records
    first = 0
    for group in table.groups:
        yield group.sums, table.records[first : first + group.size]
        first += group.size


def _cells(table: Table, record: Mapping[str, Any], missing: str) -> list[Text]:
    return [Text(printable(column.cell(key, record)) or missing) for key, column in table.columns.items()]


def _add_column(shown: RichTable, column: Column, cells: Sequence[str], readable: int) -> None:
    widest = max(map(len, cells), default=0)
    if column.numeric:
        shown.add_column(Text(column.heading), justify="right", no_wrap=True, min_width=widest)
    else:
        shown.add_column(Text(column.heading), overflow="fold", min_width=min(widest, readable))


def _note(note: str) -> Text:
    label, colon, text = printable(note).partition(": ")
    return Text.assemble((f"{label}: ", "bold"), text) if colon else Text(label)
