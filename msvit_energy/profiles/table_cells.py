"""Cells of a CSV or XLSX file, by line, and the numbers in them."""

import csv
import gzip
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from msvit_energy.errors import EnergyError

DELIMITERS = ",;\t"


def read_cells(path: Path) -> list[tuple[int, list[str]]]:
    """Lines that are not blank, as their numbers and cells: of a CSV file, perhaps compressed (.gz), whose delimiter is
    the one of `,`, `;` and tab that its first line has most, or of the first sheet of an XLSX file. EnergyError for
    anything else."""
    try:
        lines = list(_of_xlsx(path) if path.suffix.lower() == ".xlsx" else _of_csv(path))
    except OSError as error:
        raise EnergyError(f"cannot read {path}: {error.strerror or error}") from error
    return [(line, cells) for line, cells in lines if any(cells)]


def _of_csv(path: Path) -> Iterator[tuple[int, list[str]]]:
    try:
        opened = gzip.open if path.suffix == ".gz" else open
        with opened(path, "rt", newline="", encoding="utf-8-sig") as file:
            first = next((line for line in file if line.strip()), "")
            file.seek(0)
            reader = csv.reader(file, delimiter=max(DELIMITERS, key=first.count))
            for cells in reader:
                yield reader.line_num, [cell.strip() for cell in cells]
    except (UnicodeDecodeError, csv.Error) as error:
        raise EnergyError(f"{path} is not a CSV file: {error}") from error


def _of_xlsx(path: Path) -> Iterator[tuple[int, list[str]]]:
    try:
        from openpyxl import load_workbook
    except ImportError as error:
        raise EnergyError(f"{path}: XLSX files need openpyxl: pip install 'msvit-energy[xlsx]'") from error
    with path.open("rb") as file:
        try:
            sheet = load_workbook(file, read_only=True, data_only=True).worksheets[0]
        except Exception as error:  # whatever a file that is no workbook makes it raise
            raise EnergyError(f"{path} is not an XLSX file: {error}") from error
        for line, row in enumerate(sheet.iter_rows(), 1):
            yield line, [_text(cell.value, getattr(cell, "number_format", "")) for cell in row]


def _text(value: Any, number_format: str) -> str:
    """A cell as it is shown, as far as its value depends on it: 0.23 in the format 0% is 23 %."""
    if value is None:
        return ""
    if isinstance(value, float | int) and not isinstance(value, bool):
        return f"{value * 100!r}%" if "%" in number_format else repr(value)
    return str(value).strip()


def fitted(cells: Sequence[str], columns: Sequence[str], where: str) -> list[str]:
    """As many cells as columns, the last ones empty where a line is shorter; EnergyError where it is longer."""
    if any(cells[len(columns) :]):
        raise EnergyError(
            f"{where}: {cells[len(columns)]!r} is in column {len(columns) + 1} of {len(columns)} "
            f"({', '.join(columns)}); decimals have a point, not a comma"
        )
    return [*cells, *[""] * len(columns)][: len(columns)]


def number(text: str, what: str, most: float = math.inf, *, signed: bool = False) -> float:
    """A finite number from 0 (or any, if `signed`) to `most`, else EnergyError."""
    try:
        value = float("" if "_" in text else text)  # which float takes for a separator of digits
    except ValueError:
        hint = "; decimals have a point, not a comma" if "," in text else ""
        raise EnergyError(f"{what} must be a number, not {text!r}{hint}") from None
    if not math.isfinite(value) or value > most or (value < 0 and not signed):
        bounds = "0 or more" if most == math.inf else f"from 0 to {most:g}"
        raise EnergyError(f"{what} must be a finite number, {bounds}, not {text}")
    return value
