"""Price published rates on a model's own geometry: read a table of rates, fill them into a Profile skeleton.

Two kinds of CSV are read:
- `layer,input_rate[,nonzero_rate][,kind]`: the mean of an operator's input; a row may also name a layer of neurons,
  then it is its firing rate, which is what the products of attention need;
- the log of Spikingformer's tool (`name,type,dense_ops_per_image,ac_ops,mac_ops,spike_rate_percent`): the rate of a
  convolution or linear layer is ac_ops / dense_ops, real-valued if mac_ops is not 0; that of neurons is their output.
"""

import csv
import math
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path

from msvit_energy.errors import EnergyError
from msvit_energy.pricing.counting_rules import operations_with_bias
from msvit_energy.profiles.operand import KINDS, Kind, Operand
from msvit_energy.profiles.operators import Operator, Overhead
from msvit_energy.profiles.profile import Profile
from msvit_energy.profiles.table_cells import number
from msvit_energy.profiles.text_files import MIB, limited_lines

MOST_BYTES = MIB
COLUMNS = ("layer", "input_rate", "nonzero_rate", "kind")
LOG_COLUMNS = ("name", "type", "dense_ops_per_image", "ac_ops", "mac_ops", "spike_rate_percent")
# Layers that Spikingformer's tool calls by the names of an older model file: their names in the official checkpoints
OLD_NAMES = (
    (re.compile(r"patch_embed\.proj_conv(\d)"), r"patch_embed.proj\1_conv"),
    (re.compile(r"patch_embed\.rpe_conv"), r"patch_embed.proj4_conv"),
    (re.compile(r"(block\.\d+\.mlp)\.fc(\d)_(conv|lif)"), r"\1.mlp\2_\3"),
    *(
        (re.compile(rf"patch_embed\.proj_lif{old}"), f"patch_embed.proj{new}_lif")
        for old, new in zip(("", 1, 2, 3), (1, 2, 3, 4), strict=True)
    ),
)
KIND_OF_ORIGIN: dict[str, Kind] = {"spikes": "binary", "sum": "integer", "product": "integer"}


@dataclass(frozen=True)
class Rate:
    """One row: mean, share of non-zero values, kind, dense operations per image; None if the table lacks it. `line` is
    that of the file."""

    mean: float
    nonzero: float | None = None
    kind: Kind | None = None
    dense: float | None = None
    line: int | None = field(default=None, compare=False)


def read_rates(path: Path) -> dict[str, Rate]:
    """Rates by layer. A missing file, other columns, cells too many or too few, rates that are no numbers from 0 or
    contradict each other raise EnergyError, with line and column."""
    try:
        with path.open(newline="", encoding="utf-8") as file:
            reader = csv.reader(limited_lines(file, path, MOST_BYTES))
            header = tuple(next(reader, ()))
            lines = [(reader.line_num, cells) for cells in reader if cells]
    except OSError as error:
        raise EnergyError(f"cannot read rates {path}: {error.strerror}") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise EnergyError(f"{path} is not a CSV file: {error}") from error
    repeated = len(set(header)) < len(header)
    if set(LOG_COLUMNS) <= set(header) and not repeated:
        of_row, name_column = rate_from_log, "name"
    elif {"layer", "input_rate"} <= set(header) <= set(COLUMNS) and not repeated:
        of_row, name_column = _from_row, "layer"
    else:
        raise EnergyError(
            f"{path} has the columns {','.join(header) or '(none)'}; rates have {','.join(COLUMNS[:2])} and perhaps "
            f"{', '.join(COLUMNS[2:])}, a log of Spikingformer's tool has {','.join(LOG_COLUMNS)}"
        )
    rates: dict[str, Rate] = {}
    for line, cells in lines:
        row = _row(header, cells, f"{path}, line {line}")
        name, rate = row[name_column], of_row(row, f"{path}, line {line}")
        if name in rates:
            raise EnergyError(f"{path}, line {line}: a second rate for {name}")
        if rate is not None:
            rates[name] = replace(rate, line=line)
    return rates


