"""Training checkpoints as official scripts write them: wrappers, prefixes, arguments, moving averages, and bad ones."""

import argparse
from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import msvit
from msvit.checkpoint import open_checkpoint
from msvit.identify import identify


@pytest.fixture
def weights() -> dict[str, Tensor]:
    """A state dict of msvit_digits with 7 classes."""
    torch.manual_seed(0)
    return msvit.create_model("msvit_digits", num_classes=7).state_dict()


def training_file(path: Path, weights: dict[str, Tensor], **more: Any) -> Path:
    """What timm's and MAE's training loops save: weights beside optimizer, scaler, epoch and an argparse.Namespace."""
    parameter = torch.nn.Parameter(torch.ones(2))
    optimizer = torch.optim.AdamW([parameter])
    parameter.sum().backward()
    optimizer.step()
    content = {"epoch": 3, "optimizer": optimizer.state_dict(), "scaler": {"scale": 65536.0, "_growth_tracker": 1}}
    torch.save(content | {"state_dict": OrderedDict(weights)} | more, path)
    return path


@pytest.mark.slow
@pytest.mark.parametrize("wrapper", [None, "model", "state_dict"])
@pytest.mark.parametrize("prefix", ["", "module.", "_orig_mod.module."])
def test_wrappers_and_prefixes_are_removed(
    tmp_path: Path, weights: dict[str, Tensor], wrapper: str | None, prefix: str
) -> None:
    wrapped = {prefix + key: value for key, value in weights.items()}
    torch.save({wrapper: wrapped} if wrapper else wrapped, tmp_path / "w.pth")
    model, notes = open_checkpoint(tmp_path / "w.pth")
    assert all(torch.equal(weights[key], value) for key, value in model.state_dict().items())
    assert model.num_classes == 7
    assert "model msvit_digits (from keys and shapes)" in notes
    assert "num_classes 7 (from shapes)" in notes


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "args"),
    [
        ("msvit_10_384", {}),
        ("msvit_10_512", {}),
        ("msvit_cifar", {}),
        ("msvit_cifar", {"num_classes": 100}),
        ("msvit_cifar_qq", {}),
        ("msvit_dvs", {"num_classes": 11}),
        ("msvit_dvs", {"in_chans": 3}),
        ("spikformer_8_384", {}),
        ("spikformer_cifar", {"num_classes": 100}),
        ("spikformer_dvs", {}),
        ("qkformer_cifar", {}),
        ("qkformer_dvs", {}),
        ("qkformer_gesture", {}),
        ("sdt_6_512", {}),
        ("spikingformer_cifar", {}),
        ("cml_spikingformer_cifar", {}),
        ("cml_spikingformer_cifar100", {}),
        ("cml_spikingformer_cifar_2_384", {"num_classes": 100}),
        ("cml_spikformer_cifar", {}),
        ("resnet19_cifar", {"num_classes": 100}),
        ("resnet19_cifar_ann", {}),
        ("sdtv2_15m", {}),
        ("spikingresformer_ti", {}),
        ("maxformer_10_384", {}),
        ("maxformer_cifar", {"num_classes": 100}),
        ("maxformer_dvs", {}),
        ("maxformer_gesture", {}),
        ("ms_qkformer_10_384", {}),
        ("ms_qkformer_cifar", {}),
        ("max_resnet18_cifar", {"num_classes": 100}),
        ("sdtv3_3m", {}),
        ("sew_resnet18", {"num_classes": 10}),
        ("ms_resnet18", {}),
    ],
)
def test_architecture_classes_and_channels_are_read_off_the_shapes(
    tmp_path: Path, name: str, args: dict[str, int]
) -> None:
    built = msvit.create_model(name, **args)
    torch.save(built.state_dict(), tmp_path / "w.pth")
    model = msvit.load_checkpoint(tmp_path / "w.pth")
    assert (model.spec.name, model.spec.args) == (name, args)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "args", "candidates"),
    [
        ("sdt_cifar_2_256", {"num_classes": 100}, ["sdt_cifar_2_256", "statten_cifar_2_256"]),
        ("statten_dvs", {}, ["sdt_dvs", "statten_dvs"]),
        ("sdt_gesture", {}, ["sdt_gesture", "statten_caltech", "statten_dvs"]),
        ("spikingformer_dvs", {}, ["cml_spikingformer_dvs", "spikingformer_dvs"]),
        # the defaults of one, but as likely the other
        ("spikingformer_dvs", {"num_classes": 11}, ["cml_spikingformer_gesture", "spikingformer_dvs"]),
    ],
)
def test_two_networks_with_the_same_keys_need_a_name_or_a_sidecar(
    tmp_path: Path, name: str, args: dict[str, int], candidates: list[str]
) -> None:
    built = msvit.create_model(name, **args)
    torch.save(built.state_dict(), tmp_path / "w.pth")
    with pytest.raises(msvit.ModelError, match=rf"fit several models: {', '.join(candidates)}; name one \(--model\)"):
        msvit.load_checkpoint(tmp_path / "w.pth")
    model = msvit.load_checkpoint(tmp_path / "w.pth", model=name)
    assert (model.spec.name, model.spec.args) == (name, args)
    own = msvit.load_checkpoint(msvit.save_checkpoint(tmp_path / "own.safetensors", built))
    assert own.spec.name == name


