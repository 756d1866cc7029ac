"""What a profile says as records and frames."""

import math
from dataclasses import replace

from msvit_energy.profiles.operand import Operand
from msvit_energy.profiles.operators import Operator
from tests.support.plain_profile import operand, plain_profile


def test_real_numbers_have_neither_rate_nor_synaptic_operations() -> None:
    frame = plain_profile().to_frame().set_index("layer")
    assert math.isnan(frame.input_rate["conv"])
    assert math.isnan(frame.sops["conv"])
    assert frame.input_rate["mlp"] == 15 / 24
    assert frame.sops["mlp"] == 15 / 24 * 24
    assert plain_profile().records()[0]["sops"] is None


def test_a_profile_of_real_numbers_alone_has_frames_too() -> None:
    analog = Operator("a", "a", "linear", "", 8, 2, (operand("a#0", "analog"),))
    frame = replace(plain_profile(), operators=(analog,)).to_frame()
    assert frame[["input_rate", "sops"]].isna().all(axis=None)


def test_a_multiple_of_spikes_carries_them_unless_it_is_real_or_always_zero() -> None:
    scaled = Operand("a#0", "binary", "scaled", ("lif",), 4, (1,), (1,), 1.0)
    assert scaled.carries_spikes
    assert not replace(scaled, kind="analog").carries_spikes
    assert not replace(scaled, maximum=0.0).carries_spikes
    assert replace(scaled, kind="analog", origin="sum").carries_spikes
