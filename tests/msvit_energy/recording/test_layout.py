"""Where tensors have time and images: every layout of one numbered tensor gives the same `[T, B, ...]`."""

import pytest
import torch
from torch import Tensor

from msvit_energy.errors import EnergyError
from msvit_energy.recording.layouts.layout import Layout, by_size
from msvit_energy.recording.layouts.layout_search import Layouts
from msvit_energy.recording.stream_key import INPUT, StreamKey

NUMBERED = torch.arange(3 * 2 * 4).view(3, 2, 4)  # T = 3, B = 2
PARTS = torch.arange(3 * 2 * 5 * 4).view(3, 2, 5, 4)


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
def test_sizes_suggest_layouts_with_time_first(values: Tensor, expected: Tensor) -> None:
    layout = by_size(values.shape, 3, 2, None)
    assert layout is not None
    found = layout.split(values, 3, 2)
    assert found is not None
    assert torch.equal(found, expected)
    assert layout.has_time == (len(expected) > 1)


@pytest.mark.parametrize(
    ("values", "axes", "parts"),
    [
        (NUMBERED.transpose(0, 1), ((1, "T"), (0, "B")), False),
        (NUMBERED.transpose(0, 1).flatten(0, 1), ((0, "BT"),), False),
        (NUMBERED.permute(1, 2, 0), ((2, "T"), (0, "B")), False),
        (PARTS.permute(2, 0, 1, 3), ((1, "T"), (2, "B")), False),
        (PARTS.permute(2, 0, 1, 3).flatten(1, 2), ((1, "TB"),), False),
        (PARTS.permute(1, 0, 2, 3).flatten(1, 2), ((1, "Tk"), (0, "B")), True),
        (PARTS.permute(2, 0, 1, 3).flatten(0, 2), ((0, "kTB"),), True),
    ],
)
def test_every_layout_splits_into_time_and_images(
    values: Tensor, axes: tuple[tuple[int, str], ...], parts: bool
) -> None:
    layout = Layout(axes)
    found = layout.split(values, 3, 2)
    assert found is not None
    assert torch.equal(found, PARTS if PARTS.numel() == found.numel() else NUMBERED)
    assert layout.in_parts is parts


def test_a_tensor_whose_own_axes_are_counted_has_no_time_axis_by_chance() -> None:
    """A convolution's input [B, C, H, W] with B = T and C = B is not [T, B, H, W]."""
    assert by_size((2, 2, 5, 5), 2, 2, 4) == Layout(((0, "B"),))
    assert by_size((2, 2, 5, 5), 2, 2, None) == Layout(((0, "T"), (1, "B")))


def test_a_tensor_of_no_image_is_refused_by_name_and_shape() -> None:
    assert by_size((5, 4), 3, 2, None) is None
    assert Layout(((0, "TB"),)).split(torch.zeros(5, 4), 3, 2) is None
    with pytest.raises(EnergyError, match=r"^fc#0: a tensor of shape \(5, 4\) has neither T\*B = 6 nor"):
        Layouts(3).split(StreamKey("fc", INPUT), 0, torch.zeros(5, 4), 2)


def test_images_are_followed_into_what_is_made_from_a_tensor() -> None:
    assert Layout(((0, "T"), (1, "B"))).images_moved((None, 2)) == Layout(((2, "B"),))
    assert Layout(((0, "TB"),)).images_moved((1, 0)) == Layout(((1, "TB"),))
    assert Layout(((0, "B"),)).images_moved((None, 0)) is None
