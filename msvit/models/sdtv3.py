"""Spike-driven Transformer V3, E-SpikeFormer (Yao et al., TPAMI 2025, arXiv 2411.16061): the base models.

Read from BICLab/Spike-Driven-Transformer-V3, commit 00fcd1f, SDT_V3/Classification. There is no time: T = 1, and
`MultiSpike` neurons give n / 4 with n from 0 to 4, in training and in evaluation. The paper runs n as n spikes over
D = 4 virtual time steps; 1/4 goes into the weights, so that n costs n accumulates. The last neuron gives n itself to
the head. Shortcuts of membranes as in version 2. Other than there: a neuron and a batch norm on either side of a
depth-wise convolution, plain 1x1 convolutions in the attention, v of four times the width, the scale
2 / sqrt(head width). Of several time steps each is computed by itself, and the logits are averaged. The official
`drop_path` of these models is 0 and not called. The models of 83 M and 171 M are others: `sdtv3_large.py`.
"""

import math
from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from msvit.attention import SpikeProduct, channels_first, head_dim, tokens_by_head
from msvit.classifier import SpikingClassifier
from msvit.layers import ChannelMixer, ResidualBlock, SpikingUnits, linear_head
from msvit.neuron import MultiSpike
from msvit.registry import register

PAPER = "Yao et al., TPAMI 2025"
RATIO = 4  # of the inner width of MLPs and convolution blocks, and of the width of v


