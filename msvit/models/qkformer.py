"""QKFormer (Zhou et al., NeurIPS 2024, arXiv 2403.16552): the ancestor of MSViT.

What differs from MSViT: token QK attention, a mask from the column sums of q alone, on k, in all stages but the last;
widths C/4, C/2, C; threshold 0.5 at the neuron after an attention; event models with two stages. The patch embedding,
SPEDS, is MSViT's SPEMSF.
"""

from collections.abc import Callable, Sequence
from typing import Any

from torch import Tensor, nn

from msvit.attention import MSSA, SSA
from msvit.classifier import SpikingClassifier
from msvit.layers import ResidualBlock, SpikingMLP, linear_head
from msvit.models.msvit import SPEMSF, MSViT
from msvit.registry import register

PAPER = "Zhou et al., NeurIPS 2024"
ATTN_THRESHOLD = 0.5


class QKFormer(MSViT):
    """The image models: MSViT with token QK attention in place of MSSA; arguments are MSViT's."""

    def __init__(self, **kwargs: Any) -> None:
        defaults: dict[str, Any] = {"branches": "q", "attn_threshold": ATTN_THRESHOLD}
        super().__init__(**defaults | kwargs)


def token_qk(dim: int, heads: int) -> MSSA:
    """Token QK attention."""
    return MSSA(dim, heads, branches="q", attn_threshold=ATTN_THRESHOLD)


class QKFormerEvent(SpikingClassifier):
    """The event-camera models: an embedding of stride 8, one QK block, one of stride 2, one SSA block, head.

    Event frames `[B, T, 2, H, W]`; `dim` is the last width. `widths` are those of the first embedding, whose last is
    that of the first stage, by default dim / 16 to dim / 2. `mssa` makes the attention of the first stage, from its
    width and heads.
    """

    total_stride = 16

    def __init__(
        self,
        *,
        img_size: int | tuple[int, int] = 128,
        in_chans: int = 2,
        num_classes: int = 10,
        dim: int = 256,
        widths: Sequence[int] | None = None,
        num_heads: int = 16,
        mlp_ratio: int = 1,
        mssa: Callable[[int, int], nn.Module] = token_qk,
        merge_time_and_batch: bool = False,
        time_steps: int = 16,
    ) -> None:
        super().__init__(img_size=img_size, in_chans=in_chans, num_classes=num_classes, time_steps=time_steps)
        widths = widths or (dim // 16, dim // 8, dim // 4, dim // 2)
        half = widths[-1]
        first = [("proj", in_chans, widths[0], False)]
        first += [(f"proj{n}", widths[n - 1], widths[n], True) for n in (1, 2, 3)]
        self.patch_embed1 = SPEMSF(first, stride=4, stem=2)
        qk = mssa(half, num_heads)
        ssa = SSA(dim, num_heads, merge_time_and_batch=merge_time_and_batch, attn_threshold=ATTN_THRESHOLD)
        names = ("mlp1", "mlp2")
        self.stage1 = nn.ModuleList([ResidualBlock(qk, SpikingMLP(half, mlp_ratio, names), name="tssa")])
        self.patch_embed2 = SPEMSF([("proj", half, dim, False), ("proj4", dim, dim, True)], stride=2)
        self.stage2 = nn.ModuleList([ResidualBlock(ssa, SpikingMLP(dim, mlp_ratio, names), name="ssa")])
        self.head = linear_head(dim, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.frames(x)  # [T, B, 2, H, W]
        x = self.patch_embed1(x)  # [T, B, C / 2, H / 8, W / 8]
        x = self.stage1[0](x)
        x = self.patch_embed2(x)  # [T, B, C, H / 16, W / 16]
        x = self.stage2[0](x)
        x = x.flatten(3).mean(3)  # [T, B, C], mean over tokens
        x = x.mean(0)  # [B, C], over time
        return self.head(x)  # [B, classes]


def imagenet_args(width: int, heads: int) -> dict[str, Any]:
    """The official ImageNet configurations differ in width and heads only."""
    return {
        "layout": "imagenet",
        "img_size": 224,
        "num_classes": 1000,
        "embed_dims": (width // 4, width // 2, width),
        "depths": (1, 2, 7),
        "num_heads": (heads, heads, heads),
    }


@register(PAPER)
def qkformer_10_384(**kwargs: Any) -> QKFormer:
    """ImageNet, width 384, 6 heads; 16,473,688 parameters."""
    return QKFormer(**imagenet_args(384, 6) | kwargs)


@register(PAPER)
def qkformer_10_512(**kwargs: Any) -> QKFormer:
    """ImageNet, width 512, 8 heads; 29,079,336 parameters."""
    return QKFormer(**imagenet_args(512, 8) | kwargs)


@register(PAPER)
def qkformer_10_768(**kwargs: Any) -> QKFormer:
    """ImageNet, width 768, 12 heads; 64,962,760 parameters."""
    return QKFormer(**imagenet_args(768, 12) | kwargs)


@register(PAPER)
def qkformer_cifar(**kwargs: Any) -> QKFormer:
    """CIFAR, width 384, depths 1, 1, 2, 8 heads in every stage, T = 4."""
    return QKFormer(**{"embed_dims": (96, 192, 384)} | kwargs)


@register(PAPER)
def qkformer_dvs(**kwargs: Any) -> QKFormerEvent:
    """CIFAR10-DVS, T = 16; 1,504,138 parameters."""
    return QKFormerEvent(**kwargs)


@register(PAPER)
def qkformer_gesture(**kwargs: Any) -> QKFormerEvent:
    """DVS128 Gesture, 11 classes, MLP ratio 4: 1,999,371 parameters (the paper prints 1.50 M for both)."""
    defaults: dict[str, Any] = {"num_classes": 11, "mlp_ratio": 4}
    return QKFormerEvent(**defaults | kwargs)


@register("this project")
def qkformer_digits(**kwargs: Any) -> QKFormer:
    """A small QKFormer of the CIFAR layout for 12 x 12 grey-scale digits; 190,850 parameters, T = 4. Widths C/4, C/2, C
    with C = 64, 4 heads; depths of the CIFAR model."""
    return QKFormer(**{"img_size": 12, "in_chans": 1, "embed_dims": (16, 32, 64), "num_heads": (4, 4, 4)} | kwargs)


@register("this project")
def qkformer_digits_dvs(**kwargs: Any) -> QKFormerEvent:
    """A small QKFormer for event frames `[B, T, 2, 32, 32]`; 180,081 parameters, T = 6. Width 88, 4 heads; blocks and
    MLP ratio of the CIFAR10-DVS model."""
    return QKFormerEvent(**{"img_size": 32, "dim": 88, "num_heads": 4, "time_steps": 6} | kwargs)
