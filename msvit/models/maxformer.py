"""Max-Former (Fang et al., NeurIPS 2025, arXiv 2505.18608): max pools in the embeddings, depthwise convolutions before
attention.

Membrane shortcuts: residuals add real numbers and a neuron stands in front of every convolution but the first and of
the head, so all others get spikes; no branch ends in a neuron. Pools stand behind batch norms, on real numbers. The
stages mix tokens by depthwise convolutions (in CIFAR's first stage not at all), the last one by spiking self-attention.

Quirks. The shortcut of an embedding has no neuron of its own: it gets spikes that the main path made. CIFAR's first
embedding has two neurons on one map, which fire alike. With an MLP ratio of 1 (event models) the MLP has a shortcut
inside as well. CIFAR and event models average the spikes of the head over time and classify once; the ImageNet models
classify at every step, the same values by other work. Depths are fixed, and so are heads (C/64, 8, 16), whatever the
official builders are asked for. Neurons that the official modules build and never call are not built here.
"""

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from msvit.classifier import SpikingClassifier
from msvit.layers import PreActivationMLP, ResidualBlock, SpikingUnits, linear_head, max_pool
from msvit.models.spikingformer import Attention
from msvit.neuron import LIF
from msvit.registry import register

PAPER = "Fang et al., NeurIPS 2025"
Step = tuple[str, nn.Module]  # official name and module