class Downsampling(SpikingUnits):
    """(neuron)-conv-BN: `[T, B, C_in, H, W]` -> real numbers; without a neuron, the first one."""

    def __init__(self, width_in: int, width: int, kernel: int, stride: int, **neuron: nn.Module) -> None:
        super().__init__()
        self.encode_conv = nn.Conv2d(width_in, width, kernel, stride=stride, padding=kernel // 2)
        self.encode_bn = nn.BatchNorm2d(width)
        self.names = (*neuron, "encode_conv", "encode_bn")
        for name, module in neuron.items():
            self.add_module(name, module)

    def forward(self, x: Tensor) -> Tensor:
        return self.through(x, *self.names)


def conv_bn(width_in: int, width: int, kernel: int = 1, groups: int = 1) -> nn.Sequential:
    """Convolution without bias, batch norm."""
    conv = nn.Conv2d(width_in, width, kernel, padding=kernel // 2, groups=groups, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(width))


class SepConv(SpikingUnits):
    """neuron-1x1-BN-neuron-depth-wise-BN-neuron-1x1-BN, twice the width inside."""

    def __init__(self, dim: int, kernel: int) -> None:
        super().__init__()
        self.spike1, self.spike2, self.spike3 = MultiSpike(), MultiSpike(), MultiSpike()
        self.pwconv1 = conv_bn(dim, 2 * dim)
        self.dwconv = conv_bn(2 * dim, 2 * dim, kernel, groups=2 * dim)
        self.pwconv2 = conv_bn(2 * dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        return self.through(x, "spike1", "pwconv1", "spike2", "dwconv", "spike3", "pwconv2")


class ConvBlock(SpikingUnits):
    """x + SepConv(x), then x + BN(3x3(neuron(BN(3x3(neuron(x)))))) with four times the width inside."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.Conv = SepConv(dim, 7)
        self.spike1, self.spike2 = MultiSpike(), MultiSpike()
        self.conv1 = nn.Conv2d(dim, RATIO * dim, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(RATIO * dim)
        self.conv2 = nn.Conv2d(RATIO * dim, dim, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(dim)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.Conv(x)
        return x + self.through(x, "spike1", "conv1", "bn1", "spike2", "conv2", "bn2")


class Attention(SpikingUnits):
    """SSA on spikes of the membranes: `[T, B, C, H, W]` -> real numbers of the same shape; q k^T first."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads, self.scale = heads, 2 * head_dim(dim, heads) ** -0.5
        self.head_spike = MultiSpike()
        self.q_conv, self.k_conv, self.v_conv = conv_bn(dim, dim), conv_bn(dim, dim), conv_bn(dim, RATIO * dim)
        self.q_spike, self.k_spike, self.v_spike = MultiSpike(), MultiSpike(), MultiSpike()
        self.product = SpikeProduct(qk_first=True)
        self.attn_spike = MultiSpike()
        self.proj_conv = conv_bn(RATIO * dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        spikes = self.head_spike(x)
        q, k, v = (self.through(spikes, f"{name}_conv", f"{name}_spike").flatten(3) for name in "qkv")
        y = self.product(*(tokens_by_head(part, self.heads) for part in (q, k, v))) * self.scale
        return self.through(self.attn_spike(channels_first(y)).unflatten(3, x.shape[3:]), "proj_conv")


class MLP(ChannelMixer):
    """neuron-1x1-BN twice, real numbers in and out; the neurons' names end in `suffix`."""

    def __init__(self, dim: int, suffix: str = "spike", *, half_up: bool = False) -> None:
        super().__init__(("fc1", "fc2"), "conv1d")
        self.parts = (suffix, "conv", "bn")
        for name, width_in, width in (("fc1", dim, RATIO * dim), ("fc2", RATIO * dim, dim)):
            self.add_module(f"{name}_{suffix}", MultiSpike(half_up=half_up))
            self.add_module(f"{name}_conv", nn.Conv1d(width_in, width, 1))
            self.add_module(f"{name}_bn", nn.BatchNorm1d(width))

    def unit(self, name: str, x: Tensor) -> Tensor:
        return self.unit_of(x, (f"{name}_{part}" for part in self.parts))


def transformer_block(dim: int, heads: int) -> ResidualBlock:
    """x + SepConv(x), x + attention(x), x + MLP(x)."""
    return ResidualBlock(Attention(dim, heads), MLP(dim), first=("conv", SepConv(dim, 3)))


class ESpikeFormer(SpikingClassifier):
    """SDT V3: images `[B, C, H, W]` or event frames `[B, T, C, H, W]` -> `[B, classes]`; `dims` are c0 to c3.

    `strides` are those of the five downsamplings, `depths` the transformer blocks of the last two stages.
    """

    def __init__(
        self,
        *,
        img_size: int | tuple[int, int] = 224,
        in_chans: int = 3,
        num_classes: int = 1000,
        dims: Sequence[int] = (32, 64, 128, 192),
        num_heads: int = 8,
        strides: Sequence[int] = (2, 2, 2, 2, 1),
        depths: Sequence[int] = (6, 2),
        time_steps: int = 1,
    ) -> None:
        super().__init__(img_size=img_size, in_chans=in_chans, num_classes=num_classes, time_steps=time_steps)
        self.total_stride = math.prod(strides)
        c0, c1, c2, c3 = dims
        self.downsample1_1 = Downsampling(in_chans, c0 // 2, 7, strides[0])
        self.ConvBlock1_1 = nn.ModuleList([ConvBlock(c0 // 2)])
        self.downsample1_2 = Downsampling(c0 // 2, c0, 3, strides[1], encode_spike=MultiSpike())
        self.ConvBlock1_2 = nn.ModuleList([ConvBlock(c0)])
        self.downsample2 = Downsampling(c0, c1, 3, strides[2], encode_spike=MultiSpike())
        self.ConvBlock2_1 = nn.ModuleList([ConvBlock(c1)])
        self.ConvBlock2_2 = nn.ModuleList([ConvBlock(c1)])
        self.downsample3 = Downsampling(c1, c2, 3, strides[3], encode_spike=MultiSpike())
        self.block3 = nn.ModuleList(transformer_block(c2, num_heads) for _ in range(depths[0]))
        self.downsample4 = Downsampling(c2, c3, 3, strides[4], encode_spike=MultiSpike())
        self.block4 = nn.ModuleList(transformer_block(c3, num_heads) for _ in range(depths[1]))
        self.spike = MultiSpike(norm=1)
        self.head = linear_head(c3, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.downsample1_1(self.frames(x))
        x = self.downsample1_2(self.ConvBlock1_1[0](x))
        x = self.downsample2(self.ConvBlock1_2[0](x))
        x = self.downsample3(self.ConvBlock2_2[0](self.ConvBlock2_1[0](x)))
        for block in self.block3:
            x = block(x)
        x = self.downsample4(x)
        for block in self.block4:
            x = block(x)
        return self.head(self.spike(x.flatten(3).mean(3))).mean(0)


@register(PAPER)
def sdtv3_3m(**kwargs: Any) -> ESpikeFormer:
    """ImageNet, the official builder t, of which nothing is published; 2,702,048 parameters."""
    return ESpikeFormer(**{"dims": (24, 48, 96, 128)} | kwargs)


@register(PAPER)
def sdtv3_5m(**kwargs: Any) -> ESpikeFormer:
    """ImageNet, the official builder s; 5,105,608 parameters."""
    return ESpikeFormer(**kwargs)


@register(PAPER)
def sdtv3_10m(**kwargs: Any) -> ESpikeFormer:
    """ImageNet, the official builder m; 10,023,112 parameters."""
    return ESpikeFormer(**{"dims": (48, 96, 192, 240)} | kwargs)


@register(PAPER)
def sdtv3_19m(**kwargs: Any) -> ESpikeFormer:
    """ImageNet, the official builder l; 18,987,504 parameters."""
    return ESpikeFormer(**{"dims": (64, 128, 256, 360)} | kwargs)


@register("this project")
def sdtv3_digits(**kwargs: Any) -> ESpikeFormer:
    """A small SDT V3 for 12 x 12 grey-scale digits; 186,310 parameters, T = 1, neurons with up to 4 spikes at once
    (D = 4). Widths 12-20-28-36, two strides of 2 in place of four, 3 + 1 transformer blocks in place of 6 + 2."""
    defaults: dict[str, Any] = {
        "img_size": 12,
        "in_chans": 1,
        "num_classes": 10,
        "dims": (12, 20, 28, 36),
        "num_heads": 4,
        "strides": (1, 1, 2, 2, 1),
        "depths": (3, 1),
    }
    return ESpikeFormer(**defaults | kwargs)
