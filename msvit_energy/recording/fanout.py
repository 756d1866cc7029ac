"""How many synapses each input element of an operator reaches. Depends on geometry alone, never on values.

Events are then sums of values times synapses reached, without running the operator a second time: a spike in the
corner of a padded 3 x 3 convolution reaches 4 taps per output channel, one that a stride skips reaches none.
"""

from collections.abc import Sequence
from functools import lru_cache

import torch
from torch import Tensor
from torch.nn import functional as F

from msvit_energy.meta_tensors import with_values


@lru_cache(maxsize=4096)
@with_values()  # what is kept must have values, whoever asks first
def reached_on_axis(size: int, taps: int, stride: int, dilation: int, before: int, after: int, mode: str) -> Tensor:
    """Taps that read each of `size` positions of a convolution's input along one axis, `[size]`.

    `before` and `after` positions are padded: with zeros, or with copies of inputs (`mode` as for torch's pad).
    """
    positions = torch.arange(size, dtype=torch.float64).reshape(1, 1, -1)
    if mode == "zeros":
        padded = F.pad(positions, (before, after), value=-1)
    else:
        padded = F.pad(positions, (before, after), mode=mode)
    padded = padded.flatten().long()
    outputs = (len(padded) - dilation * (taps - 1) - 1) // stride + 1
    read = (torch.arange(outputs).unsqueeze(1) * stride + torch.arange(taps) * dilation).flatten()
    sources = padded[read]
    return torch.bincount(sources[sources >= 0], minlength=size).double()


@lru_cache(maxsize=4096)
@with_values()
def written_on_axis(size: int, taps: int, stride: int, dilation: int, padding: int, outputs: int) -> Tensor:
    """Taps through which each of `size` positions of a transposed convolution's input reaches an output, `[size]`."""
    written = torch.arange(size).unsqueeze(1) * stride - padding + torch.arange(taps) * dilation
    return ((written >= 0) & (written < outputs)).sum(1).double()


def reach(axes: Sequence[Tensor], channels: int) -> float | Tensor:
    """Synapses reached from each position, `[*axes]`, over `channels` outputs; a number where all are equal."""
    combined = torch.ones((), dtype=torch.float64)
    for axis in axes:
        combined = combined.unsqueeze(-1) * axis
    combined = combined * channels
    low, high = (float(bound) for bound in torch.aminmax(combined))
    return low if low == high else combined
