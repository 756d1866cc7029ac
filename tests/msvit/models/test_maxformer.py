"""Max-Former, MS-QKFormer and Max-ResNet-18, most of which have no reference vector: their calls in order, what flows
into each layer, and their parts by plain formulas."""

import csv
from functools import cache

import pytest
import torch
from torch import Tensor, nn

import msvit
import msvit_energy
from msvit.layers import PreActivationMLP
from msvit.models import max_resnet, maxformer, ms_qkformer
from msvit.neuron import LIF
from msvit_energy import Profile
from msvit_energy.meta_tensors import ShapesOnly
from tests.support import parity

CALLS = {
    "maxformer_imagenet_10_384": ("maxformer_10_384", 4),
    "maxformer_cifar10dvs": ("maxformer_dvs", 16),
    "ms_qkformer_imagenet_10_384": ("ms_qkformer_10_384", 4),
    "ms_qkformer_cifar10": ("ms_qkformer_cifar", 4),
    "max_resnet18_cifar10": ("max_resnet18_cifar", 4),
}


@pytest.mark.parametrize("config", CALLS)
def test_layers_run_in_the_official_order_on_the_official_shapes(config: str) -> None:
    name, time_steps = CALLS[config]
    with torch.device("meta"):
        model = msvit.create_model(name, time_steps=time_steps)  # in training nothing is computed once for all steps
    seen: list[dict[str, str]] = []

    def note(layer: str, module: nn.Module, x: Tensor) -> None:
        row = {"layer": layer, "in_shape": "x".join(map(str, x.shape))}
        seen.append(row | {"v_threshold": str(module.v_threshold) if isinstance(module, LIF) else ""})

    for layer, module in model.named_modules():
        if isinstance(module, LIF | nn.Conv1d | nn.Conv2d | nn.Linear | nn.BatchNorm1d | nn.BatchNorm2d | nn.MaxPool2d):
            module.register_forward_pre_hook(lambda module, args, layer=layer: note(layer, module, args[0]))
    events = model.in_chans == 2
    with ShapesOnly():
        model(torch.zeros(1, *((time_steps,) if events else ()), *model.input_size, device="meta"))
    with (parity.DATA / "maxformer" / f"{config}.calls.csv").open(newline="") as file:
        assert seen == list(csv.DictReader(file))


@cache
def profile_of(name: str, side: int) -> Profile:
    """Two time steps of two drawn images or event frames through drawn weights under which neurons fire."""
    model = msvit.create_model(name, time_steps=2).double()
    events = model.in_chans == 2
    shape = (2, *((2,) if events else ()), model.in_chans, side, side)
    kind = "events" if events else "image"
    images = parity.draw(model, {"seed": 3, "gain": 2.5, "input_shape": shape, "input_kind": kind})
    profile = msvit_energy.profile(model, [images])
    assert min(layer.firing_rate for layer in profile.neurons) > 0
    return profile


SHORTCUTS = ("layer1.0.downsample.1", "layer2.0.downsample.1", "layer3.0.downsample.1")
NOT_SPIKES = {  # layers that get anything but 0 and 1: images, means of spikes over time or the map, real streams
    ("maxformer_10_384", 32): {"patch_embed1.embed1.embed_conv"},
    ("maxformer_dvs", 32): {"head"},  # its events are 0 and 1
    ("ms_qkformer_10_384", 32): {"patch_embed1.proj_conv"},
    ("ms_qkformer_cifar", 16): {"patch_embed1.proj_conv", "head"},
    ("max_resnet18_cifar", 16): {"conv1", "fc1", *SHORTCUTS},
}


@pytest.mark.slow
@pytest.mark.parametrize(("name", "side"), NOT_SPIKES)
def test_only_the_named_layers_get_anything_but_spikes(name: str, side: int) -> None:
    profile = profile_of(name, side)
    others = {operator.layer for operator in profile.operators if operator.driver.kind != "binary"}
    assert others == NOT_SPIKES[name, side]


