"""What a forward of one image shows of the streams, from which their layouts are found."""

from collections.abc import Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from msvit_energy.meta_tensors import ShapesOnly, with_values
from msvit_energy.recording.call_sites import CallSites
from msvit_energy.recording.feeding.input_modes import InputMode, own_steps_changed, run
from msvit_energy.recording.function_mode import FunctionObserver
from msvit_energy.recording.hooks import listening
from msvit_energy.recording.layouts.layout_search import Layouts, Seen, SeenStreams
from msvit_energy.recording.model_parameters import parameters_of
from msvit_energy.recording.module_calls import of_module
from msvit_energy.recording.neurons import Neurons, emitted
from msvit_energy.recording.operator_calls import Call
from msvit_energy.recording.overheads import SPIKE_COSTS, spike_cost
from msvit_energy.recording.spiking_functions import FunctionCall, Site, makes_spikes
from msvit_energy.recording.state.model_state import RestState
from msvit_energy.recording.state.repeatable import random_state_kept
from msvit_energy.recording.stream_key import INPUT, OUTPUT, StreamKey
from msvit_energy.recording.torch_functions import FUNCTIONS, described


class LayoutProbe:
    """Listens to a forward as an Observer does, and notes every tensor of every stream, call by call. Of functions that
    spike (`functions`, by where they are called) it notes all streams, or where these are not known yet all calls."""

    def __init__(self, model: nn.Module, steps_per_call: int, functions: Mapping[Site, str] | None) -> None:
        self._functions = functions
        self.function_calls: list[FunctionCall] = []
        self._emitted: list[tuple[Site, Seen]] = []
        self.call_sites = CallSites(model, steps_per_call)
        self.streams: dict[StreamKey, list[Seen]] = {}

    def operator(self, name: str, module: nn.Module, inputs: Sequence[Tensor], output: Tensor) -> None:
        """A module that is an operator by itself has run."""
        with with_values():
            call = of_module(module, tuple(inputs), output)
        assert call is not None
        self._note(name, call)

    def bare_call(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> None:
        """A torch function with MACs has run."""
        if not self.call_sites.inside_operator:
            with with_values():
                calls = described(func, args, kwargs)
            for call in calls:
                self._note(self.call_sites.name(call), call)

    def overhead(self, name: str, op: str, inputs: Sequence[Tensor], output: Any) -> None:
        """A module that costs something beside MACs has run."""
        if op in SPIKE_COSTS:
            self._note(name, spike_cost(op, inputs))

    def neuron(self, name: str, module: nn.Module, inputs: Sequence[Tensor], output: Any) -> None:
        """A layer of spiking neurons has run."""
        self._add(StreamKey(name, OUTPUT), emitted(output))

    def function(self, site: Site, given: Sequence[Any], output: Any) -> None:
        """A bare autograd function has run."""
        if self._functions is not None:
            if site in self._functions:
                self._add(StreamKey(self._functions[site], OUTPUT), output)
        elif not output.is_meta:
            alike = [each for each in given if isinstance(each, Tensor) and each.shape == output.shape]
            spikes = False if any(map(self.call_sites.is_weight, alike)) else makes_spikes(given, output)
            self.function_calls.append(FunctionCall(site, spikes, tuple(output.shape)))
            if spikes is not False:
                self._emitted.append((site, Seen.of(output)))

    def with_functions(self, functions: Mapping[Site, str]) -> SeenStreams:
        """All streams, with those of functions that spike."""
        streams = {key: list(calls) for key, calls in self.streams.items()}
        for site, seen in self._emitted:
            if site in functions:
                streams.setdefault(StreamKey(functions[site], OUTPUT), []).append(seen)
        return streams

    def bias(self, name: str, module: nn.Module, output: Tensor) -> None:
        """Biases are no streams."""

    def output(self, output: Any) -> None:
        """The output of the model is no stream."""

    def _note(self, layer: str, call: Call) -> None:
        for position, stream in enumerate(call.streams):
            self._add(StreamKey(layer, INPUT, position), stream.values)

    def _add(self, key: StreamKey, values: Tensor) -> None:
        self.streams.setdefault(key, []).append(Seen.of(values))


@contextmanager
def probing(model: nn.Module, steps_per_call: int, neurons: Neurons) -> Iterator[LayoutProbe]:
    """A probe that sees all streams of the forwards of a `with` block."""
    probe = LayoutProbe(model, steps_per_call, neurons.functions)
    with listening(model, probe, neurons), FunctionObserver({func: [probe.bare_call] for func in FUNCTIONS}):
        yield probe


@dataclass(frozen=True)
class KnownShapes:
    """The shapes of all streams of one image over T and, where one call runs over several, over T + 1 steps; with them
    alone the layouts of a single image are known if `enough`."""

    alone: SeenStreams
    longer: SeenStreams
    enough: bool


def find_layouts(
    model: nn.Module,
    image: Tensor,
    mode: InputMode,
    rest: RestState,
    alone: SeenStreams | None = None,
    kept: dict[Hashable, KnownShapes] | None = None,
) -> Layouts:
    """Where the tensors of a model have time and images, by one image `[1, ...]` over T and over T + 1 steps. `alone`
    are the streams over T if they are known already; `kept` has shapes of earlier calls with this model.

    Of T + 1 steps shapes are enough, where they go through the model and leave no order open.
    """
    steps, kept = mode.time_steps, {} if kept is None else kept
    alone = _streams(model, image, mode, rest) if alone is None else alone
    if mode.steps_per_call == 1:
        kept[_place(image, mode)] = KnownShapes(_shapes(alone or {}), {}, alone is not None)
        return Layouts(1, steps, alone)
    known = kept.get(_place(image, mode))
    longer = _longer_shapes(model, image, mode, rest) if known is None else known.longer
    layouts = Layouts(steps, steps, alone, longer)
    if alone is not None and longer is not None:
        kept[_place(image, mode)] = KnownShapes(_shapes(alone), longer, not layouts.wants_values)
    if longer is None or layouts.wants_values:
        layouts = Layouts(steps, steps, alone, _longer_streams(model, image, mode, rest))
    return layouts


def known_layouts(image: Tensor, mode: InputMode, kept: Mapping[Hashable, KnownShapes]) -> Layouts | None:
    """The layouts of a batch of one image `[1, ...]`, if they are known from its shapes alone."""
    known = kept.get(_place(image, mode))
    if known is None or not known.enough:
        return None
    return Layouts(mode.steps_per_call, mode.time_steps, known.alone, known.longer)


def _place(image: Tensor, mode: InputMode) -> Hashable:
    return tuple(image.shape), image.dtype, image.device, mode


def _shapes(streams: SeenStreams) -> SeenStreams:
    return {key: [Seen(seen.shape, None) for seen in calls] for key, calls in streams.items()}


def _longer_shapes(model: nn.Module, image: Tensor, mode: InputMode, rest: RestState) -> SeenStreams | None:
    with torch.inference_mode(False), ShapesOnly():
        return _longer_streams(model, image.to("meta"), mode, rest)


def _longer_streams(model: nn.Module, image: Tensor, mode: InputMode, rest: RestState) -> SeenStreams | None:
    """The streams over one time step more; None for a model whose T cannot be changed."""
    more = replace(mode, time_steps=mode.time_steps + 1)
    frames = torch.cat([image, image[:, :1]], 1) if mode.frames else image
    with own_steps_changed(model, mode.time_steps, more.time_steps) as changed:
        if mode.feed == "image" and not (changed or mode.frames):
            return None
        return _streams(model, frames, more, rest)


def _streams(model: nn.Module, image: Tensor, mode: InputMode, rest: RestState) -> SeenStreams | None:
    """The streams of a forward from the state of rest; None if the model refuses it."""
    device = next(parameters_of(model), image).device
    try:
        with rest.mode(), random_state_kept(device), probing(model, mode.steps_per_call, rest.neurons) as probe:
            run(model, image.clone(), mode)
    except Exception:  # somebody's model can raise anything
        return None
    finally:
        with with_values():
            rest.restore()
    return probe.streams
