"""CML (Zhou et al., 2023, arXiv 2305.05954): Spikformer and Spikingformer with another embedding.

The pool of the embedding stands on the real output of batch norm, in front of the neuron: conv-BN-pool-LIF. Spikformer
has conv-BN-LIF-pool, Spikingformer LIF-pool-conv-BN. No parameter is added.

Source: zhouchenlin2096/Spikingformer-CML, commit 8e51213, which has code for Spikingformer on all data sets and for
Spikformer on CIFAR only. Its quirks: tau 1.75 in every neuron of the event models (Spikingformer: 1.5), and 8 heads on
CIFAR100 where CIFAR10 has 12, which changes numbers and no shape. CIFAR models have keys of their own; weights of
the ImageNet and event models fit Spikingformer's, too.
"""

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from msvit.classifier import SpikingClassifier
from msvit.layers import SpikingUnits
from msvit.models import spikingformer
from msvit.models.spikformer import Spikformer
from msvit.models.spikingformer import Spikingformer
from msvit.registry import register

PAPER = "Zhou et al., arXiv 2305.05954"


class SpikingformerEmbedding(spikingformer.Embedding):
    """Spikingformer's, with each pool in front of its neuron: conv3x3-BN, then four (pool)-LIF-conv3x3-BN steps."""

    def preactivated(self, name: str, x: Tensor) -> Tensor:
        parts = (f"{name}_{part}" for part in ("maxpool", "lif", "conv", "bn"))
        return self.unit_of(x, parts)


