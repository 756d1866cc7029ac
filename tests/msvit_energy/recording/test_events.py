"""Synaptic events of whole models, one by one: against SpikingJelly's SynOpCounter."""

from collections import Counter
from typing import Any

import numpy as np
import pytest
import torch
from spikingjelly.activation_based import layer, neuron
from spikingjelly.activation_based.op_counter import DispatchCounterMode, SynOpCounter
from torch import Tensor, nn
from torch.nn import functional as F

import msvit
import msvit_energy
from msvit_energy import Profile
from msvit_energy.precision import excite_
from msvit_energy.recording.state.model_state import RestState
from tests.support.operators import spikes


def counted_by_spikingjelly(model: nn.Module, images: Tensor, times: int = 1) -> dict[str, int]:
    """Synaptic operations inside every module ("" is the whole model) over all images and `times` calls."""
    counter = SynOpCounter()
    resting = RestState(model)
    with torch.no_grad(), DispatchCounterMode([counter]):  # under inference_mode it would count 0
        for _ in range(times):
            model.eval()(images)
    resting.restore()
    root = type(model).__name__
    inside = {scope: sum(counts.values()) for scope, counts in counter.get_counts().items() if scope != "Global"}
    return {scope.removeprefix(root).removeprefix("."): count for scope, count in inside.items()}


def counted_here(profile: Profile, model: nn.Module) -> dict[str, int]:
    """Events of operators whose driving input is binary: of the whole model, and of each module that has some."""
    modules = {name for name, _ in model.named_modules()}
    inside: Counter[str] = Counter()
    for operator in profile.operators:
        if operator.driver.kind == "binary":
            events = float(operator.events(profile.images)) * profile.images
            assert events == pytest.approx(round(events), rel=1e-12)
            module = operator.layer if operator.layer in modules else operator.layer.rpartition(".")[0]  # bare calls
            inside[""] += round(events)
            inside[module] += round(events)
    return dict(inside)


def check_against_spikingjelly(profile: Profile, model: nn.Module, images: Tensor, times: int = 1) -> dict[str, int]:
    """Module by module and in total, so that nothing is counted anywhere else; returns the counts."""
    here, there = counted_here(profile, model), counted_by_spikingjelly(model, images, times)
    assert here == {name: there.get(name, 0) for name in here}
    return here


class Attend(nn.Module):
    """Products, an einsum and a convolution as bare function calls on spikes; `[T, B, 6, H, W]`."""

    def __init__(self) -> None:
        super().__init__()
        self.fire = nn.ModuleList(neuron.IFNode(v_threshold=threshold, step_mode="m") for threshold in (0.5, 1.0, 1.5))
        self.weight = nn.Parameter(torch.randn(6, 6, 3, generator=torch.Generator().manual_seed(3)))

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = (fire(x.flatten(3)) for fire in self.fire)  # [T, B, 6, N]
        y = q @ (k.transpose(-1, -2) @ v)
        z = torch.einsum("tbcn,tbdn->tbcd", q, k).sum(-1, keepdim=True)
        tokens = F.conv1d(v.flatten(0, 1), self.weight, padding=1).unflatten(0, v.shape[:2])
        return (tokens + 0.1 * y - 0.02 * z).unflatten(3, x.shape[3:])


class HandMade(nn.Module):
    """Every kind of convolution, with neurons between; event frames `[B, T, 2, 9, 10]` of 0 and 1 go in."""

    time_steps = 3

    def __init__(self) -> None:
        super().__init__()
        options: list[tuple[type[nn.Module], tuple[Any, ...], dict[str, Any]]] = [
            (layer.Conv2d, (2, 4, (3, 2)), {"stride": (2, 1), "padding": (1, 0)}),
            (layer.Conv2d, (4, 8, 3), {"groups": 2, "dilation": 2, "padding": 2, "bias": False}),
            (layer.Conv2d, (8, 8, 3), {"groups": 8, "padding": 1, "padding_mode": "circular"}),
            (layer.ConvTranspose2d, (8, 6, 3), {"stride": 2, "padding": 1, "output_padding": 1, "groups": 2}),
            (layer.Conv2d, (6, 6, 4), {"padding": "same", "padding_mode": "reflect"}),
        ]
        self.stem = nn.ModuleList(kind(*sizes, **named, step_mode="m") for kind, sizes, named in options)
        fire = (neuron.IFNode, neuron.LIFNode, neuron.IFNode, neuron.LIFNode, neuron.IFNode)
        self.fire = nn.ModuleList(kind(v_threshold=0.4, step_mode="m") for kind in fire)
        self.attend = Attend()
        self.last_fire = neuron.IFNode(step_mode="m")
        self.hidden = nn.Linear(6 * 10 * 18, 5)
        self.hidden_fire = neuron.IFNode(v_threshold=0.2, step_mode="m")
        self.head = nn.Linear(5, 3, bias=False)

    def forward(self, frames: Tensor) -> Tensor:
        x = frames.transpose(0, 1)
        for convolution, fire in zip(self.stem, self.fire, strict=True):
            x = fire(convolution(x))
        x = self.last_fire(self.attend(x))
        return self.head(self.hidden_fire(self.hidden(x.flatten(2)))).mean(0)


