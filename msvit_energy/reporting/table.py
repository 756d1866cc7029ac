"""A table for readers and for programs alike: records in full precision, and how columns of them print.

Takes plain data only. Text cells may come from other people's models, so every format escapes them.
"""

import csv
import io
import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msvit_energy.errors import EnergyError, did_you_mean, printable
from msvit_energy.profiles.html_table import html_table
from msvit_energy.reporting.formatting import with_margin

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Column:
    """How a column prints: its heading; `form`, a format specification or a function for numbers, empty for text;
    `margin`, the key of half of an interval that is printed with the number; `scale`, what numbers are multiplied with
    before. Where there is too little space for all columns, those of the highest `rank` go first."""

    heading: str
    form: str | Callable[[Any], str] = ""
    margin: str = ""
    scale: float = 1
    rank: int = 0

    @property
    def numeric(self) -> bool:
        return self.form != ""

    def cell(self, key: str, record: Mapping[str, Any]) -> str:
        """The text of `record[key]`, empty where nothing is known."""
        value = record.get(key)
        if value is None or _unknown(value):
            return ""
        if self.scale != 1:
            value *= self.scale
        half = record.get(self.margin)
        if half:
            return with_margin(value, half * self.scale, "+" if str(self.form).startswith("+") else "")
        return self.form(value) if callable(self.form) else f"{value:{self.form}}"


@dataclass(frozen=True)
class Group:
    """So many records in a row that belong together, and a record of their sums to stand above them."""

    sums: Mapping[str, Any]
    size: int


@dataclass(frozen=True, repr=False)
class Table:
    """Records, the columns of them that print (files for programs have all), warnings above, notes below.

    A value may be a list of texts: JSON keeps it, CSV and Parquet have it as one text.
    The label of a note ends at its first colon. A terminal also shows the `groups` of the records, and `missing` in
    cells of which nothing is known. LaTeX has `most_in_latex` columns at most, those of the lowest rank.
    """

    title: str
    records: Sequence[Mapping[str, Any]]
    columns: Mapping[str, Column]
    notes: Sequence[str] = ()
    warnings: Sequence[str] = ()
    groups: Sequence[Group] = ()
    missing: str = ""
    most_in_latex: int | None = None

    def __repr__(self) -> str:
        return markdown(self)

    def _repr_html_(self) -> str:
        """What prints, for notebooks."""
        notes = [*(f"warning: {warning}" for warning in self.warnings), *self.notes]
        return html_table(self.title, self.header, self.body, notes)

    def to_frame(self) -> "pd.DataFrame":
        """All keys of the records, in full precision."""
        return frame(self)

    def keys(self) -> list[str]:
        """All that is known of the records, what prints first."""
        return list(dict.fromkeys((*self.columns, *(key for record in self.records for key in record))))

    def with_columns(self, text: str | None) -> "Table":
        """The table with the columns that a list names, "layer,energy_mj", by key or heading, in that order; None is
        all that print. EnergyError for one that is none."""
        if text is None:
            return self
        headings = {column.heading: key for key, column in self.columns.items()}
        chosen = {}
        for name in check_columns(text, self.keys(), self.columns):
            key = name if name in self.keys() else headings[name]
            chosen[key] = self.columns.get(key) or _plain_column(key, [record.get(key) for record in self.records])
        return replace(self, columns=chosen, most_in_latex=None)

    def by_rank(self) -> list[str]:
        """Keys of the columns, what stays longest first."""
        return sorted(self.columns, key=lambda key: self.columns[key].rank)

    def narrowed(self, most: int) -> "Table":
        """The table with so many columns at most, those of the lowest rank."""
        kept = set(self.by_rank()[:most])
        return replace(self, columns={key: column for key, column in self.columns.items() if key in kept})

    @property
    def header(self) -> list[str]:
        return [column.heading for column in self.columns.values()]

    @property
    def body(self) -> list[list[str]]:
        """The printed cells, row by row."""
        return [[column.cell(key, record) for key, column in self.columns.items()] for record in self.records]

    @property
    def numeric(self) -> list[bool]:
        """Which columns hold numbers."""
        return [column.numeric for column in self.columns.values()]