class SpikformerEmbedding(SpikingUnits):
    """Four conv3x3-BN-(pool)-LIF units of widths C/8, C/4, C/2, C, plus a branch that encodes relative position.

    `pools` says which units pool. `[T, B, C_in, H, W]` -> `[T, B, C, H / s, W / s]`, values 0..2.
    """

    def __init__(self, in_chans: int, dim: int, pools: Sequence[bool]) -> None:
        super().__init__()
        widths = (in_chans, dim // 8, dim // 4, dim // 2, dim)
        self.steps = [f"block{n}" for n in range(1, 5)]
        for name, width_in, width, pool in zip(self.steps, widths, widths[1:], pools, strict=False):
            self.add_unit(name, nn.Conv2d(width_in, width, 3, padding=1, bias=False), pool=pool)
        self.add_unit("rpe", nn.Conv2d(dim, dim, 3, padding=1, bias=False))

    def forward(self, x: Tensor) -> Tensor:
        for name in self.steps:
            x = self.spikes(name, x)
        return x + self.spikes("rpe", x)


def cml_spikingformer(**kwargs: Any) -> Spikingformer:
    """Spikingformer with CML; arguments are Spikingformer's."""
    return Spikingformer(**{"embedding": SpikingformerEmbedding} | kwargs)


@register(PAPER)
def cml_spikingformer_8_384(**kwargs: Any) -> Spikingformer:
    """ImageNet, width 384, 8 heads; 16,828,312 parameters."""
    return cml_spikingformer(**{"dim": 384} | kwargs)


@register(PAPER)
def cml_spikingformer_8_512(**kwargs: Any) -> Spikingformer:
    """ImageNet, width 512, 8 heads; 29,705,768 parameters."""
    return cml_spikingformer(**kwargs)


@register(PAPER)
def cml_spikingformer_8_768(**kwargs: Any) -> Spikingformer:
    """ImageNet, width 768, 8 heads; 66,363,208 parameters."""
    return cml_spikingformer(**{"dim": 768} | kwargs)


def cifar_args(dim: int, depth: int, heads: int) -> dict[str, Any]:
    """What all CIFAR models share, beside their size."""
    pools = (False, False, True, True)
    args = {"img_size": 32, "num_classes": 10, "dim": dim, "depth": depth, "num_heads": heads}
    return args | {"pools": pools, "qk_first": True}


@register(PAPER)
def cml_spikingformer_cifar(**kwargs: Any) -> Spikingformer:
    """CIFAR10 4-384: 4 blocks, 12 heads; 9,326,266 parameters."""
    return cml_spikingformer(**cifar_args(384, 4, 12) | kwargs)


@register(PAPER)
def cml_spikingformer_cifar100(**kwargs: Any) -> Spikingformer:
    """CIFAR100 4-384: 8 heads; 9,360,916 parameters (the published 9.32 M is the count with 10 classes)."""
    return cml_spikingformer(**cifar_args(384, 4, 8) | {"num_classes": 100} | kwargs)


@register(PAPER)
def cml_spikingformer_cifar_4_256(**kwargs: Any) -> Spikingformer:
    """CIFAR 4-256; 4,156,202 parameters. No official configuration names the heads; 8 are ours."""
    return cml_spikingformer(**cifar_args(256, 4, 8) | kwargs)


@register(PAPER)
def cml_spikingformer_cifar_2_384(**kwargs: Any) -> Spikingformer:
    """CIFAR 2-384; 5,765,818 parameters. No official configuration names the heads; 12 are ours."""
    return cml_spikingformer(**cifar_args(384, 2, 12) | kwargs)


@register(PAPER)
def cml_spikingformer_dvs(**kwargs: Any) -> Spikingformer:
    """CIFAR10-DVS 2-256: event frames `[B, T, 2, 128, 128]`, T = 16, tau 1.75, 16 heads; 2,568,714 parameters."""
    return cml_spikingformer(**spikingformer.event_args(tau=1.75) | kwargs)


@register(PAPER)
def cml_spikingformer_gesture(**kwargs: Any) -> Spikingformer:
    """DVS128 Gesture 2-256: as the CIFAR10-DVS model, with 11 classes; 2,568,971 parameters."""
    return cml_spikingformer(**spikingformer.event_args(tau=1.75) | {"num_classes": 11} | kwargs)


def cml_spikformer(**kwargs: Any) -> Spikformer:
    """Spikformer with CML, as its CIFAR code has it: linear layers."""
    defaults: dict[str, Any] = {"embedding": SpikformerEmbedding, "kind": "linear", "mlp_kind": "linear"}
    return Spikformer(**defaults | kwargs)


@register(PAPER)
def cml_spikformer_cifar(**kwargs: Any) -> Spikformer:
    """CIFAR10 4-384: 4 blocks, 12 heads; 9,330,874 parameters."""
    return cml_spikformer(**cifar_args(384, 4, 12) | kwargs)


@register(PAPER)
def cml_spikformer_cifar100(**kwargs: Any) -> Spikformer:
    """CIFAR100 4-384: 8 heads; 9,365,524 parameters (the published 9.32 M is the count with 10 classes)."""
    return cml_spikformer(**cifar_args(384, 4, 8) | {"num_classes": 100} | kwargs)


@register(PAPER)
def cml_spikformer_cifar_4_256(**kwargs: Any) -> Spikformer:
    """CIFAR 4-256; 4,159,274 parameters. No official configuration names the heads; 8 are ours."""
    return cml_spikformer(**cifar_args(256, 4, 8) | kwargs)


@register(PAPER)
def cml_spikformer_cifar_2_384(**kwargs: Any) -> Spikformer:
    """CIFAR 2-384; 5,768,122 parameters. No official configuration names the heads; 12 are ours."""
    return cml_spikformer(**cifar_args(384, 2, 12) | kwargs)


@register("this project")
def cml_spikingformer_digits(**kwargs: Any) -> SpikingClassifier:
    """The CIFAR model, small, for 12 x 12 grey-scale digits; 164,034 parameters, T = 4. Width 64, 2 blocks, 4 heads."""
    return cml_spikingformer_cifar(**{"img_size": 12, "in_chans": 1, "dim": 64, "depth": 2, "num_heads": 4} | kwargs)
