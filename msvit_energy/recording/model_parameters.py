"""The parameters of a model, whatever its own `parameters()` gives."""

from collections.abc import Iterator

from torch import Tensor, nn


def parameters_of(model: nn.Module) -> Iterator[Tensor]:
    """Every parameter once, in torch's order. Some libraries' `parameters()` give a dict, or groups for an
    optimiser."""
    modules = nn.Module.modules(model)  # which some libraries replace as well
    found = (weights for module in modules for weights in module._parameters.values() if weights is not None)
    return iter({id(weights): weights for weights in found}.values())
