"""Spike-driven Transformer V3 (Yao et al., TPAMI 2025, arXiv 2411.16061): the models of 83 M and 171 M parameters.

Read from BICLab/Spike-Driven-Transformer-V3, commit 00fcd1f, SDT_V3/Classification/Model_Large. T = 1 and `MultiSpike`
neurons as in the base models (`sdtv3.py`), but half a spike is rounded up. Other than there: convolution blocks without
a depth-wise part, 12 transformer blocks at stride 16, chains of two 1x1 convolutions without a neuron between, so that
the second gets real numbers, a scale per channel behind attention and MLP, and stochastic depth. The head reads the
real mean over tokens; the last neuron, which the official code runs in vain without `kd`, is here with `kd` only. The
official file of 83 M does not run as uploaded: the line that reads the sizes of x in a block is commented out.
"""

from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from msvit.attention import SpikeProduct, channels_first, head_dim, tokens_by_head
from msvit.classifier import SpikingClassifier
from msvit.layers import OverTime, ResidualBlock, SpikingUnits, linear_head, set_drop_path
from msvit.models.sdtv3 import MLP, PAPER, RATIO, Downsampling
from msvit.neuron import MultiSpike
from msvit.registry import register

DROP_PATH = 0.1  # in the last block


def neuron() -> MultiSpike:
    """The neuron of all places but the last."""
    return MultiSpike(half_up=True)


class ConvBlock(nn.Module):
    """x + BN(3x3(neuron(BN(3x3(neuron(x)))))) with four times the width inside."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        inner = RATIO * dim
        self.neuron1, self.neuron2 = neuron(), neuron()
        self.conv1 = nn.Sequential(OverTime(nn.Conv2d(dim, inner, 3, padding=1), nn.BatchNorm2d(inner)))
        self.conv2 = nn.Sequential(OverTime(nn.Conv2d(inner, dim, 3, padding=1), nn.BatchNorm2d(dim)))

    def forward(self, x: Tensor) -> Tensor:
        inner = self.conv1(self.neuron1(x))
        return x + self.conv2(self.neuron2(inner))


def conv_bn(width_in: int, width: int) -> nn.Sequential:
    """1x1 convolution of tokens without bias, batch norm."""
    return nn.Sequential(nn.Conv1d(width_in, width, 1, bias=False), nn.BatchNorm1d(width))


class RepConv(nn.Module):
    """1x1-BN-1x1-BN on tokens `[B, C, N]`, half as wide again inside."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.conv1, self.conv2 = conv_bn(dim, 3 * dim // 2), conv_bn(3 * dim // 2, dim)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv2(self.conv1(x))


