"""Forward hooks that count what flows through a model.

What is seen:
- every convolution (1d, 2d, 3d, transposed) and linear layer: its input;
- every product of activations that is a module of its own: both inputs. Such a module announces itself by
  `activation_op` ("matmul", "mask" or "column_sum") and `spike_operands`, the positions of the arguments that carry
  spikes. A matmul is an operator with MACs, the others are overhead;
- every SpikingJelly neuron layer: its output per time step;
- batch norm, pooling and biases: how many elements they touch.
A product that is a bare function call inside a forward is not seen here; fvcore sees it and the profile lists it as
uncounted.

Sums are exact whatever the batch size and order: whole numbers are summed in float64 (exact to 2^53), the sums of real
numbers of each image are added as fractions.
"""

import math
from dataclasses import dataclass, field
from fractions import Fraction
from types import TracebackType
from typing import Any, Self

import torch
from spikingjelly.activation_based.base import MemoryModule
from spikingjelly.activation_based.neuron import BaseNode, SimpleBaseNode
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd
from torch.nn.modules.pooling import _AdaptiveAvgPoolNd, _AdaptiveMaxPoolNd, _AvgPoolNd, _MaxPoolNd

from msvit_energy.errors import EnergyError
from msvit_energy.records import KINDS, NeuronLayer, Operand, Overhead

NEURONS = (BaseNode, SimpleBaseNode)
NORMS = (_BatchNorm, nn.LayerNorm, nn.GroupNorm)
POOLS = (_MaxPoolNd, _AvgPoolNd, _AdaptiveAvgPoolNd, _AdaptiveMaxPoolNd)


@dataclass
class Tally:
    """Running counts of one stream of values; one entry of `sums` and `nonzeros` per run."""

    elements: int = 0  # per run, over all images
    sums: list[Fraction] = field(default_factory=list)
    nonzeros: list[int] = field(default_factory=list)
    maximum: float = float("-inf")
    kind: int = 0  # index into KINDS: the widest seen

    def add(self, run: int, values: Tensor) -> None:
        """Count `values`, `[runs, images, elements]`, as runs `run`, `run + 1`, ... of these images."""
        low, high = (bound.item() for bound in torch.aminmax(values))
        if not (math.isfinite(low) and math.isfinite(high)):
            raise EnergyError(f"values from {low} to {high}")
        whole = low >= 0 and bool((values == values.floor()).all())
        self.kind = max(self.kind, 2 if not whole else int(high > 1))
        self.maximum = max(self.maximum, high)
        sums = values.sum(-1, dtype=torch.float64)  # [runs, images]
        nonzeros = sums if whole and high <= 1 else torch.count_nonzero(values, dim=-1)
        totals = sums.sum(1).tolist() if whole else [sum(map(Fraction, row), Fraction()) for row in sums.tolist()]
        while len(self.sums) < run + len(totals):
            self.sums.append(Fraction())
            self.nonzeros.append(0)
        for step, (total, nonzero) in enumerate(zip(totals, nonzeros.sum(1).tolist(), strict=True), start=run):
            self.sums[step] += Fraction(total)
            self.nonzeros[step] += int(nonzero)
        if run == 0:
            self.elements += values.shape[1] * values.shape[2]

    def float_sums(self) -> tuple[float, ...]:
        return tuple(float(total) for total in self.sums)


@dataclass
class Watched:
    """An operator under observation: what it is, which arguments carry spikes, one tally per observed argument."""

    op: str
    spike_operands: tuple[int, ...]
    tallies: tuple[Tally, ...]

    def operands(self) -> tuple[Operand, ...]:
        return tuple(
            Operand(
                kind=KINDS[tally.kind],
                carries_spikes=position in self.spike_operands,
                elements=tally.elements,
                sums=tally.float_sums(),
                nonzeros=tuple(tally.nonzeros),
                maximum=tally.maximum,
            )
            for position, tally in enumerate(self.tallies)
        )


def operator_name(module: nn.Module) -> str | None:
    """conv1d, conv2d, ..., linear, matmul for modules with dense MACs, None for all others."""
    if isinstance(module, _ConvNd):
        # SpikingJelly's layers subclass torch's and keep their rank
        transposed = "conv_transpose" if module.transposed else "conv"
        return f"{transposed}{len(module.kernel_size)}d"
    if isinstance(module, nn.Linear):
        return "linear"
    return "matmul" if getattr(module, "activation_op", None) == "matmul" else None


def overhead_name(module: nn.Module) -> str | None:
    """batch_norm, pooling, column_sum, mask, neuron_update, None for all others."""
    if isinstance(module, NEURONS):
        return "neuron_update"
    if isinstance(module, NORMS):
        return "batch_norm" if isinstance(module, _BatchNorm) else "normalisation"
    if isinstance(module, POOLS):
        return "pooling"
    announced = getattr(module, "activation_op", None)
    return announced if isinstance(announced, str) and announced != "matmul" else None


def reset_neurons(model: nn.Module) -> None:
    """Put every neuron of a model back to rest."""
    for module in model.modules():
        if isinstance(module, MemoryModule):
            module.reset()


