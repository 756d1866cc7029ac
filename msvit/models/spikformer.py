"""Spikformer (Zhou et al., ICLR 2023, arXiv 2209.15425): convolutional embedding, then blocks of SSA and a spiking MLP.

Pools stand after the neurons, on spikes. Both branches of a block end in a neuron and their sum is not thresholded, so
the stream holds small integers. The LayerNorms and the event model's position embedding are in the official state
dicts and never used; here too.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from msvit.attention import SSA
from msvit.classifier import SpikingClassifier
from msvit.layers import ResidualBlock, SpikingMLP, SpikingUnits, linear_head, max_pool
from msvit.neuron import LIF
from msvit.registry import register

PAPER = "Zhou et al., ICLR 2023"


class Embedding(SpikingUnits):
    """Four conv3x3-BN-LIF-(pool) steps of widths C/8, C/4, C/2, C, plus a branch that encodes relative position.

    `pools` says after which steps spikes are pooled. `[T, B, C_in, H, W]` -> `[T, B, C, H / s, W / s]`, values 0..2.
    """

    def __init__(self, in_chans: int, dim: int, pools: Sequence[bool]) -> None:
        super().__init__()
        widths = (in_chans, dim // 8, dim // 4, dim // 2, dim)
        self.steps: list[list[str]] = []
        for suffix, width_in, width, pool in zip(("", "1", "2", "3"), widths, widths[1:], pools, strict=False):
            self.add_module(f"proj_conv{suffix}", nn.Conv2d(width_in, width, 3, padding=1, bias=False))
            self.add_module(f"proj_bn{suffix}", nn.BatchNorm2d(width))
            self.add_module(f"proj_lif{suffix}", LIF())
            names = [f"proj_conv{suffix}", f"proj_bn{suffix}", f"proj_lif{suffix}"]
            if pool:
                self.add_module(f"maxpool{suffix}", max_pool())
                names.append(f"maxpool{suffix}")
            self.steps.append(names)
        self.add_unit("rpe", nn.Conv2d(dim, dim, 3, padding=1, bias=False))

    def forward(self, x: Tensor) -> Tensor:
        for names in self.steps:
            x = self.through(x, *names)
        return x + self.spikes("rpe", x)


class Spikformer(SpikingClassifier):
    """Spikformer: embedding, `depth` blocks, mean over tokens and time, linear head.

    Images `[B, C, H, W]` or event frames `[B, T, C, H, W]` -> `[B, classes]`. `kind` and `mlp_kind` are the point-wise
    synapses of attention and MLP ("conv1d", "conv2d", "linear"), `scale` and `qk_first` are SSA's; `event` adds the
    unused parameters of the official event model. `embedding` makes the embedding, from the arguments of `Embedding`.
    """

    def __init__(
        self,
        *,
        img_size: int | tuple[int, int] = 224,
        in_chans: int = 3,
        num_classes: int = 1000,
        dim: int = 512,
        depth: int = 8,
        num_heads: int = 8,
        pools: Sequence[bool] = (True, True, True, True),
        kind: str = "conv1d",
        mlp_kind: str = "conv2d",
        scale: float = 0.125,
        qk_first: bool = False,
        event: bool = False,
        embedding: Callable[..., nn.Module] = Embedding,
        time_steps: int = 4,
    ) -> None:
        super().__init__(img_size=img_size, in_chans=in_chans, num_classes=num_classes, time_steps=time_steps)
        self.total_stride = 2 ** sum(pools)
        self.patch_embed = embedding(in_chans, dim, pools)
        if event:
            tokens = self.input_size[1] * self.input_size[2] // self.total_stride**2
            self.pos_embed = nn.Parameter(torch.zeros(1, tokens, dim))

        def block() -> ResidualBlock:
            attention = SSA(dim, num_heads, kind=kind, scale=scale, qk_first=qk_first, attn_threshold=0.5)
            return ResidualBlock(attention, SpikingMLP(dim, 4, ("fc1", "fc2"), kind=mlp_kind), norm_dim=dim)

        self.block = nn.ModuleList(block() for _ in range(depth))
        if event:
            self.norm = nn.LayerNorm(dim)
        self.head = linear_head(dim, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.patch_embed(self.frames(x))
        for block in self.block:
            x = block(x)
        return self.head(x.flatten(3).mean(3).mean(0))


@register(PAPER)
def spikformer_8_384(**kwargs: Any) -> Spikformer:
    """ImageNet, width 384; 16,828,312 parameters. No official builder: 6 heads, which keep the official head width."""
    return Spikformer(**{"dim": 384, "num_heads": 6} | kwargs)


@register(PAPER)
def spikformer_8_512(**kwargs: Any) -> Spikformer:
    """ImageNet, the official file: width 512, 8 heads; 29,705,768 parameters."""
    return Spikformer(**kwargs)


@register(PAPER)
def spikformer_8_768(**kwargs: Any) -> Spikformer:
    """ImageNet, width 768; 66,363,208 parameters. No official builder: 12 heads, which keep the official head width."""
    return Spikformer(**{"dim": 768, "num_heads": 12} | kwargs)


@register(PAPER)
def spikformer_cifar(**kwargs: Any) -> Spikformer:
    """CIFAR 4-384: 4 blocks, 12 heads, linear layers, q k^T first; 9,330,874 parameters."""
    defaults: dict[str, Any] = {
        "img_size": 32,
        "num_classes": 10,
        "dim": 384,
        "depth": 4,
        "num_heads": 12,
        "pools": (False, False, True, True),
        "kind": "linear",
        "mlp_kind": "linear",
        "qk_first": True,
    }
    return Spikformer(**defaults | kwargs)


@register(PAPER)
def spikformer_dvs(**kwargs: Any) -> Spikformer:
    """CIFAR10-DVS 2-256: event frames `[B, T, 2, 128, 128]`, T = 16, 16 heads; 2,585,610 parameters."""
    defaults: dict[str, Any] = {
        "img_size": 128,
        "in_chans": 2,
        "num_classes": 10,
        "dim": 256,
        "depth": 2,
        "num_heads": 16,
        "mlp_kind": "conv1d",
        "scale": 0.25,
        "qk_first": True,
        "event": True,
        "time_steps": 16,
    }
    return Spikformer(**defaults | kwargs)


@register("this project")
def spikformer_digits(**kwargs: Any) -> SpikingClassifier:
    """The CIFAR model, small, for 12 x 12 grey-scale digits; 164,418 parameters, T = 4. Width 64, 2 blocks, 4 heads."""
    return spikformer_cifar(**{"img_size": 12, "in_chans": 1, "dim": 64, "depth": 2, "num_heads": 4} | kwargs)


@register("this project")
def spikformer_digits_dvs(**kwargs: Any) -> SpikingClassifier:
    """The event model, small, for event frames `[B, T, 2, 32, 32]`; 164,490 parameters, T = 6. Width 64,
    2 blocks, 4 heads."""
    return spikformer_dvs(**{"img_size": 32, "dim": 64, "num_heads": 4, "time_steps": 6} | kwargs)
