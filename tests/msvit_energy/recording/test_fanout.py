"""Synapses that spikes reach and dense MACs: against running the operator with weights 1, torch's and SpikingJelly's
counters."""

import copy
import random
from collections.abc import Callable, Iterator
from itertools import islice
from itertools import product as combinations
from typing import Any

import numpy as np
import pytest
import torch
from spikingjelly.activation_based import layer
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.modules.conv import _ConvNd

from msvit_energy.meta_tensors import ShapesOnly
from msvit_energy.recording import module_calls
from msvit_energy.recording.fanout import reached_on_axis, written_on_axis
from msvit_energy.recording.operator_calls import FUNCTIONS, Call
from tests.support.operators import spikes, torch_macs

SIZES = (5, 6, 7)
MODES = ("zeros", "circular", "reflect", "replicate")
CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)


def convolutions(rank: int, mode: str) -> Iterator[_ConvNd]:
    """Convolutions without end, each with a geometry of its own on every axis."""
    draw = random.Random(f"{rank} {mode}")
    while True:
        taps, stride, padding, dilation = (
            tuple(draw.choices(choice, k=rank)) for choice in ((1, 2, 3), (1, 2, 3), (0, 1, 2), (1, 2))
        )
        yield CONVOLUTIONS[rank - 1](
            2, 4, taps, stride, padding, dilation, draw.choice((1, 2)), padding_mode=mode, dtype=torch.float64
        )


def transposed_convolutions(rank: int) -> Iterator[_ConvNd]:
    """The same for transposed ones."""
    draw = random.Random(rank)
    while True:
        taps, stride, padding, dilation = (
            tuple(draw.choices(choice, k=rank)) for choice in ((1, 2, 3), (1, 2, 3), (0, 1, 2), (1, 2))
        )
        extra = tuple(draw.randrange(max(s, d)) for s, d in zip(stride, dilation, strict=True))
        groups = draw.choice((1, 2))
        yield TRANSPOSED[rank - 1](2, 4, taps, stride, padding, extra, groups, dilation=dilation, dtype=torch.float64)


def one_spike_each(*shape: int) -> Tensor:
    """`[elements, *shape]`: as many samples as places, each with a single spike in a place of its own."""
    places = int(np.prod(shape))
    return torch.eye(places, dtype=torch.float64).reshape(places, *shape)


def outputs_per_sample(function: Callable[..., Tensor], *arguments: Any, **options: Any) -> Tensor:
    """Sum of what each sample gives."""
    with torch.no_grad():
        return function(*arguments, **options).flatten(1).sum(1)


def with_ones(module: _ConvNd) -> _ConvNd:
    """A copy with all weights 1 and no bias: every spike adds 1 to the output for each synapse that it reaches."""
    twin = copy.deepcopy(module)
    nn.init.ones_(twin.weight)
    twin.bias = None
    return twin


def events_per_sample(call: Call | Any) -> Tensor:
    """What the description of a call says of the same: values times synapses reached."""
    (stream,) = call.streams
    return (stream.values * stream.reached).flatten(1).sum(1)


@pytest.mark.parametrize(("rank", "mode"), list(combinations((1, 2, 3), MODES)))
def test_synapses_reached_in_a_convolution_equal_its_outputs_with_weights_one(rank: int, mode: str) -> None:
    x = one_spike_each(2, *SIZES[:rank])
    for module in islice(convolutions(rank, mode), (150, 60, 15)[rank - 1]):
        call = module_calls.of_module(module, (x,))
        assert call is not None
        assert torch.equal(events_per_sample(call), outputs_per_sample(with_ones(module), x)), module


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_synapses_reached_in_a_transposed_convolution_equal_its_outputs_with_weights_one(rank: int) -> None:
    x = one_spike_each(2, *SIZES[:rank])
    for module in islice(transposed_convolutions(rank), (150, 60, 15)[rank - 1]):
        call = module_calls.of_module(module, (x,))
        assert call is not None
        assert torch.equal(events_per_sample(call), outputs_per_sample(with_ones(module), x)), module


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel lengths")
@pytest.mark.parametrize(
    ("rank", "mode", "padding"), [*combinations((1, 2), MODES, ("same", "valid")), (3, "zeros", "same")]
)
def test_padding_by_name_reaches_what_torch_pads(rank: int, mode: str, padding: str) -> None:
    x = one_spike_each(1, *SIZES[:rank])
    for taps, dilation in combinations((1, 2, 3, 4), (1, 2)):
        if dilation * (taps - 1) >= SIZES[0]:
            continue
        module = CONVOLUTIONS[rank - 1](
            1, 3, taps, padding=padding, dilation=dilation, padding_mode=mode, dtype=torch.float64
        )
        call = module_calls.of_module(module, (x,))
        assert call is not None
        assert torch.equal(events_per_sample(call), outputs_per_sample(with_ones(module), x)), module
        assert call.macs == torch_macs(module, x)


def test_a_spike_in_the_corner_of_a_padded_convolution_reaches_four_taps() -> None:
    # 3 x 3 taps, padding 1, 10 output channels: 4 taps in a corner, 6 at an edge, 9 inside
    call = module_calls.of_module(nn.Conv2d(1, 10, 3, padding=1), (torch.ones(1, 1, 3, 4),))
    assert call is not None
    reached = call.streams[0].reached
    assert isinstance(reached, Tensor)
    assert reached.tolist() == [[40, 60, 60, 40], [60, 90, 90, 60], [40, 60, 60, 40]]
    # a stride of 2 skips every other place
    strided = module_calls.of_module(nn.Conv1d(1, 1, 1, stride=2), (torch.ones(1, 1, 5),))
    assert strided is not None
    assert strided.streams[0].reached.tolist() == [1, 0, 1, 0, 1]
    everywhere = module_calls.of_module(nn.Conv2d(3, 10, 1), (torch.ones(1, 3, 4, 4),))
    assert everywhere is not None
    assert everywhere.streams[0].reached == 10


