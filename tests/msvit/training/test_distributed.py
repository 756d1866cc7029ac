"""Two processes at one task against one process alone, and against torch's own batch norm."""

import io
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from contextlib import redirect_stderr
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from timm.utils import random_seed
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.data import TensorDataset

import msvit
from msvit.distributed import (
    SyncBatchNorm,
    any_says,
    first_ahead,
    from_first,
    gathered,
    rank,
    ranks,
    share,
    synchronize_batch_norm,
    together,
    unread,
)
from msvit.errors import ModelError
from msvit.training.batches import Batches
from msvit.training.evaluation import evaluate
from msvit.training.history import Step
from msvit.training.loop import Interrupted, Training
from msvit.training.recipes import get_recipe
from msvit.training.state import random_states
from msvit_energy.commands import main
from msvit_energy.workflows.measuring.measurement import profile_together
from tests.support.command_line import run
from tests.support.training_runs import TINY, Noisy, images, network, same

pytestmark = pytest.mark.slow


IMAGES = 48


def currents() -> Tensor:
    return torch.randn(8, 3, 5, generator=torch.Generator().manual_seed(3), dtype=torch.float64) * 2 + 1


def normalised(norm: nn.Module, x: Tensor) -> list[Tensor]:
    """Outputs, gradients of input and weights, running statistics of one step; a loss that is not symmetric."""
    x = x.clone().requires_grad_()
    y = norm(x)
    (y.pow(3).sum((1, 2)) * torch.linspace(1, 2, 8, dtype=torch.float64)[rank() * len(x) :][: len(x)]).sum().backward()
    assert x.grad is not None
    gradients = [weights.grad for weights in norm.parameters()]
    return [y.detach(), x.grad, *gradients, *norm.state_dict().values()]  # type: ignore[list-item]


def batch_norm() -> nn.BatchNorm1d:
    norm = nn.BatchNorm1d(3).double()
    norm.load_state_dict(norm.state_dict() | {"weight": torch.tensor([1.0, 0.5, 2.0]), "bias": torch.ones(3)})
    return norm


def one_step(recipe: Any = TINY) -> dict[str, Tensor]:
    """Weights after one update with plain SGD on all images, in float64, in this process's part of the run."""
    random_seed(0)
    changed = replace(recipe, optimizer="sgd", weight_decay=0.0, epochs=1, batch_size=IMAGES)
    dataset = images(IMAGES)
    dataset.tensors = (dataset.tensors[0].double(), dataset.tensors[1])
    model = network().double()
    run = Training(changed, model, Batches(changed, dataset, dataset, 10))
    run.run()
    return {key: value.clone() for key, value in model.state_dict().items()}


def whole_run(folder: Path | None = None) -> Training:
    random_seed(0)
    recipe = replace(TINY, mixup=0.4, drop_path=0.3, ema_decay=0.9, effective_batch=16, batch_size=4)
    train = Noisy(*images(IMAGES).tensors)
    run = Training(recipe, network(), Batches(recipe, train, images(10), 10), folder=folder)
    random_seed(0, rank())
    return run


def resumed(folder: Path) -> Training:
    """A run that is stopped by a signal to one process alone and gone on with."""

    def step(done: Step) -> None:
        if rank() == 1:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(Interrupted):
        whole_run(folder).run(step)
    run = whole_run(folder)
    torch.rand(3)  # what was drawn before does not matter
    assert run.resume()
    run.run()
    return run


def refused(make: Callable[[], object]) -> str:
    """What ends a process."""
    try:
        make()
    except ValueError as error:
        return str(error)
    except SystemExit as end:
        return f"exit {end.code}"
    return "nothing"


def wrong() -> int:
    raise ModelError("wrong")


def refused_run(folder: Path) -> str:
    """What `train` prints in a process where the folder holds a run."""
    sys.argv = ["msvit-energy", "train", "digits", "--out", str(folder)]
    errors = io.StringIO()
    with redirect_stderr(errors), pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == 2
    return errors.getvalue()


def on_an_interval() -> None:
    profile_together(nn.Identity(), images(10), 5, enough=lambda profile: True)