@pytest.mark.parametrize(
    ("name", "args"),
    [
        ("sdtv3_19m", {"num_classes": 10}),
        ("sdtv3_83m", {}),
        ("sdtv3_83m", {"kd": True}),
        ("sdtv3_171m", {"num_classes": 10, "kd": True}),
        ("sew_resnet152", {}),
        ("ms_resnet104", {"in_chans": 2}),
    ],
)
def test_large_models_and_optional_heads_are_known_by_their_shapes(name: str, args: dict[str, Any]) -> None:
    with torch.device("meta"):
        assert identify(msvit.create_model(name, **args).state_dict()) == (name, args)


def test_training_file_with_optimizer_and_namespace_opens_and_its_arguments_win(
    tmp_path: Path, weights: dict[str, Tensor]
) -> None:
    arguments = argparse.Namespace(model="MSFormer", time_step=2, img_size=16, lr=6e-4, layers=[1, 2], data=None)
    model, notes = open_checkpoint(training_file(tmp_path / "c.pth", weights, args=arguments))
    assert (model.time_steps, model.input_size) == (2, (1, 16, 16))
    assert "weights from its 'state_dict'" in notes
    assert "time_steps 2 (from the file's arguments)" in notes
    assert any("the file calls it 'MSFormer'" in note for note in notes)
    assert msvit.load_checkpoint(tmp_path / "c.pth", time_steps=5).time_steps == 5  # the caller wins


def test_a_registered_name_in_the_file_wins_over_shapes(tmp_path: Path) -> None:
    state = msvit.create_model("msvit_cifar").state_dict()
    path = training_file(tmp_path / "c.pth", state, arch="msvit_cifar_qq")
    with pytest.raises(msvit.ModelError, match=r"does not fit msvit_cifar_qq: stage1.0.tssa.p_conv.weight is"):
        msvit.load_checkpoint(path)
    assert msvit.load_checkpoint(path, model="msvit_cifar").spec.name == "msvit_cifar"


def test_timm_style_input_size_is_understood(tmp_path: Path, weights: dict[str, Tensor]) -> None:
    path = training_file(tmp_path / "c.pth", weights, args=argparse.Namespace(input_size=[1, 8, 16]))
    assert msvit.load_checkpoint(path).input_size == (1, 8, 16)


def test_ema_is_taken_only_when_asked_for(tmp_path: Path, weights: dict[str, Tensor]) -> None:
    average = {key: value + 1 if value.is_floating_point() else value for key, value in weights.items()}
    path = training_file(tmp_path / "c.pth", weights, state_dict_ema=average)
    assert torch.equal(msvit.load_checkpoint(path).head.bias, weights["head.bias"])
    assert torch.equal(msvit.load_checkpoint(path, ema=True).head.bias, weights["head.bias"] + 1)
    torch.save({"state_dict_ema": average}, tmp_path / "only.pth")
    with pytest.raises(msvit.ModelError, match="only EMA weights; ask for them"):
        msvit.load_checkpoint(tmp_path / "only.pth")
    torch.save({"model": weights}, tmp_path / "none.pth")
    with pytest.raises(msvit.ModelError, match="holds no EMA weights: model"):
        msvit.load_checkpoint(tmp_path / "none.pth", ema=True)


def test_ambiguous_files_name_their_candidates(
    tmp_path: Path, weights: dict[str, Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    from msvit import registry

    monkeypatch.setitem(registry._ENTRIES, "twin", registry._ENTRIES["msvit_digits"])
    torch.save(weights, tmp_path / "w.pth")
    with pytest.raises(msvit.ModelError, match=r"fit several models: msvit_digits, twin; name one \(--model\)"):
        msvit.load_checkpoint(tmp_path / "w.pth")
    assert msvit.load_checkpoint(tmp_path / "w.pth", model="msvit_digits").num_classes == 7


class Custom:
    """A class that a training script might have pickled into its checkpoint."""


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            {"state_dict": {"a": torch.zeros(1)}, "extra": Custom()},
            f"it would run {__name__}.Custom when opened",
        ),
        ([1, 2], "holds a list, not a state dict"),
        ({"epoch": 3}, "holds no state dict; its entries: epoch"),
        ({}, "holds no state dict; its entries: none"),
        ({"model": {"a": 1}}, "model is not a state dict of tensors"),
    ],
)
def test_files_that_are_no_checkpoint_are_named(tmp_path: Path, content: object, message: str) -> None:
    torch.save(content, tmp_path / "w.pth")
    with pytest.raises(msvit.ModelError, match=message):
        msvit.load_checkpoint(tmp_path / "w.pth")


def test_nan_weights_are_named(tmp_path: Path, weights: dict[str, Tensor]) -> None:
    weights["stage1.0.tssa.p_bn.bias"][3] = torch.nan
    torch.save(weights, tmp_path / "w.pth")
    with pytest.raises(msvit.ModelError, match=r"1 of 32 values of stage1.0.tssa.p_bn.bias are NaN or infinite"):
        msvit.load_checkpoint(tmp_path / "w.pth")
