"""FiringMaps of single layers, held against the spikes themselves."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import msvit_energy
from msvit.checkpoint import SHIPPED, load_checkpoint
from msvit.classifier import SpikingClassifier
from msvit.data import open_data
from msvit_energy.errors import EnergyError
from msvit_energy.profiles.firing_maps import LayerMap, picture
from msvit_energy.recording.firing_maps import FiringMaps, placed
from tests.support.command_line import run
from tests.support.foreign_models import Forward


class Above(nn.Module):
    activation_op = "neuron"

    def forward(self, x: Tensor) -> Tensor:
        return (x > 0.5).to(x.dtype)


IMAGES = torch.rand(5, 1, 12, 12, generator=torch.Generator().manual_seed(3)).double()


def emitted(model: nn.Module, images: Tensor) -> dict[str, Tensor]:
    """Every neuron layer's spikes `[T, B, ...]`, by hooks of our own."""
    seen: dict[str, Tensor] = {}
    handles = [
        module.register_forward_hook(lambda m, i, o, name=name: seen.update({name: o.clone()}))
        for name, module in model.named_modules()
        if name.endswith("_lif")
    ]
    with torch.no_grad():
        model(images)
    for handle in handles:
        handle.remove()
    return seen


@pytest.mark.slow
def test_maps_are_the_means_of_the_spikes(small_model: SpikingClassifier) -> None:
    maps = FiringMaps(["*_lif"])
    profile = msvit_energy.profile(small_model, [IMAGES[:2], IMAGES[2:]], maps=maps)
    layers = {layer.neuron: layer for layer in maps.layers()}
    spikes = emitted(small_model, IMAGES)
    assert list(layers) == [layer.neuron for layer in profile.neurons]
    assert layers.keys() == spikes.keys()
    for name, layer in layers.items():
        mean = spikes[name].mean((0, 1))  # [C, h, w], [C, N] or [heads, 1, N]
        flat = mean.reshape(mean.shape[0], -1)
        np.testing.assert_allclose(layer.channels, flat.mean(1), rtol=0, atol=1e-15)
        assert layer.positions is not None
        np.testing.assert_allclose(layer.positions.reshape(-1), flat.mean(0), rtol=0, atol=1e-15)
    for layer in profile.neurons:
        assert layers[layer.neuron].channels.mean() == pytest.approx(layer.firing_rate, rel=1e-12)


@pytest.mark.slow
def test_asking_for_maps_changes_nothing_else(small_model: SpikingClassifier) -> None:
    assert msvit_energy.profile(small_model, [IMAGES], maps=FiringMaps(["stage1*"])) == msvit_energy.profile(
        small_model, [IMAGES]
    )


@pytest.mark.parametrize(
    ("shape", "image", "axes", "grid"),
    [
        ((16, 12, 12), (12, 12), (1, 2), (12, 12)),
        ((64, 14, 14), (224, 224), (1, 2), (14, 14)),
        ((64, 7, 14), (224, 448), (1, 2), (7, 14)),
        ((384, 196), (224, 224), (1,), (14, 14)),  # channels first
        ((196, 384), (224, 224), (0,), (14, 14)),  # tokens first
        ((4, 1, 144), (12, 12), (2,), (12, 12)),
        ((12, 197, 64), (224, 224), (), None),  # with a class token
        ((512,), (224, 224), (), None),
        ((10,), (), (), None),
        ((6, 196, 784), (224, 224), (2,), (28, 28)),  # an attention map: queries among the channels
    ],
)
def test_axes_that_run_over_the_image(
    shape: tuple[int, ...], image: tuple[int, ...], axes: object, grid: object
) -> None:
    assert placed(shape, image) == (axes, grid)


def test_unknown_layer_names_near_ones(small_model: SpikingClassifier) -> None:
    with pytest.raises(EnergyError, match=r"no neuron layer matches 'stage1.0.tssa.q_lf'; layers: stage1.0.tssa.q_lif"):
        msvit_energy.profile(small_model, [IMAGES], maps=FiringMaps(["stage1.0.tssa.q_lf"]))


def test_layers_of_models_that_are_called_step_by_step() -> None:
    from spikingjelly.activation_based import neuron

    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 3, 1), neuron.IFNode(v_threshold=0.3, step_mode="s"))
    maps = FiringMaps(["1"])
    profile = msvit_energy.profile(model, [IMAGES.float()], time_steps=6, feed="step", maps=maps)
    (layer,) = maps.layers()
    assert layer.positions is not None
    assert layer.positions.shape == (12, 12)
    assert layer.positions.mean() == pytest.approx(profile.neurons[0].firing_rate)
    assert profile.neurons[0].firing_rate > 0


