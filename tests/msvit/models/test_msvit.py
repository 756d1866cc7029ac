"""MSViT against the official implementation: names, shapes, parameters, numbers, quirks."""

import math
import re
from typing import Any

import pytest
import timm
import torch
from torch import Tensor

import msvit
from msvit.attention import MSSA
from msvit.classifier import SpikingClassifier
from msvit.identify import identify
from msvit.registry import entry
from tests.support import parity


@pytest.mark.parametrize(("name", "expected"), [
    ("msvit_10_384", 17_686_216), ("msvit_10_512", 31_232_616), ("msvit_10_768", 69_802_408),
    ("msvit_cifar", 7_558_762), ("msvit_cifar_qq", 7_445_956),
])  # fmt: skip
def test_published_parameter_counts(name: str, expected: int) -> None:
    assert parameters(on_meta(name)) == expected


def on_meta(name: str, **arguments: Any) -> SpikingClassifier:
    """A model without memory, for shapes and counts."""
    with torch.device("meta"):
        return msvit.create_model(name, **arguments)


def parameters(model: torch.nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())


def test_unsummed_p_of_the_official_qq_file_adds_to_every_channel() -> None:
    # one head, 2 channels, 1 token: q = (1, 1), p = (0, 1), k = (1, 1); currents sum(q) + p = (2, 3), halved: 1.0, 1.5
    attention = MSSA(2, 1, branches="q+q", sum_p=False).eval()
    masks: list[Tensor] = []
    attention.mask.register_forward_hook(lambda _, args, out: masks.append(args[0]))
    bias = {"q": (3.0, 3.0), "p": (0.0, 3.0), "k": (3.0, 3.0)}  # batch norm's output, whatever the input: fires at 2
    for unit, values in bias.items():
        torch.nn.init.zeros_(attention.get_submodule(f"{unit}_conv").weight)
        attention.get_submodule(f"{unit}_bn").bias.data = torch.tensor(values)
    attention(torch.zeros(1, 1, 2, 1))
    assert masks[0].shape == (1, 1, 1, 2, 1)
    assert masks[0].flatten().tolist() == [1, 1]
    attention.get_submodule("q_bn").bias.data = torch.tensor((3.0, 0.0))  # currents (1, 2), halved: 0.5, 1.0
    attention(torch.zeros(1, 1, 2, 1))
    assert masks[1].flatten().tolist() == [0, 1]


@pytest.mark.parametrize(
    ("branches", "third", "expected"),
    [
        # baseline 7,593,412 (100 classes); d = 192 in stages 1, 2 and 384 twice in stage 3; batch norm 2 d
        ("p+p", "ssa", 7_593_412 + 2 * 2 * 192 * 192),
        ("q+q", "ssa", 7_593_412 - 2 * 2 * 192 * 192),
        ("p", "ssa", 7_593_412 - 2 * (192 * 192 + 2 * 192)),
        ("q", "ssa", 7_593_412 - 2 * (3 * 192 * 192 + 2 * 192)),
        ("p+q", "mssa", 7_593_412 + 2 * 2 * 384 * 384),
        (("p+q", "p+q", "p+p"), "mssa", 7_593_412 + 2 * 4 * 384 * 384),
    ],
)
def test_parameters_of_the_ablation_worked_out_by_hand(branches: Any, third: str, expected: int) -> None:
    attention = ("mssa", "mssa", third)
    assert parameters(on_meta("msvit_cifar", num_classes=100, branches=branches, attention=attention)) == expected


@pytest.mark.parametrize(("arguments", "steps"), [({}, 16), ({"time_steps": 10, "in_chans": 3, "num_classes": 11}, 10)])
def test_event_model_rounds_to_the_published_count_and_takes_frames(arguments: dict[str, int], steps: int) -> None:
    model = msvit.create_model("msvit_dvs", **arguments)
    assert round(parameters(model) / 1e6, 2) == 1.67
    frames = torch.rand(2, steps, arguments.get("in_chans", 2), 128, 128)
    with torch.inference_mode():
        assert model.eval()(frames).shape == (2, arguments.get("num_classes", 10))