def check_columns(text: str | None, keys: Sequence[str], *columns: Mapping[str, Column]) -> list[str]:
    """The names in a list of columns, keys or headings of some `columns`; EnergyError for one that is none."""
    if text is None:
        return []
    headings = [column.heading for some in columns for column in some.values()]
    names = list(filter(None, (part.strip() for part in text.split(","))))
    for name in names:
        if name not in keys and name not in headings:
            near = did_you_mean(name, [*keys, *headings])
            raise EnergyError(f"no column {name!r}; {near}columns: {', '.join(keys)}")
    if not names:
        raise EnergyError(f"--columns names no column; columns: {', '.join(keys)}")
    return names


def _plain_column(key: str, values: Sequence[Any]) -> Column:
    """How a value prints that has no column of its own."""
    known = [value for value in values if value is not None]
    if known and all(isinstance(value, int | float) and not isinstance(value, bool) for value in known):
        return Column(key, ".6g")
    return Column(key)


def markdown_table(table: Table) -> str:
    """The table alone, numbers flush right."""
    rule = ["---:" if numeric else "---" for numeric in table.numeric]
    lines = (
        [_markdown_text(cell).replace("|", "\\|") for cell in cells] for cells in (table.header, rule, *table.body)
    )
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def _markdown_text(cell: str) -> str:
    """As one line, in which no tag, link or picture can begin."""
    return TAG.sub("&lt;", _one_line(cell).replace("\\", "\\\\").replace("](", "]\\("))


def _one_line(text: str) -> str:
    return printable(" ".join(text.split()))


def markdown(table: Table) -> str:
    """A heading, warnings, the table, notes."""
    warnings = "\n\n".join(f"> **Warning:** {_markdown_text(warning)}" for warning in table.warnings)
    notes = "\n".join(f"- {_markdown_text(note)}" for note in table.notes)
    heading = f"# {_markdown_text(table.title)}"
    return "\n\n".join(filter(None, (heading, warnings, markdown_table(table), notes))) + "\n"


TAG = re.compile("<(?=[A-Za-z/!?])")
FORMULA = ("=", "+", "-", "@")  # with which a spreadsheet takes a cell for one
ESCAPES = {c: f"\\{c}" for c in "&%$#_{}"} | {
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "\\": r"\textbackslash{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "±": r"$\pm$",
    "[": "{[}",  # an optional argument of the line break before it
}
NUMBER = re.compile(r"(?P<sign>[+-]?)(?P<whole>\d+)(\.(?P<part>\d+))?( ± (?P<half>\d+(\.\d+)?))?")


def latex(table: Table) -> str:
    """A tabular for booktabs and siunitx: numbers in S columns, aligned at the decimal point, +- as its uncertainty."""
    every = len(table.columns)
    table = table if table.most_in_latex is None else table.narrowed(table.most_in_latex)
    columns = [_latex_column(list(cells)) for cells in zip(*table.body, strict=True)] or ["r"] * len(table.columns)
    kinds = [column if numeric else "l" for column, numeric in zip(columns, table.numeric, strict=True)]
    lines = [r"% needs \usepackage{booktabs} and \usepackage{siunitx}"]
    if len(table.columns) < every:
        lines.append(f"% {len(table.columns)} of {every} columns, for a table* of a two-column page; --columns chooses")
    lines += [rf"\begin{{tabular}}{{{''.join(kinds)}}}", r"\toprule"]
    lines.append(_latex_row([_latex_text(cell, kind) for cell, kind in zip(table.header, kinds, strict=True)]))
    lines.append(r"\midrule")
    for cells in table.body:
        lines.append(_latex_row([_latex_cell(cell, kind) for cell, kind in zip(cells, kinds, strict=True)]))
    lines += [r"\bottomrule", r"\end{tabular}"]
    lines += [f"% {_one_line(note)}" for note in (*table.warnings, *table.notes)]
    return "\n".join(lines) + "\n"


