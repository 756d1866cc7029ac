"""MACs and synaptic events of any forward, by brute force over the calls that PyTorch's kernels get.

Independent of msvit_energy: a call is a convolution or a matrix product, its MACs follow from shapes, and an event is
what a layer of ones gives for whole inputs. What belongs together is known by the storage of its weights; products
without weights are numbered within a period.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

aten = torch.ops.aten
PRODUCTS = {aten.mm: (0, 1), aten.bmm: (0, 1), aten.addmm: (1, 2), aten.baddbmm: (1, 2)}
SIZES = (1, 2, 4, 8, 16)  # n / size are whole numbers after average pooling, or of graded spikes


@dataclass(frozen=True)
class Counted:
    """One layer or product, over everything that ran: MACs, and of each input the synapses that non-zero values reach,
    and the events, values (in units of a constant, without sign) x synapses, None for real numbers. Of products the
    events of pairs that meet."""

    macs: int
    nonzero: tuple[int, ...]
    events: tuple[int | None, ...]
    pairs: int | None = None


@dataclass(frozen=True)
class _Call:
    """A call: its inputs, and for each the function that gives the synapses that values reach, summed."""

    macs: int
    inputs: tuple[Tensor, ...]
    reached: tuple[Callable[[Tensor], Tensor], ...]


class BruteForce(TorchDispatchMode):
    """Counts what runs inside of it, with the parameters of `model`. `products` are the products without weights of a
    period, `units` the constants of inputs by the name of the weights. ValueError for inputs that are no multiples."""

    def __init__(self, model: nn.Module, products: int = 1, units: Mapping[str, float] | None = None) -> None:
        super().__init__()
        self._weights = {each.untyped_storage()._cdata: name for name, each in model.named_parameters()}
        self._products, self._units, self._seen = products, units or {}, 0
        self._calls: dict[str, list[_Call]] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        output = func(*args, **(kwargs or {}))
        kind = func.overloadpacket
        if kind is aten.convolution:
            self._convolution(output, *args)
        elif kind in PRODUCTS:
            left, right = PRODUCTS[kind]
            self._product(args[left], args[right])
        return output

    def _convolution(
        self, output: Tensor, x: Tensor, weight: Tensor, bias: Any, stride: Any, padding: Any, dilation: Any,
        transposed: bool, *rest: Any,
    ) -> None:  # fmt: skip
        each = weight[0].numel()  # of an output element, or of an input element of a transposed convolution
        macs = (x if transposed else output).numel() * each

        def reached(values: Tensor) -> Tensor:
            ones = torch.ones_like(weight, dtype=torch.float64)
            return aten.convolution(values, ones, None, stride, padding, dilation, transposed, *rest).sum()

        self._note(self._name(weight) or "convolution", _Call(macs, (x.clone(),), (reached,)))

    def _product(self, left: Tensor, right: Tensor) -> None:
        macs, rows, columns = left.numel() * right.shape[-1], left.shape[-2], right.shape[-1]
        sides = (left, columns), (right, rows)
        named = self._name(right), self._name(left)
        kept = [side for side, other in zip(sides, named, strict=True) if other or not any(named)]  # all but weights
        inputs = tuple(values.clone() for values, _ in kept)
        reached = tuple(lambda values, reach=reach: values.sum() * reach for _, reach in kept)
        if not any(named):
            self._seen += 1
        name = named[0] or named[1] or f"product {self._seen % self._products}"
        self._note(name, _Call(macs, inputs, reached))

    def _name(self, values: Tensor) -> str | None:
        return self._weights.get(values.untyped_storage()._cdata)

    def _note(self, name: str, call: _Call) -> None:
        self._calls.setdefault(name, []).append(call)

    def counted(self) -> list[Counted]:
        """All layers and products, in the order of their first calls."""
        return [self._count(name, calls) for name, calls in self._calls.items()]

    def _count(self, name: str, calls: list[_Call]) -> Counted:
        nonzero, events, wholes = [], [], []
        for place in range(len(calls[0].inputs)):
            values = [call.inputs[place].double() for call in calls]
            reached = [call.reached[place] for call in calls]
            nonzero.append(_total(reached, [(each != 0).double() for each in values]))
            wholes.append(_whole(values, self._units.get(name)))
            events.append(None if wholes[-1] is None else _total(reached, wholes[-1]))
        pairs = None
        if len(wholes) == 2 and None not in wholes:
            pairs = sum(round(float((left @ right).sum())) for left, right in zip(*wholes, strict=True))
        return Counted(sum(call.macs for call in calls), tuple(nonzero), tuple(events), pairs)


def _total(reached: list[Callable[[Tensor], Tensor]], values: list[Tensor]) -> int:
    return sum(round(float(reach(each))) for reach, each in zip(reached, values, strict=True))


def _whole(values: list[Tensor], unit: float | None) -> list[Tensor] | None:
    """Magnitudes as whole numbers, if all are multiples of the unit, or of one part of 1."""
    for size in [1 / unit] if unit is not None else SIZES:
        scaled = [(each * size).abs() for each in values]
        if all(float((each - each.round()).abs().max()) < 1e-4 for each in scaled):
            return [each.round() for each in scaled]
    if unit is not None:
        raise ValueError(f"no multiples of {unit}")
    return None
