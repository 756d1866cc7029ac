"""A brake on spikes: the expected accumulates of a batch, differentiable through the surrogate gradient.

Appendix C of the MSViT paper counts rate x T x MACs accumulates for an operator that is fed with spikes. Over all such
operators, divided by T x MACs, this is a mean rate weighted by MACs, from 0 to about 1, that a loss can hold down.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)


class SpikeBrake:
    """Hooks on a model's operators; `value()` is the expected accumulates per dense MAC since the last call.

    The first operator, which encodes real numbers, and the head, which is fed with their mean, are not in it, as in the
    paper. A product of two spike tensors counts at the smaller of the two rates.
    """

    def __init__(self, model: nn.Module) -> None:
        operators = [(name, module) for name, module in model.named_modules() if _is_operator(module)]
        self.model = model
        self._inner = [module for name, module in operators if name != "head"][1:]
        self._reset()

    @contextmanager
    def watching(self) -> Iterator["SpikeBrake"]:
        """Hooks for the length of a `with` block."""
        handles = [module.register_forward_hook(self._add) for module in self._inner]
        try:
            yield self
        finally:
            for handle in handles:
                handle.remove()

    def value(self) -> Tensor:
        """Expected accumulates per dense MAC, a scalar that has a gradient."""
        total = torch.stack(self._accumulates).sum() / self._macs
        self._reset()
        return total

    def _reset(self) -> None:
        self._accumulates: list[Tensor] = []
        self._products: list[Tensor] = []  # a product of products is driven by its other operand
        self._macs = 0

    def _add(self, module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        if isinstance(module, CONVOLUTIONS):
            macs = output.numel() * module.weight[0].numel()
        elif isinstance(module, nn.Linear):
            macs = inputs[0].numel() * module.out_features
        else:
            macs = output.numel() * inputs[0].shape[-1]
            inputs = tuple(x for x in inputs if not any(x is product for product in self._products))
            self._products.append(output)
        rates = torch.stack([operand.float().mean() for operand in inputs])
        self._accumulates.append(rates.min() * macs)
        self._macs += macs


def _is_operator(module: nn.Module) -> bool:
    return isinstance(module, (*CONVOLUTIONS, nn.Linear)) or getattr(module, "activation_op", None) == "matmul"
