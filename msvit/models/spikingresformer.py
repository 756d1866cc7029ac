"""SpikingResformer (Shi et al., CVPR 2024, arXiv 2403.14302): residual stages of dual spike self-attention and FFN.

Residuals add real numbers and a neuron stands in front of every convolution but the stem. Each product of the attention
has one spike operand and one real one, scaled by running firing rates that live in buffers.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from msvit.attention import Matmul, head_dim
from msvit.classifier import SpikingClassifier
from msvit.errors import ModelError
from msvit.layers import SpikingUnits, max_pool
from msvit.neuron import LIF
from msvit.registry import register

PAPER = "Shi et al., CVPR 2024"
MOMENTUM = 0.999  # of the running firing rates
STEMS = {"imagenet": (7, 2, 16), "cifar": (3, 1, 4)}  # kernel and stride of the first convolution, total stride


class Norm(nn.Module):
    """Batch norm one level down, as the official names have it (`norm.bn`)."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.bn = nn.BatchNorm2d(dim)

    def forward(self, x: Tensor) -> Tensor:
        return self.bn(x)


class DualSpikeAttention(SpikingUnits):
    """DSSA: A = LIF(c1 y1^T s), LIF(c2 y2 A), conv1x1-BN, plus the input; `[T, B, C, H, W]` -> the same shape.

    s are the input's spikes (N tokens), y1 and y2 real projections of s on P patches of side `patch`.
    c1 = 1 / sqrt(rate of s * d), c2 = 1 / sqrt(rate of A * P), rates per head: running means, updated in training. A
    rate that is still 0, as in fresh weights, counts as 1, where the official code divides by zero.
    """

    firing_rate_x: Tensor
    firing_rate_attn: Tensor

    def __init__(self, dim: int, heads: int, patch: int) -> None:
        super().__init__()
        self.heads, self.head_dim = heads, head_dim(dim, heads)
        self.register_buffer("firing_rate_x", torch.zeros(1, 1, heads, 1, 1))
        self.register_buffer("firing_rate_attn", torch.zeros(1, 1, heads, 1, 1))
        self.activation_in = LIF()
        self.W = nn.Conv2d(dim, 2 * dim, patch, stride=patch, bias=False)
        self.norm = Norm(2 * dim)
        self.matmul1 = Matmul()
        self.activation_attn = LIF()
        self.matmul2 = Matmul()
        self.activation_out = LIF()
        self.Wproj = nn.Conv2d(dim, dim, 1, bias=False)
        self.norm_proj = Norm(dim)

    def forward(self, x: Tensor) -> Tensor:
        spikes = self.activation_in(x)
        y = self.through(spikes, "W", "norm").flatten(3).unflatten(2, (self.heads, 2 * self.head_dim))
        y1, y2 = y.split(self.head_dim, dim=3)  # each [T, B, heads, d, P]
        tokens = spikes.flatten(3).unflatten(2, (self.heads, self.head_dim))  # [T, B, heads, d, N]
        c1 = self.scale(self.firing_rate_x, tokens, self.head_dim)
        attention = self.activation_attn(self.matmul1(y1.transpose(-1, -2), tokens) * c1)  # [T, B, heads, P, N]
        c2 = self.scale(self.firing_rate_attn, attention, y.shape[-1])
        out = self.activation_out((self.matmul2(y2, attention) * c2).flatten(2, 3).unflatten(3, x.shape[3:]))
        return x + self.through(out, "Wproj", "norm_proj")

    def scale(self, rate: Tensor, spikes: Tensor, terms: int) -> Tensor:
        """1 / sqrt(rate * terms), after updating the running rate in training."""
        if self.training:
            seen = spikes.detach().mean(dim=(0, 1, 3, 4), keepdim=True)
            rate.copy_(torch.where(rate > 0, rate * MOMENTUM + seen * (1 - MOMENTUM), seen))
        return 1 / torch.sqrt(torch.where(rate > 0, rate, 1.0) * terms)