def unit(names: tuple[str, str, str, str], width_in: int, width: int, kernel: int = 3, stride: int = 1) -> list[Step]:
    """LIF, convolution, batch norm, max pool under their official names; an empty name leaves a part out."""
    conv = nn.Conv2d(width_in, width, kernel, stride, padding=kernel // 2, bias=False)
    parts: tuple[nn.Module, ...] = (LIF(), conv, nn.BatchNorm2d(width), max_pool())
    return [(name, module) for name, module in zip(names, parts, strict=True) if name]


def part(name: str, width_in: int, width: int, kernel: int = 3, stride: int = 1) -> list[Step]:
    """The unit of a submodule, whose own names are the same everywhere; it pools if its name says "max"."""
    pool = f"{name}.maxpool" if name.startswith("max") else ""
    names = (f"{name}.embed_lif", f"{name}.embed_conv", f"{name}.embed_bn", pool)
    return unit(names, width_in, width, kernel, stride)


class Embedding(SpikingUnits):
    """Two branches, summed, from what the stem leaves: `[T, B, C_in, H, W]` -> membranes `[T, B, C, H / s, W / s]`."""

    def __init__(self, stem: Sequence[Step], main: Sequence[Step], shortcut: Sequence[Step]) -> None:
        super().__init__()
        self.stem, self.main, self.shortcut = ([name for name, _ in steps] for steps in (stem, main, shortcut))
        for name, module in (*stem, *main, *shortcut):
            owner, _, leaf = name.rpartition(".")
            if owner and owner not in self._modules:
                self.add_module(owner, SpikingUnits())
            self.get_submodule(owner).add_module(leaf, module)

    def forward(self, x: Tensor) -> Tensor:
        x = self.through(x, *self.stem)
        return self.through(x, *self.main) + self.through(x, *self.shortcut)


def strided_embedding(in_chans: int, dim: int) -> Embedding:
    """The first for ImageNet, stride 4, without pools."""
    first, *second = part("embed2", dim // 2, dim, stride=2)
    _, *stem = part("embed1", in_chans, dim // 2, stride=2)
    _, *shortcut = part("embed4", dim // 2, dim, kernel=1, stride=2)
    return Embedding([*stem, first], [*second, *part("embed3", dim, dim)], shortcut)


def full_size_embedding(in_chans: int, dim: int) -> Embedding:
    """The first for CIFAR, stride 1; its shortcut has a neuron."""
    stem = unit(("", "proj_conv", "proj_bn", ""), in_chans, dim // 2)
    return Embedding(stem, part("embed1", dim // 2, dim), part("embed2", dim // 2, dim, kernel=1))


def event_embedding(in_chans: int, dim: int) -> Embedding:
    """The first for event frames: three pools, stride 8."""
    first, *second = part("max_embed2", dim // 4, dim // 2)
    _, *shortcut = part("embed1", dim // 4, dim, kernel=1, stride=4)
    stem = [*unit(("", "proj_conv", "proj_bn", ""), in_chans, dim // 8), *part("max_embed1", dim // 8, dim // 4)]
    return Embedding([*stem, first], [*second, *part("max_embed3", dim // 2, dim)], shortcut)


def pooled_embedding(dim_in: int, dim: int) -> Embedding:
    """Between stages, stride 2, a pool in both branches."""
    first, *second = part("max_embed1", dim_in, dim)
    _, *shortcut = part("max_embed2", dim_in, dim, kernel=1)
    return Embedding([first], [*second, *part("embed1", dim, dim)], shortcut)


class Depthwise(SpikingUnits):
    """LIF-depthwise convolution-BN: `[T, B, C, H, W]` -> real numbers of the same shape; `name` is the official one."""

    def __init__(self, dim: int, kernel: int, name: str) -> None:
        super().__init__()
        self.parts = (f"{name}_neuron", name, f"{name}_bn")
        self.add_module(self.parts[0], LIF())
        self.add_module(self.parts[1], nn.Conv2d(dim, dim, kernel, padding=kernel // 2, groups=dim))
        self.add_module(self.parts[2], nn.BatchNorm2d(dim))

    def forward(self, x: Tensor) -> Tensor:
        return self.unit_of(x, self.parts)


class ShortcutMLP(PreActivationMLP):
    """The MLP of ratio 1: with u = BN(conv(LIF(x))) it adds u + BN(conv(LIF(x + u))) to x."""

    def forward(self, x: Tensor) -> Tensor:
        first, second = self.names
        u = self.unit(first, x)
        return u + self.unit(second, x + u)


class MLPBlock(nn.Module):
    """A block that mixes no tokens: x + MLP(x)."""

    def __init__(self, mlp: nn.Module) -> None:
        super().__init__()
        self.mlp = mlp

    def forward(self, x: Tensor) -> Tensor:
        return x + self.mlp(x)


def mlp(dim: int, ratio: int = 4) -> PreActivationMLP:
    return (ShortcutMLP if ratio == 1 else PreActivationMLP)(dim, ratio, ("fc1", "fc2"))


def depthwise_block(dim: int, kernel: int, *, ratio: int = 4, name: str = "conv") -> ResidualBlock:
    return ResidualBlock(Depthwise(dim, kernel, name), mlp(dim, ratio), name="mixer")


def attention_block(dim: int, heads: int, *, ratio: int = 4) -> ResidualBlock:
    return ResidualBlock(Attention(dim, heads, first="x_lif"), mlp(dim, ratio))


class PreActivationStages(SpikingClassifier):
    """Embeddings and blocks on a real stream in turn, then neurons and the classifier.

    Images `[B, C, H, W]` or event frames `[B, T, C, H, W]` -> `[B, classes]`. `stages` are the blocks behind each
    embedding. `imagenet`: logits are averaged over time, not spikes, and it is the weights of Conv2d that start as a
    truncated normal 0.02, not those of the classifier.
    """

    def __init__(
        self,
        embeddings: Sequence[Embedding],
        stages: Sequence[Sequence[nn.Module]],
        dim: int,
        *,
        total_stride: int,
        imagenet: bool = False,
        img_size: int | tuple[int, int],
        in_chans: int,
        num_classes: int,
        time_steps: int,
    ) -> None:
        super().__init__(img_size=img_size, in_chans=in_chans, num_classes=num_classes, time_steps=time_steps)
        self.total_stride, self.imagenet = total_stride, imagenet
        self.stages = [(f"patch_embed{number}", f"stage{number}") for number in range(1, len(stages) + 1)]
        for (name, _), embedding in zip(self.stages, embeddings, strict=True):
            self.add_module(name, embedding)
        for (_, name), blocks in zip(self.stages, stages, strict=True):
            self.add_module(name, nn.Sequential(*blocks))
        self.head_lif = LIF()
        self.head = nn.Linear(dim, num_classes) if imagenet else linear_head(dim, num_classes)
        for module in self.modules():
            if imagenet and isinstance(module, nn.Conv2d):
                nn.init.trunc_normal_(module.weight, std=0.02)

    def forward(self, x: Tensor) -> Tensor:
        x = self.frames(x)
        for embedding, stage in self.stages:
            x = self.get_submodule(stage)(self.get_submodule(embedding)(x))
        spikes = self.head_lif(x.flatten(3).mean(3))  # [T, B, C]
        return self.head(spikes).mean(0) if self.imagenet else self.head(spikes.mean(0))


def imagenet_sizes(kwargs: dict[str, Any]) -> dict[str, Any]:
    """What the official ImageNet files have in common; T = 1."""
    return {"img_size": 224, "in_chans": 3, "num_classes": 1000, "time_steps": 1} | kwargs


def cifar_sizes(kwargs: dict[str, Any]) -> dict[str, Any]:
    """What the official CIFAR files have in common."""
    return {"img_size": 32, "in_chans": 3, "num_classes": 10, "time_steps": 4} | kwargs


def imagenet_model(dim: int, kwargs: dict[str, Any]) -> PreActivationStages:
    """Stages of 1, 2 and 7 blocks; C/64 heads."""
    sizes = imagenet_sizes(kwargs)
    first, second = dim // 4, dim // 2
    embeddings = [
        strided_embedding(sizes["in_chans"], first),
        pooled_embedding(first, second),
        pooled_embedding(second, dim),
    ]
    stages = [
        [depthwise_block(first, 7, name="conv5")],
        [depthwise_block(second, 5) for _ in range(2)],
        [attention_block(dim, dim // 64) for _ in range(7)],
    ]
    return PreActivationStages(embeddings, stages, dim, total_stride=16, imagenet=True, **sizes)


@register(PAPER)
def maxformer_10_384(**kwargs: Any) -> PreActivationStages:
    """ImageNet, width 384, T = 1; 16,237,240 parameters."""
    return imagenet_model(384, kwargs)


@register(PAPER)
def maxformer_10_512(**kwargs: Any) -> PreActivationStages:
    """ImageNet, width 512, T = 1; 28,653,480 parameters."""
    return imagenet_model(512, kwargs)


@register(PAPER)
def maxformer_10_768(**kwargs: Any) -> PreActivationStages:
    """ImageNet, width 768, T = 1; 63,992,200 parameters."""
    return imagenet_model(768, kwargs)


def cifar_model(dim: int, heads: int, kwargs: dict[str, Any]) -> PreActivationStages:
    """Stages of 1, 1 and 2 blocks, widths C/4, C/2, C; the first stage mixes no tokens."""
    sizes = cifar_sizes(kwargs)
    first, second = dim // 4, dim // 2
    embeddings = [
        full_size_embedding(sizes["in_chans"], first),
        pooled_embedding(first, second),
        pooled_embedding(second, dim),
    ]
    attention = [attention_block(dim, heads) for _ in range(2)]
    stages: list[list[nn.Module]] = [[MLPBlock(mlp(first))], [depthwise_block(second, 3)], [*attention]]
    return PreActivationStages(embeddings, stages, dim, total_stride=4, **sizes)


@register(PAPER)
def maxformer_cifar(**kwargs: Any) -> PreActivationStages:
    """CIFAR, width 384, blocks 1, 1, 2, T = 4; 6,568,282 parameters (6,602,932 with 100 classes)."""
    return cifar_model(384, 8, kwargs)


def event_model(kwargs: dict[str, Any]) -> PreActivationStages:
    """Event frames `[B, T, 2, 128, 128]`, T = 16: two stages of a block, MLP ratio 1."""
    sizes = {"img_size": 128, "in_chans": 2, "num_classes": 10, "time_steps": 16} | kwargs
    embeddings = [event_embedding(sizes["in_chans"], 128), pooled_embedding(128, 256)]
    stages = [[depthwise_block(128, 3, ratio=1)], [attention_block(256, 16, ratio=1)]]
    return PreActivationStages(embeddings, stages, 256, total_stride=16, **sizes)


@register(PAPER)
def maxformer_dvs(**kwargs: Any) -> PreActivationStages:
    """CIFAR10-DVS, T = 16; 1,455,626 parameters."""
    return event_model(kwargs)


@register(PAPER)
def maxformer_gesture(**kwargs: Any) -> PreActivationStages:
    """DVS128 Gesture, 11 classes; 1,455,883 parameters."""
    return event_model({"num_classes": 11} | kwargs)


@register("this project")
def maxformer_digits(**kwargs: Any) -> PreActivationStages:
    """The CIFAR model, small, for 12 x 12 grey-scale digits; 187,058 parameters, T = 4. Width 64, 4 heads."""
    return cifar_model(64, 4, {"img_size": 12, "in_chans": 1} | kwargs)