def observed(folder: Path) -> dict[str, Any]:
    """What one of two processes sees."""
    numbered = TensorDataset(torch.zeros(IMAGES), torch.arange(IMAGES))
    batches = Batches(TINY, numbered, images(150), 10, seed=4)
    orders = [[which.tolist() for _, which in batches.rest_of_epoch(n, random_states(), 0)] for n in range(2)]
    model: Any = nn.Sequential(nn.Flatten(), nn.Linear(144, 10))
    nn.init.eye_(model[1].weight)
    nn.init.zeros_(model[1].bias)
    norm = SyncBatchNorm.like(batch_norm())
    whole = whole_run()
    whole.run()
    part = resumed(folder)
    synchronised = msvit.create_model("msvit_digits")
    synchronize_batch_norm(synchronised, "cpu")
    return {
        "shares": [list(share(range(count))) for count in (0, 1, 5, 8)],
        "gathered": gathered(rank()),
        "any": [any_says(rank() == 1, False), any_says(False)],
        "first": from_first(lambda: f"of {rank()}"),
        "ahead": first_ahead(lambda: (folder / "made").touch() if rank() == 0 else (folder / "made").exists()),
        "refused": [refused(lambda: from_first(wrong)), refused(on_an_interval)],
        "refused_run": refused_run(folder),
        "orders": orders,
        "tested": [len(labels) for _, labels in batches.test()],
        "accuracy": evaluate(model, batches, "cpu"),
        "norm": normalised(norm, currents()[rank() * 4 : rank() * 4 + 4]),
        "norms": sum(isinstance(module, SyncBatchNorm) for module in synchronised.modules()),
        "step": one_step(),
        "resumed": same(whole.model, part.model) and same(whole.tested, part.tested),
        "history": [epoch.loss for epoch in whole.history],
        "states": sorted(path.name for path in folder.glob("state-*")),
    }


def process(number: int, port: int, folder: Path) -> None:
    torch.set_num_threads(1)
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "RANK": str(number), "WORLD_SIZE": "2"}
    with together():
        torch.save(observed(folder), folder / f"{number}.pt")


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """What two processes saw."""
    folder = tmp_path_factory.mktemp("two")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    torch.multiprocessing.spawn(process, (port, folder), nprocs=2)
    return [torch.load(folder / f"{number}.pt", weights_only=False) for number in range(2)]


def test_processes_share_and_agree(both: list[dict[str, Any]]) -> None:
    assert [seen["shares"] for seen in both] == [
        [[], [], [0, 1], [0, 1, 2, 3]],
        [[], [0], [2, 3, 4], [4, 5, 6, 7]],
    ]
    for seen in both:
        assert (seen["gathered"], seen["first"]) == ([0, 1], "of 0")
        assert seen["any"] == [(True, False), (False,)]
    assert both[1]["ahead"]  # what the first left was there
    assert [seen["refused"][0] for seen in both] == ["wrong", "exit 2"]  # where only the first looks
    message = "--ci ends a measurement after a batch, which 2 processes cannot; use --images"
    assert both[0]["refused"][1] == both[1]["refused"][1] == message


def test_every_image_is_trained_on_once_per_epoch_and_tested_once(both: list[dict[str, Any]]) -> None:
    for epoch in range(2):
        parts = [seen["orders"][epoch] for seen in both]
        assert [[len(batch) for batch in part] for part in parts] == [[4] * 6] * 2  # 8 images per update, 4 each
        assert sorted(index for part in parts for batch in part for index in batch) == list(range(IMAGES))
    assert both[0]["orders"][0] != both[0]["orders"][1]
    assert [seen["tested"] for seen in both] == [[64], [64, 22]]  # the batches of one process: 64, 64, 22
    pictures, labels = images(150).tensors
    alone = (pictures.flatten(1)[:, :10].argmax(1) == labels).double().mean().item()
    assert both[0]["accuracy"] == both[1]["accuracy"] == alone


def test_batch_norm_is_that_of_all_images(both: list[dict[str, Any]]) -> None:
    expected = normalised(batch_norm(), currents())
    first, second = (seen["norm"] for seen in both)
    for name, whole, a, b in zip(("output", "gradient"), expected, first, second, strict=False):
        torch.testing.assert_close(torch.cat([a, b]), whole, rtol=1e-12, atol=1e-12, msg=name)
    for whole, a, b in zip(expected[2:4], first[2:4], second[2:4], strict=True):
        torch.testing.assert_close(a + b, whole, rtol=1e-12, atol=1e-12)
    for whole, a, b in zip(expected[4:], first[4:], second[4:], strict=True):
        torch.testing.assert_close(a, whole, rtol=1e-12, atol=1e-12)
        assert torch.equal(a, b)
    all_norms = [module for module in msvit.create_model("msvit_digits").modules() if isinstance(module, _BatchNorm)]
    assert both[0]["norms"] == len(all_norms)
    evaluating = batch_norm().eval()
    assert torch.equal(SyncBatchNorm.like(evaluating)(currents()), evaluating(currents()))


