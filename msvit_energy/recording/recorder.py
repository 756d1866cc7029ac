"""Forward hooks and a function mode that count what flows through a model.

What is seen:
- every convolution (1d, 2d, 3d, transposed) and linear layer: its input;
- every product of activations that is a module of its own and says so by `activation_op` ("matmul", "mask" or
  "column_sum"): both inputs. A matmul is an operator with MACs, the others are overhead;
- the same operators as bare function calls inside a forward (`@`, einsum, F.conv2d, ...; calls.py has the list), named
  after the module that calls them;
- every neuron layer: its output per time step;
- batch norm, pooling and biases: how many elements they touch.
The first forward is also followed function by function to learn where every input comes from (origins.py).
"""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import islice
from types import TracebackType
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor, nn

from msvit_energy.errors import EnergyError
from msvit_energy.profiles.firing_maps import Maps
from msvit_energy.profiles.operators import NeuronLayer, Overhead
from msvit_energy.recording import integer_bounds as whole
from msvit_energy.recording import operator_calls as calls
from msvit_energy.recording.call_sites import Frame
from msvit_energy.recording.function_mode import FunctionWatch, Listener
from msvit_energy.recording.moment_accumulator import MomentsTally
from msvit_energy.recording.neurons import Resting, emitted, is_neuron, takes_sequences
from msvit_energy.recording.operator_calls import Call
from msvit_energy.recording.overheads import SPIKE_COSTS, overhead_name
from msvit_energy.recording.spike_lineage import BLANK, INPUT, OTHER, WEIGHT, Origin, Origins, merge
from msvit_energy.recording.stream_counter import BINARY, Observation, Tally, arrived, observe
from msvit_energy.recording.tensor_stats import Surveys

Hook = Callable[..., None]


@dataclass
class Watched:
    """An operator, or a column sum or mask, under observation; tallies and origins by position of the stream."""

    op: str
    tallies: dict[int, Tally] = field(default_factory=dict)
    origins: dict[int, Origin] = field(default_factory=dict)
    macs: int = 0  # over all images
    pairs: int | None = None

    def origin(self, position: int) -> Origin:
        """Where a stream comes from; what held nothing at its only step is something else."""
        found = self.origins.get(position, OTHER)
        return OTHER if found == BLANK else found

    def countable(self) -> bool:
        """Whether all inputs so far were whole numbers, so that pairs of them can be counted."""
        return all(tally.sums and tally.maximum > -math.inf and not tally.analog for tally in self.tallies.values())


