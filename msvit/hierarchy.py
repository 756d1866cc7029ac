"""The three-stage body shared by MSViT and QKFormer: patch embeddings with two branches, blocks, head.

Residual sums are not thresholded: the stream between blocks holds small integers. Names are the official ones.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor, nn

from msvit.attention import MultiScaleSpikingAttention, SpikingSelfAttention
from msvit.classifier import SpikingClassifier
from msvit.errors import ModelError
from msvit.layers import ResidualBlock, SpikingMLP, SpikingUnits, linear_head


class PatchEmbedding(SpikingUnits):
    """SPEMSF: two branches, each ending in a neuron, added (equation 3): values 0, 1, 2.

    `main` lists the 3x3 units of branch G as (name, in, out, pool); branch F is one 1x1 convolution of stride `stride`.
    With `stem` that many of the units come first and both branches start from the spikes of the last of them.
    `[T, B, C_in, H, W]` -> `[T, B, C_out, H / s, W / s]`.
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
            x = self.spikes(name, x)
        y = x
        for name in self.main:
            y = self.spikes(name, y)
        return y + self.spikes("proj_res", x)


def first_embedding(in_chans: int, dim: int, *, early_pools: bool) -> PatchEmbedding:
    """The embedding of the input: stride 4 with pools, else 1."""
    half = dim // 2
    if early_pools:
        units = [("proj", in_chans, half, True), ("proj1", half, dim, True), ("proj2", dim, dim, False)]
        return PatchEmbedding(units, stride=2, stem=1)
    return PatchEmbedding([("proj", in_chans, half, False), ("proj1", half, dim, False)], stride=1, stem=1)


def later_embedding(dim_in: int, dim: int, *, early_pools: bool) -> PatchEmbedding:
    """An embedding between stages: stride 2, pooled before its first neuron (early) or before its last."""
    return PatchEmbedding([("proj3", dim_in, dim, early_pools), ("proj4", dim, dim, not early_pools)], stride=2)


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


class HierarchicalTransformer(SpikingClassifier):
    """Three stages of a patch embedding and blocks, then the head: MSViT and, with one branch, QKFormer.

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
        if layout not in LAYOUTS:
            raise ModelError(f"unknown layout {layout!r}; layouts: {', '.join(LAYOUTS)}")
        if wrong := set(attention) - set(ATTENTIONS):
            raise ModelError(f"unknown attention {min(wrong)!r}; attentions: {', '.join(ATTENTIONS)}")
        branches = (branches,) * 3 if isinstance(branches, str) else branches
        per_stage = {"embed_dims": embed_dims, "depths": depths, "num_heads": num_heads, "attention": attention}
        for name, values in (per_stage | {"branches": branches}).items():
            if len(values) != 3:
                raise ModelError(f"{name} must have 3 entries, one per stage, not {len(values)}")
        form = LAYOUTS[layout]
        self.total_stride = 16 if form.early_pools else 4

        def block(stage: int) -> ResidualBlock:
            dim, heads = embed_dims[stage], num_heads[stage]
            mlp = SpikingMLP(dim, mlp_ratio, form.mlp)
            if attention[stage] == "mssa":
                mssa = MultiScaleSpikingAttention(
                    dim, heads, branches=branches[stage], sum_p=sum_p, attn_threshold=attn_threshold
                )
                return ResidualBlock(mssa, mlp, name="tssa")
            ssa = SpikingSelfAttention(
                dim, heads, merge_time_and_batch=merge_time_and_batch, attn_threshold=attn_threshold
            )
            return ResidualBlock(ssa, mlp, name=form.ssa)

        self.patch_embed1 = first_embedding(in_chans, embed_dims[0], early_pools=form.early_pools)
        self.patch_embed2 = later_embedding(embed_dims[0], embed_dims[1], early_pools=form.early_pools)
        self.patch_embed3 = later_embedding(embed_dims[1], embed_dims[2], early_pools=form.early_pools)
        self.stage1, self.stage2, self.stage3 = (
            nn.ModuleList(block(stage) for _ in range(depths[stage])) for stage in range(3)
        )
        self.head = linear_head(embed_dims[2], num_classes)

    def forward_features(self, x: Tensor) -> Tensor:
        """Images or frames -> the residual stream after stage 3, `[T, B, C, H, W]`."""
        x = self.frames(x)
        for embed, stage in (
            (self.patch_embed1, self.stage1),
            (self.patch_embed2, self.stage2),
            (self.patch_embed3, self.stage3),
        ):
            x = embed(x)
            for block in stage:
                x = block(x)
        return x

    def forward(self, x: Tensor) -> Tensor:
        x = self.forward_features(x).flatten(3).mean(3)  # [T, B, C]
        return self.head(x.mean(0))