# the neurons whose spikes a shortcut shares with the main path
SHARED = {
    ("maxformer_10_384", 32): {
        "patch_embed1.embed4.embed_conv": "patch_embed1.embed2.embed_lif",
        "patch_embed2.max_embed2.embed_conv": "patch_embed2.max_embed1.embed_lif",
    },
    ("maxformer_dvs", 32): {"patch_embed1.embed1.embed_conv": "patch_embed1.max_embed2.embed_lif"},
    ("ms_qkformer_10_384", 32): {
        "patch_embed1.rpe_conv": "patch_embed1.proj_lif1",
        "patch_embed2.proj_res_conv": "patch_embed2.init_lif",
    },
    ("ms_qkformer_cifar", 16): {"patch_embed2.embed2.embed_conv": "patch_embed2.embed1.embed_lif"},
}


@pytest.mark.slow
@pytest.mark.parametrize(("name", "side"), SHARED)
def test_shortcuts_of_embeddings_get_spikes_of_the_main_path(name: str, side: int) -> None:
    sources = {operator.layer: operator.driver.neurons for operator in profile_of(name, side).operators}
    for layer, neuron in SHARED[name, side].items():
        assert sources[layer] == (neuron,)


def drawn(module: nn.Module, *shape: int) -> Tensor:
    """Draw a module's weights; returns a membrane of that shape that makes neurons fire now and then."""
    module.double().eval()
    return 3 * parity.draw(module, {"seed": 1, "gain": 8, "input_shape": shape, "input_kind": "image"})


def test_an_mlp_of_ratio_one_has_a_shortcut_inside() -> None:
    block = maxformer.MLPBlock(maxformer.mlp(6, ratio=1))
    x = drawn(block, 2, 1, 6, 3, 3)
    mlp = block.mlp

    def unit(name: str, values: Tensor) -> Tensor:
        spikes = mlp.get_submodule(f"{name}_lif")(values)
        return torch.stack([mlp.get_submodule(f"{name}_bn")(mlp.get_submodule(f"{name}_conv")(s)) for s in spikes])

    y = x + unit("fc1", x)
    torch.testing.assert_close(block(x), y + unit("fc2", y), rtol=0, atol=1e-12)
    assert type(maxformer.mlp(6, ratio=4)) is PreActivationMLP


def test_query_key_attention_by_plain_formulas() -> None:
    heads, dim, side = 2, 8, 3
    attention = ms_qkformer.QKAttention(dim, heads)
    x = drawn(attention, 1, 1, dim, side, side)
    s = (x >= 2).double()  # one step from rest: x / 2 >= 1
    tokens = s.reshape(1, dim, side * side)
    q, k = ((attention.get_submodule(f"{n}_bn")(attention.get_submodule(f"{n}_conv")(tokens)) >= 2) for n in "qk")
    out = torch.zeros(1, dim, side * side, dtype=torch.float64)
    for channel in range(dim):
        head = channel // (dim // heads)
        q_of_head = q[0, head * dim // heads : (head + 1) * dim // heads]
        for token in range(side * side):
            mask = q_of_head[:, token].sum() >= 1  # half of the sum reaches the threshold 0.5
            out[0, channel, token] = float(mask and k[0, channel, token])
    assert 0 < out.mean() < k.double().mean() < 1
    expected = attention.proj_bn(attention.proj_conv(out)).reshape(1, 1, dim, side, side)
    torch.testing.assert_close(attention(x), expected, rtol=0, atol=1e-12)


def test_a_block_of_max_resnet_pools_real_numbers_and_has_a_real_shortcut() -> None:
    block = max_resnet.Block(4, 6, pool=True)
    x = drawn(block, 3, 2, 4, 6, 6)  # several steps: at the first one, spikes pooled are the pooled numbers' spikes
    f = torch.stack([block.bn1(block.conv1(spikes)) for spikes in block.spike1(x)])
    pooled = torch.stack(  # windows of 3 x 3 around every second pixel
        [f[..., max(i - 1, 0) : i + 2, max(j - 1, 0) : j + 2].amax((3, 4)) for i in (0, 2, 4) for j in (0, 2, 4)], -1
    ).unflatten(-1, (3, 3))
    branch = torch.stack([block.bn2(block.conv2(spikes)) for spikes in block.spike2(pooled)])
    _, conv, norm = block.downsample
    shortcut = torch.stack([norm(conv(step)) for step in x])
    torch.testing.assert_close(block(x), branch + shortcut, rtol=0, atol=1e-12)
    assert shortcut.shape == (3, 2, 6, 3, 3)
