"""Figures, read back from what they draw and compared with numbers worked out from the records by hand."""

import math
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pytest
from matplotlib.backend_bases import RendererBase
from matplotlib.collections import LineCollection, QuadMesh
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.transforms import Bbox

from msvit_energy import EnergyError, EnergyReport, Profile, price
from msvit_energy.pricing.energy import EnergyRow
from msvit_energy.pricing.technology import Technology, get_technology
from msvit_energy.profiles.amounts import Uncertainty
from msvit_energy.profiles.operand import Operand
from msvit_energy.profiles.operators import NeuronLayer, Operator
from msvit_energy.profiles.provenance import ModelOrigin, Provenance
from msvit_energy.reporting.figures import (
    FILES,
    energy_bars,
    firing_rate_difference,
    firing_rate_heatmap,
    rate_energy_bubbles,
    save,
    save_figures,
)
from msvit_energy.reporting.figures.bubbles import spread_out
from msvit_energy.reporting.figures.energy import by_stage
from msvit_energy.reporting.figures.glyphs import Labels, text_width, wrapped
from msvit_energy.reporting.figures.style import shortened
from msvit_energy.reporting.formatting import fixed, percent, plain
from tests.support.command_line import run

MINUS = "\N{MINUS SIGN}"
ODD = "s.<b>$x^2$_\\alpha &amp;"


def neuron(name: str, *sums: int, elements: int = 1000) -> NeuronLayer:
    return NeuronLayer(name, name.partition(".")[0], elements, sums)


def operator(layer: str, kind: str, rate: float, macs: int, role: str = "") -> Operator:
    """An operator of T = 4 runs with `macs` each."""
    origin = "other" if kind == "analog" else "spikes"
    sums, nonzeros = ((Fraction(mean) * 10,) * 4 for mean in (rate, min(rate, 1)))
    operand = Operand(f"{layer}#0", kind, origin, (), elements=40, sums=sums, nonzeros=nonzeros, maximum=1.0)
    return Operator(layer, layer.partition(".")[0], "conv2d", role, 4 * macs, 4, (operand,))


THREE = Profile(
    images=10,
    time_steps=4,
    neurons=(
        neuron("embed.lif", 100, 200, 50, 0),
        neuron("stage1.q", 0, 0, 0, 0),
        neuron("stage1.k", 930, 950, 960, 960),
    ),
    operators=(
        operator("embed.conv", "analog", 0.5, 1000, "entrance"),
        operator("stage1.q", "binary", 0.25, 40_000),
        operator("stage1.k", "integer", 1.5, 10_000),
        operator("head", "analog", 0.5, 640, "head"),
    ),
)
# 1000 MACs at 4.6 pJ once; accumulates at 0.9 pJ: 0.25 x 4 x 40,000, 1.5 x 4 x 10,000
ENERGIES_MJ = [4.6e-6, 36e-6, 54e-6]


def deep(layers: int, steps: int, prefix: str = "") -> Profile:
    """Layers of four stages with all kinds of rates, a silent one and a saturated one among them."""
    names = [f"{prefix}stage{1 + 4 * i // layers}.{i}.attention.part_{i % 7}_lif" for i in range(layers)]
    sums = [tuple((37 * i + 101 * t * t) % 940 for t in range(steps)) for i in range(layers)]
    sums[1], sums[2] = (0,) * steps, (999,) * steps
    neurons = tuple(neuron(name, *row) for name, row in zip(names, sums, strict=True))
    kinds = ("binary", "integer", "binary")
    operators = tuple(
        operator(name.replace("_lif", "_conv"), kinds[i % 3], (13 * i % 40) / 64, 10 ** (4 + i % 5))
        for i, name in enumerate(names)
    )
    notes = tuple(f"warning {i} says that nothing of this means anything for real data" for i in range(9))
    return Profile(2, steps, operators, neurons, provenance=Provenance(warnings=notes))


@cache
def extents(outline: matplotlib.path.Path) -> Bbox:
    return outline.get_extents()


