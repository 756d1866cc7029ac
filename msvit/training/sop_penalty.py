"""A penalty on synaptic operations: a batch's expected accumulates, differentiable through the surrogate gradient.

Appendix C of the MSViT paper counts rate x T x MACs accumulates for an operator that is fed with spikes. Over all such
operators, divided by T x MACs, this is a mean rate weighted by MACs, from 0 to about 1, that a loss can hold down.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd

Macs = Callable[[nn.Module, tuple[Tensor, ...], Tensor], int]  # dense MACs of one call: operator, inputs, output


class SOPPenalty:
    """Called, it watches a model's operators in a `with` block; what is entered gives the expected accumulates per
    dense MAC of the forwards in it, a scalar that has a gradient.

    The first operator, which encodes real numbers, and the head, which is fed with their mean, are not in it, as in the
    paper. A product of two spike tensors counts at the smaller of the two rates. `macs` counts a call.
    """

    def __init__(self, model: nn.Module, macs: Macs) -> None:
        operators = [(name, module) for name, module in model.named_modules() if _is_operator(module)]
        self._inner = [module for name, module in operators if name != "head"][1:]
        self._macs = macs

    @contextmanager
    def __call__(self) -> Iterator[Callable[[], Tensor]]:
        accumulates: list[Tensor] = []
        products: list[Tensor] = []  # a product of products is driven by its other operand
        dense: list[int] = []

        def add(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
            macs = self._macs(module, inputs, output)
            if not isinstance(module, _ConvNd | nn.Linear):
                inputs = tuple(x for x in inputs if not any(x is product for product in products))
                products.append(output)
            rates = torch.stack([operand.float().mean() for operand in inputs])
            accumulates.append(rates.min() * macs)
            dense.append(macs)

        handles = [module.register_forward_hook(add) for module in self._inner]
        try:
            yield lambda: torch.stack(accumulates).sum() / sum(dense)
        finally:
            for handle in handles:
                handle.remove()


def _is_operator(module: nn.Module) -> bool:
    return isinstance(module, _ConvNd | nn.Linear) or getattr(module, "activation_op", None) == "matmul"