def test_an_update_by_two_processes_is_that_of_one(both: list[dict[str, Any]]) -> None:
    alone = one_step()
    start = network()
    for key, value in alone.items():
        torch.testing.assert_close(both[0]["step"][key], value, rtol=1e-9, atol=1e-12, msg=key)
        assert torch.equal(both[0]["step"][key], both[1]["step"][key])
    assert not torch.equal(alone["head.weight"].float(), start.state_dict()["head.weight"])


def test_a_run_of_two_processes_goes_on_to_the_same_bits(both: list[dict[str, Any]]) -> None:
    assert both[0]["resumed"] and both[1]["resumed"]
    assert both[0]["history"] == both[1]["history"]
    assert len(both[0]["states"]) == 2


def test_a_command_that_is_refused_says_so_once(both: list[dict[str, Any]]) -> None:
    first, second = (seen["refused_run"] for seen in both)
    assert first.endswith("holds a run; --resume goes on with it, --force replaces it\n")
    assert (first.count("error: "), second) == (1, "")


def test_alone_nothing_changes(tmp_path: Path) -> None:
    assert (rank(), ranks(), list(share([1, 2])), gathered("a"), any_says(True)) == (0, 1, [1, 2], ["a"], (True,))
    model = msvit.create_model("msvit_digits")
    synchronize_batch_norm(model, "cpu")
    assert not any(isinstance(module, SyncBatchNorm) for module in model.modules())
    made: list[Callable[[], str]] = [lambda: "it"]
    assert from_first(made[0]) == first_ahead(made[0]) == "it"


def test_weights_that_nothing_reads_are_known() -> None:
    assert unread(msvit.create_model("msvit_digits")) == []
    names = {name.partition(".norm")[2][1:] for name in unread(msvit.create_model("spikformer_cifar"))}
    assert names == {".weight", ".bias"}


@pytest.mark.parametrize(
    ("processes", "split"), [(1, (32, 16)), (2, (32, 8)), (16, (32, 1)), (64, (8, 1)), (512, (1, 1))]
)
def test_an_update_sees_512_images_whatever_the_number_of_processes(processes: int, split: tuple[int, int]) -> None:
    recipe = get_recipe("imagenet")
    assert recipe.split(processes) == split
    assert split[0] * split[1] * processes == 512
    assert recipe.learning_rate == pytest.approx(6e-4 * 512 / 256)
    with pytest.raises(ModelError, match="3 processes cannot share the 512 images of an update evenly"):
        recipe.split(3)


def torchrun(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [*command, "-m", "msvit_energy", *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_two_processes_give_the_profile_of_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    options = ("--images", "100", "--lemaire", "2", "--maps", "stage3*.attn_lif", "--format", "csv", "--per-image")
    assert run(monkeypatch, "profile", *options, "--out", "one") == 0
    end = torchrun(tmp_path, "profile", *options, "--out", "two")
    assert end.returncode == 0, end.stderr
    assert end.stdout.count("energy per image") == 1
    one, two = (json.loads((tmp_path / name / "profile.json").read_text()) for name in ("one", "two"))
    assert one.pop("provenance")["data"] == two.pop("provenance")["data"]
    assert one == two
    for name in ("energy.csv", "maps.npz", "profile.per_image.safetensors"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "1")
    assert run(monkeypatch, "models") == 2
    assert "error: torchrun can start train and profile, not models" in capsys.readouterr().err


def test_two_processes_train_a_checkpoint(tmp_path: Path) -> None:
    settings = ("profile_every=1", "profile_images=64", 'model_args={"time_steps": 1}')
    short = ("--epochs", "1", "--batch-size", "128", *(part for text in settings for part in ("--set", text)))
    end = torchrun(tmp_path, "train", "digits", *short, "--out", "run")
    assert end.returncode == 0, end.stderr
    assert end.stdout.count("test accuracy") == 2  # of the epoch, of the weights
    names = {"model.safetensors", "model.json", "history.csv", "recipe.json", "epoch-0001.profile.json"}
    assert {path.name for path in (tmp_path / "run").iterdir()} == names | {"state-00000011.pt"}  # 1,442 // 128
    history = (tmp_path / "run" / "history.csv").read_text().splitlines()
    loss = float(history[1].split(",")[1])
    assert 1 < loss < 2.303  # ln 10: learns nothing
