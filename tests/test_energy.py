"""Pricing from records alone: what Appendix C counts, and what it leaves out."""

import pytest

from msvit_energy import EnergyError, Profile, price
from msvit_energy.records import Operand, Operator


def operand(kind: str, rate: float, *, spikes: bool = True) -> Operand:
    """Ten elements per run over four runs, all with the same mean."""
    return Operand(kind, spikes, 10, (10 * rate,) * 4, (1,) * 4, maximum=3.0)


def operator(op: str, role: str, *operands: Operand) -> Operator:
    """An operator of 100 MACs per run, T = 4."""
    return Operator("layer", "stage", op, role, 400, 4, operands)


def report_of(*operators: Operator) -> tuple[float, float]:
    priced = price(Profile(1, 4, operators, (), ()))
    return priced.macs, priced.acs


def test_entrance_with_real_input_counts_its_macs_once() -> None:
    assert report_of(operator("conv2d", "entrance", operand("analog", -0.3))) == (100, 0)


def test_entrance_fed_with_events_counts_accumulates() -> None:
    assert report_of(operator("conv2d", "entrance", operand("binary", 0.25))) == (0, 100)


def test_integer_inputs_are_accumulates_at_their_mean_even_above_one() -> None:
    assert report_of(operator("conv1d", "", operand("integer", 1.5))) == (0, 600)


def test_real_input_in_the_middle_is_a_mac_at_every_run() -> None:
    assert report_of(operator("conv2d", "", operand("analog", 0.5))) == (400, 0)


def test_key_times_value_counts_at_the_smaller_rate() -> None:
    assert report_of(operator("matmul", "", operand("binary", 0.5), operand("binary", 0.25))) == (0, 100)


def test_query_times_integers_counts_at_the_rate_of_the_query() -> None:
    assert report_of(operator("matmul", "", operand("binary", 0.5), operand("integer", 0.1, spikes=False))) == (0, 200)


def test_the_head_is_listed_but_not_in_the_sum() -> None:
    priced = price(Profile(1, 4, (operator("linear", "head", operand("analog", 0.5)),), (), ()))
    assert priced.total_pj == 0
    assert priced.to_frame().counted.tolist() == [False]
    assert priced.macs_per_step == 100  # but the ANN of equal shape has it


def test_totals_are_the_sums_of_the_rows() -> None:
    priced = price(
        Profile(
            1,
            4,
            (
                operator("conv2d", "entrance", operand("analog", 0.1)),
                operator("conv2d", "", operand("binary", 0.125)),
                operator("linear", "", operand("integer", 0.75)),
            ),
            (),
            (),
        )
    )
    frame = priced.to_frame()
    assert {"layer", "macs", "acs", "energy_pj", "share"} <= set(frame.columns)
    assert frame.energy_pj.tolist() == [4.6 * 100, 0.9 * 50, 0.9 * 300]
    assert frame.energy_pj.sum() == priced.total_pj
    assert frame.share.sum() == pytest.approx(1, rel=1e-15)


def test_unknown_names_are_answered_with_the_right_ones() -> None:
    empty = Profile(1, 4, (), (), ())
    with pytest.raises(EnergyError, match="unknown protocol 'x'; protocols: appendix-c"):
        price(empty, protocol="x")
    with pytest.raises(EnergyError, match="unknown technology '7nm'; technologies: 45nm-fp32"):
        price(empty, technology="7nm")
