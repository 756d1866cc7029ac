"""STAtten (Lee et al., CVPR 2025): Spike-driven Transformer with attention over space and time.

Embedding, MLP, head, parameters and keys are SDT's; the attention multiplies matrices. T is cut into chunks, and inside
a chunk the tokens of all its steps are one axis: each step sees keys and values of the others, later ones too, so that
the network answers a chunk at a time.

Source: Intelligent-Computing-Lab-Yale/STAtten, commit e9048a1. Its quirks: the factor of the attention depends on the
size of the image. test.py evaluates with chunks of 2 what was trained with 4 or 5, another network under the same keys
(here `chunk=2`). `--attention_mode` does not reach the model. `talking_heads` is a parameter that nothing reads.
Weights of all models fit SDT's, too.
"""

from functools import partial
from typing import Any

from torch import Tensor, nn

from msvit.attention import Matmul, SpikeMask, channels_first, head_dim, tokens_by_head
from msvit.classifier import SpikingClassifier
from msvit.errors import ModelError
from msvit.layers import SpikingUnits, pointwise
from msvit.models.sdt import SpikeDrivenTransformer, small_args
from msvit.neuron import LIF
from msvit.registry import register

PAPER = "Lee et al., CVPR 2025"


class Attention(SpikingUnits):
    """q (k^T v) over the tokens of `chunk` steps at a time, times 1 / H: `[T, B, C, H, W]` -> real numbers, same shape.

    `pooled` is the official event mode: a 3x3 max pool of stride 1 on the spikes of the input (p), and of q, k and v;
    the projection gets a p + p (0, 1, 2) for the attention's spikes a; the factor is 1 / (H H chunk). ModelError if T
    is no multiple of `chunk`. The official code multiplies all tokens of a chunk at once; here k^T v is made step by
    step and added up: the same whole numbers by the same MACs.
    """

    def __init__(self, dim: int, heads: int, *, pooled: bool, chunk: int) -> None:
        super().__init__()
        head_dim(dim, heads)
        self.heads, self.chunk, self.pooled = heads, chunk, pooled
        self.shortcut_lif = LIF()
        for name in "qkv":
            self.add_unit(name, pointwise("conv2d", dim, dim, bias=False))
        self.talking_heads = nn.Conv1d(heads, heads, 1, bias=False)
        self.kv, self.qkv = Matmul(), Matmul()
        self.attn_lif = LIF(v_threshold=0.5)
        if pooled:
            self.pool = nn.MaxPool3d((1, 3, 3), stride=1, padding=(0, 1, 1))
            self.mask = SpikeMask()
        self.proj_conv = pointwise("conv2d", dim, dim)
        self.proj_bn = nn.BatchNorm2d(dim)

    def forward(self, x: Tensor) -> Tensor:
        spikes = self.shortcut_lif(x)
        q, k, v = (self.tokens(self.spikes(name, spikes)) for name in "qkv")  # [T, B, heads, N, d]
        height = x.shape[3]
        scale = 1 / (height * height * self.chunk) if self.pooled else 1 / height
        y = self.qkv(q, self.over_chunks(self.kv(k.transpose(-1, -2), v))) * scale
        attended = self.attn_lif(channels_first(y)).unflatten(3, x.shape[3:])
        if self.pooled:
            pooled = self.pool(spikes)
            attended = self.mask(attended, pooled) + pooled
        return self.through(attended, "proj_conv", "proj_bn")

    def tokens(self, spikes: Tensor) -> Tensor:
        """`[T, B, C, H, W]` -> `[T, B, heads, N, d]`, pooled in event mode."""
        pooled = self.pool(spikes) if self.pooled else spikes
        return tokens_by_head(pooled.flatten(3), self.heads)

    def over_chunks(self, products: Tensor) -> Tensor:
        """`[T, ...]` -> the same shape: at each step the sum over the steps of its chunk."""
        check_chunk(len(products), self.chunk)
        chunks = products.unflatten(0, (-1, self.chunk))
        return chunks.sum(1, keepdim=True).expand_as(chunks).flatten(0, 1)


def check_chunk(time_steps: int, chunk: int) -> None:
    """ModelError unless T is a multiple of the chunk."""
    if chunk < 1 or time_steps % chunk:
        raise ModelError(f"T = {time_steps} is not a multiple of the attention's chunk of {chunk} time steps")


class STAtten(SpikeDrivenTransformer):
    """STAtten: `chunk` time steps attend to each other; T must be a multiple. Other arguments are SDT's, `pooled` the
    event mode."""

    def __init__(self, *, chunk: int = 2, **kwargs: Any) -> None:
        super().__init__(attention=partial(Attention, chunk=chunk), **kwargs)
        check_chunk(self.time_steps, chunk)


@register(PAPER)
def statten_8_512(**kwargs: Any) -> STAtten:
    """ImageNet, chunks of 2; 29,689,896 parameters."""
    return STAtten(**kwargs)


@register(PAPER)
def statten_8_768(**kwargs: Any) -> STAtten:
    """ImageNet, chunks of 2; 66,339,144 parameters."""
    return STAtten(**{"dim": 768} | kwargs)


@register(PAPER)
def statten_cifar(**kwargs: Any) -> STAtten:
    """CIFAR 2-512, chunks of 2; 10,233,546 parameters."""
    return STAtten(**small_args(512) | kwargs)


@register(PAPER)
def statten_cifar_2_256(**kwargs: Any) -> STAtten:
    """CIFAR 2-256, chunks of 2; 2,567,082 parameters."""
    return STAtten(**small_args(256) | kwargs)


@register(PAPER)
def statten_dvs(**kwargs: Any) -> STAtten:
    """CIFAR10-DVS 2-256: event frames `[B, T, 2, 64, 64]`, event mode, T = 10 in chunks of 5; 2,566,794 parameters.

    Officially also T = 16 in chunks of 4 (`time_steps=16, chunk=4`).
    """
    return STAtten(**event_args() | kwargs)


@register(PAPER)
def statten_caltech(**kwargs: Any) -> STAtten:
    """N-Caltech101 2-256: as the CIFAR10-DVS model, with 101 classes; 2,590,181 parameters."""
    return STAtten(**event_args() | {"num_classes": 101} | kwargs)


def event_args() -> dict[str, Any]:
    """The two-block models for event cameras."""
    events = {"img_size": 64, "in_chans": 2, "pooled": True, "time_steps": 10, "chunk": 5}
    return small_args(256) | events


@register("this project")
def statten_digits(**kwargs: Any) -> SpikingClassifier:
    """The CIFAR model, small, for 12 x 12 grey-scale digits; 163,554 parameters, T = 4. Width 64, 4 heads."""
    return statten_cifar(**{"img_size": 12, "in_chans": 1, "dim": 64, "num_heads": 4} | kwargs)
