"""MSViT (Hua et al., IJCAI 2025, arXiv 2505.14719): a three-stage spiking vision transformer.

An image is repeated over T; each patch embedding (SPEMSF, section 3.1.4) halves or keeps the resolution; blocks with
MSSA (stages 1, 2) or SSA (stage 3) and a spiking MLP follow; the mean over tokens and time feeds one linear layer.
The body is `msvit/hierarchy.py`, the attentions `msvit/attention.py`; this file says which sizes exist.
"""

from typing import Any

from msvit.hierarchy import HierarchicalTransformer
from msvit.registry import register

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
def msvit_10_384(**kwargs: Any) -> HierarchicalTransformer:
    """ImageNet, width 384, 6 heads; 17,686,216 parameters."""
    return HierarchicalTransformer(**imagenet_args(384, 6) | kwargs)


@register(PAPER)
def msvit_10_512(**kwargs: Any) -> HierarchicalTransformer:
    """ImageNet, width 512, 8 heads; 31,232,616 parameters (the paper prints 30.23 M, a slip of a digit)."""
    return HierarchicalTransformer(**imagenet_args(512, 8) | kwargs)


@register(PAPER)
def msvit_10_768(**kwargs: Any) -> HierarchicalTransformer:
    """ImageNet, width 768, 12 heads; 69,802,408 parameters."""
    return HierarchicalTransformer(**imagenet_args(768, 12) | kwargs)


@register(PAPER)
def msvit_cifar(**kwargs: Any) -> HierarchicalTransformer:
    """The official CIFAR configuration: width 384, depths 1, 1, 2, 8 heads in every stage, T = 4."""
    return HierarchicalTransformer(**kwargs)


@register(PAPER)
def msvit_cifar_qq(**kwargs: Any) -> HierarchicalTransformer:
    """The official CIFAR100 file: not the paper's MSViT but its Q+Q ablation, with a P that is not summed."""
    defaults: dict[str, Any] = {"num_classes": 100, "branches": "q+q", "sum_p": False}
    return HierarchicalTransformer(**defaults | kwargs)


@register(PAPER)
def msvit_dvs(**kwargs: Any) -> HierarchicalTransformer:
    """Event frames `[B, T, 2, 128, 128]`, T = 16; 1,674,122 parameters with 10 classes (published: 1.67 M).

    This model was never released. From the paper: three stages with strides 4, 2, 2, blocks 0, 1, 1, maximum embedding
    256, C_0 = 2 channels (positive, negative; the text also names their sum as a third, `in_chans=3`), T = 10 or 16.
    Ours, where the paper is silent: the ImageNet files' embeddings (their strides are the paper's); widths 128, 256
    in stages 2 and 3 (halved as everywhere), and in stage 1, which has no block, 40: with 128 as in the other sizes the
    count is 2.0 M, and 40 is the only multiple of 8 that rounds to 1.67 M; MLP ratio 1 and 16 heads as in QKFormer's
    event model, from which the official code descends.
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
    return HierarchicalTransformer(**defaults | kwargs)


@register("this project")
def msvit_digits(**kwargs: Any) -> HierarchicalTransformer:
    """A small MSViT of the CIFAR layout for 12 x 12 grey-scale digits: width 64, one block per stage, 4 heads."""
    defaults: dict[str, Any] = {
        "img_size": 12,
        "in_chans": 1,
        "embed_dims": (32, 32, 64),
        "depths": (1, 1, 1),
        "num_heads": (4, 4, 4),
    }
    return HierarchicalTransformer(**defaults | kwargs)


@register("this project")
def msvit_digits_dvs(**kwargs: Any) -> HierarchicalTransformer:
    """A small MSViT of the ImageNet layout for event frames `[B, T, 2, 32, 32]`, T = 6; blocks {0, 1, 1} as the paper's
    event model."""
    defaults: dict[str, Any] = {
        "layout": "imagenet",
        "img_size": 32,
        "in_chans": 2,
        "embed_dims": (32, 48, 64),
        "depths": (0, 1, 1),
        "num_heads": (4, 4, 4),
        "time_steps": 6,
    }
    return HierarchicalTransformer(**defaults | kwargs)
