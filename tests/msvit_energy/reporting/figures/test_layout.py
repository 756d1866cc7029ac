"""What all figures share: texts that fit, at any width, files with equal bytes, what a Look changes."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import matplotlib
import numpy as np
import pytest
from matplotlib.backends.backend_agg import RendererAgg
from matplotlib.figure import Figure

from msvit_energy import EnergyError, Profile, price
from msvit_energy.profiles.provenance import ModelOrigin, Provenance
from msvit_energy.reporting.figures import (
    FILES,
    Look,
    firing_rate_heatmap,
    save,
    save_figures,
)
from msvit_energy.reporting.figures.glyphs import Labels, text_width, wrapped
from msvit_energy.reporting.figures.style import shortened
from msvit_energy.reporting.formatting import fixed, percent, plain
from tests.support.figures import (
    MINUS,
    THREE,
    Recording,
    deep,
    drawn_texts,
    neuron,
    of_bubbles,
    of_difference,
    of_energy,
    of_rates,
    operator,
    outside,
    overlapping,
    recorded,
    words,
)

ODD = "s.<b>$x^2$_\\alpha &amp;"


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
    assert overlapping(drawn_texts(figure)) == []
    assert outside(figure) == []


@pytest.mark.parametrize("draw", [of_rates, of_energy, of_bubbles, of_difference])
@pytest.mark.parametrize(
    "profile",
    [
        pytest.param(deep(80, 4), id="80 layers"),
        pytest.param(deep(12, 100, "layer_" * 33), id="200 characters"),
    ],
)
@pytest.mark.parametrize(
    "look",
    [
        pytest.param(Look(width="column"), id="column"),
        pytest.param(Look(width=6, font_size=12), id="12 points"),
    ],
)
def test_a_width_is_exact_and_texts_fit_into_it(
    look: Look, profile: Profile, draw: Callable[[Profile, Look], Figure]
) -> None:
    figure = draw(profile, look)
    assert figure.get_size_inches()[0] == pytest.approx(look.inches, rel=1e-12)
    assert overlapping(drawn_texts(figure)) == []
    assert outside(figure) == []
    assert min(recorded(figure).sizes) >= 6


@pytest.mark.parametrize("draw", [of_rates, of_energy, of_bubbles, of_difference])
@pytest.mark.parametrize("size", [(3.5, 5.0), (20.0, 6.0)])
def test_a_figure_whose_size_is_set_scales_with_its_letters(
    size: tuple[float, float], draw: Callable[[Profile], Figure]
) -> None:
    figure = draw(deep(30, 4))
    before, sizes = figure.get_size_inches(), recorded(figure).sizes
    figure.set_size_inches(*size)
    factor = min(size / before)
    after = recorded(figure).sizes  # perhaps with more or fewer numbers on an axis
    assert (min(after), max(after)) == pytest.approx((factor * min(sizes), factor * max(sizes)), rel=1e-6)
    assert overlapping(drawn_texts(figure)) == []
    assert outside(figure) == []
    figure.set_size_inches(*before)
    assert recorded(figure).sizes == pytest.approx(sizes, rel=1e-6)


class Pixels(RendererAgg):
    """Keeps where outlines of letters are drawn, in pixels from the lower left corner."""

    def __init__(self, width: float, height: float, dpi: float) -> None:
        super().__init__(width, height, dpi)
        self.letters: list[tuple[float, float, float, float]] = []
        self.draw_markers = self.kept  # the renderer's own is an attribute too

    def kept(self, gc: Any, marker: Any, marker_trans: Any, path: Any, trans: Any, rgb: Any = None) -> None:
        box = marker_trans.transform_path(marker).get_extents()
        for x, y in trans.transform(path.vertices):
            self.letters.append((x + box.x0, y + box.y0, x + box.x1, y + box.y1))


@pytest.mark.parametrize("look", [Look(), Look(width="column")])
def test_letters_in_pixels_are_where_the_text_of_other_formats_is(look: Look) -> None:
    figure = of_energy(THREE, look)
    figure.set_dpi(72)
    (labels,) = (artist for artist in figure.artists if isinstance(artist, Labels))
    for label in list(labels.labels):
        labels.labels = [label]
        text, pixels = Recording(), Pixels(*(72 * figure.get_size_inches()), 72)
        labels.draw(text)
        labels.draw(pixels)
        assert len(pixels.letters) == len(label.text.replace(" ", ""))
        if pixels.letters:
            corners = np.array(pixels.letters)
            ((written, box),) = text.texts
            assert written == label.text
            # boxes of a text have space left and right of its letters
            assert corners[:, 0].min() == pytest.approx(box[0], abs=1.5)
            assert corners[:, 2].max() == pytest.approx(box[2], abs=1.5)
            assert corners[:, 1].min() == pytest.approx(box[1], abs=1)


@pytest.mark.slow
@pytest.mark.parametrize("draw", [of_rates, of_energy, of_bubbles, of_difference])
def test_text_is_text_in_svg_and_a_font_in_pdf(draw: Callable[[Profile], Figure], tmp_path: Path) -> None:
    figure = draw(THREE)
    save(figure, tmp_path / "x.svg")
    save(figure, tmp_path / "x.pdf")
    found = ElementTree.parse(tmp_path / "x.svg").iter("{http://www.w3.org/2000/svg}text")
    assert sorted(str(element.text) for element in found) == sorted(filter(str.strip, words(figure)))
    content = (tmp_path / "x.pdf").read_bytes()
    assert b"/CIDFontType2" in content
    assert b"/Type3" not in content


def test_titles_are_replaced_and_left_out() -> None:
    usual = "Firing rate, model on given images"
    assert usual in words(of_rates(THREE))
    assert usual not in words(of_rates(THREE, Look(title="none")))
    assert "Mine" in words(of_rates(THREE, Look(title="Mine")))
    assert "Mine" in words(of_rates(THREE, Look(title="Mine", paper=True)))


@pytest.mark.parametrize("draw", [of_rates, of_energy, of_bubbles, of_difference])
def test_on_paper_there_are_no_lines_and_warnings_but_notes_of_all(draw: Callable[..., Any]) -> None:
    profile = deep(20, 4)
    figure = draw(profile, Look(paper=True))
    assert not [word for word in words(figure) if "warning" in word or word.startswith("T differs")]
    for warning in profile.warnings():
        assert any(note.startswith("warning: ") and note.endswith(warning) for note in figure.notes)
    screen = draw(profile)
    assert screen.notes == ()
    drawn = " ".join(words(screen))
    assert all(note.split()[0] in drawn for note in figure.notes if not note.startswith("warning"))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"width": "wide"}, r"a width is column \(3.5 inches\), text .*, or inches from 2 to 40, not 'wide'"),
        ({"width": "0"}, "a width is"),
        ({"width": float("nan")}, "a width is"),
        ({"font_size": 5}, "a font size is 7 to 24 points, not 5"),
        ({"cmap": "viridsi"}, "unknown colour map 'viridsi'; did you mean viridis"),
        ({"dpi": 0}, "dots per inch are 1 to 2400, not 0"),
    ],
)
def test_looks_that_cannot_be_are_refused(given: dict[str, Any], message: str) -> None:
    with pytest.raises(EnergyError, match=message):
        Look(**given)


def test_too_little_width_is_refused_with_what_is_enough() -> None:
    profile = deep(5, 4, "layer_" * 33)
    with pytest.raises(EnergyError, match=r"2 inches are too narrow .* in 20 points; (\d+\.\d) are enough") as error:
        of_rates(profile, Look(width=2, font_size=20))
    enough = float(str(error.value).split()[-3])
    of_rates(profile, Look(width=enough, font_size=20))
    with pytest.raises(EnergyError, match="too narrow"):
        of_rates(profile, Look(width=enough - 0.2, font_size=20))


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
@pytest.mark.parametrize("suffix", [".png", ".svg", ".pdf"])
def test_equal_profiles_give_equal_bytes_whatever_the_users_settings(
    draw: Callable[[Profile], Figure], suffix: str, tmp_path: Path
) -> None:
    contents = []
    for number, settings in enumerate(({}, {"font.size": 20, "text.usetex": True, "svg.fonttype": "path"})):
        path = tmp_path / f"{number}{suffix}"
        with matplotlib.rc_context(settings):
            save(draw(deep(5, 4)), path)
        contents.append(path.read_bytes())
    assert contents[0] == contents[1]
    assert str(matplotlib.__version__).encode() not in contents[0] or suffix != ".png"


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


@pytest.mark.slow
def test_the_whole_set_is_written_but_for_what_there_is_nothing_of(tmp_path: Path) -> None:
    names = {"firing_rates", "energy", "bubble"}
    assert save_figures(THREE, price(THREE), tmp_path) == []
    assert {path.name for path in tmp_path.iterdir()} == {
        f"{name}.{suffix}" for name in names for suffix in ("png", "svg")
    }
    folder = tmp_path / "artificial"
    folder.mkdir()
    save_figures(replace(THREE, neurons=()), price(THREE), folder, suffixes=(".pdf",))
    assert {path.name for path in folder.iterdir()} == {"energy.pdf", "bubble.pdf"}
    assert {path.name for path in (*tmp_path.glob("*.*"), *folder.iterdir())} < set(FILES)


def test_chosen_layers_that_are_in_no_figure_are_refused(tmp_path: Path) -> None:
    save_figures(THREE, price(THREE), tmp_path, Look(layers="*lif"))  # of neurons only
    assert {path.name for path in tmp_path.iterdir()} == {"firing_rates.png", "firing_rates.svg"}
    with pytest.raises(EnergyError, match="no layer drawn here is called 'gone'"):
        save_figures(THREE, price(THREE), tmp_path, Look(layers="gone"))


def test_a_figure_saved_with_tight_borders_keeps_its_texts(tmp_path: Path) -> None:
    figure = firing_rate_heatmap(THREE)
    figure.savefig(tmp_path / "tight.png", dpi=100, bbox_inches="tight", pad_inches=0)
    height, width = matplotlib.image.imread(tmp_path / "tight.png").shape[:2]
    assert (width, height) == pytest.approx(100 * figure.get_size_inches(), abs=3)  # rounded outwards
