"""MSViT (Hua et al., IJCAI 2025, arXiv 2505.14719): a three-stage spiking vision transformer.

Read top to bottom. An image is repeated over T; each patch embedding (SPEMSF, section 3.1.4) halves or keeps the
resolution; blocks with MSSA (stages 1, 2) or SSA (stage 3) and a spiking MLP follow; the mean over tokens and time
feeds one linear layer. Residual sums are not thresholded: the stream between blocks holds small integers.
Names of parameters are those of the official state dicts.
"""

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from msvit.attention import MultiScaleSpikingAttention, SpikingSelfAttention
from msvit.classifier import SpikingClassifier
from msvit.errors import ModelError
from msvit.layers import SpikingMLP, SpikingUnits
from msvit.registry import register


class PatchEmbedding(SpikingUnits):
    """SPEMSF: two branches, each ending in a neuron, added (equation 3): values 0, 1, 2.

    `main` lists the 3x3 units of branch G as (name, in, out, pool); branch F is one 1x1 convolution of stride `stride`.
    With `stem` a unit of the same form comes first and both branches start from its spikes.
    `[T, B, C_in, H, W]` -> `[T, B, C_out, H / s, W / s]`.
    """

    def __init__(self, main: Sequence[tuple[str, int, int, bool]], stride: int, *, stem: bool = False) -> None:
        super().__init__()
        for name, width_in, width_out, pool in main:
            self.add_unit(name, nn.Conv2d(width_in, width_out, 3, padding=1, bias=False), pool=pool)
        names = [unit[0] for unit in main]
        self.stem = names.pop(0) if stem else None
        self.main = names
        first, last = main[1 if stem else 0], main[-1]
        self.add_unit("proj_res", nn.Conv2d(first[1], last[2], 1, stride=stride, bias=False))

    def forward(self, x: Tensor) -> Tensor:
        if self.stem is not None:
            x = self.spikes(self.stem, x)
        y = x
        for name in self.main:
            y = self.spikes(name, y)
        return y + self.spikes("proj_res", x)


class Block(nn.Module):
    """x + attention(x), then x + MLP(x) (equations 1 and 2); attention sees tokens `[T, B, C, N]`, row-major."""

    def __init__(self, attention: nn.Module, mlp: SpikingMLP, attention_name: str) -> None:
        super().__init__()
        self.attention_name = attention_name
        self.add_module(attention_name, attention)
        self.mlp = mlp

    def forward(self, x: Tensor) -> Tensor:
        attention = self.get_submodule(self.attention_name)
        x = x + attention(x.flatten(3)).unflatten(3, x.shape[3:])  # [T, B, C, H, W]
        return x + self.mlp(x)


class MSViT(SpikingClassifier):
    """MSViT in its CIFAR layout: strides 1, 2, 2; widths C/4 (first convolution), C/2, C/2, C.

    Input: images `[B, C, H, W]`, repeated over `time_steps`, or event frames `[B, T, C, H, W]`. Output: `[B, classes]`.
    `depths` and `num_heads` are given per stage. `merge_time_and_batch` reproduces the official stage-3 neuron that
    runs over time and batch as one axis (see SpikingSelfAttention). Wrong arguments or inputs raise ModelError.
    """

    total_stride = 4

    def __init__(
        self,
        *,
        img_size: int = 32,
        in_chans: int = 3,
        num_classes: int = 10,
        embed_dim: int = 384,
        depths: tuple[int, int, int] = (1, 1, 2),
        num_heads: tuple[int, int, int] = (8, 8, 8),
        mlp_ratio: int = 4,
        time_steps: int = 4,
        merge_time_and_batch: bool = False,
    ) -> None:
        super().__init__(img_size=img_size, in_chans=in_chans, num_classes=num_classes, time_steps=time_steps)
        if embed_dim % 4:
            raise ModelError(f"embed_dim {embed_dim} is not a multiple of 4")
        quarter, half, full = embed_dim // 4, embed_dim // 2, embed_dim

        self.patch_embed1 = PatchEmbedding(
            [("proj", in_chans, quarter, False), ("proj1", quarter, half, False)], stride=1, stem=True
        )
        self.patch_embed2 = PatchEmbedding([("proj3", half, half, False), ("proj4", half, half, True)], stride=2)
        self.patch_embed3 = PatchEmbedding([("proj3", half, full, False), ("proj4", full, full, True)], stride=2)

        def mssa(dim: int, heads: int) -> Block:
            mlp = SpikingMLP(dim, mlp_ratio, ("mlp1", "mlp2"))
            return Block(MultiScaleSpikingAttention(dim, heads), mlp, "tssa")

        def ssa(dim: int, heads: int) -> Block:
            attention = SpikingSelfAttention(dim, heads, merge_time_and_batch=merge_time_and_batch)
            return Block(attention, SpikingMLP(dim, mlp_ratio, ("mlp1", "mlp2")), "ssa")

        self.stage1 = nn.ModuleList(mssa(half, num_heads[0]) for _ in range(depths[0]))
        self.stage2 = nn.ModuleList(mssa(half, num_heads[1]) for _ in range(depths[1]))
        self.stage3 = nn.ModuleList(ssa(full, num_heads[2]) for _ in range(depths[2]))
        self.head = nn.Linear(full, num_classes)
        nn.init.trunc_normal_(self.head.weight, std=0.02)
        nn.init.zeros_(self.head.bias)

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


@register(input_size=(3, 32, 32), source="Hua et al., IJCAI 2025")
def msvit_cifar(**kwargs: Any) -> MSViT:
    """The official CIFAR configuration: width 384, depths 1, 1, 2, 8 heads in every stage, T = 4."""
    return MSViT(**kwargs)


@register(input_size=(1, 12, 12), source="this project")
def msvit_digits(**kwargs: Any) -> MSViT:
    """A small MSViT of the same layout for 12 x 12 grey-scale digits: width 64, one block per stage, 4 heads."""
    small: dict[str, Any] = {
        "img_size": 12,
        "in_chans": 1,
        "embed_dim": 64,
        "depths": (1, 1, 1),
        "num_heads": (4, 4, 4),
    }
    return MSViT(**small | kwargs)
