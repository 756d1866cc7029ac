"""MSViT (Hua et al., IJCAI 2025, arXiv 2505.14719): a three-stage spiking vision transformer.

Each stage is a patch embedding (SPEMSF, section 3.1.4) and blocks (equations 1 and 2) of an attention, MSSA in stages 1
and 2 or SSA in stage 3, and a spiking MLP; the mean over tokens and time feeds one linear layer. Activations run
`[T, B, C, H, W]`. Residual sums are not thresholded: the stream between blocks holds small integers. Names of
submodules are the official ones. The attentions are in `msvit/attention.py`, the units (synapses, batch norm, pool,
neuron) in `msvit/layers.py`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from msvit.attention import MSSA, SSA
from msvit.classifier import SpikingClassifier
from msvit.errors import ModelError
from msvit.layers import ResidualBlock, SpikingMLP, SpikingUnits, linear_head
from msvit.registry import register


class SPEMSF(SpikingUnits):
    """Spiking patch embedding with multi-scale feature fusion, Y = F(X) + G(X) (equation 3): values 0, 1, 2.

    `main` lists the 3x3 units of branch G as (name, in, out, pool); branch F is one 1x1 unit of stride `stride`. With
    `stem` that many of the units come first, and both branches start from the spikes of the last of them.
    `[T, B, C_in, H, W]` -> `[T, B, C_out, H / s, W / s]`. QKFormer calls it SPEDS.
    """

    def __init__(self, main: Sequence[tuple[str, int, int, bool]], stride: int, *, stem: int = 0) -> None:
        super().__init__()
        for name, width_in, width_out, pool in main:
            self.add_unit(name, nn.Conv2d(width_in, width_out, 3, padding=1, bias=False), pool=pool)
        names = [unit[0] for unit in main]
        self.stem, self.main = names[:stem], names[stem:]
        self.add_unit("proj_res", nn.Conv2d(main[stem][1], main[-1][2], 1, stride=stride, bias=False))

    def forward(self, x: Tensor) -> Tensor:
        for name in self.stem:
            x = self.spikes(name, x)  # [T, B, C_stem, H / s_stem, W / s_stem]
        y = x
        for name in self.main:
            y = self.spikes(name, y)  # the last: [T, B, C_out, H / s, W / s]
        return y + self.spikes("proj_res", x)  # the same shape


def first_embedding(in_chans: int, dim: int, *, early_pools: bool) -> SPEMSF:
    """SPEMSF-1, of the input: stride 4 with pools, else 1."""
    half = dim // 2
    if early_pools:
        units = [("proj", in_chans, half, True), ("proj1", half, dim, True), ("proj2", dim, dim, False)]
        return SPEMSF(units, stride=2, stem=1)
    return SPEMSF([("proj", in_chans, half, False), ("proj1", half, dim, False)], stride=1, stem=1)


def later_embedding(dim_in: int, dim: int, *, early_pools: bool) -> SPEMSF:
    """SPEMSF-2 and 3, between stages: stride 2, pooled before its first neuron (early) or before its last."""
    return SPEMSF([("proj3", dim_in, dim, early_pools), ("proj4", dim, dim, not early_pools)], stride=2)


@dataclass(frozen=True)
class Layout:
    """What differs between the official ImageNet and CIFAR files: where the pools stand, and names."""

    early_pools: bool  # ImageNet: before the first neuron of an embedding, total stride 16; CIFAR: before the last, 4
    ssa: str
    mlp: tuple[str, str]


LAYOUTS = {
    "imagenet": Layout(early_pools=True, ssa="attn", mlp=("fc1", "fc2")),
    "cifar": Layout(early_pools=False, ssa="ssa", mlp=("mlp1", "mlp2")),
}
ATTENTIONS = ("mssa", "ssa")


class MSViT(SpikingClassifier):
    """Three stages of a patch embedding and blocks, then the head.

    Input: images `[B, C, H, W]` of any size from the total stride up, repeated over `time_steps`, or event frames
    `[B, T, C, H, W]`. Output: `[B, classes]`. `embed_dims`, `depths`, `num_heads` and `attention` ("mssa" or "ssa") are
    given per stage, `branches` for all or per stage; the first convolution has half the first width. `layout` is
    "imagenet" (strides 4, 2, 2) or "cifar" (1, 2, 2). `branches` and `sum_p` are MSSA's, `merge_time_and_batch` SSA's
    (the official neuron that runs over time and batch as one axis); `attn_threshold` is that of the neuron which forms
    the attention. Wrong arguments or inputs raise ModelError.
    """

    def __init__(
        self,
        *,
        layout: str = "cifar",
        img_size: int | tuple[int, int] = 32,
        in_chans: int = 3,
        num_classes: int = 10,
        embed_dims: Sequence[int] = (192, 192, 384),
        depths: Sequence[int] = (1, 1, 2),
        num_heads: Sequence[int] = (8, 8, 8),
        mlp_ratio: int = 4,
        attention: Sequence[str] = ("mssa", "mssa", "ssa"),
        branches: str | Sequence[str] = "p+q",
        sum_p: bool = True,
        attn_threshold: float = 1.0,
        merge_time_and_batch: bool = False,
        time_steps: int = 4,
    ) -> None:
        super().__init__(img_size=img_size, in_chans=in_chans, num_classes=num_classes, time_steps=time_steps)
        branches = (branches,) * 3 if isinstance(branches, str) else branches
        per_stage = {"embed_dims": embed_dims, "depths": depths, "num_heads": num_heads, "attention": attention}
        check_arguments(layout, attention, per_stage | {"branches": branches})
        form = LAYOUTS[layout]
        self.total_stride = 16 if form.early_pools else 4

        def block(stage: int) -> ResidualBlock:
            dim, heads = embed_dims[stage], num_heads[stage]
            mlp = SpikingMLP(dim, mlp_ratio, form.mlp)
            if attention[stage] == "mssa":
                mssa = MSSA(dim, heads, branches=branches[stage], sum_p=sum_p, attn_threshold=attn_threshold)
                return ResidualBlock(mssa, mlp, name="tssa")
            ssa = SSA(dim, heads, merge_time_and_batch=merge_time_and_batch, attn_threshold=attn_threshold)
            return ResidualBlock(ssa, mlp, name=form.ssa)

        dim1, dim2, dim3 = embed_dims
        self.patch_embed1 = first_embedding(in_chans, dim1, early_pools=form.early_pools)
        self.patch_embed2 = later_embedding(dim1, dim2, early_pools=form.early_pools)
        self.patch_embed3 = later_embedding(dim2, dim3, early_pools=form.early_pools)
        self.stage1 = nn.ModuleList(block(0) for _ in range(depths[0]))
        self.stage2 = nn.ModuleList(block(1) for _ in range(depths[1]))
        self.stage3 = nn.ModuleList(block(2) for _ in range(depths[2]))
        self.head = linear_head(dim3, num_classes)

    def forward_features(self, x: Tensor) -> Tensor:
        """Images or frames -> the residual stream after stage 3, `[T, B, C, H, W]`."""
        x = self.frames(x)  # [T, B, C_in, H, W]
        x = self.patch_embed1(x)  # [T, B, C_1, H_1, W_1]; H_1 = H / 4, for CIFAR H
        for block in self.stage1:
            x = block(x)
        x = self.patch_embed2(x)  # [T, B, C_2, H_1 / 2, W_1 / 2]
        for block in self.stage2:
            x = block(x)
        x = self.patch_embed3(x)  # [T, B, C_3, H_1 / 4, W_1 / 4]
        for block in self.stage3:
            x = block(x)
        return x

    def forward(self, x: Tensor) -> Tensor:
        x = self.forward_features(x)  # [T, B, C_3, H_3, W_3]
        x = x.flatten(3).mean(3)  # [T, B, C_3], mean over tokens
        x = x.mean(0)  # [B, C_3], over time
        return self.head(x)  # [B, classes]


def check_arguments(layout: str, attention: Sequence[str], per_stage: dict[str, Sequence[Any]]) -> None:
    """ModelError for an unknown layout or attention, and for lists of other lengths than the three stages."""
    if layout not in LAYOUTS:
        raise ModelError(f"unknown layout {layout!r}; layouts: {', '.join(LAYOUTS)}")
    if wrong := set(attention) - set(ATTENTIONS):
        raise ModelError(f"unknown attention {min(wrong)!r}; attentions: {', '.join(ATTENTIONS)}")
    for name, values in per_stage.items():
        if len(values) != 3:
            raise ModelError(f"{name} must have 3 entries, one per stage, not {len(values)}")


PAPER = "Hua et al., IJCAI 2025"


def imagenet_args(width: int, heads: int) -> dict[str, Any]:
    """The official ImageNet configurations differ in width and heads only: 10 blocks, 224 x 224, T = 4."""
    return {
        "layout": "imagenet",
        "img_size": 224,
        "num_classes": 1000,
        "embed_dims": (width // 2, width // 2, width),
        "depths": (1, 2, 7),
        "num_heads": (heads, heads, heads),
    }


@register(PAPER)
def msvit_10_384(**kwargs: Any) -> MSViT:
    """ImageNet, width 384, 6 heads; 17,686,216 parameters."""
    return MSViT(**imagenet_args(384, 6) | kwargs)


@register(PAPER)
def msvit_10_512(**kwargs: Any) -> MSViT:
    """ImageNet, width 512, 8 heads; 31,232,616 parameters (the paper prints 30.23 M, a slip of a digit)."""
    return MSViT(**imagenet_args(512, 8) | kwargs)


@register(PAPER)
def msvit_10_768(**kwargs: Any) -> MSViT:
    """ImageNet, width 768, 12 heads; 69,802,408 parameters."""
    return MSViT(**imagenet_args(768, 12) | kwargs)


@register(PAPER)
def msvit_cifar(**kwargs: Any) -> MSViT:
    """The official CIFAR configuration: width 384, depths 1, 1, 2, 8 heads in every stage, T = 4."""
    return MSViT(**kwargs)


@register(PAPER)
def msvit_cifar_qq(**kwargs: Any) -> MSViT:
    """The official CIFAR100 file: not the paper's MSViT but its Q+Q ablation, with a P that is not summed."""
    defaults: dict[str, Any] = {"num_classes": 100, "branches": "q+q", "sum_p": False}
    return MSViT(**defaults | kwargs)