def hand_made() -> HandMade:
    """With weights under which every layer fires."""
    model = HandMade()
    excite_(model, seed=0)
    return model


def event_frames(images: int) -> Tensor:
    """Event frames for it."""
    return spikes(images, 3, 2, 9, 10, seed=5).float()


def test_events_of_every_kind_of_operator_equal_spikingjellys_count() -> None:
    model, images = hand_made(), event_frames(4)
    profile = msvit_energy.profile(model, images.split(3))
    operators = {operator.layer: operator for operator in profile.operators}
    assert [op.op for op in operators.values()] == [
        *("conv2d", "conv2d", "conv2d", "conv_transpose2d", "conv2d"),
        *("matmul", "matmul", "einsum", "conv1d", "linear", "linear"),
    ]
    assert {operator.driver.kind for operator in operators.values()} == {"binary"}
    assert operators["attend.matmul_2"].operands[1].maximum > 1  # else SpikingJelly would count pairs of spikes
    assert all(float(operator.events(4)) > 0 for operator in operators.values())
    check_against_spikingjelly(profile, model, images)


def test_events_of_layers_called_once_per_step_equal_spikingjellys_count() -> None:
    model = nn.Sequential(
        *(nn.Conv2d(2, 4, 3, stride=2, padding=1), neuron.LIFNode(v_threshold=0.5)),
        *(nn.Conv2d(4, 6, 3, padding=1), neuron.IFNode(v_threshold=0.7), nn.Flatten()),
        *(nn.Linear(6 * 25, 8), neuron.IFNode(v_threshold=0.3), nn.Linear(8, 3)),
    )
    excite_(model, seed=1)
    images = event_frames(3)[:, 0]
    profile = msvit_energy.profile(model, [images], time_steps=4)
    assert [operator.runs_per_image for operator in profile.operators] == [4] * 4
    check_against_spikingjelly(profile, model, images, times=4)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("sdt_cifar", {"dim": 128}),
        ("spikformer_cifar", {"dim": 96, "depth": 2, "num_heads": 4}),
        ("spikingformer_cifar", {"dim": 96, "depth": 2, "num_heads": 4}),
        ("qkformer_cifar", {"embed_dims": (32, 48, 64)}),
        ("msvit_digits", {}),
        ("spikingresformer_ti", {"img_size": 64}),
    ],
)
def test_events_of_whole_models_equal_spikingjellys_count(name: str, options: dict[str, Any]) -> None:
    model = msvit.create_model(name, time_steps=2, **options).eval()
    excite_(model, seed=0)
    images = torch.randn(2, *model.input_size, generator=torch.Generator().manual_seed(0))
    profile = msvit_energy.profile(model, [images])
    counts = check_against_spikingjelly(profile, model, images)
    assert len(counts) > 12
    assert counts[""] > 1_000_000


def test_spread_of_events_is_that_of_images_profiled_one_by_one() -> None:
    model, images = hand_made(), event_frames(5)
    whole = msvit_energy.profile(model, images.split(3))
    singles = [msvit_energy.profile(model, [image]).events_by_layer() for image in images.split(1)]
    spread = whole.spread()
    for operator in whole.operators:
        uncertainty = spread.of(operator.events(5))
        assert uncertainty is not None
        values = [single[operator.layer] for single in singles]
        assert len(set(values)) > 1
        assert uncertainty.mean == pytest.approx(np.mean(values), rel=1e-12)
        assert uncertainty.standard_error == pytest.approx(np.std(values, ddof=1) / 5**0.5, rel=1e-9)
