"""The frozen result of a recorder, and the one state of rest behind it."""

import dataclasses

import pytest
import torch
from torch import Tensor, nn

import msvit_energy
from msvit_energy.recording.feeding.input_modes import InputMode
from msvit_energy.recording.recorder import Recorder
from msvit_energy.recording.state.model_state import RestState


class Net(nn.Module):
    """A layer, a neuron that fires above 1/2, a bare product with itself."""

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.fire = nn.Linear(2, 2, bias=False), Threshold()
        self.layer.weight.data = torch.eye(2)

    def forward(self, x: Tensor) -> Tensor:
        spikes = self.fire(self.layer(x))
        return spikes @ spikes.transpose(-1, -2)


class Threshold(nn.Module):
    activation_op = "neuron"

    def forward(self, x: Tensor) -> Tensor:
        return (x > 0.5).to(x.dtype)


def test_a_result_stays_as_it_was_while_the_recording_goes_on() -> None:
    """By hand: images [[1, 0], [1, 1]] and [[0, 0], [0, 1]] give 3 spikes and 1; columns meet in 2 * 2 + 1 * 1 and in
    1 * 1 pairs."""
    model = Net()
    images = torch.tensor([[[1.0, 0.0], [1.0, 1.0]], [[0.0, 0.0], [0.0, 1.0]]])
    with torch.no_grad(), Recorder(model, InputMode("image", False, 1)) as recorder:
        with recorder.batch(images[:1], 1):
            model(images[:1])
        first = recorder.result()
        with recorder.batch(images[1:], 1):
            model(images[1:])
        both = recorder.result()
    assert (first.images, both.images) == (1, 2)
    assert [layer.sums for layer in first.neurons] == [(3,)]
    assert [layer.sums for layer in both.neurons] == [(4,)]
    product = {operator.layer: operator for operator in both.operators}["matmul"]
    assert (product.macs_per_image, product.pairs) == (2 * 2 * 2, (2 * 2 + 1 * 1) + 1 * 1)
    assert both.called == {"", "layer", "fire"}
    with pytest.raises(dataclasses.FrozenInstanceError):
        first.images = 3  # type: ignore[misc]


def test_the_state_of_rest_is_taken_once(monkeypatch: pytest.MonkeyPatch) -> None:
    taken = []
    plain = RestState.__init__
    monkeypatch.setattr(RestState, "__init__", lambda self, *given: taken.append(given[0]) or plain(self, *given))
    model = nn.Sequential(nn.Flatten(), nn.Linear(4, 2))
    msvit_energy.profile(model, [torch.ones(2, 2, 2)], time_steps=1, lemaire=1)
    assert taken == [model]