class Recording(RendererBase):
    """Keeps where texts and markers would be drawn, in points from the lower left corner."""

    def __init__(self) -> None:
        super().__init__()
        self.texts: list[tuple[str, tuple[float, float, float, float]]] = []
        self.markers: list[tuple[float, float, float, float]] = []

    def flipy(self) -> bool:
        return False

    def draw_path(self, *_: Any) -> None: ...

    def draw_image(self, *_: Any, **__: Any) -> None: ...

    def draw_markers(self, gc: Any, marker: Any, marker_trans: Any, path: Any, trans: Any, rgb: Any = None) -> None:
        box = extents(marker)  # in points already
        for x, y in trans.transform(path.vertices):
            self.markers.append((x + box.x0, y + box.y0, x + box.x1, y + box.y1))

    def draw_text(
        self, gc: Any, x: float, y: float, s: str, prop: Any, angle: float, ismath: Any = False, mtext: Any = None
    ) -> None:
        assert ismath is False
        width, height, descent = self.get_text_width_height_descent(s, prop, False)
        across = (x, y - descent, x + width, y - descent + height)
        self.texts.append((s, (x - height + descent, y, x + descent, y + width) if angle == 90 else across))


def labels_of(figure: Figure) -> Labels:
    (labels,) = (artist for artist in figure.artists if isinstance(artist, Labels))
    return labels


def drawn_texts(figure: Figure) -> list[tuple[str, tuple[float, float, float, float]]]:
    """All texts that are drawn, with the box around their letters, in points."""
    figure.set_dpi(72)
    everything = Recording()
    figure.draw(everything)
    boxes = list(everything.texts)
    labels = labels_of(figure)
    for label in list(labels.labels):
        alone, labels.labels = labels.labels, [label]
        one = Recording()
        labels.draw(one)
        labels.labels = alone
        assert len(one.markers) == len(label.text.replace(" ", ""))
        if one.markers:
            corners = np.array(one.markers)
            boxes.append((label.text, (*corners[:, :2].min(0), *corners[:, 2:].max(0))))
    return boxes


def overlapping(boxes: list[tuple[str, tuple[float, float, float, float]]]) -> list[tuple[str, str]]:
    """Pairs of texts whose boxes share more than a hair (0.2 points)."""
    x0, y0, x1, y1 = np.array([box for _, box in boxes]).T
    shared = np.minimum(x1[:, None], x1) - np.maximum(x0[:, None], x0) > 0.2
    shared &= np.minimum(y1[:, None], y1) - np.maximum(y0[:, None], y0) > 0.2
    return [(boxes[i][0], boxes[j][0]) for i, j in np.argwhere(shared) if i < j]


def cells(figure: Figure) -> np.ndarray:
    """The numbers behind the coloured cells, `[layers, steps]`."""
    mesh = next(artist for artist in figure.axes[0].collections if isinstance(artist, QuadMesh))
    return np.asarray(mesh.get_array())


def bars(figure: Figure) -> list[Rectangle]:
    return [patch for patch in figure.axes[0].patches if isinstance(patch, Rectangle)]


def words(figure: Figure) -> list[str]:
    """All texts that are drawn."""
    everything = Recording()
    figure.draw(everything)
    return [text for text, _ in everything.texts] + [label.text for label in labels_of(figure).labels]


def rows_marked(figure: Figure, sign: str) -> list[int]:
    (line,) = (line for line in figure.axes[0].lines if line.get_gid() == sign)
    return [int(row) for row in np.asarray(line.get_ydata())]


def test_cells_are_the_sums_per_element_in_the_networks_order() -> None:
    figure = firing_rate_heatmap(THREE)
    assert cells(figure).tolist() == [[0.1, 0.2, 0.05, 0], [0, 0, 0, 0], [0.93, 0.95, 0.96, 0.96]]
    assert {"0.0875", "0.9500", "firing rate".capitalize() + ", model on given images"} <= set(words(figure))
    names = [label.text for label in labels_of(figure).labels if label.text in ("embed", "lif", "stage1", "q", "k")]
    assert names == ["lif", "embed", "q", "stage1", "k"]  # a stage's name once, beside its first layer


def test_exactly_the_silent_and_the_saturated_layers_have_a_sign_that_the_legend_explains() -> None:
    figure = firing_rate_heatmap(THREE)
    assert rows_marked(figure, "silent") == [1]
    assert rows_marked(figure, "saturated") == [2]  # the mean of 0.93, 0.95, 0.96, 0.96 is 0.95
    assert {"silent at every time step (1 layer)", "saturated: mean ≥ 0.95 (1 layer)"} <= set(words(figure))
    below = replace(THREE, neurons=(neuron("a.lif", 930, 950, 960, 959), neuron("a.b", 0, 0, 0, 1)))
    assert rows_marked(firing_rate_heatmap(below), "saturated") == []
    assert rows_marked(firing_rate_heatmap(below), "silent") == []


