"""Work beside the MACs: which modules do it, and how many elements they touch."""

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.pooling import _AdaptiveAvgPoolNd, _AdaptiveMaxPoolNd, _AvgPoolNd, _MaxPoolNd

from msvit_energy.profiles.operators import Overhead, stage_of
from msvit_energy.recording.counts.call_counter import CallCounter
from msvit_energy.recording.operator_calls import Call, Stream

NORMS = (_BatchNorm, nn.LayerNorm, nn.GroupNorm)
POOLS = (_MaxPoolNd, _AvgPoolNd, _AdaptiveAvgPoolNd, _AdaptiveMaxPoolNd)
SPIKE_COSTS = ("column_sum", "mask")  # overheads whose inputs are counted: some protocols price them


def overhead_name(module: nn.Module) -> str | None:
    """batch_norm, pooling, column_sum, mask, None for all others."""
    if isinstance(module, NORMS):
        return "batch_norm" if isinstance(module, _BatchNorm) else "normalisation"
    if isinstance(module, POOLS):
        return "pooling"
    announced = getattr(module, "activation_op", None)
    return announced if isinstance(announced, str) and announced not in ("matmul", "neuron") else None


def spike_cost(op: str, inputs: Sequence[Tensor]) -> Call:
    """A mask or column sum as the call of an operator without synapses."""
    return Call(op, 0, tuple(Stream(value, 0) for value in inputs))


class OverheadCounter:
    """Elements per image of every overhead, taken from the first batch in which it runs."""

    KEPT = ("_elements", "_settled")

    def __init__(self) -> None:
        self._elements: dict[str, tuple[str, int]] = {}  # layer -> what it is, elements
        self._settled: frozenset[str] = frozenset()

    def add(self, layer: str, op: str, touched: Tensor, images: int) -> None:
        """Count one call of `layer` on `images` images."""
        if layer not in self._settled:
            _, before = self._elements.get(layer, (op, 0))
            self._elements[layer] = op, before + touched.numel() // images

    def remove(self, layer: str) -> None:
        """Take back what was counted of `layer`."""
        self._elements.pop(layer, None)

    def settle(self) -> None:
        """End a batch: for each image of the next ones the same overheads are the same."""
        self._settled = frozenset(self._elements)

    def entries(self, spike_costs: CallCounter) -> tuple[Overhead, ...]:
        """All overheads, in the order of the first call; column sums and masks with what flowed into them."""
        return tuple(
            Overhead(layer, stage_of(layer), op, elements, spike_costs.operands(layer))
            for layer, (op, elements) in self._elements.items()
        )
