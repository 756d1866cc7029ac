"""What a model raises is one line: what it was called with, what it raised, what to try. Bugs keep their traceback."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from spikingjelly.activation_based import functional, layer, neuron
from torch import Tensor, nn
from torch.nn import functional as F

import msvit_energy
from msvit_energy import EnergyError
from msvit_energy.recording.observer import Observer
from tests.support.foreign_models import Forward, numbers

X = numbers(4, 3, 8, 8)


def spikingjelly(mode: str, channels: int) -> nn.Module:
    parts = layer.Conv2d(channels, 4, 3, padding=1), neuron.IFNode(), layer.Flatten(), layer.Linear(256, 5)
    net = nn.Sequential(*parts)
    functional.set_step_mode(net, mode)
    return net


def fires(function: Callable[[Any, Tensor], Any], **parts: Any) -> nn.Module:
    return Forward(lambda model, x: model.fire(function(model, x)), fire=neuron.IFNode(), **parts)


class ReshapingConv3d(nn.Conv3d):
    """A convolution over `[B, T, C, H, W]`."""

    def forward(self, x: Tensor) -> Tensor:
        images, steps, channels, height, width = x.shape
        return super().forward(x.view(images, channels, steps, height, width))


class OwnNeuron(nn.Module):
    activation_op = "neuron"

    def __init__(self) -> None:
        super().__init__()
        self.potential: Tensor | float = 0.0

    def forward(self, x: Tensor) -> Tensor:
        self.potential = self.potential + x
        return (self.potential > 1).to(x.dtype)


class Silent(OwnNeuron):
    def forward(self, x: Tensor) -> Any:
        super().forward(x)


CASES: dict[str, tuple[Callable[[], nn.Module], list[Tensor], dict[str, Any], str]] = {
    "channels, T in front": (
        lambda: spikingjelly("m", 1),
        [X],
        {"time_steps": 4},
        r"^the model refuses batches of shape \[4, 3, 8, 8\] however they are fed \(image, time-first, .*\); "
        r"called with \[5, 6, 3, 8, 8\] it raises RuntimeError: .* to have 1 channels, but got 3 .*; check the",
    ),
    "channels, a step": (
        lambda: spikingjelly("s", 1),
        [X],
        {"time_steps": 4, "feed": "step"},
        r"of shape \[4, 3, 8, 8\] fed as step; called with .* to have 1 channels, but got 3 channels instead; check",
    ),
    "channels, no neurons": (
        lambda: nn.Conv2d(1, 3, 3),
        [X],
        {},
        r"^the model, called with \[4, 3, 8, 8\], raises RuntimeError: .* to have 1 channels, but got 3 .*; check the",
    ),
    "channels, as many images as steps": (
        lambda: Forward(lambda model, x: model.fire(model.conv(x)), conv=nn.Conv2d(1, 3, 3), fire=OwnNeuron()),
        [X],
        {"time_steps": 4},
        r"^the model refuses batches of shape \[4, 3, 8, 8\] however .* to have 1 channels, but got 3 channels instead",
    ),
    "size": (lambda: spikingjelly("m", 3), [numbers(4, 3, 9, 9)], {"time_steps": 4}, r"cannot be multiplied .*; check"),
    "a later batch": (
        lambda: spikingjelly("s", 3),
        [X, X[:, :1]],
        {"time_steps": 4},
        r"^the model, called with \[4, 1, 8, 8\], raises .* to have 3 channels, but got 1 channels",
    ),
    "bytes": (
        lambda: spikingjelly("s", 3),
        [X.byte()],
        {"time_steps": 4},
        r"; give images in the number format",
    ),
    "axes": (
        lambda: fires(lambda model, x: model.conv(x), conv=ReshapingConv3d(3, 4, 3)),
        [X],
        {"time_steps": 4, "feed": "step"},
        r"ValueError: not enough values to unpack \(expected 5, got 4\); pass another feed=, or frames= and",
    ),
    "vmap of a function": (
        lambda: fires(lambda m, x: torch.vmap(lambda y: F.linear(y, m.w))(x), w=nn.Parameter(numbers(8, 8))),
        [numbers(4, 8)],
        {"time_steps": 4},
        r"^the model calls functions inside of torch\.vmap",
    ),
    "no spikes": (
        lambda: Forward(lambda model, x: (model.fire(x), x)[1], fire=Silent()),
        [numbers(4, 8)],
        {"time_steps": 2, "feed": "step"},
        r"^fire: a layer of neurons returns its spikes, not a NoneType$",
    ),
    "script": (
        lambda: torch.jit.script(nn.Sequential(nn.Linear(8, 3), nn.ReLU())),
        [numbers(4, 8)],
        {"time_steps": 1},
        r"^the model is a RecursiveScriptModule of torch\.jit, .*; profile the Python module that it was made from$",
    ),
    "trace inside": (
        lambda: nn.Sequential(torch.jit.trace(nn.Linear(8, 3), numbers(4, 8)), neuron.IFNode()),
        [numbers(4, 8)],
        {"time_steps": 2},
        r"^0 is a TopLevelTracedModule of torch\.jit",
    ),
    "a mistake": (
        lambda: fires(lambda model, x: model.no_such_layer(x)),
        [numbers(4, 8)],
        {"time_steps": 2, "feed": "step"},
        r"'Forward' object has no attribute 'no_such_layer'; call the model with such a tensor to see",
    ),
}


@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("case", CASES)
def test_a_refusal_is_one_line_that_says_what_to_try(case: str) -> None:
    made, batches, options, message = CASES[case]
    with pytest.raises(EnergyError, match=message) as refusal:
        msvit_energy.profile(made(), batches, **options)
    assert "\n" not in str(refusal.value)


def test_what_a_model_raised_is_the_cause() -> None:
    with pytest.raises(EnergyError) as refusal:
        msvit_energy.profile(nn.Conv2d(1, 3, 3), [X])
    assert isinstance(refusal.value.__cause__, RuntimeError)


def test_a_failure_of_what_observes_a_model_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr(Observer, "_look_for_nan", fail)  # after operators that are modules or bare calls
    for model in (
        fires(lambda model, x: model.fc(x), fc=nn.Linear(8, 8)),
        fires(lambda model, x: F.linear(x, model.w), w=nn.Parameter(numbers(8, 8))),
    ):
        with pytest.raises(RuntimeError, match=r"^a bug$"):
            msvit_energy.profile(model, [numbers(4, 8)], time_steps=2, feed="step")


@pytest.mark.parametrize("given", [lambda each: {"all": list(each)}, lambda each: [{"params": list(each)}]])
def test_parameters_of_another_kind_are_counted_all_the_same(given: Callable[[Any], Any]) -> None:
    class Grouped(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc, self.fire = nn.Linear(8, 3), neuron.IFNode()

        def forward(self, x: Tensor) -> Tensor:
            return self.fire(self.fc(x))

        def parameters(self, recurse: bool = True) -> Any:
            return given(super().parameters(recurse))

    profile = msvit_energy.profile(Grouped(), [numbers(4, 8)], time_steps=2)
    assert profile.parameters == 8 * 3 + 3
    assert [operator.macs_per_image for operator in profile.operators] == [2 * 8 * 3]
