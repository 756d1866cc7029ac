"""Where tensors have time and images: every layout of one numbered tensor gives the same `[T, B, ...]`."""

import pytest
import torch
from torch import Tensor

from msvit_energy.errors import EnergyError
from msvit_energy.recording.time_axis import TimeAxis

NUMBERED = torch.arange(3 * 2 * 4).view(3, 2, 4)  # T = 3, B = 2


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        pytest.param(NUMBERED, NUMBERED, id="[T, B, ...]"),
        pytest.param(NUMBERED.flatten(0, 1), NUMBERED, id="[T*B, ...]"),
        pytest.param(NUMBERED[0], NUMBERED[:1], id="[B, ...], constant in time"),
        # by hand: two windows of each image stand in a row, so step 1, image 1 has rows 6 and 7
        pytest.param(torch.arange(12), torch.arange(12).view(3, 2, 2), id="[T*B*windows]"),
    ],
)
def test_every_layout_splits_into_time_and_images(values: Tensor, expected: Tensor) -> None:
    axis = TimeAxis(steps=3, images=2)
    assert torch.equal(axis.split(values), expected)
    assert axis.steps_in(values) == len(expected)


def test_a_tensor_whose_own_axes_are_counted_has_no_time_axis_by_chance() -> None:
    """A convolution's input [B, C, H, W] with B = T and C = B is not [T, B, H, W]."""
    values = torch.zeros(2, 2, 5, 5)
    assert TimeAxis(2, 2).split(values, rank=4).shape == (1, 2, 2, 5, 5)
    assert TimeAxis(2, 2).split(values).shape == (2, 2, 5, 5)


def test_a_tensor_of_no_image_is_refused_by_name_and_shape() -> None:
    axis = TimeAxis(3, 2)
    assert axis.steps_in(torch.zeros(5, 4)) is None
    with pytest.raises(EnergyError, match=r"^fc#0: a tensor of shape \(5, 4\) has neither T\*B = 6 nor"):
        axis.split(torch.zeros(5, 4), None, "fc#0")


def test_windows_of_an_image_have_no_map() -> None:
    with pytest.raises(EnergyError, match=r"lif: an output of shape \(12, 7\) has parts of images in a row"):
        TimeAxis(3, 2).split_images(torch.zeros(12, 7), None, "lif")


def test_a_sequence_runs_over_all_time_steps() -> None:
    axis = TimeAxis(3, 2)
    for shape in ((3, 2, 4), (6, 4)):
        axis.check_sequence(torch.zeros(shape), "lif")
    with pytest.raises(EnergyError, match="lif runs over 2 time steps, not 3"):
        axis.check_sequence(torch.zeros(2, 2, 4), "lif")
