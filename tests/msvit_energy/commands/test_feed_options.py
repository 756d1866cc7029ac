"""How a network of somebody else is fed, on the command line: found out, given, refused."""

from pathlib import Path

import pytest
from PIL import Image

from msvit_energy import Profile
from msvit_energy.profiles.provenance import InputOrigin
from msvit_energy.workflows.loading.model_loading import load_registered
from msvit_energy.workflows.measuring.measurement import DataOptions, measure
from tests.support.command_line import run

NET = """
from spikingjelly.activation_based import functional, layer, neuron
from torch import nn


def make(mode, channels=2):
    parts = layer.Conv2d(channels, 4, 3, stride=2, bias=False), neuron.IFNode(v_threshold=0.3), layer.MaxPool2d(2)
    net = nn.Sequential(*parts, layer.Flatten(), layer.Linear(196, 10, bias=False))
    functional.set_step_mode(net, mode)
    return net
"""


@pytest.fixture(autouse=True)
def in_a_folder_with_a_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("fed_net.py").write_text(NET)


def arguments(mode: str, data: str, *others: str) -> list[str]:
    made = ["--model", "fed_net:make", "--model-args", f'{{"mode": "{mode}"}}', "--input-size", "2x32x32"]
    return ["profile", *made, "--data", data, "--images", "3", *others]


def test_event_frames_go_step_by_step_or_all_at_once(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    profiles = {}
    for mode, feed in (("s", "step"), ("m", "time-first")):
        assert run(monkeypatch, *arguments(mode, "digits-dvs", "--time-steps", "5", "--out", mode)) == 0
        assert f"fed: frames, {feed} (found out)" in capsys.readouterr().out
        profiles[mode] = Profile.load(f"{mode}/profile.json")
        assert profiles[mode].provenance.input == InputOrigin(feed, True, "probes", "given", "given")
    single, multi = profiles["s"], profiles["m"]
    assert (single.operators, single.neurons, single.moments) == (multi.operators, multi.neurons, multi.moments)
    assert (single.images, single.time_steps, single.macs_per_step) == (3, 5, 15 * 15 * 4 * 18 + 1960)


def test_what_is_said_by_hand_is_not_called_found(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ["--time-steps", "5", "--feed", "sequence", "--no-frames", "--out", "out"]
    assert run(monkeypatch, *arguments("m", "noise", *given)) == 0
    assert "fed:" not in capsys.readouterr().out
    fed = Profile.load("out/profile.json").provenance.input
    assert fed == InputOrigin("time-first", False, "given", "given", "given")


def test_event_data_are_frames_whoever_measures() -> None:
    loaded = load_registered(None, "msvit_digits_dvs", {}, ema=False, time_steps=None, seed=0, device="cpu")
    options = DataOptions("digits-dvs", images=1)
    fed = measure(loaded, options.open(loaded), options).provenance.input
    assert fed == InputOrigin("image", True, "model", "given", "model")


REFUSED = [
    (("s", "noise"), "nothing says how many time steps the model runs, and its neurons keep a state; pass time_steps="),
    (("s", "digits-dvs"), "digits-dvs is event data and needs a number of time steps, at least 1, not None"),
    (("s", "digits-dvs", "--time-steps", "5", "--no-frames"), "the model refuses batches of shape [3, 5, 2, 32, "),
    (("m", "noise", "--time-steps", "5", "--frames"), "with frames, batches are [B, T, ...]: one of shape [3, "),
    (("s", "noise", "--time-steps", "5", "--input-size", "3x32x32"), "to have 2 channels, but got 3 channels instead"),
]


@pytest.mark.parametrize(("given", "message"), REFUSED)
def test_what_fits_in_no_way_is_one_line(
    given: tuple[str, ...], message: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, *arguments(*given)) == 2
    printed = capsys.readouterr()
    assert printed.err.startswith("error: ")
    assert printed.err.count("\n") == 1
    assert message in printed.err
    assert printed.out == ""


@pytest.mark.parametrize(
    ("mode", "channels", "line", "words"),
    [
        ("L", 3, "images: grey images as RGB: the model takes 3 channels\n", "grey images as RGB, bicubic resize"),
        ("P", 1, "images: RGB images as grey: the model takes 1 channel\n", "RGB images as grey, bicubic resize"),
        ("RGBA", 3, "", "bicubic resize"),
        ("LA", 1, "", "bicubic resize"),
    ],
)
def test_images_with_other_colours_are_converted_and_a_line_says_it(
    mode: str,
    channels: int,
    line: str,
    words: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    Path("images").mkdir()
    for number in (0, 120, 240):
        Image.new(mode, (32, 32), (number,) * len(Image.new(mode, (1, 1)).getbands())).save(f"images/{number}.png")
    made = ["--model", "fed_net:make", "--model-args", f'{{"mode": "m", "channels": {channels}}}']
    data = ["--data", "images", "--input-size", f"{channels}x32x32", "--time-steps", "2"]
    assert run(monkeypatch, "profile", *made, *data, "--out", "out") == 0
    said = capsys.readouterr().err
    assert said.startswith(line)
    (prepared,) = said.removeprefix(line).splitlines()
    assert prepared.startswith("images: bicubic resize to 36, centre crop, mean ")
    described = Profile.load("out/profile.json").provenance.data
    assert described is not None and described.preprocessing.startswith(words)


def test_images_that_the_model_refuses_are_one_line_and_exit_code_2(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    made = ["--model", "fed_net:make", "--model-args", '{"mode": "m", "channels": 1}', "--input-size", "2x32x32"]
    assert run(monkeypatch, "profile", *made, "--data", "noise", "--images", "3", "--time-steps", "4") == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: the model refuses batches of shape [3, 2, 32, 32] however they are fed")
    assert "to have 1 channels, but got 2 channels instead; check the channels and the size of the images" in line
