"""Counts in units of two parts, added in a unit of both; all worked out by hand."""

from dataclasses import replace
from fractions import Fraction

import pytest

from msvit_energy import EnergyError
from msvit_energy.profiles.merged_streams import FINEST, merged_neurons, merged_operands, multiple
from msvit_energy.profiles.operand import Operand
from msvit_energy.profiles.operators import NeuronLayer

HALF, THIRD = Fraction(1, 2), Fraction(1, 3)
SPIKES = Operand("a#0", "binary", "scaled", ("lif",), 10, (4, 2), (4, 2), 1.0, events=30, nonzero_events=30)
REAL = Operand("a#0", "analog", "scaled", ("lif",), 10, (HALF, Fraction(1, 4)), (3, 1), 0.75, nonzero_events=20)


def test_halves_and_thirds_add_in_sixths() -> None:
    a, b = replace(SPIKES, step=HALF), replace(SPIKES, step=THIRD, sums=(1, 5), nonzeros=(1, 5))
    both = merged_operands(a, b)
    assert (both.kind, both.step, both.sums, both.maximum) == ("integer", Fraction(1, 6), (3 * 4 + 2, 3 * 2 + 10), 3.0)
    assert (both.events, both.nonzero_events, both.nonzeros) == (3 * 30 + 2 * 30, 60, (5, 7))
    assert (multiple(a, both), multiple(b, both)) == (3, 2)
    assert merged_operands(b, a) == both


def test_a_common_step_is_found_up_to_a_thousandth_of_the_coarser_one() -> None:
    assert merged_operands(replace(SPIKES, step=FINEST), replace(SPIKES, step=3)).sums == (4 * 1027, 2 * 1027)
    with pytest.raises(EnergyError, match="have no common step"):
        merged_operands(replace(SPIKES, step=FINEST + 1), replace(SPIKES, step=3 * FINEST - 1))


def test_synapses_that_are_reached_are_known_where_both_parts_reach_as_many() -> None:
    nine = replace(SPIKES, fan_out=9)
    assert [merged_operands(nine, replace(SPIKES, fan_out=n)).fan_out for n in (9, 8, None)] == [9, None, None]


def test_a_part_without_spikes_takes_any_unit() -> None:
    silent = replace(SPIKES, sums=(0, 0), nonzeros=(0, 0), maximum=0.0, events=0, nonzero_events=0)
    both = merged_operands(silent, replace(SPIKES, step=HALF))
    assert (both.kind, both.step, both.sums) == ("binary", HALF, (4, 2))


@pytest.mark.parametrize("other", [{"step": Fraction(1, FINEST + 1)}, {"step_by": "channel"}])
def test_what_has_no_common_step_is_refused(other: dict[str, object]) -> None:
    with pytest.raises(EnergyError, match=r"a: integer and integer.* have no common step; measure all images in one"):
        merged_operands(SPIKES, replace(SPIKES, **other))  # type: ignore[arg-type]
    merged_operands(SPIKES, replace(SPIKES, step=Fraction(1, FINEST)))


def test_spikes_and_real_numbers_add_as_real_numbers() -> None:
    both = merged_operands(replace(SPIKES, step=HALF, maximum=2.0), REAL)
    assert (both.kind, both.step, both.maximum, both.events) == ("analog", 1, 1.0, None)
    assert both.sums == (2 + HALF, 1 + Fraction(1, 4))
    assert multiple(SPIKES, both) == 1


@pytest.mark.parametrize("given", [{"signed": True}, {"step_by": "channel"}])
def test_signs_are_lost_beside_real_numbers_and_so_refused(given: dict[str, object]) -> None:
    part = replace(SPIKES, **given)  # type: ignore[arg-type]
    with pytest.raises(EnergyError, match="a: spikes with signs or constants of their own in one part, and real"):
        merged_operands(part, REAL)
    silent = replace(part, sums=(0, 0), nonzeros=(0, 0))
    assert merged_operands(silent, REAL).sums == REAL.sums


def test_neurons_add_in_a_unit_of_both_too() -> None:
    a, b = NeuronLayer("lif", "", 5, (4, 2), step=HALF), NeuronLayer("lif", "", 5, (1, 5), step=THIRD)
    assert merged_neurons(a, b) == NeuronLayer("lif", "", 10, (14, 16), step=Fraction(1, 6))
    real = NeuronLayer("lif", "", 5, (THIRD, HALF))
    assert merged_neurons(a, real) == NeuronLayer("lif", "", 10, (2 + THIRD, 1 + HALF))
    with pytest.raises(EnergyError, match="lif: spikes with signs"):
        merged_neurons(replace(a, signed=True), real)
