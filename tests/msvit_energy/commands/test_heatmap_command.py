"""`heatmap`: which files it writes, in which formats, and what it refuses."""

from dataclasses import replace
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from matplotlib.figure import Figure

from msvit_energy import EnergyError
from msvit_energy.profiles.firing_maps import Example, LayerMap, load
from msvit_energy.profiles.firing_maps import save as save_maps
from msvit_energy.profiles.provenance import Provenance
from msvit_energy.reporting.figures import (
    FILES,
)
from msvit_energy.reporting.figures.page import ScalingFigure
from tests.support.command_line import run
from tests.support.figures import (
    THREE,
)


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
        (["--out", "x.pdf", "--width", "5", "--font-size", "9", "--title", "Mine", "--cmap", "magma"], ["x.pdf"]),
        (["--paper"], ["firing_rates.pdf"]),
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
    starts = {".png": b"\x89PNG", ".svg": b"<?xml", ".pdf": b"%PDF"}
    assert all((here / name).read_bytes().startswith(starts[Path(name).suffix]) for name in written)


def test_the_command_prices_by_the_protocol_and_technology_that_are_given(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []
    monkeypatch.setattr(
        "msvit_energy.reporting.figures.energy_bars",
        lambda _, report, look: seen.append(report) or ScalingFigure((1, 1)),
    )
    assert run(monkeypatch, "heatmap", "a.json", "--kind", "energy", "--protocol", "ann", "--force") == 0
    assert seen[0].total_mj == pytest.approx(4.6 * (1000 + 40_000 + 10_000 + 640) / 1e9)


def test_on_paper_what_is_not_drawn_is_printed_and_the_width_is_that_of_a_column(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    warned = replace(THREE, provenance=Provenance(warnings=("nothing of this is real",)))
    warned.save("w.json")
    assert run(monkeypatch, "heatmap", "w.json", "--kind", "all", "--paper", "--out", "set") == 0
    printed = capsys.readouterr()
    assert printed.out.split() == [f"set/{name}" for name in FILES]
    lines = printed.err.splitlines()
    assert lines.count("warning: nothing of this is real") == 1
    assert any(line.startswith("10 images, T = 4") for line in lines)
    assert any("by appendix-c" in line for line in lines)
    for name in ("firing_rates", "energy", "bubble"):
        content = Path(f"set/{name}.svg").read_text()
        assert 'width="252pt"' in content  # 3.5 inches
        assert "nothing of this is real" not in content
    assert matplotlib.image.imread("set/energy.png").shape[1] == 1050  # 300 dots per inch


def test_maps_are_drawn_again_from_their_file(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    layer = LayerMap("stage1.lif", (3, 4, 4), np.array([0.3, 0.0, 0.1]), np.arange(16.0).reshape(4, 4) / 100)
    alone = replace(layer, channels=layer.channels / 2)
    save_maps([layer], here / "maps.npz", Example("7.png", np.eye(8), [alone]))
    (again,), example = load(here / "maps.npz")
    assert (again.neuron, again.shape) == ("stage1.lif", (3, 4, 4))
    assert again.channels.tolist() == pytest.approx([0.3, 0, 0.1])
    assert example is not None
    assert (example.name, example.layers[0].neuron, example.picture.tolist()) == (
        "7.png",
        "stage1.lif",
        np.eye(8).tolist(),
    )
    assert example.layers[0].channels.tolist() == pytest.approx([0.15, 0, 0.05])
    assert run(monkeypatch, "heatmap", "a.json", "--kind", "maps", "--width", "column", "--out", "m.svg") == 0
    content = Path("m.svg").read_text()
    assert "input 7.png" in content
    assert "stage1.lif: 3 x 4 x 4" in content


def test_chosen_layers_and_dots_per_inch(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = ["a.json", "--layers", "stage1.*", "--dpi", "50", "--width", "6", "--out"]
    assert run(monkeypatch, "heatmap", *arguments, "x.png") == 0
    assert matplotlib.image.imread("x.png").shape[1] == 300
    assert run(monkeypatch, "heatmap", *arguments, "x.svg") == 0
    content = Path("x.svg").read_text()
    assert ">stage1<" in content
    assert ">embed<" not in content


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
    def fail(figure: Figure, path: Path, dpi: float) -> None:
        path.write_text("half")
        raise EnergyError("no")

    monkeypatch.setattr("msvit_energy.reporting.figures.save", fail)
    assert run(monkeypatch, "heatmap", "a.json", "--out", "x.png") == 2
    assert {path.name for path in here.iterdir()} == {"a.json", "b.json"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["a.json", "--out", "x.eps"], "a figure is a .png, .svg or .pdf file, not 'x.eps'"),
        (["a.json", "--out", "x"], "a figure is a .png, .svg or .pdf file, not 'x'"),
        (["a.json", "--out", "a.json/x.png"], "a.json is a file, not a folder"),
        (["a.json", "--kind", "lines"], "unknown kind 'lines'; kinds: rates, energy, bubble, maps, all"),
        (["a.json", "--kind", "energy", "--against", "b.json"], "it goes with --kind rates, not energy"),
        (["a.json", "--protocol", "ann"], "--protocol and --technology go with --kind energy, bubble or all"),
        (["a.json", "--kind", "energy", "--protocol", "mine"], "unknown protocol 'mine'"),
        (["a.json", "--kind", "energy", "--protocol", "lemaire-estimate"], "the profile has no estimate after Lemaire"),
        (["a.json", "--width", "wide"], "a width is column (3.5 inches), text (7.16 inches), or inches from 2 to 40"),
        (["a.json", "--layers", "gone"], "no layer drawn here is called 'gone'"),
        (["a.json", "--layers", "gone", "--kind", "all"], "no layer drawn here is called 'gone'"),
        (["a.json", "--layers", ","], "no layer is named in ','"),
        (["a.json", "--cmap", "viridsi"], "unknown colour map 'viridsi'; did you mean viridis?"),
        (["a.json", "--cmap", "magma", "--kind", "energy"], "--cmap goes with --kind rates, maps or all"),
        (["a.json", "--title", "Mine", "--kind", "all"], "--title goes with one figure"),
        (["a.json", "--font-size", "5"], "a font size is 7 to 24 points, not 5"),
        (["a.json", "--kind", "maps"], "cannot read maps maps.npz"),
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
