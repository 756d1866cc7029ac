"""A table in the terminal."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Group
from rich.table import Table as RichTable
from rich.text import Text

from msvit_energy.errors import printable
from msvit_energy.reporting.table import Column, Table


def terminal(table: Table) -> Group:
    """Warnings, the table and its notes; where space is short text folds, numbers never."""
    shown = RichTable(
        title=Text(printable(table.title)),
        title_justify="left",
        box=SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        pad_edge=False,
    )
    everything = (*table.records, *(group.sums for group in table.groups))
    for key, column in table.columns.items():
        _add_column(shown, column, [column.cell(key, record) for record in everything])
    for sums, records in _sections(table):
        if sums is not None:
            shown.add_row(*_cells(table, sums, ""), style="bold")
        for record in records:
            shown.add_row(*_cells(table, record, table.missing))
        shown.add_section()
    warnings = [Text(f"warning: {printable(warning)}", style="bold red") for warning in table.warnings]
    return Group(*warnings, shown, *map(_note, table.notes))


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


def _add_column(shown: RichTable, column: Column, cells: Sequence[str]) -> None:
    if column.numeric:  # too little space for all of them cuts off the last columns, never a digit
        widest = max(map(len, cells), default=0)
        shown.add_column(Text(column.heading), justify="right", no_wrap=True, min_width=widest)
    else:
        shown.add_column(Text(column.heading), overflow="fold")


def _note(note: str) -> Text:
    label, colon, text = printable(note).partition(": ")
    return Text.assemble((f"{label}: ", "bold"), text) if colon else Text(label)
