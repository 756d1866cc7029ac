"""A profile from a table of layers, as supplements and spreadsheets have it: operations and rates, no model.

Columns are found by name, in any order and case; what is not known is left alone. A rate is in percent if its header or
its cell says so, with `%` or `percent`, and never because it is large.
"""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import cast, get_args

from msgspec import UNSET

from msvit_energy.errors import EnergyError
from msvit_energy.profiles.layer_shape import LayerShape
from msvit_energy.profiles.operand import KINDS, Kind, Operand
from msvit_energy.profiles.operators import Operator, Role, stage_of
from msvit_energy.profiles.per_image_rates import with_rates_per_image
from msvit_energy.profiles.profile import Profile
from msvit_energy.profiles.provenance import ModelOrigin, Provenance, RatesOrigin, sha256
from msvit_energy.profiles.table_cells import exact, fitted, read_cells
from msvit_energy.profiles.table_shapes import COLUMNS, OF_CONVOLUTIONS, shape_of_row

NAMES = {  # of each column
    "layer": ("layer", "name", "module"),
    "macs_per_step": ("macs_per_step", "flops", "macs", "ops", "operations"),
    "input_rate": ("input_rate", "rate", "firing_rate", "fr", "spike_rate", "input_firing_rate"),
    "nonzero_rate": ("nonzero_rate", "non_zero_rate"),
    "runs": ("runs", "runs_per_image", "time_steps"),
    "kind": ("kind",),
    "role": ("role",),
    "accumulates": ("accumulates",),
    "priced_as": ("priced_as",),
    **COLUMNS,
    **OF_CONVOLUTIONS,
}
RATES = ("input_rate", "nonzero_rate")
SIZES = (*COLUMNS, *OF_CONVOLUTIONS)
PERCENT = re.compile(r"[(\[]?\s*(%|percent)\s*[)\]]?|_(percent|pct)$")
SUFFIXES = {"k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12}
PRICES = ("AC", "MAC")
MOST_RUNS = 1_000_000  # of all layers: each run has a sum of its own in the profile
ROLES = get_args(Role)
ORIGINS: dict[Kind, str] = {"binary": "spikes", "integer": "sum", "analog": "other"}


@dataclass(frozen=True)
class _Column:
    """Where a column is, as what it stands in the table, and whether it is in percent."""

    place: int
    header: str
    percent: bool = False

    @property
    def read_as(self) -> str:
        return f"{self.header!r}, in percent" if self.percent and "%" not in self.header else repr(self.header)


def read_table(path: str | Path, time_steps: int | None = None, per_image: str | Path | None = None) -> Profile:
    """The profile of a table of layers, a CSV or XLSX file, one row per layer.

    Columns: `layer`; `macs_per_step`, dense operations of one run (also flops, macs, ops; 1.2e9 and 1.2G are numbers);
    `input_rate`, the mean of the layer's input (also rate, firing_rate, fr); `runs` per image, or one T for all in
    `time_steps`. Perhaps `kind` (binary, integer, analog), `role` (entrance, head), `nonzero_rate`; `accumulates`
    of one run, counted in place of operations and rate; `priced_as` (AC, MAC), for the protocol `as-given`. For
    protocols that count memory: `inputs`, `outputs` and `weights` of one run, and of convolutions `kernel` (3x3),
    `stride` and `groups`.

    `per_image` is a CSV file with the rates of each image, from which totals have intervals: its name in the first
    column (`image` or `sequence`), layers in the others.

    Without kinds, rates up to 1 are those of spikes, larger ones those of sums of spikes. The profile's
    `provenance.rates.columns` says what was understood. EnergyError with line and column for a number that is none or
    is missing, a rate above 1 of a binary input, a second row of a layer, and columns that are missing or not clear.
    """
    path = Path(path)
    lines = read_cells(path)
    if not lines:
        raise EnergyError(f"{path} is empty; a table has the columns layer, macs_per_step, input_rate and runs")
    header = lines[0][1]
    columns = _columns(header, path)
    _check_columns(columns, header, time_steps, path)
    rows: dict[str, _Row] = {}
    runs = 0
    for line, cells in lines[1:]:
        where = f"{path}, line {line}"
        row = _Row.of(_Line(columns, fitted(cells, header, where), where), time_steps)
        if row.layer in rows:
            raise EnergyError(f"{path}, line {line}: a second row for {row.layer}")
        rows[row.layer] = row
        runs += row.runs
        if runs > MOST_RUNS:
            raise EnergyError(f"{path}, line {line}: the layers run more than {MOST_RUNS} times per image")
    if not rows:
        raise EnergyError(f"{path} has no layers")
    profile = _profile(list(rows.values()), columns, path, time_steps)
    return profile if per_image is None else with_rates_per_image(profile, Path(per_image))


def _columns(header: Sequence[str], path: Path) -> dict[str, _Column]:
    """The columns that are known, by their usual names."""
    found: dict[str, _Column] = {}
    for place, text in enumerate(header):
        plain = PERCENT.sub("", text.lower()).strip()
        key = re.sub(r"[\s\-]+", "_", plain).strip("_")
        name = next((name for name, names in NAMES.items() if key in names), None)
        if name is None:
            continue
        percent = plain != text.lower().strip()
        if percent and name not in RATES:
            raise EnergyError(f"{path}: column {text!r} is in percent; only rates are")
        if name in found:
            raise EnergyError(f"{path}: both {found[name].header!r} and {text!r} are {name}; rename one")
        found[name] = _Column(place, text, percent)
    if not COLUMNS.keys() <= found.keys():  # a number of parameters alone says nothing of memory
        return {name: column for name, column in found.items() if name not in SIZES}
    return found


def _check_columns(columns: Mapping[str, _Column], header: Sequence[str], steps: int | None, path: Path) -> None:
    needed = ["layer"] if "accumulates" in columns else ["layer", "macs_per_step", "input_rate"]
    for name in needed:
        if name not in columns:
            raise EnergyError(
                f"{path} has no column {name} ({' or '.join(NAMES[name])}); its columns: {', '.join(header)}"
            )
    if ("runs" in columns) == (steps is not None):
        both = f"a column {columns['runs'].header!r} and" if "runs" in columns else "neither a column runs nor"
        raise EnergyError(f"{path}: {both} --time-steps; give one of them, how often each layer runs per image")
    if steps is not None and steps < 1:
        raise EnergyError(f"time steps must be at least 1, not {steps}")


class _Line:
    """The cells of one line by column; messages begin with the place."""

    def __init__(self, columns: Mapping[str, _Column], cells: Sequence[str], where: str) -> None:
        self._columns = columns
        self._text = {name: cells[column.place] for name, column in columns.items()}
        self.layer = self._text["layer"]
        if not self.layer:
            raise EnergyError(f"{where}: no name in column {columns['layer'].header}")
        self.where = f"{where} ({self.layer})"

    def text(self, name: str) -> str:
        """A cell as it is, empty where there is no column."""
        return self._text.get(name, "")

    def whole(self, name: str) -> int | None:
        """A whole number; None from an empty cell or no column."""
        value = self.number(name)
        if value is not None and (value.denominator != 1 or value >= 2**63):
            raise EnergyError(f"{self.where}: {self._header(name)} must be a whole number, not {self._text[name]}")
        return None if value is None else int(value)

    def number(self, name: str) -> Fraction | None:
        """A number from 0, perhaps with k, M, G or T behind it; None likewise."""
        text = self._text.get(name)
        if not text:
            return None
        factor = SUFFIXES.get(text[-1].lower(), 1)
        plain = text[:-1].strip() if factor > 1 else text
        return exact(plain, f"{self.where}: {self._header(name)}") * factor

    def rate(self, name: str) -> Fraction | None:
        """A mean or share as a fraction of 1, perhaps from percent; None likewise."""
        text = self._text.get(name)
        if not text:
            return None
        plain = text.removesuffix("%").strip()
        value = exact(plain, f"{self.where}: {self._header(name)}", signed=True)
        return value / (100 if self._columns[name].percent or plain != text else 1)

    def choice(self, name: str, known: Sequence[str]) -> str:
        """One of the known words in any case, empty from an empty cell or no column."""
        text = self._text.get(name, "")
        found = next((each for each in known if each.lower() == text.lower()), None)
        if text and found is None:
            raise EnergyError(f"{self.where}: {name} must be {', '.join(filter(None, known))}, not {text!r}")
        return found or ""

    def needed(self, name: str) -> EnergyError:
        """The error for an empty cell."""
        return EnergyError(f"{self.where}: no number in column {self._header(name)}")

    def _header(self, name: str) -> str:
        return self._columns[name].header if name in self._columns else name


@dataclass(frozen=True)
class _Row:
    """One layer: operations, or accumulates that were counted, of one run; None where the table has none."""

    layer: str
    macs: int | None
    rate: Fraction
    nonzero: Fraction | None
    runs: int
    kind: Kind
    role: Role
    accumulates: Fraction | None
    priced_as: str
    kind_given: bool
    shape: LayerShape | None
    inputs: int

    @classmethod
    def of(cls, line: _Line, steps: int | None) -> "_Row":
        """From a line; EnergyError for what is missing or contradicts itself."""
        macs, accumulates = line.whole("macs_per_step"), line.number("accumulates")
        rate, nonzero = line.rate("input_rate"), line.rate("nonzero_rate")
        runs = line.whole("runs") if steps is None else steps
        if accumulates is not None:
            rate = accumulates / (macs or math.ceil(accumulates) or 1)
        elif macs is None or rate is None:
            raise line.needed("macs_per_step" if macs is None else "input_rate")
        if not runs:
            raise line.needed("runs") if runs is None else EnergyError(f"{line.where}: runs must be at least 1, not 0")
        assert rate is not None
        given = cast(Kind | None, line.choice("kind", KINDS) or None)
        kind = given or ("binary" if rate <= 1 else "integer")
        _check_rates(rate, nonzero, kind, line.where)
        role, price = cast(Role, line.choice("role", ROLES)), line.choice("priced_as", PRICES)
        shape, inputs = shape_of_row(line.whole, line.text, macs, runs, line.where)
        stated = given is not None
        return cls(line.layer, macs, rate, nonzero, runs, kind, role, accumulates, price, stated, shape, inputs)

    def operator(self) -> Operator:
        """As an operator of one image."""
        macs = math.ceil(self.accumulates or 0) if self.macs is None else self.macs
        share = self.rate if self.kind == "binary" else self.nonzero
        origin = "input" if self.kind == "analog" and self.role == "entrance" else ORIGINS[self.kind]
        operand = Operand(
            name=f"{self.layer}#0",
            kind=self.kind,
            origin=origin,
            neurons=(),
            elements=self.inputs * self.runs,
            sums=(self.rate * self.inputs,) * self.runs,
            nonzeros=() if share is None else (share * self.inputs,) * self.runs,
            maximum=float(self.rate if self.kind == "analog" else -(-self.rate // 1)),
        )
        op = "layer" if self.accumulates is None else "counted"
        dense = macs * self.runs
        return Operator(self.layer, stage_of(self.layer), op, self.role, dense, self.runs, (operand,), shape=self.shape)


def _check_rates(rate: Fraction, nonzero: Fraction | None, kind: Kind, where: str) -> None:
    if kind != "analog" and rate < 0:
        raise EnergyError(f"{where}: a rate must be 0 or more, not {float(rate)}")
    if kind == "binary" and rate > 1:
        raise EnergyError(
            f"{where}: a binary input has a rate of at most 1, not {float(rate)}; percent need % in cell or header"
        )
    if nonzero is None:
        return
    if not 0 <= nonzero <= 1:
        raise EnergyError(f"{where}: a share of non-zero values is from 0 to 1, not {float(nonzero)}")
    fits = {"binary": nonzero == rate, "integer": nonzero <= rate and bool(nonzero) == bool(rate), "analog": True}
    if not fits[kind]:
        raise EnergyError(
            f"{where}: a {kind} input of rate {float(rate)} cannot have a share of {float(nonzero)} of non-zero values"
        )


def _profile(rows: Sequence[_Row], columns: Mapping[str, _Column], path: Path, steps: int | None) -> Profile:
    understood = {name: column.read_as for name, column in columns.items()}
    if steps is not None:
        understood["runs"] = f"{steps}, as given"
    prices = {row.layer: row.priced_as for row in rows if row.priced_as}
    origin = RatesOrigin(path.name, sha256(path), columns=understood, priced_as=prices or UNSET)
    return Profile(
        images=1,
        time_steps=max(row.runs for row in rows),
        operators=tuple(row.operator() for row in rows),
        provenance=Provenance(model=ModelOrigin(path.stem), rates=origin, warnings=tuple(_notes(rows, path))),
    )


def _notes(rows: Sequence[_Row], path: Path) -> list[str]:
    """What a reader must know first."""
    notes = [f"operations and rates from {path.name}, not measured here"]
    unsaid = sum(not row.kind_given for row in rows if row.accumulates is None)
    if unsaid:
        notes.append(f"{unsaid} of {len(rows)} layers have no kind: taken for spikes, for sums if the rate is above 1")
    if not any(row.role for row in rows):
        notes.append("no layer has a role (entrance, head): all are priced as layers inside")
    counted = [row.layer for row in rows if row.macs is None]
    if counted:
        notes.append(
            f"{len(counted)} of {len(rows)} layers have accumulates and no operations, such as {counted[0]}: dense "
            "MACs and the ANN-equivalent have the accumulates in their place"
        )
    return notes
