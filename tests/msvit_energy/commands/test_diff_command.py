"""Two energies layer by layer, worked out by hand."""

import json
from pathlib import Path

import pytest

from msvit_energy import Profile, read_table
from tests.support.command_line import run

A = "layer,flops,rate,kind\nsame,500,0.5,binary\na,2000,0.125,binary\nb,3000,0.5,binary\nc,10,0.1,binary\n"
B = "layer,flops,rate,kind\nsame,500,0.5,binary\na,2000,0.25,binary\nb,1000,0.5,integer\nd,10,0.1,binary\n"


@pytest.fixture(autouse=True)
def tables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a.csv").write_text(A)
    Path("b.csv").write_text(B)
    read_table("b.csv", time_steps=4).save("b.json")


def test_layers_that_differ_the_largest_difference_first(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "diff", "a.csv", "b.json", "--time-steps", "4", "--out", "out") == 1
    rows = json.loads(Path("out/diff.json").read_text())
    rows = rows["records"] if isinstance(rows, dict) else rows
    assert [row["layer"] for row in rows] == ["b", "a", "c", "d", "total"]
    b, a, c, d, total = rows
    assert (b["macs_a"], b["macs_b"], b["kind_a"], b["kind_b"]) == (3000, 1000, "binary", "integer")
    # 4 steps x 0.9 pJ x (500 - 1500), (500 - 250), -1 and +1 accumulates
    for row, accumulates in ((b, -1000), (a, 250), (c, -1), (d, 1)):
        assert row["difference_mj"] == pytest.approx(4 * 0.9 * accumulates / 1e9)
        assert row["share"] == pytest.approx(accumulates / -750)
    assert c["energy_b_mj"] is None
    assert d["energy_a_mj"] is None
    # 250 + 250 + 1500 + 1 accumulates in A, 250 + 500 + 500 + 1 in B
    energies = [total["energy_a_mj"], total["energy_b_mj"], total["difference_mj"]]
    assert energies == pytest.approx([4 * 0.9 * n / 1e9 for n in (2001, 1251, -750)])
    printed = capsys.readouterr().out
    assert "B - A -2.7 nJ" in printed
    assert "interval of B - A: unknown, since A or B has none" in printed
    assert "alike: 1 of 5 layers" in printed


@pytest.mark.parametrize(
    ("tolerance", "code"), [("0", 1), ("37%", 1), ("37.6%", 0), ("0.376", 0)]
)  # 750 of 2001 accumulates
def test_exit_code_says_whether_totals_differ(tolerance: str, code: int, monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = ("diff", "a.csv", "b.json", "--time-steps", "4", "--tolerance", tolerance)
    assert run(monkeypatch, *arguments) == code
    assert run(monkeypatch, "diff", "b.json", "b.json") == 0


def test_a_log_is_compared_with_a_profile_of_its_rates(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from msvit_energy.workflows.published.evidence import FOLDER

    log = str(FOLDER / "spikingformer_8_512.log.txt")
    model = ("--model", "spikingformer_8_512")
    assert run(monkeypatch, "energy", *model, "--log", log, "--save", "log.json") == 0
    assert Profile.load("log.json").time_steps == 4
    assert run(monkeypatch, "diff", "log.json", log, *model) == 0
    assert "alike: " in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("a.csv", "gone.log"), "a log needs --model for its geometry"),
        (("a.csv", "gone.json"), "cannot read profile gone.json"),
        (("a.csv", "b.json", "--tolerance", "much"), "--tolerance must be a share of the total"),
        (("a.csv", "b.json", "--tolerance", "-1%"), "--tolerance must be a share of the total"),
    ],
)
def test_errors_are_one_line(
    arguments: tuple[str, ...], message: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "diff", *arguments, "--time-steps", "4") == 2
    printed = capsys.readouterr()
    assert message in printed.err
    assert printed.out == ""