@pytest.mark.parametrize(
    ("name", "expected", "classes"), [("msvit_dvs_upload", 653_386, 10), ("msvit_gesture_upload", 2_334_219, 11)]
)
def test_the_uploaded_event_models_run_once_repaired(name: str, expected: int, classes: int) -> None:
    model = msvit.create_model(name, time_steps=2).eval()
    assert parameters(model) == expected
    assert msvit.create_model(name).time_steps == 16
    with torch.inference_mode():
        assert model(torch.rand(1, 2, 2, 128, 128)).shape == (1, classes)
    assert model.stage1[0].tssa.attn_lif.v_threshold == model.stage2[0].ssa.attn_lif.v_threshold == 0.5
    assert (model.stage1[0].tssa.heads, model.stage2[0].ssa.heads) == (16, 16)
    assert "repaired" in entry(name).source
    assert identify(model.state_dict()) == (name, {})


def test_p_of_the_uploaded_cifar10_dvs_model_is_overwritten_by_the_sum_of_q() -> None:
    model = msvit.create_model("msvit_dvs_upload", time_steps=2).train()
    frames = torch.rand(2, 2, 2, 32, 32, generator=torch.Generator().manual_seed(0))
    attention, seen = model.stage1[0].tssa, {}
    for name in ("q_lif", "p_lif", "attn_lif"):
        hook = lambda _, args, output, name=name: seen.update({name: (args[0], output)})  # noqa: E731
        attention.get_submodule(name).register_forward_hook(hook)
    model(frames).sum().backward()
    by_head = seen["q_lif"][1].unflatten(2, (16, 8))
    assert by_head.any()
    assert torch.equal(seen["attn_lif"][0], 2 * by_head.sum(3, keepdim=True))
    assert not torch.equal(seen["p_lif"][1], seen["q_lif"][1])
    unused = [key for key, parameter in model.named_parameters() if parameter.grad is None]
    assert unused == [f"stage1.0.tssa.p_{part}" for part in ("conv.weight", "bn.weight", "bn.bias")]


@pytest.mark.parametrize("size", [(288, 288), (224, 160), (17, 40)])
def test_other_and_non_square_sizes_follow_with_their_token_count(size: tuple[int, int]) -> None:
    torch.manual_seed(0)
    model = msvit.create_model("msvit_10_384", time_steps=1, depths=(1, 1, 1)).eval()
    tokens: dict[str, int] = {}
    for stage in ("stage1.0.tssa", "stage2.0.tssa", "stage3.0.attn"):
        hook = lambda _, args, stage=stage: tokens.update({stage: math.prod(args[0].shape[3:])})  # noqa: E731
        model.get_submodule(stage).register_forward_pre_hook(hook)
    with torch.inference_mode():
        model(torch.randn(1, 3, *size))
    expected = [math.ceil(size[0] / stride) * math.ceil(size[1] / stride) for stride in (4, 8, 16)]
    assert list(tokens.values()) == expected


@pytest.mark.parametrize("shape", [(12, 12), (8, 20)])
def test_turned_image_gives_turned_features_where_no_token_order_matters(shape: tuple[int, int]) -> None:
    # with q-only MSSA (1 tap) and symmetric kernels nothing tells height from width; the official reshape swaps them
    torch.manual_seed(0)
    model = msvit.create_model("msvit_digits", branches="q", time_steps=2).double().eval()
    parity.draw(model, {"seed": 1, "gain": 2.5, "input_shape": (1, 1, 12, 12), "input_kind": "image"})
    for parameter in model.parameters():
        if parameter.dim() == 4:
            parameter.data = (parameter.data + parameter.data.transpose(2, 3)) / 2
    image = torch.randn(1, 1, *shape, dtype=torch.float64)
    with torch.inference_mode():
        features, turned = model.forward_features(image), model.forward_features(image.transpose(2, 3))
    assert features.abs().sum() > 0
    assert torch.equal(features, turned.transpose(-1, -2))


