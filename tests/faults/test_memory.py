"""Memory that runs out in a forward: the batch is halved once; if that does not help, the message says what fits."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from msvit_energy import Profile
from msvit_energy.workflows.measuring.measurement import profile_together
from tests.support.command_line import run
from tests.support.training_runs import images


class Hungry(nn.Module):
    """Memory that holds a number of images, as torch tells it on a GPU."""

    def __init__(self, holds: int, message: str = "CUDA out of memory. Tried to allocate 2.00 GiB") -> None:
        super().__init__()
        self.flat, self.head = nn.Flatten(), nn.Linear(144, 10)
        self.holds, self.message = holds, message

    def forward(self, x: Tensor) -> Any:
        if len(x) > self.holds:
            raise torch.OutOfMemoryError(self.message)
        return self.head(self.flat(x))


def test_the_batch_is_halved_once_and_the_rest_is_as_if_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("hungry.py").write_text(
        "from tests.faults.test_memory import Hungry\ndef make(holds): return Hungry(holds).requires_grad_(False)\n"
    )
    network = ("profile", "--model", "hungry:make", "--input-size", "1x12x12", "--time-steps", "1", "--images", "20")
    assert run(monkeypatch, *network, "--model-args", '{"holds": 4}', "--batch-size", "8", "--out", "half") == 0
    assert "out of memory with batches of 8 images: measured in batches of 4" in capsys.readouterr().err
    assert run(monkeypatch, *network, "--model-args", '{"holds": 20}', "--batch-size", "4", "--out", "asked") == 0
    half, asked = (Profile.load(f"{folder}/profile.json") for folder in ("half", "asked"))
    assert (half.operators, half.moments, half.provenance.batch_size) == (asked.operators, asked.moments, 4)
    assert "out of memory with batches of 8 images: measured in batches of 4" in half.warnings()
    assert run(monkeypatch, *network, "--model-args", '{"holds": 3}', "--batch-size", "16", "--out", "small") == 2
    assert "error: out of memory with batches of 16 and of 8; --batch-size 2 fits\n" in capsys.readouterr().err
    assert run(monkeypatch, *network, "--model-args", '{"holds": 0}', "--batch-size", "4", "--out", "small") == 2
    assert "error: " in (message := capsys.readouterr().err) and "out of memory" in message.lower()
    assert not Path("small").exists()


@pytest.mark.parametrize(
    "message",
    [
        "CUDA out of memory. Tried to allocate 2.00 GiB",
        "[enforce fail at alloc_cpu.cpp:117] err == 0. DefaultCPUAllocator: can't allocate memory: you tried to ...",
    ],
)
def test_what_torch_says_on_the_cpu_is_understood_too(message: str) -> None:
    together = profile_together(Hungry(6, message), images(20), 8, time_steps=1)
    assert (together.batch_size, together.profile.images) == (4, 20)


def test_memory_that_runs_out_later_ends_the_run_which_can_be_gone_on_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("late.py").write_text(
        "import torch\nfrom tests.faults.test_memory import Hungry\n"
        "class Late(Hungry):\n"
        "    def forward(self, x):\n"
        "        if float(x.sum()) == FULL: raise torch.OutOfMemoryError('CUDA out of memory')\n"
        "        return super().forward(x)\n"
        "FULL = None\n"
        "def make(): return Late(99)\n"
    )
    network = ("profile", "--model", "late:make", "--input-size", "1x12x12", "--time-steps", "1", "--images", "20")
    arguments = (*network, "--data", "noise", "--batch-size", "5", "--format", "csv", "--out", "run")
    assert run(monkeypatch, *arguments) == 0
    whole = Profile.load("run/profile.json")
    import late  # type: ignore[import-not-found]

    from msvit.data import open_data

    samples = open_data("noise", (1, 12, 12), images=20).dataset
    late.FULL = float(torch.stack([samples[i][0] for i in range(10, 15)]).sum())
    assert run(monkeypatch, *arguments, "--force") == 2
    printed = capsys.readouterr().err
    assert "out of memory" in printed
    assert "images are kept in run; --resume goes on with them" in printed
    late.FULL = None
    assert run(monkeypatch, *arguments, "--resume") == 0
    assert Profile.load("run/profile.json").operators == whole.operators
