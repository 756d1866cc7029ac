"""What the hooks and the function mode of a Recorder report, counted: operators, neurons and the work beside them."""

import math
from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from msvit_energy.errors import EnergyError
from msvit_energy.profiles.operators import NeuronLayer, Operator, Overhead, stage_of
from msvit_energy.recording.call_counter import CallCounter
from msvit_energy.recording.call_sites import CallSites
from msvit_energy.recording.firing_maps import FiringMaps
from msvit_energy.recording.neurons import emitted, takes_sequences
from msvit_energy.recording.operator_calls import Call, Stream, described, of_module
from msvit_energy.recording.overheads import SPIKE_COSTS, OverheadCounter
from msvit_energy.recording.recording import Recording, with_roles
from msvit_energy.recording.spike_lineage import INPUT, Origin, Origins
from msvit_energy.recording.stream_counter import BINARY
from msvit_energy.recording.streams import OUTPUT, StreamKey, Streams
from msvit_energy.recording.time_axis import TimeAxis


class Observer:
    """Counts of everything that was reported, batch by batch. `time_steps` is T, `steps_per_call` how many of them one
    call of the model runs over."""

    def __init__(self, model: nn.Module, time_steps: int, steps_per_call: int, maps: FiringMaps | None) -> None:
        self.call_sites = CallSites(model)
        self.streams = Streams()
        self.origins: Origins | None = None  # while the first batch runs
        self._time_steps, self._steps_per_call, self._maps = time_steps, steps_per_call, maps
        self._images = 0
        self._axis = TimeAxis(steps_per_call, 1)  # of the present batch
        self._image_size: tuple[int, ...] = ()  # height and width in the present batch
        self._operators = CallCounter(self.streams)
        self._spike_costs = CallCounter(self.streams, reaching=False)
        self._overheads = OverheadCounter()
        self._unplaced: dict[str, int] = {}

    def begin(self, inputs: Tensor, images: int) -> None:
        """Start a batch of that many images; origins are followed in the first."""
        self._axis = TimeAxis(self._steps_per_call, images)
        self._image_size = tuple(inputs.shape[-2:]) if inputs.dim() > 3 else ()
        self.call_sites.begin()
        self.streams.begin(self._axis)
        if self._images == 0:
            self.origins = Origins()
            self.origins.mark(inputs, INPUT)

    def end(self) -> None:
        """Count the batch. EnergyError for NaN, and for neurons that did not run T times, or a multiple of T."""
        self.streams.end()
        for key in self.streams.counters:
            runs, steps = self.streams.runs(key), self._time_steps
            if key.role == OUTPUT and runs % steps:
                raise EnergyError(f"{key.layer} ran {runs} time steps, not {steps}; is time_steps = {steps} right?")
        self._overheads.settle()
        self.origins = None
        self._images += self._axis.images

    def operator(self, name: str, module: nn.Module, inputs: Sequence[Tensor], output: Tensor) -> None:
        """A module that is an operator by itself has run."""
        call = of_module(module, tuple(inputs), output)
        assert call is not None
        self._operators.observe(name, call, self.origins)
        if isinstance(getattr(module, "bias", None), Tensor):
            self._overheads.add(f"{name}.bias", "bias", output, self._axis.images)

    def bare_call(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> None:
        """A torch function with MACs has run; one inside of an operator's module is that module's own."""
        if self.call_sites.inside_operator:
            return
        for call in described(func, args, kwargs):
            layer = self.call_sites.name(call, self._repeats(call))
            streams = [call.streams[key.position] for key in self._operators.streams_of(layer, call, self.origins)]
            placed = all(self._axis.steps_in(stream.values, stream.rank) is not None for stream in streams)
            if layer in self._operators.layers or placed:
                self._operators.observe(layer, call, self.origins)
            else:
                self._unplaced.setdefault(layer, call.macs // self._axis.images)

    def _repeats(self, call: Call) -> bool:
        """Whether a call handles a single step although the model was called for all: it may be one of a loop."""
        streams = [stream for stream in call.streams if not isinstance(stream.values, nn.Parameter)]
        return self._axis.steps > 1 and all(self._axis.steps_in(each.values, each.rank) == 1 for each in streams)

    def neuron(self, name: str, module: nn.Module, output: Any) -> None:
        """A layer of spiking neurons has run."""
        key, spikes, sequences = StreamKey(name, OUTPUT), emitted(output), takes_sequences(module)
        self.streams.stats.note_neuron(spikes)
        if sequences:
            self._axis.check_sequence(spikes, name)
        # a neuron that runs over one step at a time has no time axis, whatever its shape looks like
        rank = spikes.dim() if sequences is False else None
        self.streams.observe(key, spikes, rank, highest=1 if self._known_binary(key, module) else math.inf)
        if self._maps is not None and name in self._maps:
            self._maps.add(name, self._axis.split_images(spikes, rank, name), self._image_size)
        if self.origins is not None:
            self.origins.mark(spikes, Origin("spikes", (name,)))

    def _known_binary(self, key: StreamKey, neuron: nn.Module) -> bool:
        """Whether a neuron declares itself `binary` and was so in the first batch, which then is not checked again."""
        counter = self.streams.counters.get(key)
        claimed = bool(getattr(neuron, "binary", False))
        return claimed and self._images > 0 and counter is not None and counter.kind == BINARY

    def overhead(self, name: str, op: str, inputs: Sequence[Tensor], output: Any) -> None:
        """A module that costs something beside MACs has run; column sums and masks are fed with spikes."""
        result = emitted(output)
        largest = result if isinstance(result, Tensor) and result.numel() > inputs[0].numel() else inputs[0]
        self._overheads.add(name, op, largest, self._axis.images)
        if op in SPIKE_COSTS:
            self._spike_costs.observe(name, Call(op, 0, tuple(Stream(value, 0) for value in inputs)), self.origins)

    def result(self) -> Recording:
        """What was counted so far."""
        operators = with_roles(self._operators.operators(self._images))
        overheads = self._overheads.entries(self._spike_costs)
        entries: tuple[Operator | Overhead, ...] = (*operators, *overheads)
        count_keys = [key for entry in entries for key in entry.count_keys()]
        neurons = {key.layer: each for key, each in self.streams.counters.items() if key.role == OUTPUT}
        return Recording(
            images=self._images,
            time_steps=self._time_steps,
            operators=operators,
            neurons=tuple(
                NeuronLayer(layer, stage_of(layer), counter.elements // len(counter.sums), counter.exact_sums())
                for layer, counter in neurons.items()
            ),
            overheads=overheads,
            moments=self.streams.moments.moments(count_keys),
            unplaced=dict(self._unplaced),
            called=frozenset(self.call_sites.called),
        )
