"""The energy of every layer, read back from the bars and compared with numbers worked out by hand."""

from dataclasses import replace

import pytest
from matplotlib.collections import LineCollection

from msvit_energy import EnergyError, EnergyReport, price
from msvit_energy.pricing.energy import EnergyRow
from msvit_energy.pricing.technology import Technology, get_technology
from msvit_energy.profiles.amounts import Uncertainty
from msvit_energy.reporting.figures import (
    Look,
    energy_bars,
    rate_energy_bubbles,
)
from msvit_energy.reporting.figures.energy import by_stage
from tests.support.figures import (
    ENERGIES_MJ,
    THREE,
    bars,
    words,
)


def test_bars_are_the_energies_of_the_counted_layers() -> None:
    report = price(THREE)
    figure = energy_bars(THREE, report)
    at_row = {round(bar.get_y() + bar.get_height() / 2): bar.get_width() for bar in bars(figure)}
    assert [at_row[row] for row in range(3)] == pytest.approx(ENERGIES_MJ, rel=1e-12)
    assert len(bars(figure)) == 3
    assert figure.axes[0].get_ylim() == (2.5, -0.5)  # no row for the head
    assert sum(bar.get_width() for bar in bars(figure)) == pytest.approx(report.total_mj, rel=1e-12)
    assert {"not counted by this protocol: head", "54.00", "57.1%"} <= set(words(figure))  # 54 of 94.6
    assert "conv" in words(figure)


def test_bars_are_stacked_by_kind_of_operation_and_the_rest_is_other() -> None:
    prices = Technology("flat", e_mac=2.0, e_ac=1.0, source="by hand")
    rows = (EnergyRow("a.b", "a", macs=3e9, acs=4e9, energy_pj=15e9),)  # 6 mJ + 4 mJ, so 5 mJ are other
    figure = energy_bars(THREE, EnergyReport("mine", prices, rows, 0.0))
    spans = {round(bar.get_x(), 9): round(bar.get_width(), 9) for bar in bars(figure)}
    assert spans == {0.0: 4.0, 4.0: 6.0, 10.0: 5.0}
    assert {"accumulates", "multiply-accumulates", "other"} <= set(words(figure))


def test_error_bars_are_the_95_percent_intervals() -> None:
    spread = Uncertainty(2e9, standard_error=1e8, images=2)  # Student's t for 1 degree of freedom: 12.7062
    rows = (
        EnergyRow("a.b", "a", 0.0, 1.0, 2e9, spread=spread),
        EnergyRow("a.c", "a", 0.0, 1.0, 1e9),
        EnergyRow("a.d", "a", 1.0, 0.0, 1e9, spread=replace(spread, standard_error=0.0)),
    )
    figure = energy_bars(THREE, EnergyReport("mine", get_technology("45nm-fp32"), rows, 0.0))
    (lines,) = (artist for artist in figure.axes[0].collections if isinstance(artist, LineCollection))
    (segment,) = lines.get_segments()
    assert segment.tolist() == [pytest.approx([2 - 1.27062, 0], abs=1e-5), pytest.approx([2 + 1.27062, 0], abs=1e-5)]
    assert {"±63.5%", "±0", "95 % interval over images"} <= set(words(figure))


def test_what_a_protocol_counts_beside_operators_stands_with_its_stage() -> None:
    rows = [EnergyRow(f"{stage}.{i}", stage, 0.0, 0.0, 0.0) for i, stage in enumerate("aabbcba")]
    assert [row.layer for row in by_stage(rows)] == ["a.0", "a.1", "a.6", "b.2", "b.3", "b.5", "c.4"]


def test_a_protocol_that_counts_nothing_has_no_bars_and_no_bubbles() -> None:
    report = EnergyReport("mine", get_technology("45nm-fp32"), (), 0.0)
    for draw in (energy_bars, rate_energy_bubbles):
        with pytest.raises(EnergyError, match="protocol mine counts no"):
            draw(THREE, report)


def of_rows(energies: dict[str, float]) -> EnergyReport:
    """Accumulates only, 1 pJ each."""
    prices = Technology("flat", e_mac=2.0, e_ac=1.0, source="by hand")
    rows = tuple(EnergyRow(name, name.split(".")[0], 0.0, energy, energy) for name, energy in energies.items())
    return EnergyReport("mine", prices, rows, 0.0)


def test_a_layer_of_many_blocks_is_one_bar_with_a_piece_for_each() -> None:
    energies = {f"s.{block}.{part}": 1e9 * (10 * block + i + 1) for block in range(9) for i, part in enumerate("abcde")}
    report = of_rows(energies)
    figure = energy_bars(THREE, report)
    pieces: dict[int, list[float]] = {}
    for bar in bars(figure):
        row = round(bar.get_y() + bar.get_height() / 2)
        assert bar.get_x() == pytest.approx(sum(pieces.get(row, [])))
        pieces.setdefault(row, []).append(bar.get_width())
    for row, part in enumerate("abcde"):
        assert pieces[row] == pytest.approx([energies[f"s.{block}.{part}"] / 1e9 for block in range(9)])
    assert {"*.a", "*.e", "9", "369.0"} <= set(words(figure))  # 1 + 11 + ... + 81
    assert sum(map(sum, pieces.values())) == pytest.approx(report.total_mj)
    assert f"{369 / report.total_mj:.1%}" in words(figure)


def test_layers_that_cost_nothing_are_one_row() -> None:
    figure = energy_bars(THREE, of_rows({"a.x": 0.0, "a.y": 3e9, "b.z": 0.0, "b.w": 1e9}))
    assert figure.axes[0].get_ylim() == (2.5, -0.5)
    assert {"2 free layers", "75.0%", "25.0%"} <= set(words(figure))
    assert energy_bars(THREE, of_rows({"a.x": 0.0, "a.y": 3e9})).axes[0].get_ylim() == (1.5, -0.5)


def test_a_choice_of_layers_says_how_much_of_the_energy_it_is() -> None:
    figure = energy_bars(THREE, of_rows({"a.x": 1e9, "a.y": 3e9}), look=Look(layers="*.y"))
    assert "shown: 1 of 2 layers, 75.0% of the energy" in words(figure)
    assert [bar.get_width() for bar in bars(figure)] == [3.0]


def test_only_kinds_of_operations_that_are_drawn_are_in_the_legend() -> None:
    written = words(energy_bars(THREE, of_rows({"a.x": 1e9})))
    assert "accumulates" in written
    assert "multiply-accumulates" not in written
