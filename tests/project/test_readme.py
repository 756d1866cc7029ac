"""The README's commands and Python, executed in an empty folder."""

import csv
import re
import shlex
import subprocess
import sys
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path

import pytest

from msvit_energy import Profile, price
from msvit_energy.pricing.break_even import break_even
from msvit_energy.pricing.protocols import PROTOCOLS
from msvit_energy.reporting.hardware_table import hardware_rows
from msvit_energy.workflows.shipped_geometry import counted_record
from tests.support.command_line import run

pytestmark = pytest.mark.slow


ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
SET_UP = ("make", "pip")  # what .ci/run executes
SHORT = ["--epochs", "1", "--batch-size", "64", "--set", 'model_args={"time_steps": 1}']  # training takes minutes


def blocks(language: str) -> list[str]:
    """Fenced blocks of one language."""
    return re.findall(rf"```{language}\n(.*?)```", README, flags=re.DOTALL)


def test_commands_of_the_readme_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    lines = [line for block in blocks("bash") for line in block.splitlines()]
    commands = [shlex.split(line) for line in lines if not line.startswith(SET_UP)]
    assert len(commands) == 25
    for program, *arguments in commands:
        if arguments[0] == "train":
            arguments += [
                "--epochs",
                "1",
                "--batch-size",
                "64",
                "--set",
                'model_args={"time_steps": 1}',
            ]  # minutes otherwise
        if program == "msvit-energy":
            code, printed = run(monkeypatch, *arguments), capsys.readouterr()
            assert code == 0, printed.err
            assert printed.out
        else:
            script = Path(sys.executable).with_name(program)
            done = subprocess.run([script, *arguments], capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stderr
            assert done.stdout


def test_python_of_the_readme_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (code,) = blocks("python")
    exec(code, {})
    assert (tmp_path / "profile.json").exists()


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Profile]:
    """What the profile of the shipped checkpoint prints, and the profile."""
    out = tmp_path_factory.mktemp("measured") / "out"
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(StringIO()) as printed:
        assert run(patch, "profile", "--lemaire", "8", "--out", str(out)) == 0
    return printed.getvalue(), Profile.load(out / "profile.json")


def test_table_shown_in_the_readme_is_what_the_command_prints(measured: tuple[str, Profile]) -> None:
    (shown,) = blocks("text")

    def bare(text: str) -> set[str]:
        # numbers may differ in the last digit on another machine, so columns and names are compared
        return {" ".join(re.sub(r"[\d.,]+", "#", line).split()) for line in text.splitlines()}

    assert len(shown.splitlines()) > 10
    assert bare(shown) - {"#", ""} <= bare(measured[0])


def test_energies_listed_in_the_readme_are_what_the_protocols_give(measured: tuple[str, Profile]) -> None:
    rows = re.findall(r"^\| `([\w:=-]+)` \| ([\d.]+) \| [^|]+ \|$", README, flags=re.MULTILINE)
    assert {name.partition(":")[0] for name, _ in rows} == set(PROTOCOLS) - {"as-given"}  # which is of tables
    for name, energy in rows:
        assert price(measured[1], name).total_mj == pytest.approx(float(energy), rel=1e-3), name


def test_models_listed_in_the_readme_are_what_the_command_counts() -> None:
    rows = re.findall(r"^\| `(\w+)` \| ([\d,]+) \| ([\dx]+) \| (\d+) \| ([\d.]+) \|", README, flags=re.MULTILINE)
    assert len(rows) > 20
    for name, *cells in rows:
        row = counted_record(name)
        size = "x".join(map(str, row["input_size"]))
        counted = [f"{row['parameters']:,}", size, str(row["time_steps"]), f"{row['macs_per_step'] / 1e9:.4f}"]
        assert cells == counted, name


def test_hardware_report_and_what_the_readme_says_of_it_are_those_of_the_checkpoint(
    measured: tuple[str, Profile],
) -> None:
    with (ROOT / "reports" / "hardware" / "hardware.csv").open(newline="") as file:
        reported = {(row["name"], row["what"]): float(row["energy_mj"]) for row in csv.DictReader(file)}
    found = {(row.name, row.what): row.energy_mj for row in hardware_rows(measured[1])}
    assert found == pytest.approx(reported, rel=1e-3)
    assert max(reported.values()) / min(reported.values()) > 1000
    rows, total = break_even(measured[1])
    text = " ".join(README.split())
    assert total.break_even is not None
    assert f"fire at a mean rate of {total.break_even:.1%}".replace("%", " %") in text
    assert f"it does at {total.rate:.1%}".replace("%", " %") in text
    assert f"[{sum(row.wins for row in rows)} of its {len(rows)} layers]" in text
