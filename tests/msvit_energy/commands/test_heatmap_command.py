"""`heatmap`: which files it writes, in which formats, and what it refuses."""

from dataclasses import replace
from pathlib import Path

import pytest
from matplotlib.figure import Figure

from msvit_energy import EnergyError
from msvit_energy.reporting.figures import (
    FILES,
)
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
