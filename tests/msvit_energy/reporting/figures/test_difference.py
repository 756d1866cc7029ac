"""The difference of two profiles, read back from its cells."""

from dataclasses import replace

import numpy as np
import pytest

from msvit_energy import EnergyError
from msvit_energy.reporting.figures import (
    firing_rate_difference,
)
from tests.support.figures import (
    MINUS,
    THREE,
    cells,
    deep,
    neuron,
    words,
)


def test_a_difference_is_a_minus_b_by_name_in_the_order_of_a() -> None:
    other = replace(
        THREE,
        neurons=(
            neuron("stage1.k", 900, 1000, 0, 960),
            neuron("stage9.only", 1, 1, 1, 1),
            neuron("embed.lif", 50, 300, 50, 0, elements=500),
        ),
    )
    figure = firing_rate_difference(THREE, other)
    # embed.lif: 0.1, 0.2, 0.05, 0 minus 0.1, 0.6, 0.1, 0
    assert cells(figure).tolist() == [
        pytest.approx([0, -0.4, -0.05, 0]),
        pytest.approx([0.03, -0.05, 0.96, 0]),
    ]
    mesh = figure.axes[0].collections[0]
    assert mesh.get_clim() == (-0.96, 0.96)  # symmetric, so that no difference is the middle of the scale
    written = words(figure)
    assert {f"{MINUS}0.400", "+0.960", f"{MINUS}0.1125", "left out, only in A (1): stage1.q"} <= set(written)
    assert "left out, only in B (1): stage9.only" in written


def test_profiles_of_different_t_are_compared_by_their_means() -> None:
    other = replace(THREE, time_steps=2, neurons=(neuron("embed.lif", 100, 50), neuron("stage1.k", 1000, 1000)))
    figure = firing_rate_difference(THREE, other, ("one.json", "two.json"))
    assert cells(figure).tolist() == [[pytest.approx(0.0875 - 0.075)], [pytest.approx(0.95 - 1)]]
    written = words(figure)
    assert "T differs (4 and 2), so means over time are compared" in written
    assert "mean over time" in written
    assert any("two.json" in text for text in written)


def test_without_room_for_numbers_the_cells_below_zero_have_a_dash() -> None:
    first, second = (deep(8, 20), replace(deep(8, 20), neurons=deep(9, 20).neurons[1:]))
    renamed = tuple(replace(b, neuron=a.neuron) for a, b in zip(first.neurons, second.neurons, strict=True))
    figure = firing_rate_difference(first, replace(second, neurons=renamed))
    dashes = {
        (int(row), int(step)) for line in figure.axes[0].lines for step, row in zip(*line.get_data(), strict=True)
    }
    assert dashes == {(int(row), int(step)) for row, step in np.argwhere(cells(figure) < 0)}
    assert 20 < len(dashes) < 140
    assert "A is lower than B" in words(figure)


def test_equal_profiles_differ_by_zero() -> None:
    assert not cells(firing_rate_difference(THREE, THREE)).any()


def test_profiles_without_a_common_layer_are_refused() -> None:
    other = replace(THREE, neurons=(neuron("a.b", 1, 2, 3, 4),))
    with pytest.raises(EnergyError, match=r"no neuron layer in common: embed.lif, stage1.q, stage1.k in one, a.b in"):
        firing_rate_difference(THREE, other)
