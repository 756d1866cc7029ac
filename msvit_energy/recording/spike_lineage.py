"""Where a tensor comes from: a spiking neuron, a sum of such, or neither.

The kind of an input (binary, integer, analog) is observed in its values. Values alone can mislead: an image may happen
to be all ones, a spike stream may be scaled by a constant. So the first forward is also followed function by function,
and what was seen is checked against where it came from.

- spikes: emitted by neurons, then only moved, selected, pooled by maximum or masked by other spikes
- sum: spikes added up, as on residual paths
- product: a matrix product of spikes or sums; whole numbers, but no spikes
- scaled: spikes or sums times a constant, such as a learned threshold
- pooled: spikes averaged over windows of a map, k of n; a profile calls them averaged too
- averaged: a mean of spikes over a whole map or over time, such as a classifier's input
- input: what the model was given
- weight: made of parameters alone
- other: anything else

All but the last four may be whole numbers times one constant, which the counters then find in the values.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from torch import Size, Tensor, nn
from torch.nn import functional as F

from msvit_energy.recording.tensor_notes import TensorNotes
from msvit_energy.recording.vmap import whole


@dataclass(frozen=True)
class Origin:
    """What a tensor is, and the neuron layers it comes from."""

    what: str
    neurons: tuple[str, ...] = ()
    total: bool = False  # whether something was summed along axes: by a constant, that is an average


OTHER, WEIGHT, INPUT, BLANK = Origin("other"), Origin("weight"), Origin("input"), Origin("blank")
CONSTANT = Origin("constant")  # buffers, and what is made of them and of parameters; "other" for all but factors
FIXED = {"weight", "constant"}
SPIKING = {"spikes", "sum"}
SCALED = SPIKING | {"scaled", "pooled"}


def merge(inputs: Sequence[Origin]) -> Origin:
    """One origin for several: what all of them are, a sum if they are spikes and sums, scaled if some are scaled or
    pooled, else other. What holds nothing yet says nothing."""
    inputs = [origin for origin in inputs if origin != BLANK] or [BLANK]
    kinds = _kinds(inputs)
    if len(kinds) == 1:
        return _of(kinds.pop(), inputs)
    return _of("sum" if kinds <= SPIKING else "scaled", inputs) if kinds <= SCALED else OTHER


def moved(inputs: Sequence[Origin], numbers: Sequence[float]) -> Origin:
    """Reshaping, selecting, joining, maxima: values stay what they are."""
    return merge(inputs)


def masked(inputs: Sequence[Origin], numbers: Sequence[float]) -> Origin:
    """Logical and, minimum: spikes let spikes pass."""
    return merge(inputs) if _kinds(inputs) <= SCALED else OTHER


def summed(inputs: Sequence[Origin], numbers: Sequence[float]) -> Origin:
    """Sums along axes, which the numbers name."""
    return replace(added(inputs, ()), total=True)


def added(inputs: Sequence[Origin], numbers: Sequence[float]) -> Origin:
    """Sums and differences of tensors; a number other than 0 (0 is where the sum of a list starts) makes them something
    else."""
    kinds = _kinds(inputs)
    if any(numbers) or not kinds <= SCALED:
        return OTHER
    return _of("sum", inputs) if kinds <= SPIKING else merge(inputs)


def multiplied(inputs: Sequence[Origin], numbers: Sequence[float]) -> Origin:
    """Products element by element: masks, or a factor that does not depend on the image."""
    others = [origin for origin in inputs if origin.what not in FIXED]
    if len(others) > 1:
        return masked(others, numbers) if len(others) == len(inputs) else OTHER
    return divided([*others, *(origin for origin in inputs if origin.what in FIXED)], numbers)


def divided(inputs: Sequence[Origin], numbers: Sequence[float]) -> Origin:
    """A constant factor; 1 changes nothing, and an average stays one."""
    values, *constants = inputs
    if not _kinds([values]) <= SCALED | {"averaged"} or not _kinds(constants) <= FIXED:
        return OTHER
    if not constants and all(number == 1 for number in numbers):
        return values
    return _of("averaged" if values.total or values.what == "averaged" else "scaled", [values])


def averaged(inputs: Sequence[Origin], numbers: Sequence[float]) -> Origin:
    """Means over all of a map, or over time."""
    return _of("averaged", inputs) if _kinds(inputs) <= SCALED | {"averaged"} else OTHER


def pooled(inputs: Sequence[Origin], numbers: Sequence[float]) -> Origin:
    """Means over windows."""
    return _of("pooled", inputs) if _kinds(inputs) <= SCALED else averaged(inputs, numbers)


def contracted(inputs: Sequence[Origin], numbers: Sequence[float]) -> Origin:
    """Matrix products."""
    return _of("product", inputs) if _kinds(inputs) <= SCALED | {"product"} else OTHER


def _of(what: str, inputs: Sequence[Origin]) -> Origin:
    neurons = tuple(dict.fromkeys(name for origin in inputs for name in origin.neurons))
    return Origin(what, neurons, any(origin.total for origin in inputs))


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
        (added, "add __add__ __radd__ __iadd__ add_ sub __sub__ __rsub__ __isub__ sub_ subtract neg neg_ __neg__"),
        (multiplied, "mul __mul__ __rmul__ __imul__ mul_ multiply"),
        (divided, "div __truediv__ __itruediv__ div_ true_divide divide quantize_per_tensor"),
        (averaged, "mean"),
        (pooled, "avg_pool1d avg_pool2d avg_pool3d adaptive_avg_pool1d adaptive_avg_pool2d adaptive_avg_pool3d"),
        (contracted, "matmul mm bmm __matmul__ __rmatmul__ einsum tensordot inner"),
    )
    for name in names.split()
}
WRITES = ("__setitem__", "copy_")
NUMBERS, LISTS = (int, float), (list, tuple)
BLANKS = ("empty", "zeros", "empty_like", "zeros_like", "new_zeros", "new_empty")
POOLS = {F.max_pool1d: "max_pool1d", F.max_pool2d: "max_pool2d", F.max_pool3d: "max_pool3d"}  # named otherwise inside


class Origins:
    """Origins of the tensors of one forward. Tensors that were neither marked nor made from marked ones are "other".

    `constants` are buffers. `factors` are the vectors of constants that something was multiplied with or divided by,
    and those of neurons: what may scale single channels or time steps.
    """

    def __init__(self, constants: Iterable[Tensor] = ()) -> None:
        self._known: TensorNotes[Origin] = TensorNotes()
        self.mark(list(constants), CONSTANT)
        self._vectors: dict[tuple[int, int], Tensor] = {}

    def of(self, value: Any) -> Origin:
        """The origin of a tensor."""
        found = self._origin(value)
        return OTHER if found == CONSTANT else found

    def _origin(self, value: Any) -> Origin:
        if type(value) is not Tensor and isinstance(value, nn.Parameter):
            return WEIGHT
        return self._known.get(whole(value), OTHER) if isinstance(value, Tensor) else OTHER

    def mark(self, tensors: Any, origin: Origin) -> None:
        """Note where a tensor, or every tensor in a tuple, comes from."""
        for tensor in tensors_in((tensors,)):
            self._known[whole(tensor)] = origin

    def note_factors(self, tensors: Iterable[Tensor]) -> None:
        """Note the vectors among constants, which may scale spikes."""
        for tensor in tensors:
            if tensor.is_floating_point() and 1 < tensor.numel() == max(tensor.shape):
                self._vectors.setdefault((tensor.data_ptr(), tensor.numel()), tensor.detach())

    @property
    def factors(self) -> Sequence[Tensor]:
        """Vectors of constants, the latest first."""
        return list(self._vectors.values())[::-1]

    def follow(self, function: Any, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> None:
        """Derive the origin of a function's output from those of its inputs."""
        name = _name(function)
        if not may_have_tensors(output) and name not in WRITES:
            return
        values = (*args, *kwargs.values())
        tensors = tensors_in(values)
        inputs = [origin for tensor in tensors if (origin := self._origin(tensor)).what != BLANK.what]
        kinds = _kinds(inputs)
        if name in BLANKS:
            self.mark(output, BLANK)
        elif name in WRITES:
            self._write(args[0], args[-1])
        elif inputs and kinds <= FIXED:
            self.mark(output, WEIGHT if kinds == {"weight"} else CONSTANT)
        elif inputs:
            if name == "interpolate" and all(v.startswith("nearest") for v in values if isinstance(v, str)):
                name = "repeat"
            numbers = [value for value in values if isinstance(value, NUMBERS) and not isinstance(value, bool)]
            rule = RULES.get(name)
            if rule in (multiplied, divided):
                self._note_factors(tensors, inverted=rule is divided)
            elif rule is pooled and isinstance(output, Tensor) and math.prod(output.shape[-int(name[-2]) :]) == 1:
                rule = averaged
            self.mark(output, OTHER if rule is None else rule(inputs, numbers))

    def _note_factors(self, tensors: Sequence[Tensor], *, inverted: bool) -> None:
        fixed = [tensor for tensor in tensors if self._origin(tensor).what in FIXED and tensor.dim()]
        self.note_factors(tensor.reciprocal() if inverted else tensor for tensor in fixed)

    def _write(self, target: Tensor, value: Any) -> None:
        new = self._origin(value) if isinstance(value, Tensor) else OTHER
        old = self._origin(target)
        self.mark(target, new if old == BLANK else merge([old, new]))


@lru_cache(1024)
def _name(function: Any) -> str:
    if function in POOLS:
        return POOLS[function]
    name = str(getattr(function, "__name__", ""))
    if name == "__get__":  # a property such as .T or .mT
        return str(getattr(getattr(function, "__self__", None), "__name__", ""))
    name = name.removesuffix("_with_indices")
    return name if name.startswith("__") else name.removeprefix("_")


def may_have_tensors(output: Any) -> bool:
    """Whether a function that returns this may return tensors; most return shapes and the like."""
    return isinstance(output, Tensor) or (isinstance(output, LISTS) and type(output) is not Size)


def tensors_in(values: Iterable[Any]) -> list[Tensor]:
    """All tensors in some values, those in lists and tuples included."""
    found: list[Tensor] = []
    for value in values:
        if isinstance(value, Tensor):
            found.append(value)
        elif isinstance(value, LISTS):
            found.extend(tensors_in(value))
    return found
