"""Energy against accuracy, read back from points, labels and legend."""

import importlib.util
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from msvit_energy.reporting.comparison import Entry
from msvit_energy.reporting.figures import Look, energy_accuracy
from msvit_energy.reporting.figures.point_labels import crossed
from msvit_energy.workflows.comparison import family_of, rows_of
from tests.support.figures import Recording, drawn_texts, outside, overlapping, recorded, words

ROOT = Path(__file__).parents[4]


def entry(name: str, energy: float, top1: float, **more: object) -> Entry:
    return Entry(name, "digits", "measured, 2 images", energy_mj=energy, top1=top1, **more)  # type: ignore[arg-type]


def front_of(figure: Figure, axes: int = 0) -> np.ndarray:
    """The corners of the front, in points."""
    (line,) = (line for line in figure.axes[axes].lines if line.get_drawstyle() == "steps-post")
    figure.set_dpi(72)
    x, y = line.get_data()
    corners = [(x[0], y[0]), *(corner for i in range(1, len(x)) for corner in ((x[i], y[i - 1]), (x[i], y[i])))]
    return np.asarray(figure.axes[axes].transData.transform(corners))


@pytest.mark.parametrize("look", [Look(), Look(width="text"), Look(width="column")])
def test_labels_of_table_1_are_off_each_other_and_off_the_front(look: Look) -> None:
    entries = rows_of("table1")
    figure = energy_accuracy(entries, look=look)
    corners = front_of(figure)
    segments = np.stack([corners[:-1], corners[1:]], axis=1)
    known = [each for each in entries if each.energy_mj is not None and each.top1 is not None]
    names = [text.get_text() for text in figure.axes[0].texts]
    assert len(set(names)) == len(names) == len(known)
    own = Recording()
    for text in figure.axes[0].texts:
        text.draw(own)
    boxes = np.array([box for _, box in own.texts])
    assert not crossed(segments, boxes).any()
    assert overlapping(own.texts) == []
    assert outside(figure) == []
    assert min(recorded(figure).sizes) >= 6
    if look.inches is not None and look.inches < 5:  # numbers, of names below
        places = {text.get_text(): text.xy for text in figure.axes[0].texts}
        ranked = sorted(known, key=lambda each: each.energy_mj or 0.0)
        assert {str(i): (each.energy_mj, each.top1) for i, each in enumerate(ranked, start=1)} == places
        assert overlapping(drawn_texts(figure)) == []
        written = words(figure)
        assert written[written.index("ImageNet-1k") + 1 :][:4] == ["1", ranked[0].label, "2", ranked[1].label]


def test_segments_touch_boxes() -> None:
    lines = np.array([[(0, 0), (4, 4)], [(0, 3), (4, 3)], [(1.5, -9), (1.5, 9)], [(0, 0), (0.9, 0.9)]], dtype=float)
    boxes = np.array([(1, 1, 2, 2), (5, 5, 6, 6)], dtype=float)
    assert crossed(lines, boxes).tolist() == [[True, False], [False, False], [True, False], [False, False]]
    assert crossed(np.zeros((0, 2, 2)), boxes).shape == (0, 2)


def test_a_family_has_a_colour_and_the_legend_has_what_is_drawn() -> None:
    figure = energy_accuracy(
        [
            entry("a1", 1.0, 90.0, family="a"),
            entry("b", 2.0, 91.0, family="b"),
            entry("a2", 3.0, 92.0, family="a"),
        ]
    )
    points = {
        tuple(line.get_xydata()[0]): to_hex(line.get_color())
        for line in figure.axes[0].lines
        if len(line.get_xydata()) == 1
    }
    assert points[1.0, 90.0] == points[3.0, 92.0] != points[2.0, 91.0]
    written = words(figure)
    assert {"a", "b", "measured", "Pareto front"} <= set(written)
    assert not {"published", "printed energy in doubt", "one seed"} & set(written)
    published = [entry("a1", 1.0, 90.0), Entry("p", "digits", "published", energy_mj=2.0, top1=80.0, doubt="typo")]
    written = words(energy_accuracy(published))
    assert "printed energy in doubt" in written
    assert "published" not in written


def test_families_are_those_of_models_and_of_published_methods() -> None:
    assert [family_of(name) for name in ("sdt_digits", "msvit_10_384", "Spike-driven v2", "mynet")] == [
        *("sdt", "msvit", "sdtv2", "mynet"),
    ]


def test_runs_are_drawn_tied_to_their_mean() -> None:
    runs = ((1.0, 80.0), (3.0, 90.0))
    figure = energy_accuracy([entry("mean", 2.0, 85.0, runs=runs)])
    lines = [np.asarray(line.get_xydata()).tolist() for line in figure.axes[0].lines]
    assert [[1.0, 80.0], [3.0, 90.0]] in lines
    assert [[2.0, 85.0], [3.0, 90.0]] in lines
    low, high = figure.axes[0].get_ylim()
    assert low < 80
    assert high > 90
    assert "one seed" in words(figure)


def test_accuracy_ends_at_100_percent() -> None:
    figure = energy_accuracy([entry("a", 1.0, 100.0), entry("b", 2.0, 90.0)])
    assert 100 < figure.axes[0].get_ylim()[1] < 101


def test_the_penaltys_figure_names_strengths_and_has_every_seed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = importlib.util.spec_from_file_location("sop_penalty", ROOT / "benchmarks" / "sop_penalty.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    drawn: list[Figure] = []
    monkeypatch.setattr(module, "save", lambda figure, _: drawn.append(figure))
    table = pd.read_csv(ROOT / "reports" / "sop_penalty" / "sop_penalty.csv")
    module.write(table, tmp_path)
    assert (tmp_path / "sop_penalty.md").read_text() == (ROOT / "reports/sop_penalty/sop_penalty.md").read_text()
    assert {"W = 0", "W = 0.3", "W = 16"} <= set(words(drawn[0]))
    seeds = {
        tuple(place) for line in drawn[0].axes[0].lines if line.get_markersize() == 2.5 for place in line.get_xydata()
    }
    assert seeds == {(row.energy_mj, 100 * row.test_accuracy) for row in table.itertuples()}
