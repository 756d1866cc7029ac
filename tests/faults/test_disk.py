"""A disk that takes no more, or nothing at all: one line, exit code 2, no half file, what was there untouched."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from msvit_energy import Profile
from msvit_energy.errors import EnergyError
from msvit_energy.reporting.output_folder import held
from tests.support.command_line import run

PROFILE = ("profile", "--images", "8", "--batch-size", "4", "--format", "csv", "--out", "run")
LIMITED = """
import resource, sys
from msvit_energy.commands import main
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv.pop(1)), resource.RLIM_INFINITY))
main()
"""


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def limited(most: int, *arguments: str) -> subprocess.CompletedProcess[str]:
    """A command in a process that can write no file of more than so many bytes: the kernel refuses the rest, as it does
    on a full disk and beyond a quota."""
    command = [sys.executable, "-c", LIMITED, str(most), *arguments]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE")}  # too large
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)


@pytest.mark.slow
def test_a_profile_says_so_and_leaves_no_half_file() -> None:
    end = limited(100_000, *PROFILE)  # report.html does not fit, nor does the state
    assert end.returncode == 2
    warning, *_, error = [line for line in end.stderr.splitlines() if line.strip()]
    assert warning.startswith("warning: cannot write run/unfinished-0.pt: File too large; what was there before is")
    assert warning.endswith("the measurement goes on, and if it is killed from here on cannot be gone on with")
    assert error == "error: cannot write into run: File too large"
    assert not list(Path().iterdir())


@pytest.mark.slow
def test_a_training_says_so_and_goes_on_from_its_last_state() -> None:
    small = 'model_args={"embed_dims": [16, 16, 32], "num_heads": [2, 2, 2], "time_steps": 1}'
    train = ("train", "digits", "--batch-size", "128", "--out", "run", "--set", small, "--epochs", "1")
    end = limited(10_000, *train)
    assert (end.returncode, "Traceback" in end.stderr) == (2, False)
    assert end.stderr.splitlines()[-1].startswith("error: cannot write run/state-00000011.pt: File too large; what was")
    assert not [path for path in Path("run").iterdir() if path.name.endswith((".part", ".pt"))]
    end = limited(10**9, *train, "--resume")
    assert end.returncode == 0, end.stderr


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EIO])
def test_a_file_of_results_that_does_not_fit_leaves_those_that_were_there(
    number: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("run").mkdir()
    Path("run/profile.json").write_text("the old one")

    def refuse(self: Profile, path: Path) -> None:
        Path(path).write_text("half of")
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(Profile, "save", refuse)
    assert run(monkeypatch, *PROFILE, "--force") == 2
    assert f"error: cannot write into run: {os.strerror(number)}\n" in capsys.readouterr().err
    assert Path("run/profile.json").read_text() == "the old one"
    assert {path.name for path in Path("run").iterdir()} == {"profile.json", "unfinished-0.pt"}


@pytest.mark.parametrize("command", [PROFILE, ("train", "digits", "--out", "run")], ids=lambda command: command[0])
def test_a_folder_that_is_read_only_is_refused_before_anything_runs(
    command: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    allowed = os.access  # by root everything is, but what is mounted read-only
    monkeypatch.setattr(os, "access", lambda path, mode: mode != os.W_OK and allowed(path, mode))
    assert run(monkeypatch, *command) == 2
    assert capsys.readouterr().err == "error: cannot write into run: it is read-only\n"
    assert not list(Path().iterdir())


def test_a_place_that_takes_no_folder_is_named() -> None:
    with pytest.raises(EnergyError, match="cannot write into /proc/run: "), held(Path("/proc/run")):
        pass
