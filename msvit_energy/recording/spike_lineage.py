"""Where a tensor comes from: a spiking neuron, a sum of such, or neither.

The kind of an input (binary, integer, analog) is observed in its values. Values alone can mislead: an image may happen
to be all ones, a spike stream may be scaled by a constant. So the first forward is also followed function by function,
and what was seen is checked against where it came from.

- spikes: emitted by neurons, then only moved, selected, pooled by maximum or masked by other spikes
- sum: spikes added up, as on residual paths
- product: a matrix product of spikes or sums; whole numbers, but no spikes
- scaled: spikes or sums times a constant
- averaged: a mean of spikes, such as a classifier's input
- input: what the model was given
- weight: made of parameters alone
- other: anything else
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.weak import WeakTensorKeyDictionary


@dataclass(frozen=True)
class Origin:
    """What a tensor is, and the neuron layers it comes from."""

    what: str
    neurons: tuple[str, ...] = ()


OTHER, WEIGHT, INPUT, BLANK = Origin("other"), Origin("weight"), Origin("input"), Origin("blank")
SPIKING = {"spikes", "sum"}


def merge(inputs: Sequence[Origin]) -> Origin:
    """One origin for several: what all of them are, a sum if they are spikes and sums, else other. What holds nothing
    yet says nothing."""
    inputs = [origin for origin in inputs if origin != BLANK] or [BLANK]
    neurons = tuple(dict.fromkeys(name for origin in inputs for name in origin.neurons))
    kinds = {origin.what for origin in inputs}
    if len(kinds) == 1:
        return Origin(kinds.pop(), neurons)
    return Origin("sum", neurons) if kinds <= SPIKING else OTHER


def moved(inputs: Sequence[Origin], numbers: Sequence[float]) -> Origin:
    """Reshaping, selecting, joining, maxima: values stay what they are."""
    return merge(inputs)


def masked(inputs: Sequence[Origin], numbers: Sequence[float]) -> Origin:
    """Logical and, minimum: spikes let spikes pass."""
    return merge(inputs) if _kinds(inputs) <= SPIKING else OTHER


def summed(inputs: Sequence[Origin], numbers: Sequence[float]) -> Origin:
    """Sums along axes, which the numbers name."""
    return Origin("sum", merge(inputs).neurons) if _kinds(inputs) <= SPIKING else OTHER


def added(inputs: Sequence[Origin], numbers: Sequence[float]) -> Origin:
    """Sums of tensors; a number other than 0 (where the sum of a list starts) makes them something else."""
    return OTHER if any(numbers) else summed(inputs, numbers)


def multiplied(inputs: Sequence[Origin], numbers: Sequence[float]) -> Origin:
    """Products element by element: masks, or a factor that does not depend on the image."""
    others = [origin for origin in inputs if origin != WEIGHT]
    if len(others) < len(inputs):
        return divided(others, [math.nan])
    return masked(inputs, numbers) if len(inputs) > 1 else divided(inputs, numbers)


def divided(inputs: Sequence[Origin], numbers: Sequence[float]) -> Origin:
    """A constant factor; 1 changes nothing."""
    if len(inputs) > 1 or not _kinds(inputs) <= SPIKING | {"scaled", "averaged"}:
        return OTHER
    return Origin("scaled", inputs[0].neurons) if any(number != 1 for number in numbers) else inputs[0]


def averaged(inputs: Sequence[Origin], numbers: Sequence[float]) -> Origin:
    """Means and average pooling."""
    return Origin("averaged", merge(inputs).neurons) if _kinds(inputs) <= SPIKING | {"averaged"} else OTHER


def contracted(inputs: Sequence[Origin], numbers: Sequence[float]) -> Origin:
    """Matrix products."""
    neurons = tuple(dict.fromkeys(name for origin in inputs for name in origin.neurons))
    return Origin("product", neurons) if _kinds(inputs) <= SPIKING | {"product"} else OTHER


def _kinds(inputs: Sequence[Origin]) -> set[str]:
    return {origin.what for origin in inputs}


Rule = Callable[[Sequence[Origin], Sequence[float]], Origin]

# names of torch functions and methods, in-place ones and operators included -> what their output is
RULES: dict[str, Rule] = {
    name: rule
    for rule, names in (
        (
            moved,
            "reshape view flatten unflatten permute transpose contiguous squeeze unsqueeze expand expand_as "
            "repeat chunk split __getitem__ select narrow unbind cat stack concat concatenate hstack vstack clone "
            "detach to float double half bool type type_as bfloat16 cpu cuda roll pad index_select gather flip "
            "swapaxes swapdims movedim moveaxis t mT T dropout dropout1d dropout2d dropout3d alpha_dropout "
            "feature_dropout max amax maximum max_pool1d max_pool2d max_pool3d adaptive_max_pool1d "
            "adaptive_max_pool2d adaptive_max_pool3d as_strided view_as reshape_as tile repeat_interleave "
            "broadcast_to unfold diagonal dequantize",
        ),
        (masked, "__and__ __iand__ logical_and bitwise_and min minimum"),
        (summed, "sum cumsum"),
        (added, "add __add__ __radd__ __iadd__ add_"),
        (multiplied, "mul __mul__ __rmul__ __imul__ mul_ multiply"),
        (divided, "div __truediv__ __itruediv__ div_ true_divide divide quantize_per_tensor"),
        (
            averaged,
            "mean avg_pool1d avg_pool2d avg_pool3d adaptive_avg_pool1d adaptive_avg_pool2d adaptive_avg_pool3d",
        ),
        (contracted, "matmul mm bmm __matmul__ __rmatmul__ einsum tensordot inner"),
    )
    for name in names.split()
}
WRITES = ("__setitem__", "copy_")
BLANKS = ("empty", "zeros", "empty_like", "zeros_like", "new_zeros", "new_empty")
POOLS = {F.max_pool1d: "max_pool1d", F.max_pool2d: "max_pool2d", F.max_pool3d: "max_pool3d"}  # named otherwise inside


class Origins:
    """Origins of the tensors of one forward. Tensors that were neither marked nor made from marked ones are "other"."""

    def __init__(self) -> None:
        self._known: WeakTensorKeyDictionary = WeakTensorKeyDictionary()

    def of(self, value: Any) -> Origin:
        """The origin of a tensor."""
        return WEIGHT if isinstance(value, nn.Parameter) else self._known.get(value, OTHER)

    def mark(self, tensors: Any, origin: Origin) -> None:
        """Note where a tensor, or every tensor in a tuple, comes from."""
        for tensor in tensors_in((tensors,)):
            self._known[tensor] = origin

    def follow(self, function: Any, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> None:
        """Derive the origin of a function's output from those of its inputs."""
        name = _name(function)
        values = (*args, *kwargs.values())
        inputs = [origin for tensor in tensors_in(values) if (origin := self.of(tensor)) != BLANK]
        if name in BLANKS:
            self.mark(output, BLANK)
        elif name in WRITES:
            self._write(args[0], args[-1])
        elif inputs and _kinds(inputs) == {"weight"}:
            self.mark(output, WEIGHT)
        elif inputs:
            if name == "interpolate" and all(v.startswith("nearest") for v in values if isinstance(v, str)):
                name = "repeat"
            numbers = [value for value in values if isinstance(value, int | float) and not isinstance(value, bool)]
            rule = RULES.get(name)
            self.mark(output, OTHER if rule is None else rule(inputs, numbers))

    def _write(self, target: Tensor, value: Any) -> None:
        new = self.of(value) if isinstance(value, Tensor) else OTHER
        old = self.of(target)
        self.mark(target, new if old == BLANK else merge([old, new]))


def _name(function: Any) -> str:
    if function in POOLS:
        return POOLS[function]
    name = str(getattr(function, "__name__", ""))
    if name == "__get__":  # a property such as .T or .mT
        return str(getattr(getattr(function, "__self__", None), "__name__", ""))
    name = name.removesuffix("_with_indices")
    return name if name.startswith("__") else name.removeprefix("_")


def tensors_in(values: Iterable[Any]) -> list[Tensor]:
    """All tensors in some values, those in lists and tuples included."""
    found: list[Tensor] = []
    for value in values:
        if isinstance(value, Tensor):
            found.append(value)
        elif isinstance(value, list | tuple):
            found.extend(tensors_in(value))
    return found