def test_picture_is_what_one_sees() -> None:
    colours = picture(np.array([[[1.0]], [[2.0]], [[3.0]]]).repeat(2, 2))
    np.testing.assert_allclose(colours, [[[0, 0.5, 1], [0, 0.5, 1]]])
    events = np.zeros((4, 2, 1, 2))
    events[:, 0, 0, 1] = 3
    np.testing.assert_allclose(picture(events), [[0, 1]])
    assert not picture(np.ones((1, 2, 2))).any()


def test_layout_says_how_an_output_was_read() -> None:
    assert LayerMap("n", (64, 36), np.zeros(64), np.zeros((6, 6))).layout == "64 x 36 as 64 channels of 6 x 6"
    assert LayerMap("n", (8,), np.zeros(8), None).layout == "8 as 8 channels"


@pytest.mark.slow
def test_command_writes_maps_of_all_images_and_of_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    layers = "patch_embed1.proj_lif,stage*.attn_lif"
    arguments = ["profile", "--images", "6", "--out", "o", "--maps", layers, "--map-image", "300"]
    assert run(monkeypatch, *arguments) == 0
    assert "o/maps.npz" in capsys.readouterr().out
    profile = msvit_energy.Profile.load("o/profile.json")
    rates = {layer.neuron: layer.firing_rate for layer in profile.neurons}
    with np.load("o/maps.npz") as arrays:
        names = {key.removesuffix("/channels") for key in arrays if key.endswith("/channels") and "example" not in key}
        assert names == {
            "patch_embed1.proj_lif",
            "stage1.0.tssa.attn_lif",
            "stage2.0.tssa.attn_lif",
            "stage3.0.ssa.attn_lif",
        }
        for name in names:
            assert arrays[f"{name}/positions"].mean() == pytest.approx(rates[name], rel=1e-6)
            assert arrays[f"{name}/channels"].mean() == pytest.approx(rates[name], rel=1e-6)
        image = open_data("digits", (1, 12, 12)).dataset[300][0]
        np.testing.assert_allclose(arrays["example/picture"], picture(image.numpy()), atol=1e-6)
        alone = FiringMaps(["patch_embed1.proj_lif"])
        msvit_energy.profile(load_checkpoint(SHIPPED), [image.unsqueeze(0)], maps=alone)
        np.testing.assert_allclose(
            arrays["example/patch_embed1.proj_lif/positions"], alone.layers()[0].positions, atol=1e-6
        )
    assert {path.name for path in Path("o").glob("maps.*")} == {"maps.npz", "maps.png", "maps.svg"}
    assert run(monkeypatch, "profile", "--images", "2", "--out", "o", "--force") == 0
    assert not list(Path("o").glob("maps.*"))  # those were of the other run


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--maps", "x"], "--maps writes files, so it needs --out"),
        (["--map-image", "3", "--out", "o"], "--map-image goes with --maps"),
        (["--maps", ",", "--out", "o"], "--maps names no layer: ','"),
        (["--maps", "nothing", "--out", "o"], "no neuron layer matches 'nothing'; layers: "),
        (
            ["--maps", "*", "--map-image", "355", "--out", "o"],
            "digits: no image is called '355'; give its file name or its",
        ),
    ],
)
def test_mistakes_get_one_line(
    arguments: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(monkeypatch, "profile", "--images", "2", *arguments) == 2
    assert message in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_parts_of_an_image_in_a_row_have_no_common_map() -> None:
    """Two windows of each of two images, in a row with three time steps."""

    def forward(s: Any, x: Tensor) -> Tensor:
        windows = x.unflatten(1, (2, 4)).flatten(0, 1)
        return s.head(s.fire(windows.repeat(s.time_steps, 1)).unflatten(0, (s.time_steps, -1, 2)).mean((0, 2)))

    model = Forward(forward, fire=Above(), head=nn.Linear(4, 3))
    model.time_steps = 3  # type: ignore[assignment]
    with pytest.raises(EnergyError, match=r"fire: an output of shape \(12, 4\) has parts of images in a row"):
        msvit_energy.profile(model, [torch.rand(2, 8)], maps=FiringMaps(["fire"]))
