"""Ctrl-C and SIGTERM, at every stage: no traceback, no half file, exit code 130, and the images so far in a profile."""

import json
import os
import signal
import subprocess
import sys
import time
from functools import cache
from pathlib import Path

import pytest

from msvit_energy import Profile, price
from msvit_energy.workflows.measuring.measurement_state import MeasurementState
from tests.support.command_line import run
from tests.support.forked_runs import ended, printed, started, wait_for

PROFILE = ("profile", "--batch-size", "4", "--format", "csv", "--out", "run")


def stop_after(batches: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have Ctrl-C pressed while the batch after so many runs."""
    own, done = MeasurementState.after_batch, iter(range(1, 1000))

    def after_batch(self: MeasurementState, counts: object) -> bool:
        stop = own(self, counts)  # type: ignore[arg-type]
        if next(done) == batches:
            os.kill(os.getpid(), signal.SIGINT)
        return stop

    monkeypatch.setattr(MeasurementState, "after_batch", after_batch)


@pytest.mark.slow
def test_ctrl_c_ends_a_profile_with_the_images_so_far(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    with monkeypatch.context() as patch:
        stop_after(2, patch)
        assert run(patch, *PROFILE, "--images", "24") == 130
    printed_out, printed_err = capfd.readouterr()
    assert "stopping after this batch; Ctrl-C again ends at once" in printed_err
    assert printed_err.endswith("stopped after 12 of 24 images; the same command with --resume goes on\n")
    partial = "partial: stopped after 12 of 24 images, the first ones in their order: the interval says nothing"
    assert partial in " ".join(printed_out.split())
    stopped = Profile.load("run/profile.json")
    data = stopped.provenance.data
    assert data
    assert (stopped.images, data.planned) == (12, 24)
    assert price(stopped).interval_mj is not None
    assert partial in Path("run/energy.csv").read_text()
    assert run(monkeypatch, *PROFILE, "--images", "24", "--resume") == 0
    whole = Profile.load("run/profile.json")
    assert (whole.images, whole.warnings()) == (24, [])
    assert "planned" not in json.loads(Path("run/profile.json").read_text())["provenance"]["data"]
    assert not list(Path("run").glob("unfinished*"))


@pytest.mark.slow
def test_images_in_a_random_order_stand_for_all_and_none_are_kept_without_a_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    stop_after(1, monkeypatch)
    assert run(monkeypatch, "profile", "--batch-size", "4", "--images", "24", "--ci", "1%") == 130
    out, err = capfd.readouterr()
    assert "partial: stopped after 8 of 24 images " in " ".join(out.split())
    assert "the first ones" not in out
    assert err.endswith("stopped after 8 of 24 images\n")
    assert not list(tmp_path.iterdir())


COMMAND_LINE = """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)  # shells have their background jobs ignore it
from msvit_energy.__main__ import main
print("begun", flush=True)
main()
"""


LONG = ("profile", "--batch-size", "1", "--format", "csv", "--out", "run")  # of all images: it is not done before


@pytest.mark.slow
@pytest.mark.parametrize("command", [LONG, ("train", "digits", "--out", "run")], ids=lambda command: command[0])
@pytest.mark.parametrize("part", [0.3, 0.9])  # while torch is imported, and about when work begins
def test_at_any_moment_it_ends_with_130_and_no_traceback(part: float, command: tuple[str, ...], tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", COMMAND_LINE, *command],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "begun\n"
    time.sleep(part * seconds_of_imports())
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=120)
    assert (process.returncode, "Traceback" in err) == (130, False), (out, err)
    assert not list(tmp_path.rglob(".*"))


@cache
def seconds_of_imports() -> float:
    """How long a command takes to begin, now."""
    begun = time.monotonic()
    code = "import msvit_energy.workflows.measuring.profiling, msvit_energy.workflows.training.run"
    subprocess.run([sys.executable, "-c", code], check=True)
    return time.monotonic() - begun


@pytest.mark.slow
def test_a_second_one_ends_at_once_and_keeps_the_state(tmp_path: Path) -> None:
    process = started(tmp_path, *PROFILE, SLOW="1")
    wait_for(tmp_path, "run/unfinished-0.pt")
    assert process.pid is not None
    for _ in range(2):
        os.kill(process.pid, signal.SIGINT)
        time.sleep(0.2)
    assert ended(process, within=5) == 130
    assert "Traceback" not in printed(tmp_path)[1]
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["unfinished-0.pt"]