def test_dense_macs_of_convolutions_equal_half_of_torchs_flops() -> None:
    for rank in (1, 2, 3):
        x = torch.zeros(3, 2, *SIZES[:rank], dtype=torch.float64)
        kinds = [*(convolutions(rank, mode) for mode in MODES), transposed_convolutions(rank)]
        for module in (module for kind in kinds for module in islice(kind, 8)):
            call = module_calls.of_module(module, (x,))
            assert call is not None
            assert call.macs == torch_macs(module, x), module


@pytest.mark.parametrize("lead", [(), (3,), (2, 3)])
def test_a_convolution_module_is_described_with_any_leading_axes(lead: tuple[int, ...]) -> None:
    options: dict[str, Any] = {"stride": 2, "padding": 1, "bias": False}
    stepped = len(lead) == 2  # time and batch, as SpikingJelly's layers take them
    module = layer.Conv2d(2, 4, (3, 2), **options, step_mode="m") if stepped else nn.Conv2d(2, 4, (3, 2), **options)
    module = module.double()
    x = spikes(*lead, 2, 5, 6)
    call = module_calls.of_module(module, (x,))
    assert call is not None
    assert (call.op, call.macs) == ("conv2d", torch_macs(module, x))
    assert call.streams[0].values is x
    assert float((x * call.streams[0].reached).sum()) == float(with_ones(module)(x).detach().sum())


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_bare_convolutions_are_described_like_their_modules(rank: int) -> None:
    function = (F.conv1d, F.conv2d, F.conv3d)[rank - 1]
    x = one_spike_each(2, *SIZES[:rank])
    for module in islice(convolutions(rank, "zeros"), 12):
        weight = torch.ones_like(module.weight)
        arguments = (x, weight, None, module.stride, module.padding, module.dilation, module.groups)
        call = FUNCTIONS[function](*arguments)
        assert torch.equal(events_per_sample(call), outputs_per_sample(function, *arguments)), module
        assert call.macs == torch_macs(function, *arguments)


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_bare_transposed_convolutions_are_described_like_their_modules(rank: int) -> None:
    function = (F.conv_transpose1d, F.conv_transpose2d, F.conv_transpose3d)[rank - 1]
    x = one_spike_each(2, *SIZES[:rank])
    for module in islice(transposed_convolutions(rank), 12):
        weight, extra = torch.ones_like(module.weight), module.output_padding
        arguments = (x, weight, None, module.stride, module.padding, extra, module.groups, module.dilation)
        call = FUNCTIONS[function](*arguments)
        assert torch.equal(events_per_sample(call), outputs_per_sample(function, *arguments)), module
        assert call.macs == torch_macs(function, *arguments)


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel lengths")
@pytest.mark.parametrize(
    ("function", "options"),
    [
        (F.conv2d, {}),
        (F.conv2d, {"stride": 2, "padding": 1, "dilation": 2, "groups": 2}),
        (F.conv2d, {"padding": "same", "dilation": (2, 1)}),
        (F.conv2d, {"padding": "valid", "stride": (2,)}),
        (F.conv_transpose2d, {}),
        (F.conv_transpose2d, {"stride": 3, "padding": 1, "output_padding": (2, 0), "groups": 2, "dilation": 2}),
    ],
)
def test_bare_convolutions_with_options_by_name_single_numbers_or_no_batch(
    function: Callable[..., Tensor], options: dict[str, Any]
) -> None:
    inside = 2 if function is F.conv2d and "groups" in options else 4
    x, weight = one_spike_each(4, 5, 6), torch.ones(4, inside, 3, 2, dtype=torch.float64)
    call = FUNCTIONS[function](x, weight, **options)
    assert torch.equal(events_per_sample(call), outputs_per_sample(function, x, weight, **options))
    assert call.shape is not None
    assert call.shape.outputs == function(x, weight, **options).numel()
    single = FUNCTIONS[function](x[7], weight, **options)
    assert single.macs == torch_macs(function, x[7], weight, **options) == call.macs / len(x)
    assert torch.equal(torch.as_tensor(single.streams[0].reached), torch.as_tensor(call.streams[0].reached))


@pytest.mark.parametrize("shape", [(7,), (3, 7), (2, 3, 7), (2, 1, 3, 7)])
def test_a_spike_into_a_linear_layer_reaches_every_output(shape: tuple[int, ...]) -> None:
    module, x = nn.Linear(7, 4, dtype=torch.float64), spikes(*shape)
    for call in (module_calls.of_module(module, (x,)), FUNCTIONS[F.linear](x, module.weight, module.bias)):
        (stream,) = call.streams
        assert float((stream.values * stream.reached).sum()) == float(F.linear(x, torch.ones(4, 7).double()).sum())
        assert call.macs == torch_macs(module, x)


def test_synapses_are_counted_where_only_shapes_are_worked_out() -> None:
    reached_on_axis.cache_clear()
    written_on_axis.cache_clear()
    with ShapesOnly():
        reached = reached_on_axis(5, 3, 1, 1, 1, 1, "zeros")
        written = written_on_axis(4, 3, 2, 1, 1, 8)
    assert reached.tolist() == [2, 3, 3, 3, 2]
    assert written.tolist() == [2, 3, 3, 3]
    assert reached_on_axis(5, 3, 1, 1, 1, 1, "zeros") is reached