class RepBranch(SpikingUnits):
    """neuron-1x1-BN-1x1-BN, first in the blocks of 83 M; the neuron is officially the block's own `lif`."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.lif = neuron()
        self.conv1, self.conv2 = conv_bn(dim, dim), conv_bn(dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        return self.through(self.lif(x).flatten(3), "conv1", "conv2").unflatten(3, x.shape[3:])


class Attention(SpikingUnits):
    """SSA with RepConv projections: `[T, B, C, H, W]` -> real numbers of the same shape; k^T v first, scale 0.125."""

    scale = 0.125

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        head_dim(dim, heads)
        self.heads = heads
        self.head_lif = neuron()
        for name in "qkv":
            self.add_module(f"{name}_conv", nn.Sequential(RepConv(dim), nn.BatchNorm1d(dim)))
            self.add_module(f"{name}_lif", neuron())
        self.product = SpikeProduct()
        self.attn_lif = neuron()
        self.proj_conv = nn.Sequential(RepConv(dim), nn.BatchNorm1d(dim))

    def forward(self, x: Tensor) -> Tensor:
        spikes = self.head_lif(x).flatten(3)
        q, k, v = (tokens_by_head(self.through(spikes, f"{name}_conv", f"{name}_lif"), self.heads) for name in "qkv")
        y = self.attn_lif(channels_first(self.product(q, k, v) * self.scale))
        return self.through(y, "proj_conv").unflatten(3, x.shape[3:])


class Block(ResidualBlock):
    """(x + RepBranch(x)), x + attention(x) * scale, x + MLP(x) * scale, one scale per channel and branch."""

    def __init__(self, dim: int, heads: int, *, rep: bool) -> None:
        first = ("rep_conv", RepBranch(dim)) if rep else None
        super().__init__(Attention(dim, heads), MLP(dim, "lif", half_up=True), first=first)
        self.layer_scale1 = nn.Parameter(torch.full((dim,), 1e-6))
        self.layer_scale2 = nn.Parameter(torch.full((dim,), 1e-6))

    def forward(self, x: Tensor) -> Tensor:
        if self.first_name:
            x = x + self.get_submodule(self.first_name)(x)
        x = x + self.dropped(self.get_submodule(self.attention_name)(x) * self.layer_scale1.view(-1, 1, 1))
        return x + self.dropped(self.mlp(x) * self.layer_scale2.view(-1, 1, 1))


class ESpikeFormerLarge(SpikingClassifier):
    """SDT V3, large: images `[B, C, H, W]` or event frames `[B, T, C, H, W]` -> `[B, classes]`; `dims` are c0 to c2.

    `rep` puts a RepBranch into every block. `kd` adds the head `head_kd` for distillation: in evaluation the answer is
    the mean of the two heads, in training both, `(logits, logits_kd)`. `drop_path` is the stochastic depth of the last
    block, until a training recipe sets its own.
    """

    total_stride = 16
    optional_weights: ClassVar = {"kd": "head_kd.weight"}

    def __init__(
        self,
        *,
        img_size: int | tuple[int, int] = 224,
        in_chans: int = 3,
        num_classes: int = 1000,
        dims: Sequence[int] = (128, 256, 512),
        depth: int = 12,
        num_heads: int = 8,
        rep: bool = True,
        kd: bool = False,
        drop_path: float = DROP_PATH,
        time_steps: int = 1,
    ) -> None:
        super().__init__(img_size=img_size, in_chans=in_chans, num_classes=num_classes, time_steps=time_steps)
        c0, c1, c2 = dims
        self.kd = kd
        self.downsample1_1 = Downsampling(in_chans, c0 // 2, 7, 2)
        self.ConvBlock1_1 = nn.ModuleList([ConvBlock(c0 // 2)])
        self.downsample1_2 = Downsampling(c0 // 2, c0, 3, 2, encode_lif=neuron())
        self.ConvBlock1_2 = nn.ModuleList([ConvBlock(c0)])
        self.downsample2 = Downsampling(c0, c1, 3, 2, encode_lif=neuron())
        self.ConvBlock2_1 = nn.ModuleList([ConvBlock(c1)])
        self.ConvBlock2_2 = nn.ModuleList([ConvBlock(c1)])
        self.downsample3 = Downsampling(c1, c2, 3, 2, encode_lif=neuron())
        self.block3 = nn.ModuleList(Block(c2, num_heads, rep=rep) for _ in range(depth))
        self.head = linear_head(c2, num_classes)
        if kd:
            self.lif = MultiSpike(norm=1, half_up=True)
            self.head_kd = linear_head(c2, num_classes)
        set_drop_path(self, drop_path)

    def forward(self, x: Tensor) -> Any:
        x = self.downsample1_1(self.frames(x))
        x = self.downsample1_2(self.ConvBlock1_1[0](x))
        x = self.downsample2(self.ConvBlock1_2[0](x))
        x = self.downsample3(self.ConvBlock2_2[0](self.ConvBlock2_1[0](x)))
        for block in self.block3:
            x = block(x)
        x = x.flatten(3).mean(3)  # [T, B, C]
        logits = self.head(x).mean(0)
        if not self.kd:
            return logits
        logits_kd = self.head_kd(self.lif(x)).mean(0)
        return (logits, logits_kd) if self.training else (logits + logits_kd) / 2


@register(PAPER)
def sdtv3_83m(**kwargs: Any) -> ESpikeFormerLarge:
    """ImageNet, the official 12_512; 82,502,952 parameters, with `kd` 83,015,952."""
    return ESpikeFormerLarge(**kwargs)


@register(PAPER)
def sdtv3_171m(**kwargs: Any) -> ESpikeFormerLarge:
    """ImageNet, the official 12_768; 170,971,714 parameters, with `kd` 171,740,714 (printed: 171 M and 173 M)."""
    defaults: dict[str, Any] = {"dims": (196, 384, 768), "rep": False}
    return ESpikeFormerLarge(**defaults | kwargs)
