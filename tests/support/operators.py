"""What tests of single operators compare with."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode


def torch_macs(function: Callable[..., Any], *arguments: Any, **options: Any) -> int:
    """Half of torch's count of floating-point operations."""
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        function(*arguments, **options)
    return counter.get_total_flops() // 2


def spikes(*shape: int, seed: int = 0, rate: float = 0.4) -> Tensor:
    """Random spikes in float64."""
    return (torch.rand(shape, generator=torch.Generator().manual_seed(seed)) < rate).double()
