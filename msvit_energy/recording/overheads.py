"""Modules that cost something beside MACs, told by what they are."""

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.pooling import _AdaptiveAvgPoolNd, _AdaptiveMaxPoolNd, _AvgPoolNd, _MaxPoolNd

from msvit_energy.recording.neurons import is_neuron

NORMS = (_BatchNorm, nn.LayerNorm, nn.GroupNorm)
POOLS = (_MaxPoolNd, _AvgPoolNd, _AdaptiveAvgPoolNd, _AdaptiveMaxPoolNd)
SPIKE_COSTS = ("column_sum", "mask")  # overheads whose inputs are tallied: some protocols price them


def overhead_name(module: nn.Module) -> str | None:
    """batch_norm, pooling, column_sum, mask, neuron_update, None for all others."""
    if is_neuron(module):
        return "neuron_update"
    if isinstance(module, NORMS):
        return "batch_norm" if isinstance(module, _BatchNorm) else "normalisation"
    if isinstance(module, POOLS):
        return "pooling"
    announced = getattr(module, "activation_op", None)
    return announced if isinstance(announced, str) and announced not in ("matmul", "neuron") else None
