"""Spike-driven Transformer (Yao et al., NeurIPS 2023, arXiv 2307.01694).

Membrane shortcuts: residuals add real numbers and a neuron stands in front of every convolution but the first and of
the head, so all others get spikes. Attention multiplies no matrices: a mask per channel from the sum over tokens of
k * v lets q pass. `talking_heads` is an official parameter that nothing reads.
"""

from collections.abc import Callable, Sequence
from typing import Any

from torch import Tensor, nn

from msvit.attention import ColumnSum, SpikeMask, channels_first, head_dim, tokens_by_head
from msvit.classifier import SpikingClassifier
from msvit.layers import PreActivationMLP, ResidualBlock, SpikingUnits, max_pool, pointwise
from msvit.neuron import LIF
from msvit.registry import register

PAPER = "Yao et al., NeurIPS 2023"


class Embedding(SpikingUnits):
    """Three conv3x3-BN-LIF-(pool) steps, then f = conv3x3-BN-(pool on real numbers); f + BN(conv3x3(LIF(f))).

    Widths C/8, C/4, C/2, C; `pools` says which steps pool. `[T, B, C_in, H, W]` -> membranes `[T, B, C, H / s, W / s]`.
    """

    def __init__(self, in_chans: int, dim: int, pools: Sequence[bool]) -> None:
        super().__init__()
        widths = (in_chans, dim // 8, dim // 4, dim // 2, dim)
        self.steps: list[str] = []
        for suffix, width_in, width, pool in zip(("", "1", "2", "3"), widths, widths[1:], pools, strict=False):
            self.add_module(f"proj_conv{suffix}", nn.Conv2d(width_in, width, 3, padding=1, bias=False))
            self.add_module(f"proj_bn{suffix}", nn.BatchNorm2d(width))
            self.add_module(f"proj_lif{suffix}", LIF())
            last = suffix == "3"  # its neuron belongs to the branch behind
            self.steps += [f"proj_conv{suffix}", f"proj_bn{suffix}"] + ([] if last else [f"proj_lif{suffix}"])
            if pool:
                self.add_module(f"maxpool{suffix}", max_pool())
                self.steps.append(f"maxpool{suffix}")
        self.rpe_conv = nn.Conv2d(dim, dim, 3, padding=1, bias=False)
        self.rpe_bn = nn.BatchNorm2d(dim)

    def forward(self, x: Tensor) -> Tensor:
        x = self.through(x, *self.steps)
        return x + self.through(x, "proj_lif3", "rpe_conv", "rpe_bn")


class Attention(SpikingUnits):
    """Spike-driven self-attention: q masked by LIF(sum over tokens of k * v), one value per head and channel.

    `[T, B, C, H, W]` -> real numbers of the same shape. `pooled` is the official event mode: a 3x3 max pool of stride 1
    on k, on v, and, over the token line and the channels of a head, on k * v and on the masked q.
    """

    def __init__(self, dim: int, heads: int, *, pooled: bool) -> None:
        super().__init__()
        head_dim(dim, heads)
        self.heads = heads
        self.shortcut_lif = LIF()
        for name in "qkv":
            self.add_unit(name, pointwise("conv2d", dim, dim, bias=False))
        self.talking_heads = nn.Conv1d(heads, heads, 1, bias=False)
        self.kv, self.kv_sum, self.mask = SpikeMask(), ColumnSum(), SpikeMask()
        self.talking_heads_lif = LIF(v_threshold=0.5)
        self.pool = nn.MaxPool3d((1, 3, 3), stride=1, padding=(0, 1, 1)) if pooled else nn.Identity()
        self.proj_conv = pointwise("conv2d", dim, dim)
        self.proj_bn = nn.BatchNorm2d(dim)

    def forward(self, x: Tensor) -> Tensor:
        spikes = self.shortcut_lif(x)
        q, k, v = self.spikes("q", spikes), self.pool(self.spikes("k", spikes)), self.pool(self.spikes("v", spikes))
        q, k, v = (tokens_by_head(part.flatten(3), self.heads) for part in (q, k, v))  # [T, B, heads, N, d]
        mask = self.talking_heads_lif(self.kv_sum(self.pool(self.kv(k, v))))  # [T, B, heads, 1, d]
        y = channels_first(self.pool(self.mask(mask, q))).unflatten(3, x.shape[3:])
        return self.through(y, "proj_conv", "proj_bn")


class SpikeDrivenTransformer(SpikingClassifier):
    """SDT: images `[B, C, H, W]` or event frames `[B, T, C, H, W]` -> `[B, classes]`.

    `pools` says which embedding steps pool (the official `pooling_stat`), `pooled` switches the official event mode of
    the attention on, and `tet` keeps the time axis, `[T, B, classes]`, as training with TET wants it. `attention` makes
    the attention of a block, from the arguments of `Attention`.
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
        pooled: bool = False,
        tet: bool = False,
        attention: Callable[..., nn.Module] = Attention,
        time_steps: int = 4,
    ) -> None:
        super().__init__(img_size=img_size, in_chans=in_chans, num_classes=num_classes, time_steps=time_steps)
        self.total_stride, self.tet = 2 ** sum(pools), tet
        self.patch_embed = Embedding(in_chans, dim, pools)
        self.block = nn.ModuleList(
            ResidualBlock(attention(dim, num_heads, pooled=pooled), PreActivationMLP(dim, 4, ("fc1", "fc2")))
            for _ in range(depth)
        )
        self.head_lif = LIF()
        self.head = nn.Linear(dim, num_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.trunc_normal_(module.weight, std=0.02)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def forward(self, x: Tensor) -> Tensor:
        x = self.patch_embed(self.frames(x))
        for block in self.block:
            x = block(x)
        logits = self.head(self.head_lif(x.flatten(3).mean(3)))  # [T, B, classes]
        return logits if self.tet else logits.mean(0)


@register(PAPER)
def sdt_8_384(**kwargs: Any) -> SpikeDrivenTransformer:
    """ImageNet; 16,816,536 parameters."""
    return SpikeDrivenTransformer(**{"dim": 384} | kwargs)


@register(PAPER)
def sdt_8_512(**kwargs: Any) -> SpikeDrivenTransformer:
    """ImageNet; 29,689,896 parameters."""
    return SpikeDrivenTransformer(**kwargs)


@register(PAPER)
def sdt_8_768(**kwargs: Any) -> SpikeDrivenTransformer:
    """ImageNet; 66,339,144 parameters."""
    return SpikeDrivenTransformer(**{"dim": 768} | kwargs)


@register(PAPER)
def sdt_10_512(**kwargs: Any) -> SpikeDrivenTransformer:
    """ImageNet, 10 blocks; 36,006,056 parameters. The repository's file "10_384" builds this one."""
    return SpikeDrivenTransformer(**{"depth": 10} | kwargs)


@register(PAPER)
def sdt_6_512(**kwargs: Any) -> SpikeDrivenTransformer:
    """ImageNet, 6 blocks; 23,373,736 parameters."""
    return SpikeDrivenTransformer(**{"depth": 6} | kwargs)


def small_args(dim: int) -> dict[str, Any]:
    """The two-block models for CIFAR and event cameras."""
    return {"img_size": 32, "num_classes": 10, "dim": dim, "depth": 2, "pools": (False, False, True, True)}


@register(PAPER)
def sdt_cifar(**kwargs: Any) -> SpikeDrivenTransformer:
    """CIFAR 2-512; 10,233,546 parameters."""
    return SpikeDrivenTransformer(**small_args(512) | kwargs)


@register(PAPER)
def sdt_cifar_2_256(**kwargs: Any) -> SpikeDrivenTransformer:
    """CIFAR 2-256; 2,567,082 parameters."""
    return SpikeDrivenTransformer(**small_args(256) | kwargs)


@register(PAPER)
def sdt_dvs(**kwargs: Any) -> SpikeDrivenTransformer:
    """CIFAR10-DVS 2-256: event frames `[B, T, 2, 64, 64]`, T = 10, event mode; 2,566,794 parameters."""
    defaults: dict[str, Any] = {"img_size": 64, "in_chans": 2, "pooled": True, "time_steps": 10}
    return SpikeDrivenTransformer(**small_args(256) | defaults | kwargs)


@register(PAPER)
def sdt_gesture(**kwargs: Any) -> SpikeDrivenTransformer:
    """DVS128 Gesture 2-256: event frames `[B, T, 2, 128, 128]`, T = 16; 2,567,051 parameters. Event mode is off."""
    defaults: dict[str, Any] = {
        "img_size": 128,
        "in_chans": 2,
        "num_classes": 11,
        "pools": (False, True, True, True),
        "time_steps": 16,
    }
    return SpikeDrivenTransformer(**small_args(256) | defaults | kwargs)


@register("this project")
def sdt_digits(**kwargs: Any) -> SpikingClassifier:
    """The CIFAR model, small, for 12 x 12 grey-scale digits; 163,554 parameters, T = 4. Width 64, 4 heads."""
    return sdt_cifar(**{"img_size": 12, "in_chans": 1, "dim": 64, "num_heads": 4} | kwargs)


@register("this project")
def sdt_digits_dvs(**kwargs: Any) -> SpikingClassifier:
    """The CIFAR10-DVS model, small, for event frames `[B, T, 2, 32, 32]`; 163,626 parameters, T = 6. Width 64, 4 heads,
    one pool more, which leaves 4 x 4 tokens."""
    defaults: dict[str, Any] = {"img_size": 32, "dim": 64, "num_heads": 4, "pools": (False, True, True, True)}
    return sdt_dvs(**defaults | {"time_steps": 6} | kwargs)