class Recorder:
    """Hooks on a model for the length of a `with` block; on leaving they are gone and all neurons at rest. Call
    `start_batch` before each forward. Nothing is written onto the model's modules.
    """

    def __init__(self, model: nn.Module, time_steps: int) -> None:
        self.model, self.time_steps = model, time_steps
        self.watched: dict[str, Watched] = {}
        self.firing: dict[str, Tally] = {}
        self.overheads: dict[str, Overhead] = {}
        self._batch = 0
        self._runs: dict[str, int] = {}  # runs of each module in the present batch
        self._handles: list[Any] = []

    def __enter__(self) -> Self:
        for name, module in self.model.named_modules():
            if (op := operator_name(module)) is not None:
                self._handles.append(module.register_forward_hook(self._operator_hook(name, op), with_kwargs=True))
            if isinstance(module, NEURONS):
                self._handles.append(module.register_forward_hook(self._neuron_hook(name)))
            if (op := overhead_name(module)) is not None:
                self._handles.append(module.register_forward_hook(self._overhead_hook(name, op), with_kwargs=True))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for handle in self._handles:
            handle.remove()
        reset_neurons(self.model)

    def start_batch(self, images: int) -> None:
        """Announce a forward of that many images; neurons start from rest."""
        self._batch = images
        self._runs.clear()
        reset_neurons(self.model)

    def neuron_layers(self) -> tuple[NeuronLayer, ...]:
        """Firing of every neuron layer so far, in the order of the first call."""
        return tuple(
            NeuronLayer(name, stage_of(name), tally.elements, tally.float_sums()) for name, tally in self.firing.items()
        )

    def listed_modules(self) -> list[str]:
        """Modules that appear as overhead."""
        return [name for name, overhead in self.overheads.items() if overhead.op != "bias"]

    def _operator_hook(self, name: str, op: str) -> Any:
        def hook(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Tensor) -> None:
            inputs = [value for value in (*args, *kwargs.values()) if isinstance(value, Tensor)]
            used = inputs if op == "matmul" else inputs[:1]
            if name not in self.watched:
                spikes = getattr(module, "spike_operands", (0,))
                self.watched[name] = Watched(op, tuple(spikes), tuple(Tally() for _ in used))
            first = self._runs.get(name, 0)
            for tally, value in zip(self.watched[name].tallies, used, strict=True):
                self._count(name, tally, first, value, flat_rank(module))
            bias = getattr(module, "bias", None)
            if isinstance(bias, Tensor):
                self._add_overhead(f"{name}.bias", "bias", output, first)

        return hook

    def _neuron_hook(self, name: str) -> Any:
        def hook(module: nn.Module, args: tuple[Any, ...], output: Any) -> None:
            spikes = output[0] if isinstance(output, tuple) else output
            tally = self.firing.setdefault(name, Tally())
            self._count(f"{name} (output)", tally, self._runs.get(f"{name} (output)", 0), spikes, None)

        return hook

    def _overhead_hook(self, name: str, op: str) -> Any:
        def hook(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> None:
            value = next(value for value in (*args, *kwargs.values()) if isinstance(value, Tensor))
            largest = output if isinstance(output, Tensor) and output.numel() > value.numel() else value
            first = self._runs.get(name, 0)
            self._runs[name] = first + 1
            self._add_overhead(name, op, largest, first)

        return hook

    def _add_overhead(self, name: str, op: str, touched: Tensor, first: int) -> None:
        elements = touched.numel() // self._batch
        if first and name in self.overheads:
            elements += self.overheads[name].elements_per_image
        self.overheads[name] = Overhead(name, stage_of(name), op, elements)

    def _count(self, name: str, tally: Tally, first: int, value: Tensor, rank: int | None) -> None:
        steps = self._by_step(name, value.detach(), rank)
        try:
            tally.add(first, steps)
        except EnergyError as error:
            raise EnergyError(f"{name}: {error}; the weights or the input are damaged") from None
        self._runs[name] = first + steps.shape[0]

    def _by_step(self, name: str, value: Tensor, rank: int | None) -> Tensor:
        """`[T*B, ...]`, `[T, B, ...]` or, constant in time, `[B, ...]` -> `[T or 1, B, elements]`.

        `rank` is the number of axes without a time axis of its own, None where that is free.
        """
        steps, batch, shape = self.time_steps, self._batch, tuple(value.shape)
        stepped = len(shape) > 2 and len(shape) != rank and shape[:2] == (steps, batch)
        if stepped or shape[:1] == (steps * batch,):
            return value.reshape(steps, batch, -1)
        if shape[:1] == (batch,):
            return value.reshape(1, batch, -1)
        if shape and shape[0] % (steps * batch) == 0:  # parts of each image in a row, such as windows of attention
            return value.reshape(steps, batch, -1)
        raise EnergyError(
            f"{name}: a tensor of shape {shape} has neither T*B = {steps * batch} nor T, B = {steps}, {batch} nor "
            f"B = {batch} in front; is time_steps = {steps} right?"
        )


def flat_rank(module: nn.Module) -> int | None:
    """Axes of a module's input when time and batch are one axis; None where the module does not say."""
    return len(module.kernel_size) + 2 if isinstance(module, _ConvNd) else None


def stage_of(name: str) -> str:
    """The part of a model a module belongs to: the first component of its name."""
    return name.split(".", 1)[0]
