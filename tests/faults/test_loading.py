"""Data that goes away under a run, and a process that loads images and is killed."""

import functools
import itertools
import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader

from msvit.data.digits import Digits
from msvit.data.loading import loader
from msvit.machine_faults import fault_in_words
from msvit_energy import Profile
from msvit_energy.workflows.measuring.measurement_state import MeasurementState
from tests.support.command_line import run
from tests.support.training_runs import images


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_killed_process_that_loads_images_ends_the_run_in_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    profile = ("profile", "--images", "16", "--batch-size", "2", "--workers", "1", "--format", "csv", "--out", "run")
    assert run(monkeypatch, *profile) == 0
    whole = Profile.load("run/profile.json")
    with monkeypatch.context() as patch:
        # only a fork has what is patched here
        patch.setattr("msvit.data.loading.DataLoader", functools.partial(DataLoader, multiprocessing_context="fork"))
        patch.setattr("msvit.data.digits.Digits.__getitem__", _deadly(Digits.__getitem__))
        patch.setattr("msvit_energy.workflows.measuring.measurement_state.SHARE", 1e9)
        assert run(patch, *profile, "--force") == 2
    printed = capsys.readouterr().err
    assert (
        "error: a process that loads images was killed, as systems do when memory runs out; fewer --workers" in printed
    )
    assert "images are kept in run; --resume goes on with them" in printed
    assert run(monkeypatch, *profile, "--resume") == 0
    assert Profile.load("run/profile.json").operators == whole.operators
    assert run(monkeypatch, *profile, "--force", "--workers", "0") == 0


def _deadly(own: Callable[[Any, int], Any]) -> Callable[[Any, int], Any]:
    """Images as they are, but the twelfth kills the process that loads it while earlier ones are counted."""
    loaded = itertools.count(1)

    def get(self: Any, index: int) -> Any:
        if next(loaded) == 12:
            os.kill(os.getpid(), signal.SIGKILL)
        return own(self, index)

    return get


@pytest.mark.slow
def test_ctrl_c_of_a_terminal_leaves_the_processes_that_load_images_alone() -> None:
    found = iter(loader(images(40), [[i] for i in range(40)], workers=1))
    first = next(found)
    for child in _children():
        os.kill(child, signal.SIGINT)
    rest = [int(label) for _, label in found]
    assert [int(first[1]), *rest] == [i % 10 for i in range(40)]


def _children() -> list[int]:
    return [int(pid) for pid in Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()]


@pytest.mark.slow
def test_data_that_go_away_end_the_run_and_come_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    generator = torch.Generator().manual_seed(0)
    Path("images").mkdir()
    for number in range(12):
        pixels = torch.randint(256, (12, 12), generator=generator, dtype=torch.uint8)
        Image.fromarray(pixels.numpy()).save(f"images/{number:02}.png")
    profile = ("profile", "--data", "images", "--batch-size", "2", "--format", "csv", "--out", "run")
    assert run(monkeypatch, *profile) == 0
    whole = Profile.load("run/profile.json")
    own, done = MeasurementState.after_batch, iter(range(1, 99))

    def after_batch(self: MeasurementState, counts: Any) -> bool:
        stop = own(self, counts)
        if next(done) == 3:
            shutil.move("images", "elsewhere")  # as a disk that is unmounted
            Path("images").mkdir()
        return stop

    with monkeypatch.context() as patch:
        patch.setattr(MeasurementState, "after_batch", after_batch)
        assert run(patch, *profile, "--force") == 2
    printed = capsys.readouterr().err
    assert "error: cannot read 06.png: " in printed
    assert "others that were read before are gone too" in printed
    assert "images are kept in run; --resume goes on with them" in printed
    Path("images").rmdir()
    shutil.move("elsewhere", "images")
    assert run(monkeypatch, *profile, "--resume") == 0
    assert Profile.load("run/profile.json").operators == whole.operators


def test_other_errors_are_no_faults_of_the_machine() -> None:
    assert fault_in_words(RuntimeError("The size of tensor a (3) must match the size of tensor b (4)")) is None
    assert fault_in_words(ValueError("out of memory")) is None
    try:
        try:
            raise torch.OutOfMemoryError("CUDA out of memory")
        except torch.OutOfMemoryError as error:
            raise ValueError("the model raises") from error
    except ValueError as outer:
        assert fault_in_words(outer) == "out of memory; a smaller --batch-size needs less"
