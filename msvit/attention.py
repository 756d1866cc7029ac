"""Spiking attention: MSSA (equations 4 to 8), SSA (equations 9 to 12), and their products as modules.

What combines two activations has no weights, so nothing in a list of layers shows it. Here each such operation is a
small module that says what it does (`activation_op`), so that a profiler hooks it and names it like any layer.
"""

from collections.abc import Mapping

from torch import Tensor, nn

from msvit.errors import ModelError
from msvit.layers import SpikingUnits, pointwise
from msvit.neuron import LIF


class Matmul(nn.Module):
    """Product of two activations, `[..., n, k] @ [..., k, m]`."""

    activation_op = "matmul"

    def forward(self, left: Tensor, right: Tensor) -> Tensor:
        return left @ right


class SpikeProduct(nn.Module):
    """q k^T v of three spike tensors `[..., N, d]`, as two products in the order that `qk_first` says."""

    def __init__(self, *, qk_first: bool = False) -> None:
        super().__init__()
        self.qk_first = qk_first
        if qk_first:
            self.qk, self.qkv = Matmul(), Matmul()
        else:
            self.kv, self.qkv = Matmul(), Matmul()

    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        if self.qk_first:
            return self.qkv(self.qk(q, k.transpose(-1, -2)), v)
        return self.qkv(q, self.kv(k.transpose(-1, -2), v))


class ColumnSum(nn.Module):
    """Additions over the fourth axis, which is kept: SUM_c of equation 8 over the channels of each head,
    `[T, B, heads, d, N]` -> `[T, B, heads, 1, N]`, or a sum over tokens of `[T, B, heads, N, d]`.
    """

    activation_op = "column_sum"

    def forward(self, spikes: Tensor) -> Tensor:
        return spikes.sum(dim=3, keepdim=True)


class SpikeMask(nn.Module):
    """Element-wise product of two spike tensors: one lets the other pass (equation 7)."""

    activation_op = "mask"

    def forward(self, mask: Tensor, values: Tensor) -> Tensor:
        return mask * values


def head_dim(dim: int, heads: int) -> int:
    """Channels per head; raises ModelError when they do not divide."""
    if dim % heads:
        raise ModelError(f"{dim} channels do not divide into {heads} heads; the width must be a multiple of the heads")
    return dim // heads


def tokens_by_head(x: Tensor, heads: int) -> Tensor:
    """`[T, B, C, N]` -> `[T, B, heads, N, d]`; heads split the channels in order."""
    return x.unflatten(2, (heads, -1)).transpose(-1, -2)


def channels_first(x: Tensor) -> Tensor:
    """`[T, B, heads, N, d]` -> `[T, B, C, N]`, the inverse of `tokens_by_head`."""
    return x.transpose(-1, -2).flatten(2, 3)


# taps over the token line of each summed branch: p sees three tokens, q one (Table 3 names the combinations)
BRANCHES = {
    "p+q": {"q": 1, "p": 3},
    "p+p": {"q": 3, "p": 3},
    "q+q": {"q": 1, "p": 1},
    "p": {"p": 3},
    "q": {"q": 1},
}