class Recorder:
    """Hooks on a model for the length of a `with` block; on leaving they are gone and all neurons at rest. Run each
    batch inside `batch(...)`. Nothing is written onto the model's modules.
    """

    def __init__(
        self, model: nn.Module, time_steps: int, *, steps_per_call: int | None = None, maps: Maps | None = None
    ) -> None:
        self.model, self.time_steps, self.maps = model, time_steps, maps
        self.steps_per_call = steps_per_call or time_steps
        self.images = 0
        self.watched: dict[str, Watched] = {}
        self.masks: dict[str, Watched] = {}
        self.firing: dict[str, Tally] = {}
        self.overheads: dict[str, Overhead] = {}
        self._settled: frozenset[str] = frozenset()  # overheads of earlier batches: for each image they are the same
        self.moments = MomentsTally()
        self.unplaced: dict[str, int] = {}  # bare calls whose tensors fit no image: MACs of the first batch, per image
        self.called: set[str] = set()  # modules
        self.origins: Origins | None = None  # while the first batch runs
        self._batch = 0
        self._image: tuple[int, ...] = ()
        self._counts: dict[str, np.ndarray] = {}  # of the images of the present batch
        self._runs: dict[str, int] = {}  # runs of each module in the present batch
        self._surveys = Surveys()  # of the tensors of the present batch
        # not yet counted: name, first run, synapses reached
        self._seen: list[tuple[str, int, Tally, float | Tensor, Observation]] = []
        self._pairs: list[tuple[str, Watched, Tensor]] = []
        self._stack: list[Frame] = []
        self._handles: list[Any] = []
        self._resting = Resting(model)

    def __enter__(self) -> Self:
        if self.maps is not None:
            self.maps.choose([name for name, module in self.model.named_modules() if is_neuron(module)])
        for name, module in self.model.named_modules():
            self._handles.append(module.register_forward_pre_hook(self._entering(name)))
            hooks = []
            if calls.is_operator(module):
                hooks.append(self._operator_hook(name))
            if is_neuron(module):
                hooks.append(self._neuron_hook(name))
            if (op := overhead_name(module)) is not None:
                hooks.append(self._overhead_hook(name, op))
            for hook in hooks:
                self._handles.append(module.register_forward_hook(self._unwatched(hook), with_kwargs=True))
            self._handles.append(module.register_forward_hook(self._leaving, always_call=True))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for handle in self._handles:
            handle.remove()
        self._resting.restore()

    @contextmanager
    def batch(self, inputs: Tensor, images: int) -> Iterator[None]:
        """Observe the forward (or the T forwards) of that many images, without gradients; neurons start from rest."""
        self._batch = images
        self._image = tuple(inputs.shape[-2:]) if inputs.dim() > 3 else ()  # height and width
        self._runs.clear()
        self._stack.clear()
        self._counts = {}
        self._surveys.clear()
        self._seen.clear()
        self._pairs.clear()
        self._resting.restore()
        if self.images == 0:
            self.origins = Origins()
            self.origins.mark(inputs, INPUT)
        # outside inference mode tensors say when they were written to, and need to be read only once
        with self._resting.mode(), self._watch():
            yield
        self._take_in()
        self._check_runs()
        self._settled = frozenset(self.overheads)
        self.origins = None
        self.images += images
        self.moments.add(self._counts)

    def neuron_layers(self) -> tuple[NeuronLayer, ...]:
        """Firing of every neuron layer so far, in the order of the first call."""
        return tuple(
            NeuronLayer(name, stage_of(name), tally.elements // len(tally.sums), tally.exact_sums())
            for name, tally in self.firing.items()
        )

    def overhead_entries(self) -> tuple[Overhead, ...]:
        """Everything beside the MACs so far; column sums and masks with what flowed into them."""
        return tuple(
            replace(entry, operands=self.operands(entry.layer, self.masks)) for entry in self.overheads.values()
        )

    def operands(self, name: str, watched: dict[str, Watched]) -> Any:
        """The operands of an entry, none for one that is not watched."""
        if name not in watched:
            return ()
        entry = watched[name]
        return tuple(
            tally.operand(f"{name}#{position}", entry.origin(position), reaching=watched is self.watched)
            for position, tally in entry.tallies.items()
        )

    def listed_modules(self) -> list[str]:
        """Modules that appear as overhead, neurons apart."""
        return [name for name, overhead in self.overheads.items() if overhead.op not in ("bias", "neuron_update")]

    def _watch(self) -> FunctionWatch:
        """Watch bare calls of operators, and what makes whole numbers; in the first batch also origins."""
        listeners: dict[Any, list[Listener]] = {func: [self._heard] for func in calls.FUNCTIONS}
        for func in whole.FUNCTIONS:
            listeners.setdefault(func, []).append(self._surveys.heard)
        return FunctionWatch(listeners, [] if self.origins is None else [self.origins.follow])

    def _heard(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> None:
        """Observe a bare call of an operator; that of an operator's module has a hook of its own."""
        if self._stack and calls.is_operator(self._stack[-1].module):
            return
        described = calls.FUNCTIONS[func](*args, **kwargs)
        if described is None:
            return
        frame = self._stack[-1] if self._stack else Frame("", self.model)
        for call in described if isinstance(described, tuple) else (described,):
            ordinal = frame.ordinal(call, self._repeats(call))
            name = ".".join(filter(None, (frame.name, call.op if ordinal == 1 else f"{call.op}_{ordinal}")))
            positions = self._positions(self.watched, name, call)
            if name in self.watched or all(self._steps(call.streams[position]) is not None for position in positions):
                self._observe(self.watched, name, call)
            else:
                self.unplaced.setdefault(name, call.macs // self._batch)

    def _repeats(self, call: Call) -> bool:
        """Whether a call handles a single step although the model was called for all: it may be one of a loop."""
        streams = [stream for stream in call.streams if not isinstance(stream.values, nn.Parameter)]
        return self.steps_per_call > 1 and all(self._steps(stream) == 1 for stream in streams)

    @staticmethod
    def _unwatched(hook: Hook) -> Hook:
        """The hook, whose own calls of torch functions are no part of the forward."""

        def quiet(*arguments: Any) -> None:
            with torch._C.DisableTorchFunction():
                hook(*arguments)

        return quiet

    def _entering(self, name: str) -> Any:
        def hook(module: nn.Module, args: Any) -> None:
            self._stack.append(Frame(name, module))
            self.called.add(name)

        return hook

    def _leaving(self, module: nn.Module, args: Any, output: Any) -> None:
        while self._stack and self._stack.pop().module is not module:
            pass

    def _operator_hook(self, name: str) -> Hook:
        def hook(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Tensor) -> None:
            inputs = tuple(value for value in (*args, *kwargs.values()) if isinstance(value, Tensor))
            first = self._runs.get(f"{name}#0", 0)
            call = calls.of_module(module, inputs, output)
            assert call is not None
            self._observe(self.watched, name, call)
            if isinstance(getattr(module, "bias", None), Tensor):
                self._add_overhead(f"{name}.bias", "bias", output, first)

        return hook

    def _neuron_hook(self, name: str) -> Hook:
        def hook(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> None:
            spikes = emitted(output)
            self._check_steps(name, module, spikes)
            # a neuron that runs over one step at a time has no time axis, whatever its shape looks like
            rank = spikes.dim() if takes_sequences(module) is False else None
            tally = self.firing.setdefault(name, Tally())
            # believed after the first batch, if that was so
            binary = getattr(module, "binary", False) and self.images > 0 and tally.kind == BINARY
            self._count(f"{name} (output)", tally, spikes, rank, highest=1 if binary else math.inf)
            if self.maps is not None and name in self.maps:
                self.maps.add(name, self._outputs(name, spikes, rank), self._image)
            if self.origins is not None:
                self.origins.mark(spikes, Origin("spikes", (name,)))

        return hook

    def _check_steps(self, name: str, module: nn.Module, spikes: Tensor) -> None:
        """EnergyError for a multi-step neuron that did not run over T, or over T and batch as one axis."""
        steps, batch, shape = self.steps_per_call, self._batch, tuple(spikes.shape)
        merged = shape[0] == steps * batch and shape[1:2] != (batch,)
        if takes_sequences(module) and shape[0] != steps and not merged:
            raise EnergyError(f"{name} runs over {shape[0]} time steps, not {steps}; is time_steps = {steps} right?")

    def _check_runs(self) -> None:
        """EnergyError for neurons that did not run T times, or a multiple of T."""
        for name in self.firing:
            runs = self._runs.get(f"{name} (output)", 0)
            if runs % self.time_steps:
                steps = self.time_steps
                raise EnergyError(f"{name} ran {runs} time steps, not {steps}; is time_steps = {steps} right?")

    def _overhead_hook(self, name: str, op: str) -> Hook:
        def hook(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> None:
            inputs = [value for value in (*args, *kwargs.values()) if isinstance(value, Tensor)]
            result = emitted(output)
            largest = result if isinstance(result, Tensor) and result.numel() > inputs[0].numel() else inputs[0]
            first = self._runs.get(name, 0)
            self._runs[name] = first + 1
            self._add_overhead(name, op, largest, first)
            if op in SPIKE_COSTS:
                self._observe(self.masks, name, Call(op, 0, tuple(calls.Stream(value, 0) for value in inputs)))

        return hook

    def _observe(self, into: dict[str, Watched], name: str, call: Call) -> None:
        """Count the streams of one call. Operands made of parameters alone are weights, not streams."""
        if name not in into:
            positions = self._positions(into, name, call)
            if not positions:
                return
            into[name] = Watched(call.op, {position: Tally() for position in positions})
        entry = into[name]
        entry.macs += call.macs
        for position, tally in entry.tallies.items():
            stream = call.streams[position]
            if self.origins is not None:
                origin = self.origins.of(stream.values)
                entry.origins[position] = merge([origin, entry.origins.get(position, origin)])
            self._count(f"{name}#{position}", tally, stream.values, stream.rank, stream.reached)
        if call.pairs is not None and len(entry.tallies) == 2 and not call.streams[0].values.is_meta:
            unread = (0, math.inf, 1)  # nothing waits for a device
            bounds = [seen.bounds.tolist() if seen.bounds.is_cpu else unread for *_, seen in self._seen[-2:]]
            if all(whole for *_, whole in bounds):
                met = self._by_step(name, call.pairs(max(high for _, high, _ in bounds)), None)
                self._pairs.append((name, entry, met.reshape(*met.shape[:2], -1).sum((0, 2))))

    def _positions(self, watched: dict[str, Watched], name: str, call: Call) -> list[int]:
        """The streams of an operator: what it was found to have at its first call, all but weights."""
        if name in watched:
            return list(watched[name].tallies)
        origins = self.origins or Origins()
        return [i for i, stream in enumerate(call.streams) if origins.of(stream.values) != WEIGHT]

    def _add_overhead(self, name: str, op: str, touched: Tensor, first: int) -> None:
        if name in self._settled:
            return
        elements = touched.numel() // self._batch
        if first and name in self.overheads:
            elements += self.overheads[name].elements_per_image
        self.overheads[name] = Overhead(name, stage_of(name), op, elements)

    def _count(
        self,
        name: str,
        tally: Tally,
        value: Tensor,
        rank: int | None,
        reached: float | Tensor = 0,
        *,
        highest: float = math.inf,
    ) -> None:
        """Observe a tensor of a stream, perhaps known to be whole numbers up to `highest`."""
        steps = self._by_step(name, value, rank)
        first = self._runs.get(name, 0)
        self._runs[name] = first + len(steps)
        tally.announce(first, steps, reached)
        if not steps.is_meta:
            steps = steps.cpu() if steps.is_mps else steps  # which has no float64
            self._seen.append((name, first, tally, reached, observe(steps, reached, self._surveys, highest=highest)))

    def _take_in(self) -> None:
        """Count what was observed in this batch."""
        waiting = [tensor for *_, seen in self._seen for tensor in seen] + [pairs for *_, pairs in self._pairs]
        here = iter(arrived(waiting))
        for name, first, tally, reached, seen in self._seen:
            try:
                counts = tally.add(first, Observation._make(islice(here, len(seen))), reached)
            except EnergyError as error:
                layer = name.partition("#")[0]
                raise EnergyError(f"{layer}: {error}; the weights or the input are damaged") from None
            if "#" in name:
                self._add_counts({f"{name} {count}": numbers for count, numbers in counts.items()})
        for (name, entry, _), pairs in zip(self._pairs, here, strict=True):
            if entry.countable():
                met = pairs.long().numpy()
                entry.pairs = (entry.pairs or 0) + int(met.sum())
                self._add_counts({f"{name} pairs": met})

    def _add_counts(self, counts: dict[str, np.ndarray]) -> None:
        for key, numbers in counts.items():
            self._counts[key] = self._counts[key] + numbers if key in self._counts else numbers

    def _steps(self, stream: calls.Stream) -> int | None:
        """Time steps in a tensor; None for one that belongs to no image."""
        try:
            return self._by_step("", stream.values, stream.rank).shape[0]
        except EnergyError:
            return None

    def _by_step(self, name: str, value: Tensor, rank: int | None) -> Tensor:
        """`[T*B, ...]`, `[T, B, ...]` or, constant in time, `[B, ...]` -> `[T or 1, B, ...]`.

        `rank` is the number of axes without a time axis of its own, None where that is free.
        """
        steps, batch, shape = self.steps_per_call, self._batch, tuple(value.shape)
        stepped = len(shape) > 2 and len(shape) != rank and shape[:2] == (steps, batch)
        if stepped:
            return value
        if shape[:1] == (steps * batch,):
            return value.unflatten(0, (steps, batch))
        if shape[:1] == (batch,):
            return value.unsqueeze(0)
        if shape and shape[0] % (steps * batch) == 0:  # parts of each image in a row, such as windows of attention
            return value.unflatten(0, (steps, batch, -1))
        raise EnergyError(
            f"{name}: a tensor of shape {shape} has neither T*B = {steps * batch} nor T, B = {steps}, {batch} nor "
            f"B = {batch} in front; is time_steps = {steps} right?"
        )

    def _outputs(self, name: str, value: Tensor, rank: int | None) -> Tensor:
        """As `_by_step`; EnergyError where the axes of one image are not those of the output."""
        steps = self._by_step(name, value, rank)
        if steps.dim() > value.dim() + 1:
            shape = tuple(value.shape)
            raise EnergyError(f"{name}: an output of shape {shape} has parts of images in a row and no map")
        return steps


def stage_of(name: str) -> str:
    """The part of a model a module belongs to: the first component of its name."""
    return name.split(".", 1)[0]