def test_a_sample_does_not_depend_on_its_batch_by_default_and_does_officially(small_model: SpikingClassifier) -> None:
    images = torch.randn(3, 1, 12, 12, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    official = msvit.create_model("msvit_digits", merge_time_and_batch=True).double().eval()
    official.load_state_dict(small_model.state_dict())
    with torch.inference_mode():
        alone = torch.cat([small_model(image.unsqueeze(0)) for image in images])
        torch.testing.assert_close(small_model(images), alone, rtol=0, atol=1e-12)
        merged = official(images)
    torch.testing.assert_close(merged[0], alone[0], rtol=0, atol=0.1)
    assert (merged[1:] - alone[1:]).abs().max() > 1e-3


def test_an_image_equals_the_same_frames_repeated(small_model: SpikingClassifier) -> None:
    images = torch.randn(2, 1, 12, 12, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    with torch.inference_mode():
        frames = images.unsqueeze(1).repeat(1, small_model.time_steps, 1, 1, 1)
        torch.testing.assert_close(small_model(images), small_model(frames), rtol=0, atol=1e-12)


def test_time_steps_can_change_after_building(small_model: SpikingClassifier) -> None:
    images = torch.randn(1, 1, 12, 12, dtype=torch.float64, generator=torch.Generator().manual_seed(4))
    built_for_six = msvit.create_model("msvit_digits", time_steps=6).double().eval()
    built_for_six.load_state_dict(small_model.state_dict())
    small_model.time_steps = 6
    with torch.inference_mode():
        assert torch.equal(small_model(images), built_for_six(images))


def test_timm_builds_our_models_once_they_are_registered_with_it() -> None:
    msvit.register_with_timm()
    model = timm.create_model("msvit_digits", num_classes=7)
    assert model(torch.randn(2, 1, 12, 12)).shape == (2, 7)
    assert set(msvit.list_models()) <= set(timm.list_models())
    assert not hasattr(timm.create_model("swin_tiny_patch4_window7_224"), "time_steps")  # timm's names stay timm's
    msvit.register_with_timm()  # once more changes nothing and warns of nothing


def test_list_models_takes_a_pattern() -> None:
    assert msvit.list_models("msvit*digits") == ["msvit_digits"]
    assert msvit.list_models("msvit_10_*") == ["msvit_10_384", "msvit_10_512", "msvit_10_768"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": "msvit_cifr"}, "unknown model 'msvit_cifr'; did you mean msvit_cifar"),
        ({"name": "msvit_cifar", "time_steps": 0}, "time steps must be at least 1, not 0"),
        ({"name": "msvit_cifar", "branches": "p*q"}, "unknown MSSA branches 'p*q'; branches: p+q, p+p, q+q, p, q"),
        ({"name": "msvit_cifar", "attention": ("mssa", "qk", "ssa")}, "unknown attention 'qk'; attentions: mssa, ssa"),
        ({"name": "msvit_cifar", "layout": "wide"}, "unknown layout 'wide'; layouts: imagenet, cifar"),
        ({"name": "msvit_cifar", "depths": (1, 1)}, "depths must have 3 entries, one per stage, not 2"),
        ({"name": "msvit_cifar", "num_heads": (5, 5, 5)}, "192 channels do not divide into 5 heads"),
        ({"name": "msvit_cifar", "colour": "red"}, "unexpected keyword argument 'colour'"),
    ],
)
def test_wrong_arguments_are_named(arguments: dict, message: str) -> None:
    name = arguments["name"]
    with pytest.raises(msvit.ModelError, match=re.escape(message)):
        msvit.create_model(name, **{key: value for key, value in arguments.items() if key != "name"})


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((2, 3, 12, 12), "3 channels, the model takes 1"),
        ((2, 3, 1, 12, 12), "T = 4"),
        ((2, 1, 3, 12), "3 x 12 is smaller than the model's total stride 4"),
    ],
)
def test_input_that_does_not_fit_is_named(small_model: SpikingClassifier, shape: tuple[int, ...], message: str) -> None:
    with pytest.raises(msvit.ModelError, match=message):
        small_model(torch.zeros(shape, dtype=torch.float64))
