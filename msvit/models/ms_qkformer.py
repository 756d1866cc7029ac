"""MS-QKFormer (Fang et al., NeurIPS 2025, arXiv 2505.18608): QKFormer with membrane shortcuts, Max-Former's rival.

The body is Max-Former's: residuals add real numbers, a neuron stands in front of every convolution but the first and of
the head, no branch ends in one. All stages attend: token QK attention first, spiking self-attention in the last.
Parameters are QKFormer's, to the digit.

Quirks. The shortcut of an embedding (1x1 convolution of stride 2) gets spikes that the main path made. Later embeddings
pool behind their first convolution for ImageNet, behind their second for CIFAR. ImageNet models have C/64 heads in all
stages, so that heads are 16, 32 and 64 channels wide. Neurons that the official modules build and never call are not
built here. There is no event model: the official one does not run as uploaded, for its embedding asks a part for a
second output that this part does not give.
"""

from typing import Any

from torch import Tensor

from msvit.attention import MSSA
from msvit.layers import ResidualBlock
from msvit.models import maxformer
from msvit.models.maxformer import Embedding, PreActivationStages, attention_block, full_size_embedding, mlp, part, unit
from msvit.registry import register


class QKAttention(MSSA):
    """Token QK attention on spikes of the membranes: `[T, B, C, H, W]` -> real numbers of the same shape.

    LIF(sum of q over the channels of a head), one value per head and token, lets k pass. `proj_lif` stands first.
    """

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__(dim, heads, branches="q", attn_threshold=0.5)

    def forward(self, x: Tensor) -> Tensor:
        y = self.attended(self.fire("proj", x).flatten(3))
        return self.currents("proj", y).unflatten(3, x.shape[3:])


def qk_block(dim: int, heads: int) -> ResidualBlock:
    return ResidualBlock(QKAttention(dim, heads), mlp(dim))


def first_embedding(in_chans: int, dim: int) -> Embedding:
    """The first for ImageNet, two pools, stride 4."""
    first, *second = unit(("proj_lif1", "proj_conv1", "proj_bn1", "maxpool1"), dim // 2, dim)
    stem = unit(("", "proj_conv", "proj_bn", "maxpool"), in_chans, dim // 2)
    third = unit(("proj_lif2", "proj_conv2", "proj_bn2", ""), dim, dim)
    shortcut = unit(("", "rpe_conv", "rpe_bn", ""), dim // 2, dim, kernel=1, stride=2)
    return Embedding([*stem, first], [*second, *third], shortcut)


def early_pool_embedding(dim_in: int, dim: int) -> Embedding:
    """The later ones for ImageNet, stride 2."""
    first, *second = unit(("init_lif", "proj3_conv", "proj3_bn", "proj3_maxpool"), dim_in, dim)
    third = unit(("proj3_lif", "proj4_conv", "proj4_bn", ""), dim, dim)
    shortcut = unit(("", "proj_res_conv", "proj_res_bn", ""), dim_in, dim, kernel=1, stride=2)
    return Embedding([first], [*second, *third], shortcut)


def late_pool_embedding(dim_in: int, dim: int) -> Embedding:
    """The later ones for CIFAR, stride 2."""
    first, *second = part("embed1", dim_in, dim)
    _, *shortcut = part("embed2", dim_in, dim, kernel=1, stride=2)
    return Embedding([first], [*second, *part("max_embed1", dim, dim)], shortcut)


def imagenet_model(dim: int, kwargs: dict[str, Any]) -> PreActivationStages:
    """Stages of 1, 2 and 7 blocks."""
    sizes = maxformer.imagenet_sizes(kwargs)
    first, second, heads = dim // 4, dim // 2, dim // 64
    embeddings = [
        first_embedding(sizes["in_chans"], first),
        early_pool_embedding(first, second),
        early_pool_embedding(second, dim),
    ]
    stages = [
        [qk_block(first, heads)],
        [qk_block(second, heads) for _ in range(2)],
        [attention_block(dim, heads) for _ in range(7)],
    ]
    return PreActivationStages(embeddings, stages, dim, total_stride=16, imagenet=True, **sizes)


@register(maxformer.PAPER)
def ms_qkformer_10_384(**kwargs: Any) -> PreActivationStages:
    """ImageNet, width 384, T = 1; 16,473,688 parameters."""
    return imagenet_model(384, kwargs)


@register(maxformer.PAPER)
def ms_qkformer_10_512(**kwargs: Any) -> PreActivationStages:
    """ImageNet, width 512, T = 1; 29,079,336 parameters."""
    return imagenet_model(512, kwargs)


@register(maxformer.PAPER)
def ms_qkformer_10_768(**kwargs: Any) -> PreActivationStages:
    """ImageNet, width 768, T = 1; 64,962,760 parameters."""
    return imagenet_model(768, kwargs)


@register(maxformer.PAPER)
def ms_qkformer_cifar(**kwargs: Any) -> PreActivationStages:
    """CIFAR, width 384, blocks 1, 1, 2, 8 heads, T = 4; 6,706,234 parameters (6,740,884 with 100 classes)."""
    sizes = maxformer.cifar_sizes(kwargs)
    embeddings = [
        full_size_embedding(sizes["in_chans"], 96),
        late_pool_embedding(96, 192),
        late_pool_embedding(192, 384),
    ]
    stages = [[qk_block(96, 8)], [qk_block(192, 8)], [attention_block(384, 8) for _ in range(2)]]
    return PreActivationStages(embeddings, stages, 384, total_stride=4, **sizes)