def test_a_layer_called_twice_per_step_has_its_mean_and_no_cells() -> None:
    twice = replace(THREE, neurons=(*THREE.neurons, neuron("stage1.v", *range(100, 900, 100))))
    figure = firing_rate_heatmap(twice)
    assert np.isnan(cells(figure)[3]).all()
    assert cells(figure)[:3].tolist() == cells(firing_rate_heatmap(THREE)).tolist()
    assert {"0.4500", "several calls per step: mean only"} <= set(words(figure))


def test_a_network_of_silent_layers_is_drawn() -> None:
    silent = replace(THREE, neurons=(neuron("a.b", 0, 0, 0, 0),))
    assert cells(firing_rate_heatmap(silent)).tolist() == [[0, 0, 0, 0]]


def test_without_neurons_there_is_nothing_to_draw() -> None:
    with pytest.raises(EnergyError, match="no layer of spiking neurons"):
        firing_rate_heatmap(replace(THREE, neurons=()))


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


def test_bubbles_are_at_rate_and_energy_with_macs_as_area() -> None:
    figure = rate_energy_bubbles(THREE, price(THREE))
    groups = {artist.get_gid(): artist for artist in figure.axes[0].collections if artist.get_gid()}
    places = {kind: np.asarray(groups[kind].get_offsets()).tolist() for kind in ("binary", "integer", "analog")}
    assert places["binary"] == [pytest.approx([0.25, 36e-6])]
    assert places["integer"] == [pytest.approx([1.5, 54e-6])]
    assert places["analog"] == [pytest.approx([0.5, 4.6e-6])]
    circle, square, diamond = (float(groups[kind].get_sizes()[0]) for kind in ("binary", "integer", "analog"))
    # of nominal size s a circle covers pi/4 s, a square all of it
    assert square / (math.pi / 4 * circle) == pytest.approx(10_000 / 40_000)
    assert diamond / square == pytest.approx(1000 / 10_000)
    layers = {operator.layer for operator in THREE.operators}
    assert [word for word in words(figure) if word in layers] == ["stage1.k", "stage1.q", "embed.conv"]  # by energy


def test_a_network_that_costs_nothing_has_bubbles_without_names() -> None:
    free = replace(THREE, operators=(operator("a.b", "binary", 0.0, 100),))
    figure = rate_energy_bubbles(free, price(free))
    assert "1 of 1 operators cost nothing and lie at energy 0" in words(figure)
    assert "a.b" not in words(figure)


def test_labels_move_apart_no_more_than_they_must() -> None:
    assert spread_out([1.0, 5.0], gap=2, end=9) == [1, 5]
    assert spread_out([1.0, 1.0, 1.5, 8.0], gap=2, end=9) == [1, 3, 5, 8]
    assert spread_out([8.0, 8.0, 8.5], gap=2, end=9) == [5, 7, 9]


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


def of_rates(profile: Profile) -> Figure:
    return firing_rate_heatmap(profile)


def of_energy(profile: Profile) -> Figure:
    return energy_bars(profile, price(profile))


def of_bubbles(profile: Profile) -> Figure:
    return rate_energy_bubbles(profile, price(profile))


def of_difference(profile: Profile) -> Figure:
    return firing_rate_difference(profile, replace(profile, neurons=profile.neurons[::-2]), ("a" * 300, "b.json"))


@pytest.mark.parametrize("draw", [of_rates, of_energy, of_bubbles, of_difference])
@pytest.mark.parametrize(
    "profile",
    [
        pytest.param(THREE, id="3 layers"),
        pytest.param(deep(80, 4), id="80 layers"),
        pytest.param(deep(30, 1), id="T=1"),
        pytest.param(deep(30, 16), id="T=16"),
        pytest.param(deep(80, 100), id="T=100"),
        pytest.param(deep(12, 4, "layer_" * 33), id="200 characters"),
    ],
)
def test_texts_neither_overlap_nor_leave_the_page(profile: Profile, draw: Callable[[Profile], Figure]) -> None:
    figure = draw(profile)
    boxes = drawn_texts(figure)
    assert overlapping(boxes) == []
    width, height = 72 * figure.get_size_inches()
    outside = [text for text, (x0, y0, x1, y1) in boxes if x0 < 0 or y0 < 0 or x1 > width or y1 > height]
    assert outside == []


