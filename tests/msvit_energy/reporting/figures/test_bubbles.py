"""Rate, energy and MACs of every operator, read back from the bubbles."""

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure

from msvit_energy import price
from msvit_energy.reporting.figures import (
    Look,
    rate_energy_bubbles,
)
from msvit_energy.reporting.figures.bubble_groups import spread_out
from tests.support.figures import (
    THREE,
    drawn_texts,
    operator,
    words,
)


def bubbles_of(figure: Figure) -> dict[str, Any]:
    """The bubbles of every input kind that has some."""
    found = [artist for axes in figure.axes for artist in axes.collections if artist.get_gid()]
    return {str(artist.get_gid()): artist for artist in found if len(artist.get_offsets())}


def test_bubbles_are_at_rate_and_energy_with_macs_as_area() -> None:
    figure = rate_energy_bubbles(THREE, price(THREE))
    groups = bubbles_of(figure)
    places = {kind: np.asarray(groups[kind].get_offsets()).tolist() for kind in ("binary", "integer")}
    assert places["binary"] == [pytest.approx([0.25, 36e-6])]
    assert places["integer"] == [pytest.approx([1.5, 54e-6])]
    circle, square, diamond = (float(groups[kind].get_sizes()[0]) for kind in ("binary", "integer", "analog"))
    # of nominal size s a circle covers pi/4 s, a square all of it
    assert square / (math.pi / 4 * circle) == pytest.approx(10_000 / 40_000)
    assert diamond / square == pytest.approx(1000 / 10_000)
    layers = {operator.layer for operator in THREE.operators}
    assert [word for word in words(figure) if word in layers] == ["stage1.k", "stage1.q", "embed.conv"]  # by energy


def test_means_of_real_numbers_are_not_on_the_rate_axis() -> None:
    figure = rate_energy_bubbles(THREE, price(THREE))
    analog, rates = bubbles_of(figure)["analog"], bubbles_of(figure)["binary"]
    assert analog.axes is not rates.axes
    assert np.asarray(analog.get_offsets())[:, 1].tolist() == [pytest.approx(4.6e-6)]
    assert analog.axes.get_ylim() == rates.axes.get_ylim()
    assert analog.axes.get_position().x1 <= rates.axes.get_position().x0
    assert [label.get_text() for label in analog.axes.get_xticklabels()] == ["analog"]
    spiking = replace(THREE, operators=THREE.operators[1:3])
    assert len(rate_energy_bubbles(spiking, price(spiking)).axes) == 1


def test_operators_with_nearly_the_same_numbers_are_one_bubble() -> None:
    alike = [operator(f"stage1.{i}.conv", "binary", 0.25, 40_000 + 100 * i) for i in range(3)]
    profile = replace(THREE, operators=(*alike, operator("other", "binary", 0.25, 80_000)))
    report = price(profile)
    figure = rate_energy_bubbles(profile, report)
    places = np.asarray(bubbles_of(figure)["binary"].get_offsets()).tolist()
    one = [0.25 * 4 * item.macs_per_step * 0.9e-9 for item in profile.operators]
    assert places == [pytest.approx([0.25, sum(one[:3]) / 3]), pytest.approx([0.25, one[3]])]
    assert "3 x stage1.*.conv" in words(figure)
    assert f"{sum(one[:3]) / sum(one):.1%}" in words(figure)


def test_at_column_width_names_stand_below_with_the_numbers_of_their_bubbles() -> None:
    figure = rate_energy_bubbles(THREE, price(THREE), look=Look(width="column"))
    boxes = drawn_texts(figure)
    beside = {text: box for text, box in boxes if text in ("1", "2", "3") and box[0] > 200}
    rows = [text for text, box in sorted(boxes, key=lambda each: -each[1][1]) if text in ("stage1.k", "stage1.q")]
    assert set(beside) == {"1", "2", "3"}
    assert rows == ["stage1.k", "stage1.q"]
    assert max(box[3] for text, box in boxes if text == "stage1.k") < min(box[1] for box in beside.values())


def test_a_network_that_costs_nothing_has_bubbles_without_names() -> None:
    free = replace(THREE, operators=(operator("a.b", "binary", 0.0, 100),))
    figure = rate_energy_bubbles(free, price(free))
    assert "1 of 1 operators cost nothing and lie at energy 0" in words(figure)
    assert "a.b" not in words(figure)


def test_labels_move_apart_no_more_than_they_must() -> None:
    assert spread_out([1.0, 5.0], gap=2, end=9) == [1, 5]
    assert spread_out([1.0, 1.0, 1.5, 8.0], gap=2, end=9) == [1, 3, 5, 8]
    assert spread_out([8.0, 8.0, 8.5], gap=2, end=9) == [5, 7, 9]
