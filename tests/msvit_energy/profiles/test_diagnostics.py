"""Warnings in words: one line for each cause."""

from msvit_energy import Profile
from msvit_energy.profiles.coverage import Coverage, Unknown
from msvit_energy.profiles.operand import Operand
from msvit_energy.profiles.operators import NeuronLayer, Operator


def operator(layer: str, kind: str, origin: str) -> Operator:
    operand = Operand(f"{layer}#0", kind, origin, (), 4, (2,), (2,), 1.0)  # type: ignore[arg-type]
    return Operator(layer, layer, "linear", "", 8, 1, (operand,))


def test_one_line_for_each_cause_lists_the_first_layers_and_how_many_more() -> None:
    odd = [operator(f"odd{i}", "binary", "other") for i in range(6)]
    single = operator("single", "analog", "spikes")
    several = [operator(f"also{i}", "integer", "other") for i in range(2)]
    assert Profile(1, 1, (*odd[:3], single, *odd[3:], *several)).warnings() == [
        "odd0, odd1, odd2, odd3 and 2 more: the input is binary, but comes from no spiking neuron",
        "single: the input comes from spiking neurons, but has values that are no spike counts",
        "also0, also1: the input is integer, but comes from no spiking neuron",
    ]


def test_no_name_is_left_out_in_silence() -> None:
    neurons = tuple(NeuronLayer(f"n{i}", "n", 4, (0 if i < 5 else 2,)) for i in range(6))
    unknown = tuple(Unknown(f"aten::x{i}", 1) for i in range(8))
    profile = Profile(1, 1, (operator("a", "binary", "spikes"),), neurons, coverage=Coverage(unknown=unknown))
    assert profile.warnings() == [
        "5 of 6 neuron layers never fire: n0, n1, n2, n3 and 1 more",
        "unknown work, not in the energy: aten::x0, aten::x1, aten::x2, aten::x3, aten::x4, aten::x5 and 2 more "
        "(of unknown size)",
    ]
