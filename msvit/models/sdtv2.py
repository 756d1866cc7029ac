"""Spike-driven Transformer V2, Meta-SpikeFormer (Yao et al., ICLR 2024, arXiv 2404.03663).

Four convolution blocks, then eight transformer blocks, on membrane shortcuts: residuals add real numbers, a neuron
stands in front of every convolution that is not part of a re-parameterisable chain. Inside such a chain (RepConv, and
the depth-wise part of SepConv) there is no neuron, so some convolutions get real numbers.
"""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from msvit.attention import SpikeProduct, channels_first, head_dim, tokens_by_head
from msvit.classifier import SpikingClassifier
from msvit.layers import PreActivationMLP, ResidualBlock, SpikingUnits, linear_head
from msvit.neuron import LIF
from msvit.registry import register

PAPER = "Yao et al., ICLR 2024"


class Downsampling(SpikingUnits):
    """(LIF)-conv-BN: `[T, B, C_in, H, W]` -> membranes; the first one has no neuron."""

    def __init__(self, width_in: int, width: int, kernel: int, stride: int, *, first: bool = False) -> None:
        super().__init__()
        self.names = ("encode_conv", "encode_bn") if first else ("encode_lif", "encode_conv", "encode_bn")
        if not first:
            self.encode_lif = LIF()
        self.encode_conv = nn.Conv2d(width_in, width, kernel, stride=stride, padding=kernel // 2)
        self.encode_bn = nn.BatchNorm2d(width)

    def forward(self, x: Tensor) -> Tensor:
        return self.through(x, *self.names)


class SepConv(SpikingUnits):
    """LIF-1x1-BN-LIF-7x7 depth-wise-1x1-BN; between the last two convolutions there is nothing."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.lif1 = LIF()
        self.pwconv1 = nn.Conv2d(dim, 2 * dim, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(2 * dim)
        self.lif2 = LIF()
        self.dwconv = nn.Conv2d(2 * dim, 2 * dim, 7, padding=3, groups=2 * dim, bias=False)
        self.pwconv2 = nn.Conv2d(2 * dim, dim, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(dim)

    def forward(self, x: Tensor) -> Tensor:
        return self.through(x, "lif1", "pwconv1", "bn1", "lif2", "dwconv", "pwconv2", "bn2")


class ConvBlock(SpikingUnits):
    """x + SepConv(x), then x + BN(3x3(LIF(BN(3x3(LIF(x)))))) with four times the width inside."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.Conv = SepConv(dim)
        self.lif1 = LIF()
        self.conv1 = nn.Conv2d(dim, 4 * dim, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(4 * dim)
        self.lif2 = LIF()
        self.conv2 = nn.Conv2d(4 * dim, dim, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(dim)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.Conv(x)
        return x + self.through(x, "lif1", "conv1", "bn1", "lif2", "conv2", "bn2")


class BatchNormAndPad(nn.Module):
    """Batch norm, then a border of one pixel that holds what it makes of zero, so that the whole chain stays linear."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.bn = nn.BatchNorm2d(dim)

    def forward(self, x: Tensor) -> Tensor:
        x = self.bn(x)
        bn = self.bn
        assert bn.running_mean is not None
        assert bn.running_var is not None
        zero = bn.bias.detach() - bn.running_mean * bn.weight.detach() / torch.sqrt(bn.running_var + bn.eps)
        images, channels, height, width = x.shape
        padded = zero.view(1, -1, 1, 1).expand(images, channels, height + 2, width + 2).clone()
        padded[:, :, 1:-1, 1:-1] = x
        return padded


class RepConv(nn.Module):
    """1x1-BN-pad-depth-wise 3x3-1x1-BN, no neuron: one linear 3x3 convolution, unmerged as in the official code."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        depthwise = nn.Conv2d(dim, dim, 3, groups=dim, bias=False)
        pointwise = nn.Conv2d(dim, dim, 1, bias=False)
        chain = nn.Sequential(depthwise, pointwise, nn.BatchNorm2d(dim))
        self.body = nn.Sequential(nn.Conv2d(dim, dim, 1, bias=False), BatchNormAndPad(dim), chain)

    def forward(self, x: Tensor) -> Tensor:
        return self.body(x)


class Attention(SpikingUnits):
    """SSA with RepConv projections: `[T, B, C, H, W]` -> real numbers of the same shape; k^T v first, scale 0.125."""

    scale = 0.125

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        head_dim(dim, heads)
        self.heads = heads
        self.head_lif = LIF()
        for name in "qkv":
            self.add_module(f"{name}_conv", nn.Sequential(RepConv(dim), nn.BatchNorm2d(dim)))
            self.add_module(f"{name}_lif", LIF())
        self.product = SpikeProduct()
        self.attn_lif = LIF(v_threshold=0.5)
        self.proj_conv = nn.Sequential(RepConv(dim), nn.BatchNorm2d(dim))

    def forward(self, x: Tensor) -> Tensor:
        spikes = self.head_lif(x)
        q, k, v = (tokens_by_head(self.spikes(name, spikes).flatten(3), self.heads) for name in "qkv")
        y = self.attn_lif(channels_first(self.product(q, k, v) * self.scale))
        return self.through(y.unflatten(3, x.shape[3:]), "proj_conv")


def transformer_block(dim: int, heads: int) -> ResidualBlock:
    """Attention and MLP on membranes."""
    return ResidualBlock(Attention(dim, heads), PreActivationMLP(dim, 4, ("fc1", "fc2"), kind="conv1d"))


class MetaSpikeFormer(SpikingClassifier):
    """SDT V2: images `[B, C, H, W]` or event frames `[B, T, C, H, W]` -> `[B, classes]`; `dims` are c0 to c3.

    `strides` are those of the five downsamplings, `depths` the transformer blocks of the last two stages.
    """

    def __init__(
        self,
        *,
        img_size: int | tuple[int, int] = 224,
        in_chans: int = 3,
        num_classes: int = 1000,
        dims: Sequence[int] = (96, 192, 384, 480),
        num_heads: int = 8,
        strides: Sequence[int] = (2, 2, 2, 2, 1),
        depths: Sequence[int] = (6, 2),
        time_steps: int = 4,
    ) -> None:
        super().__init__(img_size=img_size, in_chans=in_chans, num_classes=num_classes, time_steps=time_steps)
        self.total_stride = math.prod(strides)
        c0, c1, c2, c3 = dims
        self.downsample1_1 = Downsampling(in_chans, c0 // 2, 7, strides[0], first=True)
        self.ConvBlock1_1 = nn.ModuleList([ConvBlock(c0 // 2)])
        self.downsample1_2 = Downsampling(c0 // 2, c0, 3, strides[1])
        self.ConvBlock1_2 = nn.ModuleList([ConvBlock(c0)])
        self.downsample2 = Downsampling(c0, c1, 3, strides[2])
        self.ConvBlock2_1 = nn.ModuleList([ConvBlock(c1)])
        self.ConvBlock2_2 = nn.ModuleList([ConvBlock(c1)])
        self.downsample3 = Downsampling(c1, c2, 3, strides[3])
        self.block3 = nn.ModuleList(transformer_block(c2, num_heads) for _ in range(depths[0]))
        self.downsample4 = Downsampling(c2, c3, 3, strides[4])
        self.block4 = nn.ModuleList(transformer_block(c3, num_heads) for _ in range(depths[1]))
        self.lif = LIF()
        self.head = linear_head(c3, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.frames(x)
        for downsample, stages in (
            (self.downsample1_1, (self.ConvBlock1_1,)),
            (self.downsample1_2, (self.ConvBlock1_2,)),
            (self.downsample2, (self.ConvBlock2_1, self.ConvBlock2_2)),
            (self.downsample3, (self.block3,)),
            (self.downsample4, (self.block4,)),
        ):
            x = downsample(x)
            for stage in stages:
                for block in stage:
                    x = block(x)
        return self.head(self.lif(x.flatten(3).mean(3))).mean(0)


@register(PAPER)
def sdtv2_15m(**kwargs: Any) -> MetaSpikeFormer:
    """ImageNet, widths 64-128-256-360 (recovered from the published count); 15,112,208 parameters."""
    return MetaSpikeFormer(**{"dims": (64, 128, 256, 360)} | kwargs)


@register(PAPER)
def sdtv2_31m(**kwargs: Any) -> MetaSpikeFormer:
    """ImageNet, official builder 8_384, widths 96-192-384-480; 31,333,864 parameters."""
    return MetaSpikeFormer(**kwargs)


@register(PAPER)
def sdtv2_55m(**kwargs: Any) -> MetaSpikeFormer:
    """ImageNet, official builder 8_512, widths 128-256-512-640; 55,350,248 parameters."""
    return MetaSpikeFormer(**{"dims": (128, 256, 512, 640)} | kwargs)


@register("this project")
def sdtv2_digits(**kwargs: Any) -> MetaSpikeFormer:
    """A small SDT V2 for 12 x 12 grey-scale digits; 187,166 parameters, T = 4. Widths 12-20-32-40, two strides of 2 in
    place of four, 3 + 1 transformer blocks in place of 6 + 2."""
    defaults: dict[str, Any] = {
        "img_size": 12,
        "in_chans": 1,
        "num_classes": 10,
        "dims": (12, 20, 32, 40),
        "num_heads": 4,
        "strides": (1, 1, 2, 2, 1),
        "depths": (3, 1),
    }
    return MetaSpikeFormer(**defaults | kwargs)