class FeedForward(SpikingUnits):
    """1x1 up, plus a 3x3 in groups of `group` channels, 1x1 down, plus the input; each LIF-conv-BN."""

    def __init__(self, dim: int, group: int) -> None:
        super().__init__()
        hidden = 4 * dim
        self.up = unit(nn.Conv2d(dim, hidden, 1, bias=False))
        self.conv = nn.ModuleList([unit(nn.Conv2d(hidden, hidden, 3, padding=1, groups=hidden // group, bias=False))])
        self.down = unit(nn.Conv2d(hidden, dim, 1, bias=False))

    def forward(self, x: Tensor) -> Tensor:
        u = self.through(x, "up.0", "up.1", "up.2")
        u = u + self.through(u, "conv.0.0", "conv.0.1", "conv.0.2")
        return x + self.through(u, "down.0", "down.1", "down.2")


def unit(conv: nn.Conv2d) -> nn.Sequential:
    """LIF, convolution, batch norm; a container for names, run part by part."""
    return nn.Sequential(LIF(), conv, Norm(conv.out_channels))


class Downsampling(SpikingUnits):
    """LIF-conv3x3 of stride 2-BN between stages."""

    def __init__(self, width_in: int, width: int) -> None:
        super().__init__()
        self.activation = LIF()
        self.conv = nn.Conv2d(width_in, width, 3, stride=2, padding=1, bias=False)
        self.norm = Norm(width)

    def forward(self, x: Tensor) -> Tensor:
        return self.through(x, "activation", "conv", "norm")


class SpikingResformer(SpikingUnits, SpikingClassifier):
    """SpikingResformer: images `[B, C, H, W]` or event frames `[B, T, C, H, W]` -> `[B, classes]`.

    Stages of `depths` pairs of attention and FFN with patches of 4, 2, 1. `stem` is "imagenet", 7x7 of stride 2 and a
    pool, or "cifar", 3x3 of stride 1. `group` is the width of a group in the FFN's 3x3. `tet` keeps the time axis,
    `[T, B, classes]`, as the official model does, whose caller averages.
    """

    def __init__(
        self,
        *,
        img_size: int | tuple[int, int] = 224,
        in_chans: int = 3,
        num_classes: int = 1000,
        dims: Sequence[int] = (64, 192, 384),
        num_heads: Sequence[int] = (1, 3, 6),
        depths: Sequence[int] = (1, 2, 3),
        stem: str = "imagenet",
        group: int = 64,
        tet: bool = False,
        time_steps: int = 4,
    ) -> None:
        super().__init__(img_size=img_size, in_chans=in_chans, num_classes=num_classes, time_steps=time_steps)
        if stem not in STEMS:
            raise ModelError(f"unknown stem {stem!r}; stems: {', '.join(STEMS)}")
        self.tet = tet
        kernel, stride, self.total_stride = STEMS[stem]
        first = nn.Conv2d(in_chans, dims[0], kernel, stride=stride, padding=kernel // 2, bias=False)
        pool = [max_pool()] if stem == "imagenet" else []
        self.prologue = nn.Sequential(first, Norm(dims[0]), *pool)
        self.layers = nn.ModuleList()
        for stage, (dim, heads, depth, patch) in enumerate(zip(dims, num_heads, depths, (4, 2, 1), strict=True)):
            parts: list[nn.Module] = [Downsampling(dims[stage - 1], dim)] if stage else []
            for _ in range(depth):
                parts += [DualSpikeAttention(dim, heads, patch), FeedForward(dim, group)]
            self.layers.append(nn.Sequential(*parts))
        self.classifier = nn.Linear(dims[-1], num_classes, bias=False)
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                nn.init.trunc_normal_(module.weight, std=0.02)

    def forward(self, x: Tensor) -> Tensor:
        x = self.through(self.frames(x), *(f"prologue.{part}" for part in range(len(self.prologue))))
        for stage in self.layers:
            x = stage(x)
        logits = self.classifier(x.flatten(3).mean(3))  # [T, B, classes]
        return logits if self.tet else logits.mean(0)


@register(PAPER)
def spikingresformer_ti(**kwargs: Any) -> SpikingResformer:
    """ImageNet; 11,180,992 parameters."""
    return SpikingResformer(**kwargs)


@register(PAPER)
def spikingresformer_s(**kwargs: Any) -> SpikingResformer:
    """ImageNet; 17,813,824 parameters."""
    return SpikingResformer(**{"dims": (64, 256, 512), "num_heads": (1, 4, 8)} | kwargs)


@register(PAPER)
def spikingresformer_m(**kwargs: Any) -> SpikingResformer:
    """ImageNet; 35,601,472 parameters."""
    return SpikingResformer(**{"dims": (64, 384, 768), "num_heads": (1, 6, 12)} | kwargs)


@register(PAPER)
def spikingresformer_l(**kwargs: Any) -> SpikingResformer:
    """ImageNet; 60,375,680 parameters."""
    return SpikingResformer(**{"dims": (128, 512, 1024), "num_heads": (2, 8, 16)} | kwargs)


@register("this project")
def spikingresformer_digits(**kwargs: Any) -> SpikingResformer:
    """A small SpikingResformer for 12 x 12 grey-scale digits; 164,208 parameters, T = 4. The official CIFAR stem (3x3
    of stride 1), widths 16-32-64, one pair in each stage in place of 1, 2, 3, groups of 16 channels in place of 64."""
    defaults: dict[str, Any] = {
        "img_size": 12,
        "in_chans": 1,
        "num_classes": 10,
        "dims": (16, 32, 64),
        "num_heads": (1, 2, 4),
        "depths": (1, 1, 1),
        "stem": "cifar",
        "group": 16,
    }
    return SpikingResformer(**defaults | kwargs)