def test_the_figure_grows_with_the_layers() -> None:
    heights = [firing_rate_heatmap(deep(layers, 4)).get_size_inches()[1] for layers in (20, 30, 40)]
    assert heights[2] - heights[1] == pytest.approx(heights[1] - heights[0])
    assert heights[1] - heights[0] > 10 * 7.5 / 72  # at least the font's size for each


def test_a_very_tall_figure_has_fewer_dots_per_inch(tmp_path: Path) -> None:
    save(Figure(figsize=(1, 400)), tmp_path / "tall.png")
    assert matplotlib.image.imread(tmp_path / "tall.png").shape[:2] == (30_000, 75)


def test_warnings_are_shown_the_first_ones_in_full() -> None:
    written = words(firing_rate_heatmap(deep(80, 4)))
    assert sum(text.startswith("warning: ") for text in written) == 6
    assert "and 4 more warnings" in written  # 9 of its own, and one on the silent layer


@pytest.mark.parametrize("draw", [of_rates, of_energy, of_bubbles, of_difference])
@pytest.mark.parametrize("suffix", [".png", ".svg"])
def test_equal_profiles_give_equal_bytes_whatever_the_users_settings(
    draw: Callable[[Profile], Figure], suffix: str, tmp_path: Path
) -> None:
    contents = []
    for number, settings in enumerate(({}, {"font.size": 20, "text.usetex": True, "svg.fonttype": "none"})):
        path = tmp_path / f"{number}{suffix}"
        with matplotlib.rc_context(settings):
            save(draw(deep(5, 4)), path)
        contents.append(path.read_bytes())
    assert contents[0] == contents[1]
    assert str(matplotlib.__version__).encode() not in contents[0] or suffix == ".svg"


@pytest.mark.parametrize("draw", [of_rates, of_energy, of_bubbles, of_difference])
def test_names_are_drawn_as_they_are(draw: Callable[[Profile], Figure]) -> None:
    odd = Profile(
        1,
        2,
        (operator(ODD, "binary", 0.5, 100),),
        (neuron(ODD, 1, 2),),
        provenance=Provenance(model=ModelOrigin(ODD), warnings=(ODD,)),
    )
    texts = [text for text, _ in drawn_texts(draw(odd))]  # which checks that every character is there
    assert ODD.removeprefix("s.") in texts or ODD in texts
    assert f"warning: {ODD}" in texts or f"warning: A: {ODD}" in texts


def test_characters_that_the_font_lacks_are_escaped_and_long_names_cut_in_the_middle() -> None:
    assert shortened("层\né", 44) == "\\u5c42\\né"
    assert shortened("a" * 44, 44) == "a" * 44
    short = shortened("start" + "." * 200 + "end", 20)
    assert (len(short), short[:5], short[-3:], short.count("…")) == (20, "start", "end", 1)


def test_lines_are_broken_at_spaces_and_inside_words_only_where_one_is_longer_than_a_line() -> None:
    text = "some words and then " + "x" * 300 + " end"
    lines = wrapped(text, 2.0, 8)
    assert max(text_width(line, 8) for line in lines) <= 2.0
    assert "".join(lines).replace(" ", "") == text.replace(" ", "")
    assert lines[0] == "some words and then"
    assert lines[-1].endswith("end")


def test_numbers_are_zero_only_if_they_are() -> None:
    assert [fixed(number, 3) for number in (0, 0.0004, 0.0006, 12.3456)] == ["0", "<0.001", "0.001", "12.346"]
    assert [percent(share) for share in (0, 0.0004, 0.123, 12.7)] == ["0", "<0.1%", "12.3%", "1270%"]
    assert [plain(tick) for tick in (0, 0.00005, -0.25, 0.1 + 0.2, 1500, 1e-15)] == [
        *("0", "0.00005", f"{MINUS}0.25", "0.3", "1500", f"1e{MINUS}15"),
    ]