def _latex_column(cells: Sequence[str]) -> str:
    """An S column that is wide enough for all numbers; r where a cell is none."""
    found = [NUMBER.fullmatch(cell) for cell in cells if cell]
    if not found or None in found:
        return "r"
    numbers = [match.groupdict(default="") for match in found if match]
    sign = "+" if any(number["sign"] for number in numbers) else ""
    whole, part = (max(len(number[key]) for number in numbers) for key in ("whole", "part"))
    half = max((len(number["half"].replace(".", "").lstrip("0")) for number in numbers), default=0)
    width = f"{sign}{whole}.{part}" + (f"({half})" if half else "")
    return f"S[table-format={width}{',retain-explicit-plus' if sign else ''}]"


def _latex_text(cell: str, kind: str) -> str:
    """Escaped; braces keep siunitx from reading it as a number."""
    text = "".join(ESCAPES.get(character, character) for character in _one_line(cell))
    return f"{{{text}}}" if kind.startswith("S") else text


def _latex_cell(cell: str, kind: str) -> str:
    if kind.startswith("S"):
        return cell.replace("±", r"\pm") if cell else "{--}"
    return _latex_text(cell, kind)


def _latex_row(cells: Sequence[str]) -> str:
    return " & ".join(cells) + r" \\"


def frame(table: Table) -> "pd.DataFrame":
    """All keys of the records, full precision."""
    import pandas as pd

    return pd.DataFrame(_flat(table))


def _flat(table: Table) -> list[dict[str, Any]]:
    """The records, with one text in place of a list."""
    return [
        {key: " | ".join(value) if isinstance(value, list) else value for key, value in record.items()}
        for record in table.records
    ]


def _csv(table: Table) -> str:
    """Not by pandas, whose import takes longer than all else, and which writes 4.0 for 4 beside an empty cell."""
    keys = dict.fromkeys(key for record in table.records for key in record)
    text = io.StringIO()
    writer = csv.DictWriter(text, list(keys), lineterminator="\n")
    writer.writeheader()
    writer.writerows({key: _csv_cell(value) for key, value in record.items()} for record in _flat(table))
    return text.getvalue()


def _csv_cell(value: Any) -> Any:
    """Numbers as they are; a text behind a ' where a spreadsheet would take it for a formula."""
    if not isinstance(value, str):
        return value
    lines = "\n".join(map(printable, value.split("\n")))
    return f"'{lines}" if value.lstrip().startswith(FORMULA) else lines


def _json(table: Table) -> str:
    known = [{key: None if _unknown(value) else value for key, value in record.items()} for record in table.records]
    return json.dumps(known, indent=1, allow_nan=False) + "\n"


def _unknown(value: Any) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value))


def _parquet(table: Table, path: Path) -> None:
    try:
        frame(table).to_parquet(path, index=False)
    except ImportError as error:
        raise EnergyError("Parquet needs pyarrow: pip install 'msvit-energy[parquet]'") from error


FORMATS: dict[str, Callable[[Table, Path], object]] = {
    "csv": lambda table, path: path.write_text(_csv(table)),
    "md": lambda table, path: path.write_text(markdown(table)),
    "tex": lambda table, path: path.write_text(latex(table)),
    "json": lambda table, path: path.write_text(_json(table)),
    "parquet": _parquet,
}


def files(name: str, formats: Sequence[str] = ()) -> list[str]:
    """Names of a table's files in those formats, by default in all."""
    return [f"{name}.{suffix}" for suffix in formats or FORMATS]


def parse_formats(text: str) -> list[str]:
    """Formats from "csv,tex"; EnergyError for unknown ones and for none."""
    formats = list(dict.fromkeys(filter(None, (part.strip() for part in text.split(",")))))
    check_formats(formats)
    if not formats:
        raise EnergyError(f"--format names no format; formats: {', '.join(FORMATS)}")
    return formats


def check_formats(formats: Sequence[str]) -> None:
    """EnergyError for an unknown format."""
    for suffix in formats:
        if suffix not in FORMATS:
            raise EnergyError(f"unknown format {suffix!r}; formats: {', '.join(FORMATS)}")


def write(table: Table, folder: Path, name: str, formats: Sequence[str]) -> None:
    """`folder`/`name`.SUFFIX for every format; an unknown one raises EnergyError."""
    check_formats(formats)
    for suffix in formats:
        FORMATS[suffix](table, folder / f"{name}.{suffix}")
