"""Spikingformer (Zhou et al., 2023, arXiv 2304.11954): Spikformer with pre-activation shortcuts.

A neuron stands in front of every convolution but the first; residuals add real membranes, so that all other
convolutions get spikes. The head gets a mean of membranes. The blocks' LayerNorms are official parameters that nothing
reads.
"""

from collections.abc import Callable, Sequence
from typing import Any

from torch import Tensor, nn

from msvit.attention import SpikeProduct, channels_first, head_dim, tokens_by_head
from msvit.classifier import SpikingClassifier
from msvit.layers import PreActivationMLP, ResidualBlock, SpikingUnits, linear_head, pointwise
from msvit.neuron import LIF
from msvit.registry import register

PAPER = "Zhou et al., arXiv 2304.11954"


class Embedding(SpikingUnits):
    """conv3x3-BN, then four LIF-(pool)-conv3x3-BN steps; widths C/8, C/4, C/2, C, C.

    `names` are the official names of the five units, `pools` says which of the four steps pool.
    `[T, B, C_in, H, W]` -> membranes `[T, B, C, H / s, W / s]`.
    """

    def __init__(self, in_chans: int, dim: int, pools: Sequence[bool], names: Sequence[str], tau: float) -> None:
        super().__init__()
        widths = (dim // 8, dim // 4, dim // 2, dim, dim)
        self.first, self.steps = names[0], tuple(names[1:])
        self.add_module(f"{names[0]}_conv", nn.Conv2d(in_chans, widths[0], 3, padding=1, bias=False))
        self.add_module(f"{names[0]}_bn", nn.BatchNorm2d(widths[0]))
        for name, width_in, width, pool in zip(self.steps, widths, widths[1:], pools, strict=False):
            self.add_preactivated(name, nn.Conv2d(width_in, width, 3, padding=1, bias=False), pool=pool, tau=tau)

    def forward(self, x: Tensor) -> Tensor:
        x = self.through(x, f"{self.first}_conv", f"{self.first}_bn")
        for name in self.steps:
            x = self.preactivated(name, x)
        return x


class Attention(SpikingUnits):
    """SSA on spikes of the membranes: `[T, B, C, H, W]` -> real numbers of the same shape, no neuron at the end.

    `first` is the official name of the neuron that stands first.
    """

    scale = 0.125

    def __init__(
        self, dim: int, heads: int, *, qk_first: bool = False, tau: float = 2.0, first: str = "proj_lif"
    ) -> None:
        super().__init__()
        head_dim(dim, heads)
        self.heads, self.first = heads, first
        self.add_module(first, LIF(tau=tau))
        for name in "qkv":
            self.add_module(f"{name}_conv", nn.Conv1d(dim, dim, 1, bias=False))
            self.add_module(f"{name}_bn", nn.BatchNorm1d(dim))
            self.add_module(f"{name}_lif", LIF(tau=tau))
        self.product = SpikeProduct(qk_first=qk_first)
        self.attn_lif = LIF(tau=tau, v_threshold=0.5)
        self.proj_conv = pointwise("conv1d", dim, dim)
        self.proj_bn = nn.BatchNorm1d(dim)

    def forward(self, x: Tensor) -> Tensor:
        spikes = self.through(x, self.first).flatten(3)  # [T, B, C, N]
        q, k, v = (tokens_by_head(self.spikes(name, spikes), self.heads) for name in "qkv")
        y = self.attn_lif(channels_first(self.product(q, k, v) * self.scale))
        return self.through(y, "proj_conv", "proj_bn").unflatten(3, x.shape[3:])


class Spikingformer(SpikingClassifier):
    """Spikingformer: images `[B, C, H, W]` or event frames `[B, T, C, H, W]` -> `[B, classes]`.

    `unit` is the official name of the embedding's units, "proj" or "block"; `qk_first` multiplies q k^T first; `tau` is
    that of every neuron; `embedding` makes the embedding, from the arguments of `Embedding`.
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
        unit: str = "proj",
        qk_first: bool = False,
        tau: float = 2.0,
        embedding: Callable[..., nn.Module] = Embedding,
        time_steps: int = 4,
    ) -> None:
        super().__init__(img_size=img_size, in_chans=in_chans, num_classes=num_classes, time_steps=time_steps)
        self.total_stride = 2 ** sum(pools)
        names = ("block0" if unit == "block" else "proj", *(f"{unit}{n}" for n in range(1, 5)))
        self.patch_embed = embedding(in_chans, dim, pools, names, tau)

        def block() -> ResidualBlock:
            attention = Attention(dim, num_heads, qk_first=qk_first, tau=tau)
            return ResidualBlock(attention, PreActivationMLP(dim, 4, ("mlp1", "mlp2"), tau=tau), norm_dim=dim)

        self.block = nn.ModuleList(block() for _ in range(depth))
        self.head = linear_head(dim, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.patch_embed(self.frames(x))
        for block in self.block:
            x = block(x)
        return self.head(x.flatten(3).mean(3).mean(0))


@register(PAPER)
def spikingformer_8_384(**kwargs: Any) -> Spikingformer:
    """ImageNet, width 384, 8 heads; 16,828,312 parameters."""
    return Spikingformer(**{"dim": 384} | kwargs)


@register(PAPER)
def spikingformer_8_512(**kwargs: Any) -> Spikingformer:
    """ImageNet, width 512, 8 heads; 29,705,768 parameters."""
    return Spikingformer(**kwargs)


@register(PAPER)
def spikingformer_8_768(**kwargs: Any) -> Spikingformer:
    """ImageNet, width 768, 8 heads; 66,363,208 parameters."""
    return Spikingformer(**{"dim": 768} | kwargs)


@register(PAPER)
def spikingformer_cifar(**kwargs: Any) -> Spikingformer:
    """CIFAR 4-384: 4 blocks, 12 heads; 9,326,266 parameters."""
    defaults: dict[str, Any] = {
        "img_size": 32,
        "num_classes": 10,
        "dim": 384,
        "depth": 4,
        "num_heads": 12,
        "pools": (False, False, True, True),
        "unit": "block",
        "qk_first": True,
    }
    return Spikingformer(**defaults | kwargs)


def event_args(tau: float) -> dict[str, Any]:
    """The two-block models for event frames `[B, T, 2, 128, 128]`, T = 16."""
    return {
        "img_size": 128,
        "in_chans": 2,
        "num_classes": 10,
        "dim": 256,
        "depth": 2,
        "num_heads": 16,
        "qk_first": True,
        "tau": tau,
        "time_steps": 16,
    }


@register(PAPER)
def spikingformer_dvs(**kwargs: Any) -> Spikingformer:
    """CIFAR10-DVS 2-256: event frames `[B, T, 2, 128, 128]`, T = 16, tau 1.5, 16 heads; 2,568,714 parameters."""
    return Spikingformer(**event_args(tau=1.5) | kwargs)


@register("this project")
def spikingformer_digits(**kwargs: Any) -> SpikingClassifier:
    """The CIFAR model, small, for 12 x 12 grey-scale digits; 164,034 parameters, T = 4. Width 64, 2 blocks, 4 heads."""
    return spikingformer_cifar(**{"img_size": 12, "in_chans": 1, "dim": 64, "depth": 2, "num_heads": 4} | kwargs)
