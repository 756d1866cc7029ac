"""Checkpoints: round trip, the shipped one, and everything that can be wrong with a file."""

import json
from pathlib import Path

import pytest
import safetensors.torch
import torch

import msvit
from msvit.checkpoint import SHIPPED
from msvit.classifier import SpikingClassifier


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    """An untrained msvit_digits with T = 3 and 7 classes, on disk."""
    model = msvit.create_model("msvit_digits", time_steps=3, num_classes=7)
    return msvit.save_checkpoint(tmp_path / "model.safetensors", model, metrics={"test_accuracy": 0.1}, seed=5)


def test_round_trip_needs_only_the_path(saved: Path) -> None:
    model = msvit.load_checkpoint(saved)
    assert (model.time_steps, model.num_classes, model.training) == (3, 7, False)
    stored = safetensors.torch.load_file(saved)
    assert all(torch.equal(stored[key], value) for key, value in model.state_dict().items())
    assert msvit.load_checkpoint(saved, time_steps=6).time_steps == 6


def test_sidecar_is_readable(saved: Path) -> None:
    sidecar = json.loads(saved.with_suffix(".json").read_text())
    assert sidecar["model"] == {"name": "msvit_digits", "args": {"num_classes": 7, "time_steps": 3}}
    assert sidecar["seed"] == 5
    assert sidecar["metrics"] == {"test_accuracy": 0.1}
    assert set(sidecar["versions"]) == {"torch", "spikingjelly", "timm"}


def test_a_changed_t_is_saved(tmp_path: Path) -> None:
    model = msvit.create_model("msvit_digits")
    model.time_steps = 2
    assert msvit.load_checkpoint(msvit.save_checkpoint(tmp_path / "m.safetensors", model)).time_steps == 2


def test_shipped_checkpoint_is_small_and_says_its_accuracy() -> None:
    assert SHIPPED.stat().st_size < 4e6
    sidecar = json.loads(SHIPPED.with_suffix(".json").read_text())
    assert sidecar["metrics"]["test_accuracy"] >= 0.97
    assert sidecar["recipe"]["name"] == "digits"


class Payload:
    """Unpickling this would run code."""

    def __reduce__(self) -> tuple:
        return (Path("pwned").touch, ())


def test_pickled_code_is_refused_and_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"weights": Payload()}, "evil.pth")
    with pytest.raises(msvit.ModelError, match=r"holds more than plain data: it would run (builtins\.)?getattr"):
        msvit.load_checkpoint("evil.pth", model="msvit_digits")
    assert not Path("pwned").exists()


@pytest.mark.parametrize("name", ["cut.safetensors", "cut.pth"])
@pytest.mark.parametrize("kept", [0, 100, 100_000])
def test_truncated_files_are_named(tmp_path: Path, saved: Path, name: str, kept: int) -> None:
    torch.save(msvit.load_checkpoint(saved).state_dict(), tmp_path / "whole.pth")
    whole = saved if name.endswith(".safetensors") else tmp_path / "whole.pth"
    (tmp_path / name).write_bytes(whole.read_bytes()[:kept])
    with pytest.raises(msvit.ModelError, match=f"{name} is damaged"):
        msvit.load_checkpoint(tmp_path / name, model="msvit_digits")


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(msvit.ModelError, match=r"no checkpoint at .*gone.safetensors"):
        msvit.load_checkpoint(tmp_path / "gone.safetensors")


def test_keys_that_do_not_fit_are_named(tmp_path: Path) -> None:
    safetensors.torch.save_file({"fc.weight": torch.zeros(3)}, tmp_path / "other.safetensors")
    with pytest.raises(msvit.ModelError, match=r"does not fit msvit_digits: missing patch_embed1.*and \d+ more"):
        msvit.load_checkpoint(tmp_path / "other.safetensors", model="msvit_digits")
    state = msvit.create_model("msvit_digits", embed_dims=(32, 32, 60)).state_dict()
    torch.save(state | {"extra": torch.zeros(1)}, tmp_path / "narrow.pth")
    with pytest.raises(msvit.ModelError, match=r"unknown extra; patch_embed3.proj3_conv.weight is \(60"):
        msvit.load_checkpoint(tmp_path / "narrow.pth", model="msvit_digits")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "is not a checkpoint sidecar"),
        ("[]", "is not a checkpoint sidecar: Expected `object`, got `array`"),
        ('{"format": 1}', "is not a checkpoint sidecar: Object missing required field `model`"),
        ('{"format": 1, "model": {"name": 3, "args": {}}}', r"Expected `str`, got `int` - at `\$\.model\.name`"),
        ('{"format": 1, "model": {"name": "m", "args": []}}', r"Expected `object`, got `array` - at `\$\.model\.args`"),
        ('{"format": 1, "model": {"name": "m", "args": {}}, "seed": "0"}', r"got `str` - at `\$\.seed`"),
    ],
)
def test_damaged_sidecars_are_named(saved: Path, content: str, message: str) -> None:
    saved.with_suffix(".json").write_text(content)
    with pytest.raises(msvit.ModelError, match=message):
        msvit.load_checkpoint(saved)


def test_newer_sidecar_is_refused(saved: Path) -> None:
    path = saved.with_suffix(".json")
    path.write_text(json.dumps(json.loads(path.read_text()) | {"format": 2}))
    with pytest.raises(msvit.ModelError, match="format 2, this version reads 1"):
        msvit.load_checkpoint(saved)


def test_saving_wants_a_registered_model_and_the_right_suffix(tmp_path: Path) -> None:
    with pytest.raises(msvit.ModelError, match=r"ends in \.safetensors"):
        msvit.save_checkpoint(tmp_path / "m.pth", msvit.create_model("msvit_digits"))
    bare = SpikingClassifier(img_size=8, in_chans=1, num_classes=2, time_steps=1)
    with pytest.raises(msvit.ModelError, match="not built by"):
        msvit.save_checkpoint(tmp_path / "m.safetensors", bare)
