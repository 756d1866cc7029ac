"""A table's profile with the rates of every image, from which its totals have intervals."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from operator import mul
from pathlib import Path

from msgspec import UNSET

from msvit_energy.errors import EnergyError
from msvit_energy.profiles.amounts import Moments
from msvit_energy.profiles.field_types import MOST_REAL
from msvit_energy.profiles.operators import Operator
from msvit_energy.profiles.profile import Profile
from msvit_energy.profiles.provenance import DataOrigin, sha256
from msvit_energy.profiles.table_cells import exact, fitted, read_cells

FIRST = ("image", "sequence", "sample")
MOST_LAYERS = 1000  # whose products, two by two, are kept
SAME = Fraction(1, 10**6)  # relative: a mean in the table may be rounded


def with_rates_per_image(profile: Profile, path: Path) -> Profile:
    """`profile`, of a table of layers, with the rates in a CSV file: one row per image (or sequence), its name in the
    first column, layers in the others. Rates of a layer whose accumulates were counted are such accumulates.

    Layers without a column keep the table's rate for all images, and a warning counts them. EnergyError with line and
    column for layers that the table does not have, and for rates that cannot be.
    """
    if len(profile.operators) > MOST_LAYERS:
        raise EnergyError(f"{path}: rates of images go with at most {MOST_LAYERS} layers, not {len(profile.operators)}")
    rates = _read(path, {operator.layer: operator for operator in profile.operators})
    images = len(next(iter(rates.values())))
    operators = tuple(_with_rates(operator, rates.get(operator.layer), images) for operator in profile.operators)
    origin, constant = profile.provenance, len(profile.operators) - len(rates)
    notes = [*(origin.warnings or ()), f"rates of {images} images from {path.name}, not measured here"]
    if constant:
        notes.append(f"{constant} of {len(operators)} layers have no rates of single images: one rate for all")
    notes += _other_means(profile, operators)
    data = replace(origin.data or DataOrigin(), other={"rates_per_image": path.name, "sha256": sha256(path)})
    whole = replace(profile, images=images, operators=operators)
    moments = _moments(whole, rates)
    return replace(whole, moments=moments, provenance=replace(origin, data=data, warnings=tuple(notes) or UNSET))


def _read(path: Path, operators: Mapping[str, Operator]) -> dict[str, list[Fraction]]:
    """Rates of all images by layer."""
    (_, header), *lines = read_cells(path) or [(0, [""])]
    if header[0].lower() not in FIRST:
        raise EnergyError(f"{path}: the first column must be {' or '.join(FIRST)}, not {header[0]!r}")
    for place, layer in enumerate(header[1:], 2):
        if layer not in operators or layer in header[1 : place - 1]:
            what = "a second column" if layer in operators else "no layer in the table of operations"
            raise EnergyError(f"{path}, column {place}: {layer!r} is {what}")
    if len(header) == 1:
        raise EnergyError(f"{path} has no columns of layers beside {header[0]!r}")
    if not lines:
        raise EnergyError(f"{path} has no images")
    rates: dict[str, list[Fraction]] = {layer: [] for layer in header[1:]}
    for line, cells in lines:
        for layer, text in zip(header[1:], fitted(cells, header, f"{path}, line {line}")[1:], strict=True):
            rates[layer].append(_rate(text, operators[layer], f"{path}, line {line}: {layer}"))
    return rates


def _rate(text: str, operator: Operator, what: str) -> Fraction:
    plain = text.removesuffix("%").strip()
    binary = operator.driver.kind == "binary" and operator.op != "counted"
    most = MOST_REAL if plain != text or not binary else 1.0
    value = exact(plain, what, most, signed=operator.driver.kind == "analog") / (100 if plain != text else 1)
    if binary and value > 1:
        raise EnergyError(f"{what}: a binary input has a rate of at most 1, not {text}")
    return value


def _with_rates(operator: Operator, rates: Sequence[Fraction] | None, images: int) -> Operator:
    """An operator of so many images; where it has no rates of its own, all have the one that it has."""
    runs, operand = operator.runs_per_image, operator.driver
    inputs = operand.elements // runs  # of one run, of a table with sizes; else 1
    if rates is None:
        total, macs = operand.sums[0] * images, operator.macs_per_image
    elif operator.op == "counted":
        dense = max(1, math.ceil(max(rates)))
        total, macs = sum(rates, Fraction()) / dense, dense * runs
    else:
        total, macs = sum(rates, Fraction()) * inputs, operator.macs_per_image
    counts = (total,) * runs
    nonzeros = counts if operand.kind == "binary" else ()
    maximum = max([operand.maximum, *map(float, rates or ())]) if operand.kind != "binary" else operand.maximum
    operand = replace(operand, elements=images * runs * inputs, sums=counts, nonzeros=nonzeros, maximum=maximum)
    return replace(operator, macs_per_image=macs, operands=(operand,))


def _moments(profile: Profile, rates: Mapping[str, Sequence[Fraction]]) -> Moments:
    """Over images, of what is kept of spikes; the sum over runs is the rate times runs."""
    counts: dict[str, list[Fraction]] = {}
    for operator in profile.operators:
        runs, operand = operator.runs_per_image, operator.driver
        unit = Fraction(operator.macs_per_image, runs) if operator.op == "counted" else Fraction(1)
        inputs = operand.elements // (runs * profile.images)
        same = Fraction(operand.sums[0]) * unit / profile.images / inputs
        own = rates.get(operator.layer, [same] * profile.images)
        counts |= {key: [rate / unit * runs * inputs for rate in own] for key in operand.count_keys()}
    scale = math.lcm(1, *(value.denominator for values in counts.values() for value in values))
    whole = [[int(value * scale) for value in values] for values in counts.values()]
    products = tuple(
        tuple(Fraction(sum(map(mul, row, other)), scale * scale) for other in whole[start:])
        for start, row in enumerate(whole)
    )
    return Moments(tuple(counts), tuple(Fraction(sum(row), scale) for row in whole), products)


def _other_means(before: Profile, operators: Sequence[Operator]) -> list[str]:
    """Layers whose mean over images is another than the table's."""
    other = [
        new.layer
        for old, new in zip(before.operators, operators, strict=True)
        if abs(_accumulates(new) - _accumulates(old)) > SAME * _accumulates(old)
    ]
    if not other:
        return []
    return [f"{len(other)} layers have other means over images than in the table, such as {other[0]}; images count"]


def _accumulates(operator: Operator) -> Fraction:
    """Mean rate x operations per image."""
    return Fraction(sum(operator.driver.sums)) / operator.driver.elements * operator.macs_per_image
