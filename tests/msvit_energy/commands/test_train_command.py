"""`msvit-energy train` and `recipes` as a user runs them."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from msvit.checkpoint import SHIPPED
from msvit_energy import Profile, price
from msvit_energy.errors import EnergyError
from msvit_energy.workflows import progress_lines
from msvit_energy.workflows.training.training_files import earlier_files
from tests.support.command_line import run

pytestmark = pytest.mark.slow


SHORT = ("train", "digits", "--epochs", "1", "--batch-size", "64", "--set", 'model_args={"time_steps": 2}')


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_a_run_that_ended_before_its_first_state_may_be_begun_again() -> None:
    Path("run").mkdir()
    for name in ("recipe.json", "history.csv"):
        Path("run", name).write_text("{}")
    assert earlier_files(Path("run"), resume=True, force=False) == [Path("run/recipe.json"), Path("run/history.csv")]
    with pytest.raises(EnergyError, match=r"already holds recipe.json, history.csv of another run"):
        earlier_files(Path("run"), resume=False, force=False)
    Path("run/model.safetensors").touch()
    with pytest.raises(EnergyError, match=r"already holds model.safetensors of another run"):
        earlier_files(Path("run"), resume=True, force=False)


def test_a_run_that_fails_before_its_first_epoch_leaves_nothing_and_the_corrected_command_runs(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, *SHORT, "--set", "base_lr=1e30", "--set", "tensorboard=true", "--out", "run") == 2
    assert "the loss is " in capsys.readouterr().err
    assert not Path("run").exists()
    assert run(monkeypatch, *SHORT, "--out", "run") == 0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"depths": 3}', "msvit_digits cannot be built with depths=3: "),
        ('{"embed_dims": "abc"}', "msvit_digits cannot be built with embed_dims='abc'"),
        ('{"depths": [1, 1, 1e9]}', "msvit_digits cannot be built with depths="),
        ('{"num_heads": [0, 0, 0]}', "msvit_digits cannot be built with num_heads="),
        ('{"depth": [1, 1, 1]}', "unexpected keyword argument 'depth'"),
        ("[" * 10_000, "model_args must be a JSON object"),
    ],
)
def test_arguments_that_no_model_has_are_refused_before_anything_is_written(
    text: str, message: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "train", "digits", "--set", f"model_args={text}", "--out", "run") == 2
    errors = capsys.readouterr().err.splitlines()
    assert [message in line for line in errors if line.startswith("error: ")] == [True], errors
    assert not Path("run").exists()


def test_tensorboard_gets_the_history(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    events = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    options = (
        "--epochs",
        "1",
        "--batch-size",
        "256",
        "--set",
        "tensorboard=true",
        "--set",
        'model_args={"time_steps": 1}',
    )
    assert run(monkeypatch, "train", "digits", *options, "--out", "run") == 0
    history = pd.read_csv("run/history.csv")
    read = events.EventAccumulator("run").Reload()
    assert set(read.Tags()["scalars"]) == {"loss", "test_accuracy", "seconds"}
    assert [(event.step, event.value) for event in read.Scalars("loss")] == [(1, pytest.approx(history.loss[0]))]
    (written,) = Path("run").glob("events*")
    assert written in earlier_files(Path("run"), resume=False, force=True)  # what --force replaces
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    assert run(monkeypatch, "train", "digits", *options, "--out", "other") == 2
    assert "error: tensorboard=true needs a package: pip install tensorboard" in capsys.readouterr().err
    assert not Path("other").exists()


def test_train_writes_a_checkpoint_that_profile_opens_and_a_stopped_run_goes_on_to_the_same(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, *SHORT, "--out", "run") == 0
    names = {"model.safetensors", "model.json", "history.csv", "recipe.json", "state-00000022.pt"}
    assert {path.name for path in Path("run").iterdir()} == names  # 22 batches of 64 in 1,442 images
    assert "164,346 parameters, test accuracy" in capsys.readouterr().out
    sidecar = json.loads(Path("run/model.json").read_text())
    assert sidecar["metrics"]["train_loss"] < 2.28  # a network that learns nothing stays at ln 10 = 2.303
    assert (sidecar["recipe"]["epochs"], sidecar["recipe"]["batch_size"], sidecar["seed"]) == (1, 64, 0)
    assert run(monkeypatch, "profile", "--ckpt", "run/model.safetensors", "--out", "out") == 0
    measured = Profile.load("out/profile.json").accuracy
    assert measured == pytest.approx(sidecar["metrics"]["test_accuracy"], abs=2 / 355)
    assert run(monkeypatch, *SHORT, "--out", "run") == 2
    assert "run holds a run; --resume goes on with it, --force replaces it" in capsys.readouterr().err

    code = "import torch; torch.set_num_threads(1); from msvit_energy.commands import main; main()"
    command = [sys.executable, "-c", code, *SHORT, "--out", "stopped"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        assert child.stdout.readline().startswith("training msvit_digits on digits: 1 epochs")
        time.sleep(1)
        child.send_signal(signal.SIGINT)
        assert "stopped in epoch 1; go on: msvit-energy train digits --out stopped --resume" in child.stdout.read()
    assert child.returncode == 130
    assert not Path("stopped/model.safetensors").exists()
    assert run(monkeypatch, "train", "digits", "--epochs", "2", "--out", "stopped", "--resume") == 2
    assert "the run in stopped has other settings: epochs, batch_size" in capsys.readouterr().err
    assert run(monkeypatch, "train", "digits-dvs", "--out", "stopped", "--resume") == 2
    assert "the run in stopped is of the recipe digits, not digits-dvs" in capsys.readouterr().err
    assert run(monkeypatch, "train", "digits", "--out", "stopped", "--resume") == 0
    assert "going on after epoch 0, batch " in capsys.readouterr().out
    assert Path("stopped/model.safetensors").read_bytes() == Path("run/model.safetensors").read_bytes()


def test_energy_is_measured_and_the_best_are_kept(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = (
        "--set",
        "profile_every=1",
        "--set",
        "best=both",
        "--set",
        "profile_images=50",
        "--set",
        "sop_penalty=1",
    )
    assert run(monkeypatch, *SHORT, "--init", str(SHIPPED), "--out", "run", *settings) == 0
    printed = capsys.readouterr().out
    history = pd.read_csv("run/history.csv")
    assert f"{history.energy_mj[0]:.5g} mJ" in printed
    assert history.energy_mj_low[0] < history.energy_mj[0] < history.energy_mj_high[0]
    assert history.test_accuracy[0] > 0.9  # it started from trained weights
    assert json.loads(Path("run/recipe.json").read_text())["sop_penalty"] == 1.0
    profile = Profile.load("run/epoch-0001.profile.json")
    assert (profile.images, profile.provenance.epoch) == (50, 1)
    assert price(profile).total_mj == history.energy_mj[0]
    for kind in ("accuracy", "energy"):
        metrics = json.loads(Path(f"run/best-{kind}.json").read_text())["metrics"]
        assert metrics["energy_mj"] == history.energy_mj[0]
    assert Path("run/model.safetensors").read_bytes() == Path("run/best-accuracy.safetensors").read_bytes()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["imagnet"], "unknown recipe 'imagnet'; did you mean imagenet? recipes: cifar10, "),
        (["digits", "--epochs", "0"], "epochs must be at least 1, not 0"),
        (["digits", "--batch-size", "-1"], "batch size must be at least 1, not -1"),
        (["digits", "--set", "beauty=1"], "no setting 'beauty'; settings: epochs, batch_size, "),
        (["digits", "--set", "epochs"], "--set is KEY=VALUE, not 'epochs'"),
        (["digits", "--model", "msvt"], "unknown model 'msvt'; did you mean"),
        (["digits", "--init", "none.pth"], "none.pth"),
        (["cifar10"], "the recipe cifar10 needs --data, the folder of cifar10"),
        (["cifar10", "--data", "nowhere"], "nowhere"),
    ],
)
def test_wrong_training_arguments_are_named(
    arguments: list[str], message: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "train", *arguments) == 2
    assert message in capsys.readouterr().err
    assert not Path("runs").exists()


def test_nothing_is_replaced_before_the_new_run_can_start(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("run").mkdir()
    Path("run/history.csv").write_text("precious")
    assert run(monkeypatch, "train", "cifar10", "--data", "nowhere", "--out", "run", "--force") == 2
    assert run(monkeypatch, "train", "digits", "--out", "run", "--resume") == 2  # results, but no run to go on with
    assert "run already holds history.csv" in capsys.readouterr().err
    assert Path("run/history.csv").read_text() == "precious"


def test_recipes_are_listed_with_their_sources(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "recipes") == 0
    printed = capsys.readouterr().out
    assert "imagenet: msvit_10_384 on folder, 200 epochs, batch 512" in printed
    assert "QKFormer" in printed
    assert run(monkeypatch, "recipes", "cifar10", "--json") == 0
    settings = json.loads(capsys.readouterr().out)
    assert (settings["epochs"], settings["batch_size"], settings["mixup"]) == (400, 128, 0.5)


def test_event_data_train_and_profile_from_the_command_line(monkeypatch: pytest.MonkeyPatch) -> None:
    tiny = '{"embed_dims": [8, 8, 8], "num_heads": [1, 1, 1], "time_steps": 3}'
    settings = ("--set", f"model_args={tiny}", "--set", "augmentation=events", "--set", "mixup=0.5")
    arguments = ("--epochs", "1", "--batch-size", "128", "--out", "run", *settings)
    assert run(monkeypatch, "train", "digits-dvs", *arguments) == 0
    sidecar = json.loads(Path("run/model.json").read_text())
    assert sidecar["model"]["args"]["time_steps"] == 3
    profile = ("profile", "--ckpt", "run/model.safetensors", "--data", "digits-dvs", "--images", "3", "--out", "out")
    assert run(monkeypatch, *profile) == 0
    measured = Profile.load("out/profile.json")
    assert (measured.time_steps, measured.labelled) == (3, 3)
    entrance = next(operator for operator in measured.operators if operator.role == "entrance")
    assert entrance.driver.kind == "integer"  # counts of events


@pytest.fixture
def photographs() -> Path:
    """train/ and val/ with two classes of small JPEGs."""
    noise = np.random.default_rng(0)
    for split, count in (("train", 5), ("val", 2)):
        for label in ("cat", "dog"):
            folder = Path("photographs", split, label)
            folder.mkdir(parents=True)
            for number in range(count):
                pixels = noise.integers(0, 255, (40, 48, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(folder / f"{number}.jpg")
    return Path("photographs")


@pytest.mark.parametrize("precision", ["float32", "bf16"])
def test_a_folder_of_photographs_trains_with_the_recipe_of_imagenet(
    precision: str, photographs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    small = '{"img_size": 32, "embed_dims": [8, 8, 8], "num_heads": [1, 1, 1], "depths": [1, 1, 1], "time_steps": 2}'
    settings = [
        f"--set={text}" for text in (f"model_args={small}", "effective_batch=4", "workers=0", f"precision={precision}")
    ]
    arguments = ("train", "folder", "--model", "msvit_10_384", "--data", str(photographs), "--batch-size", "2")
    assert run(monkeypatch, *arguments, "--epochs", "2", "--out", "run", *settings) == 0
    history = pd.read_csv("run/history.csv")
    assert history.loss.between(0.3, 3).all()  # two classes: ln 2 = 0.69
    assert json.loads(Path("run/model.json").read_text())["model"]["args"]["num_classes"] == 2
    assert "training msvit_10_384 on folder: 2 epochs" in capsys.readouterr().out


def test_a_training_without_a_terminal_says_how_far_it_is(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(progress_lines, "INTERVAL", 0.0)  # then every batch has a line
    measured = ("--set", "profile_every=1", "--set", "profile_images=40")
    assert run(monkeypatch, *SHORT, "--batch-size", "361", *measured, "--out", "run") == 0
    lines = capsys.readouterr().out.splitlines()
    steps = [line for line in lines if line.startswith("epoch 1, step ")]
    assert [line.partition(":")[0] for line in steps] == [f"epoch 1, step {step} of 3" for step in (1, 2, 3)]
    assert all(" images/s, " in line and " left, loss " in line for line in steps)
    assert steps[-1].split(", ")[2] == "0 s left"
    tests = [line for line in lines if line.startswith("testing after epoch 1 of 1: ")]
    assert len(tests) == 6  # 355 images, 64 in a batch
    assert len([line for line in lines if line.startswith("measuring after epoch 1 of 1: ")]) == 2  # 40, 32 in a batch