def _row(header: Sequence[str], cells: Sequence[str], where: str) -> dict[str, str]:
    """The cells by column; EnergyError where there are more or fewer than columns."""
    if len(cells) > len(header):
        surplus, columns = cells[len(header)], len(header)
        raise EnergyError(
            f"{where}: {surplus!r} is in column {columns + 1} of {columns} ({','.join(header)}); decimals have a "
            "point, not a comma"
        )
    if len(cells) < len(header):
        raise EnergyError(f"{where}: no cell in column {len(cells) + 1}, {header[len(cells)]}")
    return dict(zip(header, cells, strict=True))


def _from_row(row: Mapping[str, str], where: str) -> Rate:
    mean = number(row["input_rate"], f"{where}: input_rate", signed=True)
    share = row.get("nonzero_rate") or None
    kind = next((known for known in KINDS if known == row.get("kind")), None)
    if row.get("kind") and kind is None:
        raise EnergyError(f"{where}: kind must be {', '.join(KINDS)}, not {row['kind']!r}")
    nonzero = None if share is None else number(share, f"{where}: nonzero_rate", most=1.0)
    if mean < 0 and kind != "analog":
        raise EnergyError(f"{where}: input_rate must be 0 or more, not {mean}")
    if kind == "binary" and (mean > 1 or (nonzero is not None and nonzero != mean)):
        raise EnergyError(f"{where}: a binary input has a rate of at most 1, equal to its nonzero_rate; not {mean}")
    if kind == "integer" and (conflict := _conflict(mean, nonzero)):
        raise EnergyError(f"{where}: {conflict}")
    return Rate(mean, nonzero, kind)


def _conflict(mean: float, nonzero: float | None) -> str:
    """Why whole numbers from 0 cannot have this mean and this share of non-zero ones; empty if they can."""
    if nonzero is None or nonzero == mean == 0 or 0 < nonzero <= mean:
        return ""
    return (
        f"nonzero_rate is {nonzero} and input_rate {mean}; whole numbers that are not 0 are 1 or more, so their mean "
        "is at least the share of them"
    )


def rate_from_log(row: Mapping[str, str], where: str) -> Rate | None:
    """A row of the log; None for batch norm, pooling and whatever else is no synapse and no neuron."""
    kind = row["type"]
    if "LIF" in kind or "IFNode" in kind:
        return Rate(number(row["spike_rate_percent"], f"{where}: spike_rate_percent", most=100.0) / 100)
    if not kind.startswith(("Conv", "Linear")):
        return None
    dense, acs, macs = (number(row[name], f"{where}: {name}") for name in ("dense_ops_per_image", "ac_ops", "mac_ops"))
    if dense == 0:
        raise EnergyError(f"{where}: dense_ops_per_image is 0")
    return Rate(1.0, kind="analog", dense=dense) if macs else Rate(acs / dense, dense=dense)


def fill(skeleton: Profile, rates: Mapping[str, Rate], modules: Collection[str], what: str) -> Profile:
    """`skeleton` with the rates of a table; `modules` are all names that a table may know besides, `what` its name.

    Operators that are fed with spikes need a rate: their own, or for a product those of the neurons behind its
    operands. EnergyError lists what is missing and what no layer is called.
    """
    known = {
        *modules,
        *(o.layer for o in skeleton.operators),
        *(x.name for o in skeleton.operators for x in o.operands),
    }
    rates = _by_current_name(rates, known, what)
    filling = _Filling(rates, what)
    operators = tuple(filling.operator(operator) for operator in skeleton.operators)
    overheads = tuple(filling.overhead(entry) for entry in skeleton.overheads)
    neurons = tuple(
        replace(layer, sums=_sums(rates[layer.neuron].mean, layer.elements, len(layer.sums)))
        for layer in skeleton.neurons
        if layer.neuron in rates
    )
    every = operations_with_bias(skeleton)
    other = [name for name, rate in rates.items() if rate.dense not in (None, every.get(name, rate.dense))]
    unknown = [name for name in rates if name not in known]
    if filling.missing or unknown or other:
        parts = [
            _listed("no rate for", filling.missing),
            _listed("no layer called", unknown),
            _listed(f"other dense operations at T = {skeleton.time_steps} in", other),
        ]
        raise EnergyError(f"{what} does not fit the model: {'; '.join(filter(None, parts))}")
    return replace(skeleton, operators=operators, overheads=overheads, neurons=neurons)