@register(PAPER)
def msvit_dvs(**kwargs: Any) -> MSViT:
    """Event frames `[B, T, 2, 128, 128]`, T = 16; 1,674,122 parameters with 10 classes (published: 1.67 M).

    Built from the paper: the official repository had event models in its first upload only, which do not run and give
    another count however they are repaired (msvit_upload.py). From the paper: three stages with strides 4, 2, 2, blocks
    0, 1, 1, maximum embedding 256, C_0 = 2 channels (positive, negative; the text also names their sum as a third,
    `in_chans=3`), T = 10 or 16. Ours, where the paper is silent: the ImageNet files' embeddings (their strides are the
    paper's); widths 128, 256 in stages 2 and 3 (halved as everywhere), and in stage 1, which has no block, 40: with 128
    as in the other sizes the count is 2.0 M, and 40 is the only multiple of 8 that rounds to 1.67 M; MLP ratio 1 and 16
    heads as in QKFormer's event model, from which the official code descends.
    """
    defaults: dict[str, Any] = {
        "layout": "imagenet",
        "img_size": 128,
        "in_chans": 2,
        "embed_dims": (40, 128, 256),
        "depths": (0, 1, 1),
        "num_heads": (8, 16, 16),
        "mlp_ratio": 1,
        "time_steps": 16,
    }
    return MSViT(**defaults | kwargs)


DIGITS: dict[str, Any] = {
    "img_size": 12,
    "in_chans": 1,
    "embed_dims": (32, 32, 64),
    "depths": (1, 1, 1),
    "num_heads": (4, 4, 4),
}


@register("this project")
def msvit_digits(**kwargs: Any) -> MSViT:
    """A small MSViT of the CIFAR layout for 12 x 12 grey-scale digits: width 64, one block per stage, 4 heads; 164,346
    parameters."""
    return MSViT(**DIGITS | kwargs)


@register("this project")
def msvit_digits_dvs(**kwargs: Any) -> MSViT:
    """A small MSViT of the ImageNet layout for event frames `[B, T, 2, 32, 32]`, T = 6; blocks {0, 1, 1} as the paper's
    event model; 203,946 parameters."""
    defaults: dict[str, Any] = {
        "layout": "imagenet",
        "img_size": 32,
        "in_chans": 2,
        "embed_dims": (32, 48, 64),
        "depths": (0, 1, 1),
        "num_heads": (4, 4, 4),
        "time_steps": 6,
    }
    return MSViT(**defaults | kwargs)
