"""Two runs into one folder at the same time, and a clock that goes back."""

import fcntl
import itertools
import os
import time
from pathlib import Path

import pytest
import torch

from msvit_energy.errors import EnergyError
from msvit_energy.reporting.output_folder import held
from tests.support.command_line import run


@pytest.mark.parametrize(
    "command",
    [("profile", "--images", "2"), ("profile", "--resume"), ("train", "digits"), ("train", "digits", "--force")],
)
def test_the_second_run_is_refused(
    command: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("run").mkdir()
    handle = os.open("run", os.O_RDONLY)
    fcntl.flock(handle, fcntl.LOCK_EX)  # as another process has it
    Path("run/.state-00000001.pt.part").write_text("what the other is writing")
    assert run(monkeypatch, *command, "--out", "run") == 2
    assert capsys.readouterr().err == (
        "error: another run is writing into run; wait for its end, or give another folder\n"
    )
    assert [path.name for path in Path("run").iterdir()] == [".state-00000001.pt.part"]
    os.close(handle)
    with held(Path("run")):  # it was killed
        assert not list(Path("run").iterdir())
    with held(Path("run")), pytest.raises(EnergyError, match="another run is writing into run"), held(Path("run")):
        pass


@pytest.mark.slow
def test_a_clock_that_goes_back_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    small = 'model_args={"embed_dims": [16, 16, 32], "num_heads": [2, 2, 2], "time_steps": 1}'
    train = ("train", "digits", "--epochs", "2", "--batch-size", "256", "--set", small, "--set", "save_minutes=0.001")
    assert run(monkeypatch, *train, "--out", "whole") == 0
    clock = (2e9 - 1e5 * step for step in itertools.count())
    for name in ("time", "perf_counter"):
        monkeypatch.setattr(time, name, lambda: next(clock))
    assert run(monkeypatch, *train, "--out", "back") == 0
    for run_folder in ("whole", "back"):
        state = torch.load(sorted(Path(run_folder).glob("state-*.pt"))[-1], weights_only=True)
        assert state["seconds"] >= 0
    assert Path("back/model.safetensors").read_bytes() == Path("whole/model.safetensors").read_bytes()
    with_old = sorted(Path("back").glob("state-*.pt"))
    for number, path in enumerate(with_old):  # the newest state is that of the most updates, whatever its date
        os.utime(path, (1e9 - number, 1e9 - number))
    assert run(monkeypatch, *train, "--out", "back", "--resume") == 0