def _by_current_name(rates: Mapping[str, Rate], known: Collection[str], what: str) -> dict[str, Rate]:
    """The rates under the names of the model; EnergyError for two of one layer, by an old and a new name."""
    given: dict[str, str] = {}
    for name, rate in rates.items():
        now = current_name(name, known)
        if now in given:
            raise EnergyError(
                f"{_place(what, rate)}layer {name!r} is {given[now]!r} by another name; one rate is enough"
            )
        given[now] = name
    return {now: rates[name] for now, name in given.items()}


def _place(what: str, rate: Rate) -> str:
    """Where a rate stands, to begin a message with."""
    return f"{what}, line {rate.line}: " if rate.line else f"{what}: "


def current_name(name: str, known: Collection[str]) -> str:
    """A layer's name in the model, where a table uses an older one."""
    if name in known:
        return name
    for pattern, new in OLD_NAMES:
        if (match := pattern.fullmatch(name)) and match.expand(new) in known:
            return match.expand(new)
    return name


def fill_uniform(skeleton: Profile, rate: float) -> Profile:
    """`skeleton` with one rate for everything that is fed with spikes."""
    if not (math.isfinite(rate) and rate >= 0):
        raise EnergyError(f"a rate must be a finite number, 0 or more, not {rate}")
    rates = {neurons.neuron: Rate(rate) for neurons in skeleton.neurons}
    rates |= {o.layer: Rate(rate) for o in skeleton.operators if o.driver.carries_spikes}
    return fill(skeleton, rates, rates, "one rate")


class _Filling:
    """Puts rates into operands and notes what is missing."""

    def __init__(self, rates: Mapping[str, Rate], what: str) -> None:
        self.rates, self.what = rates, what
        self.missing: list[str] = []

    def operator(self, operator: Operator) -> Operator:
        operands = tuple(
            self._operand(operand, operator.layer, len(operator.operands) > 1) for operand in operator.operands
        )
        return replace(operator, operands=operands, pairs=None)

    def overhead(self, entry: Overhead) -> Overhead:
        """Column sums and masks: without the rates of what they are fed they have no operands."""
        if any(self._rate(operand, entry.layer, True) is None for operand in entry.operands):
            return replace(entry, operands=())
        return replace(entry, operands=tuple(self._operand(operand, entry.layer, True) for operand in entry.operands))

    def _rate(self, operand: Operand, layer: str, several: bool) -> Rate | None:
        """By its own name, by its neurons if it is one of several and they are one layer, or by its operator's."""
        neurons = operand.neurons if several and len(operand.neurons) == 1 else ()
        return next((self.rates[name] for name in (operand.name, *neurons, layer) if name in self.rates), None)

    def _operand(self, operand: Operand, layer: str, several: bool) -> Operand:
        default = KIND_OF_ORIGIN.get(operand.origin, "analog")
        rate = self._rate(operand, layer, several)
        if rate is None and operand.carries_spikes:
            alone = several and len(operand.neurons) == 1
            self.missing.append(operand.neurons[0] if alone else layer)
        if rate is None or (several and not operand.carries_spikes):
            return filled(operand, Rate(0.0), default)
        kind = rate.kind or default
        if kind != "analog" and (conflict := _conflict(rate.mean, rate.nonzero)):
            raise EnergyError(f"{_place(self.what, rate)}{operand.layer}: {conflict}")
        return filled(operand, rate, kind)


def filled(operand: Operand, rate: Rate, kind: Kind) -> Operand:
    """An operand of that kind and rate; its share of non-zero values stays unknown if nothing gives it."""
    runs = len(operand.sums)
    if kind == "binary" and rate.mean > 1:
        raise EnergyError(f"{operand.layer}: its input is spikes, so its rate is at most 1, not {rate.mean}")
    share = rate.mean if kind == "binary" else rate.nonzero
    return replace(
        operand,
        kind=kind,
        sums=_sums(rate.mean, Fraction(operand.elements, runs), runs),
        nonzeros=() if share is None else _sums(share, Fraction(operand.elements, runs), runs),
        events=None,
        nonzero_events=None,
        varies=None,
    )


def _sums(rate: float, elements: int | Fraction, runs: int) -> tuple[Fraction, ...]:
    return (Fraction(rate) * elements,) * runs


def _listed(label: str, names: list[str], most: int = 40) -> str:
    names = list(dict.fromkeys(names))
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return f"{label} {', '.join(names[:most])}{more}" if names else ""
