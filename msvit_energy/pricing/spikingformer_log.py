"""What Spikingformer's energy tool prints, as it is: rates, operations, totals and arguments.

The tool (github.com/zhouchenlin2096/Spikingformer at 4378623, energy_consumption_calculation) prints the tree of
modules with what it counted in each, the rates of the queries, keys and values in full, and the totals. Colour codes,
progress bars and other lines in between are passed over.
"""

import json
import re
from array import array
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

from msgspec import Meta, ValidationError, convert

from msvit_energy.errors import EnergyError
from msvit_energy.pricing.published_rates import Rate, rate_from_log
from msvit_energy.profiles.field_types import MOST_REAL
from msvit_energy.profiles.text_files import MIB, read_text

COLOURS = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
BAR = re.compile(r"Processing \|")
MODULE = re.compile(r"( *)\((\w+)\): (\w+)\(")
COUNTS = re.compile(
    r"(?<![\d.])([\d.]++) Ops, [\d.]++% oriMACs, ([\d.]++) Ops, [\d.]++% ACs, ([\d.]++) Ops, [\d.]++% MACs, "
    r"([\d.]++)% Spike Rate"
)
PRODUCTS = "Firing rate of Q/K/V inputs in each block"
ENERGY = re.compile(r"Energy consumption: (\d{1,30}(?:\.\d{,30})?(?:e[+-]?\d\d?)?) mJ")
INFO = re.compile(r"'(\w{1,40})': (\d{1,18})\b")
ARGUMENT = re.compile(r"\b(\w+)=('[^']*'|[^,()\[\]]+)")
MOST_BYTES, LONGEST_LINE = 16 * MIB, 20_000
Share = Annotated[float, Meta(ge=0, le=MOST_REAL)]
# of the tool's own arguments: what the model's code calls the same and no tree of modules shows
SAME = {"Nheads": "num_heads"}


@dataclass(frozen=True)
class ToolLog:
    """Rates by layer as `read_rates` gives them; `printed_mj` is the total that the tool printed, None if the log ends
    before; `tool_arguments` is what the tool was given, `model_arguments` what the model was built with."""

    rates: Mapping[str, Rate]
    printed_mj: float | None
    tool_arguments: Mapping[str, Any] = field(default_factory=dict)
    model_arguments: Mapping[str, str] = field(default_factory=dict)

    def conflicts(self) -> list[str]:
        """Where the tool was given something else than the model, in words."""
        return [
            f"the tool was given {name} = {self.tool_arguments[name]}, the model {own} = {self.model_arguments[own]}; "
            "the total that it printed follows the former"
            for name, own in SAME.items()
            if name in self.tool_arguments
            and own in self.model_arguments
            and str(self.tool_arguments[name]) != self.model_arguments[own]
        ]


def read_log(path: Path) -> ToolLog:
    """The log in a file; EnergyError where it has no tree of modules, or fewer rates of products than blocks."""
    text = COLOURS.sub("", read_text(path, MOST_BYTES, errors="replace"))
    lines: list[str] = []
    numbers = array("L")  # of these lines in the file
    for number, line in enumerate(text.split("\n"), 1):
        for part in line.split("\r"):  # as a progress bar is written over
            if part and not BAR.match(part):
                lines.append(part[:LONGEST_LINE].rstrip())
                numbers.append(number)
    rates = dict(_rates(lines, numbers, path))
    if not rates:
        raise EnergyError(
            f"{path} is no log of Spikingformer's tool: no line has '... Ops, ...% oriMACs, ... Spike Rate'"
        )
    rates |= _products(lines, rates, path)
    clean = "\n".join(lines)
    printed = ENERGY.findall(clean)
    return ToolLog(rates, float(printed[-1]) if printed else None, _tool_arguments(clean), _model_arguments(lines))


def _rates(lines: Sequence[str], numbers: Sequence[int], path: Path) -> Iterator[tuple[str, Rate]]:
    """Rates of layers with synapses and of neurons, from the tree of modules, whose depth is its indentation."""
    open_modules: list[tuple[int, str, str]] = []  # indentation, name, class
    for number, line in zip(numbers, lines, strict=True):
        if module := MODULE.match(line):
            indent = len(module[1])
            open_modules = [*(each for each in open_modules if each[0] < indent), (indent, module[2], module[3])]
        counts = COUNTS.search(line)
        if counts is None or not open_modules:
            continue
        row = dict(
            zip(("dense_ops_per_image", "ac_ops", "mac_ops", "spike_rate_percent"), counts.groups(), strict=True)
        )
        rate = rate_from_log(row | {"type": open_modules[-1][2]}, f"{path}, line {number}")
        if rate is not None:
            yield ".".join(name for _, name, _ in open_modules), rate


def _products(lines: Sequence[str], rates: Mapping[str, Rate], path: Path) -> Iterator[tuple[str, Rate]]:
    """Rates of queries, keys and values, one list for each block; the tree has three decimals of a percent."""
    start = next((place for place, line in enumerate(lines) if PRODUCTS in line), None)
    text = "" if start is None else next((line for line in lines[start + 1 :] if line.startswith("[[")), "")
    if not text:
        return
    table = _table(text, path)
    for place, name in enumerate(("q_lif", "k_lif", "v_lif")):
        layers = [layer for layer in rates if layer.endswith(f".{name}")]
        if len(layers) != len(table):
            raise EnergyError(f"{path}: {len(table)} rates of {name} for {len(layers)} blocks")
        yield from ((layer, Rate(row[place])) for layer, row in zip(layers, table, strict=True))


def _table(text: str, path: Path) -> list[list[float]]:
    """Three rates for each block, from a list of lists; EnergyError for anything else."""
    try:
        rows = convert(json.loads(text), list[tuple[Share, Share, Share]], strict=True)
    except (ValueError, RecursionError, ValidationError) as error:
        raise EnergyError(f"{path}: no table of three rates for each block: {text[:60]!r}") from error
    return [list(row) for row in rows]


def _tool_arguments(text: str) -> dict[str, int]:
    found = re.search(r"SSA info:\s*\{([^{}]{,1000})\}", text)
    return {name: int(value) for name, value in INFO.findall(found[1])} if found else {}


def _model_arguments(lines: Sequence[str]) -> dict[str, str]:
    line = next((line for line in lines if line.startswith("Namespace(")), "")
    return {name: value.strip().strip("'") for name, value in ARGUMENT.findall(line)}
