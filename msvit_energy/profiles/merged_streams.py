"""What flowed in two parts of the data as one: counts add, in a unit that both parts have in common."""

import operator
from dataclasses import replace
from fractions import Fraction
from math import gcd
from typing import NamedTuple, TypeVar

from msvit_energy.errors import EnergyError
from msvit_energy.profiles.operand import KINDS, Operand, StepBy, kind_label
from msvit_energy.profiles.operators import NeuronLayer

SAME = 1e-5  # relative difference of a step that was found twice in rounded values
FINEST = 1 << 10  # of the coarser step
Counted = TypeVar("Counted", Operand, NeuronLayer)


class Unit(NamedTuple):
    """What counts are of: a step, and what has a constant of its own beside it."""

    step: int | Fraction
    step_by: StepBy


def merged_operands(a: Operand, b: Operand) -> Operand:
    """An operand over the images of both; EnergyError for spikes that have no common step."""
    if "analog" in (a.kind, b.kind):
        a, b = (replace(_real(x), kind="analog", events=None) for x in (a, b))
    else:
        a, b = _in_one_unit(a, b)
    kind = max(a.kind, b.kind, key=KINDS.index)
    return replace(
        a,
        kind=kind,
        elements=a.elements + b.elements,
        sums=tuple(map(operator.add, a.sums, b.sums)),
        nonzeros=tuple(map(operator.add, a.nonzeros, b.nonzeros)),
        maximum=max(a.maximum, b.maximum),
        fan_out=a.fan_out if a.fan_out == b.fan_out else None,
        events=plus(a.events, b.events),
        nonzero_events=plus(a.nonzero_events, b.nonzero_events),
        varies=True if a.varies or b.varies else None if None in (a.varies, b.varies) else False,
        signed=a.signed or b.signed,
    )


def merged_neurons(a: NeuronLayer, b: NeuronLayer) -> NeuronLayer:
    """A layer of neurons over the images of both; EnergyError for spikes that have no common step."""
    real = any(isinstance(total, Fraction) for total in (*a.sums, *b.sums))
    a, b = (_real(a), _real(b)) if real else _in_one_unit(a, b)
    sums = tuple(map(operator.add, a.sums, b.sums))
    return replace(a, elements=a.elements + b.elements, sums=sums, signed=a.signed or b.signed)


def multiple(part: Operand, merged: Operand) -> int:
    """By how much the counts of a part are multiplied in the unit of the whole."""
    return 1 if "analog" in (part.kind, merged.kind) else _times(part, Unit(merged.step, merged.step_by))


def plus(a: int | None, b: int | None) -> int | None:
    """The sum, unknown if one of the two is."""
    return None if a is None or b is None else a + b


def _in_one_unit(a: Counted, b: Counted) -> tuple[Counted, Counted]:
    unit = _common_unit(a, b)
    if unit is None:
        first, second = (kind_label("integer", x.step, x.step_by, signed=x.signed) for x in (a, b))
        raise EnergyError(f"{_name(a)}: {first} and {second} have no common step; measure all images in one go")
    return _in_unit(a, unit), _in_unit(b, unit)


def _common_unit(a: Operand | NeuronLayer, b: Operand | NeuronLayer) -> Unit | None:
    """The coarsest unit of both; a part without spikes has any."""
    if not (any(a.sums) and any(b.sums)):
        some = a if any(a.sums) else b
        return Unit(some.step, some.step_by)
    if a.step_by != b.step_by:
        return None
    for coarse, fine in ((a.step, b.step), (b.step, a.step)):
        ratio = float(Fraction(coarse) / fine)
        if 1 <= round(ratio) <= FINEST and abs(ratio / round(ratio) - 1) < SAME:
            return Unit(fine, a.step_by)
    first, second = Fraction(a.step), Fraction(b.step)
    denominator = first.denominator * second.denominator
    step = Fraction(gcd(first.numerator * second.denominator, second.numerator * first.denominator), denominator)
    return None if max(first, second) > FINEST * step else Unit(step, a.step_by)


def _times(part: Operand | NeuronLayer, unit: Unit) -> int:
    return round(float(Fraction(part.step) / unit.step)) if any(part.sums) else 1


def _in_unit(part: Counted, unit: Unit) -> Counted:
    if (part.step, part.step_by) == unit:  # as nearly always
        return part
    times = _times(part, unit)
    counted = replace(part, sums=tuple(times * total for total in part.sums), step=unit.step, step_by=unit.step_by)
    if isinstance(counted, NeuronLayer) or times == 1:
        return counted
    events = None if counted.events is None else times * counted.events
    return replace(counted, kind="integer", maximum=times * counted.maximum, events=events)


def _real(part: Counted) -> Counted:
    """A part as real numbers; EnergyError if nothing shows them."""
    plain = part.step == 1 and not part.step_by and not part.signed
    if plain:
        return part
    if (part.signed or part.step_by) and any(part.sums):
        raise EnergyError(
            f"{_name(part)}: spikes with signs or constants of their own in one part, and real numbers in another; "
            "measure all images in one go"
        )
    sums = tuple(Fraction(total) * part.step for total in part.sums)
    real = replace(part, sums=sums, step=1, step_by="", signed=False)
    return real if isinstance(real, NeuronLayer) else replace(real, maximum=float(real.maximum * part.step))


def _name(part: Operand | NeuronLayer) -> str:
    return part.neuron if isinstance(part, NeuronLayer) else part.layer