def test_the_whole_set_is_written_but_for_what_there_is_nothing_of(tmp_path: Path) -> None:
    save_figures(THREE, price(THREE), tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == set(FILES)
    assert len(FILES) == 6
    folder = tmp_path / "artificial"
    folder.mkdir()
    save_figures(replace(THREE, neurons=()), price(THREE), folder)
    assert {path.name for path in folder.iterdir()} == set(FILES) - {"firing_rates.png", "firing_rates.svg"}


def test_a_figure_saved_with_tight_borders_keeps_its_texts(tmp_path: Path) -> None:
    figure = firing_rate_heatmap(THREE)
    figure.savefig(tmp_path / "tight.png", dpi=100, bbox_inches="tight", pad_inches=0)
    height, width = matplotlib.image.imread(tmp_path / "tight.png").shape[:2]
    assert (width, height) == pytest.approx(100 * figure.get_size_inches(), abs=2)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current folder, but for the profiles a.json and b.json."""
    monkeypatch.chdir(tmp_path)
    THREE.save("a.json")
    replace(THREE, neurons=THREE.neurons[:2]).save("b.json")
    return tmp_path


@pytest.mark.parametrize(
    ("arguments", "written"),
    [
        ([], ["firing_rates.png"]),
        (["--kind", "energy", "--protocol", "ann"], ["energy.png"]),
        (["--kind", "bubble", "--technology", "45nm-int8"], ["bubble.png"]),
        (["--against", "b.json"], ["firing_rates_difference.png"]),
        (["--out", "new/x.svg"], ["new/x.svg"]),
        (["--kind", "all", "--out", "set"], [f"set/{name}" for name in FILES]),
        (["--kind", "all"], list(FILES)),
    ],
)
def test_the_command_writes_and_prints_paths(
    arguments: list[str],
    written: list[str],
    here: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(monkeypatch, "heatmap", "a.json", *arguments) == 0
    assert capsys.readouterr().out.split() == written
    files = {str(path.relative_to(here)) for path in here.rglob("*") if path.is_file()}
    assert files == {"a.json", "b.json", *written}
    starts = {".png": b"\x89PNG", ".svg": b"<?xml"}
    assert all((here / name).read_bytes().startswith(starts[Path(name).suffix]) for name in written)


def test_the_command_prices_by_the_protocol_and_technology_that_are_given(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []
    monkeypatch.setattr("msvit_energy.reporting.figures.energy_bars", lambda _, report: seen.append(report) or Figure())
    assert run(monkeypatch, "heatmap", "a.json", "--kind", "energy", "--protocol", "ann", "--force") == 0
    assert seen[0].total_mj == pytest.approx(4.6 * (1000 + 40_000 + 10_000 + 640) / 1e9)


def test_a_file_is_replaced_only_when_forced(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("firing_rates.png").write_text("precious")
    assert run(monkeypatch, "heatmap", "a.json") == 2
    assert capsys.readouterr().err == "error: firing_rates.png exists; --force replaces it\n"
    assert run(monkeypatch, "heatmap", "a.json", "--kind", "all") == 2
    assert Path("firing_rates.png").read_text() == "precious"
    assert run(monkeypatch, "heatmap", "a.json", "--force") == 0
    assert Path("firing_rates.png").read_bytes().startswith(b"\x89PNG")


def test_a_failure_while_drawing_leaves_nothing(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(figure: Figure, path: Path) -> None:
        path.write_text("half")
        raise EnergyError("no")

    monkeypatch.setattr("msvit_energy.reporting.figures.save", fail)
    assert run(monkeypatch, "heatmap", "a.json", "--out", "x.png") == 2
    assert {path.name for path in here.iterdir()} == {"a.json", "b.json"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["a.json", "--out", "x.pdf"], "a figure is a .png or .svg file, not 'x.pdf'"),
        (["a.json", "--out", "x"], "a figure is a .png or .svg file, not 'x'"),
        (["a.json", "--out", "a.json/x.png"], "a.json is a file, not a folder"),
        (["a.json", "--kind", "lines"], "unknown kind 'lines'; kinds: rates, energy, bubble, all"),
        (["a.json", "--kind", "energy", "--against", "b.json"], "it goes with --kind rates, not energy"),
        (["a.json", "--protocol", "ann"], "--protocol and --technology go with --kind energy, bubble or all"),
        (["a.json", "--kind", "energy", "--protocol", "mine"], "unknown protocol 'mine'"),
        (["a.json", "--kind", "energy", "--protocol", "lemaire-estimate"], "the profile has no estimate after Lemaire"),
        (["gone.json"], "cannot read profile gone.json"),
        (["a.json", "--against", "gone.json"], "cannot read profile gone.json"),
    ],
)
def test_what_a_user_got_wrong_is_one_line_and_nothing_is_written(
    arguments: list[str],
    message: str,
    here: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(monkeypatch, "heatmap", *arguments) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert error.count("\n") == 1
    assert message in error
    assert {path.name for path in here.iterdir()} == {"a.json", "b.json"}