class MSSA(SpikingUnits):
    """Multi-scale spiking attention of stages 1 and 2: a mask from column sums at two scales on the values k.

    `[T, B, C, H, W]` -> spikes of the same shape. The scales are q (1 tap) and p (3 taps). p runs over the row-major
    token line, so it mixes left and right neighbours and wraps at the ends of rows, as in the official code. The
    paper's V is the code's k.
    `branches` are the ablation's combinations (BRANCHES). `sum_p=False` adds p to the mask without summing it over the
    channels, so that the mask has one value per channel: what the official Q+Q file does.
    """

    def __init__(
        self, dim: int, heads: int, *, branches: str = "p+q", sum_p: bool = True, attn_threshold: float = 1.0
    ) -> None:
        super().__init__()
        if branches not in BRANCHES:
            raise ModelError(f"unknown MSSA branches {branches!r}; branches: {', '.join(BRANCHES)}")
        self.heads, self.head_dim = heads, head_dim(dim, heads)
        taps = BRANCHES[branches]
        for name in "qkp":  # the official order
            if name == "k" or name in taps:
                width = taps.get(name, 1)
                self.add_unit(name, nn.Conv1d(dim, dim, width, padding=width // 2, bias=False))
                if name != "k" and (name == "q" or sum_p):
                    self.add_module(f"{name}_sum", ColumnSum())
        self.units = tuple(name for name in "qkp" if name == "k" or name in taps)
        self.attn_lif = LIF(v_threshold=attn_threshold)
        self.mask = SpikeMask()
        self.add_unit("proj", nn.Conv1d(dim, dim, 1))

    def forward(self, x: Tensor) -> Tensor:
        y = self.attended(x.flatten(3))  # tokens row-major
        return self.spikes("proj", y).unflatten(3, x.shape[3:])  # [T, B, C, H, W]

    def attended(self, tokens: Tensor) -> Tensor:
        """What the mask lets pass of k: `[T, B, C, N]` -> spikes of the same shape."""
        spikes = {
            name: self.spikes(name, tokens).unflatten(2, (self.heads, self.head_dim)) for name in self.units
        }  # each [T, B, heads, d, N]
        scores = self.scores(spikes)
        attend = self.attn_lif(sum(scores[1:], scores[0]))
        return self.mask(attend, spikes["k"]).flatten(2, 3)

    def scores(self, spikes: Mapping[str, Tensor]) -> list[Tensor]:
        """The parts of the attention score, each `[T, B, heads, 1, N]`, from the spikes of all units."""
        return [self.score(name, spikes[name]) for name in self.units if name != "k"]

    def score(self, name: str, spikes: Tensor) -> Tensor:
        """A branch's part of the attention score: its column sum, or its spikes where it is not summed."""
        column_sum = self._modules.get(f"{name}_sum")
        return spikes if column_sum is None else column_sum(spikes)


class SSA(SpikingUnits):
    """Spiking self-attention: q k^T v times a constant per head, without softmax.

    `[T, B, C, H, W]` -> spikes of the same shape. `qk_first` multiplies q k^T (N x N) first, else k^T v (d x d): the
    same values by other work. `kind` is that of the point-wise synapses: "conv1d" (q, k, v without bias) or "linear".
    MSViT's and QKFormer's official code lets `proj_lif` run over time and batch as one axis, so that a sample's result
    depends on the samples before it; `merge_time_and_batch=True` reproduces that. By default every sample is computed
    as the official code computes it alone (batch of 1).
    """

    def __init__(
        self,
        dim: int,
        heads: int,
        *,
        kind: str = "conv1d",
        scale: float = 0.125,  # in most official files a constant, whatever the head's width
        qk_first: bool = False,
        merge_time_and_batch: bool = False,
        attn_threshold: float = 1.0,
    ) -> None:
        super().__init__()
        head_dim(dim, heads)
        self.heads = heads
        self.scale, self.merge_time_and_batch = scale, merge_time_and_batch
        for name in "qkv":
            self.add_unit(name, pointwise(kind, dim, dim, bias=kind == "linear"))
        self.product = SpikeProduct(qk_first=qk_first)
        self.attn_lif = LIF(v_threshold=attn_threshold)
        self.add_unit("proj", pointwise(kind, dim, dim))

    def forward(self, x: Tensor) -> Tensor:
        (time_steps, batch), size = x.shape[:2], x.shape[3:]  # T and B, H and W
        # each its own view of x, whose gradient is then summed in the order that recorded runs have
        q, k, v = (tokens_by_head(self.spikes(name, x.flatten(3)), self.heads) for name in "qkv")  # [T, B, heads, N, d]
        y = self.product(q, k, v) * self.scale
        y = self.attn_lif(channels_first(y))  # [T, B, C, N], head-major channels
        y = self.currents("proj", y)
        if self.merge_time_and_batch:
            y = self.fire("proj", y.flatten(0, 1)).unflatten(0, (time_steps, batch))
        else:
            y = self.fire("proj", y)
        return y.unflatten(3, size)  # [T, B, C, H, W]
