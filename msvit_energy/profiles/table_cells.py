"""Cells of a CSV or XLSX file, by line, and the numbers in them."""

import csv
import gzip
import itertools
import math
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

from msvit_energy.errors import EnergyError
from msvit_energy.profiles.field_types import MOST_REAL
from msvit_energy.profiles.text_files import MIB, limited_lines, size

DELIMITERS = ",;\t"
MOST_BYTES = 32 * MIB  # uncompressed
MOST_XLSX = 8 * MIB  # uncompressed, of which the reader makes many times as much
MOST_CELLS = 400_000
LONGEST_NUMBER = 400  # characters; its digits are kept exactly
MOST_EXPONENT = 400


def read_cells(path: Path) -> list[tuple[int, list[str]]]:
    """Lines that are not blank, as their numbers and cells: of a CSV file, perhaps compressed (.gz), whose delimiter is
    the one of `,`, `;` and tab that its first line has most, or of the first sheet of an XLSX file. EnergyError for
    anything else, and for more than MOST_BYTES or MOST_CELLS."""
    cells, found = 0, []
    try:
        for line in _of_xlsx(path) if path.suffix.lower() == ".xlsx" else _of_csv(path):
            cells += max(1, len(line[1]))
            if cells > MOST_CELLS:
                raise EnergyError(f"{path} is too large for a table: at most {MOST_CELLS} cells are read")
            if any(line[1]):
                found.append(line)
    except OSError as error:
        raise EnergyError(f"cannot read {path}: {error.strerror or error}") from error
    return found


def _of_csv(path: Path) -> Iterator[tuple[int, list[str]]]:
    try:
        opened = gzip.open if path.suffix == ".gz" else open
        with opened(path, "rt", newline="", encoding="utf-8-sig") as file:
            lines = limited_lines(file, path, MOST_BYTES)
            before, first = next(((n, line) for n, line in enumerate(lines) if line.strip()), (0, ""))
            reader = csv.reader(itertools.chain([first], lines), delimiter=max(DELIMITERS, key=first.count))
            for cells in reader:
                yield before + reader.line_num, [cell.strip() for cell in cells]
    except (UnicodeDecodeError, EOFError, zlib.error, csv.Error) as error:
        raise EnergyError(f"{path} is not a CSV file: {error}") from error


def _of_xlsx(path: Path) -> Iterator[tuple[int, list[str]]]:
    try:
        from openpyxl import load_workbook
    except ImportError as error:
        raise EnergyError(f"{path}: XLSX files need openpyxl: pip install 'msvit-energy[xlsx]'") from error
    with path.open("rb") as file:
        try:
            with zipfile.ZipFile(file) as archive:  # which gives out no more than it says there is
                uncompressed = sum(entry.file_size for entry in archive.infolist())
            if uncompressed > MOST_XLSX:
                raise EnergyError(
                    f"{path} is too large for a table: it has {size(uncompressed)}, at most {size(MOST_XLSX)} are read"
                )
            sheet = load_workbook(file, read_only=True, data_only=True).worksheets[0]
            for line, row in enumerate(sheet.iter_rows(), 1):
                yield line, [_text(cell.value, getattr(cell, "number_format", "")) for cell in row]
        except EnergyError:
            raise
        except Exception as error:  # whatever a file that is no workbook makes it raise
            raise EnergyError(f"{path} is not an XLSX file: {error}") from error


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


def number(text: str, what: str, most: float = MOST_REAL, *, signed: bool = False) -> float:
    """A number from 0 (or any, if `signed`) to `most`, else EnergyError."""
    try:
        value = float("" if "_" in text else text)  # which float takes for a separator of digits
    except ValueError:
        hint = "; decimals have a point, not a comma" if "," in text else ""
        raise EnergyError(f"{what} must be a number, not {text!r}{hint}") from None
    if not abs(value) <= most or (value < 0 and not signed):
        bounds = "0 or more" if most == MOST_REAL else f"from 0 to {most:g}"
        beyond = f" and at most {MOST_REAL:g}" if most < abs(value) < math.inf and most == MOST_REAL else ""
        raise EnergyError(f"{what} must be a finite number, {bounds}{beyond}, not {text}")
    return value


def exact(text: str, what: str, most: float = MOST_REAL, *, signed: bool = False) -> Fraction:
    """The same as a fraction. EnergyError for one of very many digits too, such as 1e-999999999."""
    number(text, what, most, signed=signed)
    exponent = text.lower().partition("e")[2]
    if len(text) > LONGEST_NUMBER or (exponent and not -MOST_EXPONENT <= int(exponent) <= MOST_EXPONENT):
        raise EnergyError(f"{what} must be a number of at most {LONGEST_NUMBER} digits, not {text}")
    return Fraction(text)
