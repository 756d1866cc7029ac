"""Spiking attention: MSSA (equations 4 to 8), SSA (equations 9 to 12), and their products as modules.

What combines two activations has no weights, so nothing in a list of layers shows it. Here each such operation is a
small module that says what it does (`activation_op`) and which of its arguments carry spikes (`spike_operands`):
a profiler hooks it like any layer and need not guess.
"""

from torch import Tensor, nn

from msvit.errors import ModelError
from msvit.layers import SpikingUnits
from msvit.neuron import LIF


class Matmul(nn.Module):
    """Product of two activations, `[..., n, k] @ [..., k, m]`; `spike_operands` are the ones that carry spikes."""

    activation_op = "matmul"

    def __init__(self, spike_operands: tuple[int, ...]) -> None:
        super().__init__()
        self.spike_operands = spike_operands

    def forward(self, left: Tensor, right: Tensor) -> Tensor:
        return left @ right


class ColumnSum(nn.Module):
    """SUM_c of equation 8: additions over the channels of each head, `[T, B, heads, d, N]` -> `[T, B, heads, 1, N]`."""

    activation_op = "column_sum"
    spike_operands = (0,)

    def forward(self, spikes: Tensor) -> Tensor:
        return spikes.sum(dim=3, keepdim=True)


class SpikeMask(nn.Module):
    """Element-wise product of two spike tensors: one lets the other pass (equation 7)."""

    activation_op = "mask"
    spike_operands = (0, 1)

    def forward(self, mask: Tensor, values: Tensor) -> Tensor:
        return mask * values


def head_dim(dim: int, heads: int) -> int:
    """Channels per head; raises ModelError when they do not divide."""
    if dim % heads:
        raise ModelError(f"{dim} channels do not divide into {heads} heads; the width must be a multiple of the heads")
    return dim // heads


class MultiScaleSpikingAttention(SpikingUnits):
    """MSSA of stages 1 and 2: a mask from column sums at two scales, q (1 tap) and p (3 taps), on the values k.

    `[T, B, C, N]` -> currents for `proj_lif`, spikes `[T, B, C, N]`. p runs over the row-major token line, so it mixes
    left and right neighbours and wraps at the ends of rows, as in the official code. The paper's V is the code's k.
    """

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads, self.head_dim = heads, head_dim(dim, heads)
        self.add_unit("q", nn.Conv1d(dim, dim, 1, bias=False))
        self.add_unit("k", nn.Conv1d(dim, dim, 1, bias=False))
        self.add_unit("p", nn.Conv1d(dim, dim, 3, padding=1, bias=False))
        self.q_sum, self.p_sum = ColumnSum(), ColumnSum()
        self.attn_lif = LIF()
        self.mask = SpikeMask()
        self.add_unit("proj", nn.Conv1d(dim, dim, 1))

    def forward(self, x: Tensor) -> Tensor:
        q, k, p = (
            self.spikes(name, x).unflatten(2, (self.heads, self.head_dim)) for name in "qkp"
        )  # each [T, B, heads, d, N]
        attend = self.attn_lif(self.q_sum(q) + self.p_sum(p))  # [T, B, heads, 1, N]
        return self.spikes("proj", self.mask(attend, k).flatten(2, 3))


class SpikingSelfAttention(SpikingUnits):
    """SSA of stage 3: q (k^T v) * 0.125 per head, without softmax; k^T v first, d x d instead of N x N.

    `[T, B, C, N]` -> spikes of the same shape. The official code lets `proj_lif` run over time and batch as one axis,
    so that a sample's result depends on the samples before it; `merge_time_and_batch=True` reproduces that. By default
    every sample is computed as the official code computes it alone (batch of 1).
    """

    scale = 0.125  # constant in the official code, whatever the head's width

    def __init__(self, dim: int, heads: int, *, merge_time_and_batch: bool = False) -> None:
        super().__init__()
        self.heads, self.head_dim = heads, head_dim(dim, heads)
        self.merge_time_and_batch = merge_time_and_batch
        for name in "qkv":
            self.add_unit(name, nn.Conv1d(dim, dim, 1, bias=False))
        self.kv = Matmul(spike_operands=(0, 1))
        self.qkv = Matmul(spike_operands=(0,))
        self.attn_lif = LIF()
        self.add_unit("proj", nn.Conv1d(dim, dim, 1))

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = (
            self.spikes(name, x).unflatten(2, (self.heads, self.head_dim)).transpose(-1, -2) for name in "qkv"
        )  # each [T, B, heads, N, d]
        y = self.qkv(q, self.kv(k.transpose(-1, -2), v)) * self.scale  # [T, B, heads, N, d]
        y = self.attn_lif(y.transpose(-1, -2).flatten(2, 3))  # [T, B, C, N], head-major channels
        y = self.currents("proj", y)
        if self.merge_time_and_batch:
            return self.fire("proj", y.flatten(0, 1)).unflatten(0, y.shape[:2])
        return self.fire("proj", y)
