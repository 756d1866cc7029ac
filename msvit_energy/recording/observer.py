"""What the hooks and the function mode of a Recorder report, counted: operators, neurons and the work beside them."""

import math
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from msvit_energy.errors import EnergyError
from msvit_energy.profiles.operators import Operator, Overhead
from msvit_energy.recording.binary_neurons import is_binary
from msvit_energy.recording.call_sites import CallSites
from msvit_energy.recording.counts.call_counter import CallCounter
from msvit_energy.recording.counts.stream_counter import BINARY
from msvit_energy.recording.counts.streams import Streams
from msvit_energy.recording.counts.tensor_stats import has_nan
from msvit_energy.recording.data_flow import DataFlow
from msvit_energy.recording.feeding.input_modes import InputMode, logits_in
from msvit_energy.recording.feeding.model_output import output_tensor
from msvit_energy.recording.firing_maps import FiringMaps
from msvit_energy.recording.layouts.layout import Layout
from msvit_energy.recording.layouts.layout_search import Layouts
from msvit_energy.recording.model_parameters import parameters_of
from msvit_energy.recording.module_calls import of_module
from msvit_energy.recording.neurons import emitted, multiplies_without_synapses, steps_run, takes_sequences
from msvit_energy.recording.operator_calls import Call
from msvit_energy.recording.overheads import SPIKE_COSTS, OverheadCounter, spike_cost
from msvit_energy.recording.recording import Recording, check_heads, with_roles
from msvit_energy.recording.spike_lineage import INPUT, Origin, Origins
from msvit_energy.recording.spiking_functions import NO_SITES, Site
from msvit_energy.recording.stream_key import OUTPUT, StreamKey
from msvit_energy.recording.torch_functions import described


class Observer:
    """Counts of everything that was reported, batch by batch, of a model that is fed by `mode`."""

    KEPT = ("images", "_functions", "_unplaced")  # by an earlier process too (earlier_counts.py)

    def __init__(
        self,
        model: nn.Module,
        mode: InputMode,
        maps: FiringMaps | None,
        heads: Collection[str] | None,
        functions: Mapping[Site, str] = NO_SITES,
        *,
        per_image: bool = False,
    ) -> None:
        self.call_sites = CallSites(model, mode.steps_per_call)
        self._buffers = list(nn.Module.buffers(model))
        self.streams = Streams(per_image=per_image)
        self.origins: Origins | None = None  # while the first batch runs
        self.flow: DataFlow | None = None  # likewise
        self._entrances: frozenset[str] = frozenset()
        self._heads: Collection[str] | None = heads
        self._heads_given = heads is not None
        self.layouts = Layouts(mode.steps_per_call)
        self._time_steps, self._steps_per_call = mode.time_steps, mode.steps_per_call
        self._mode, self._maps, self._functions = mode, maps, functions
        self.images = 0
        self._batch_images = 1  # in the present batch
        self._image_size: tuple[int, ...] = ()  # height and width in the present batch
        self._operators = CallCounter(self.streams)
        self._spike_costs = CallCounter(self.streams, reaching=False)
        self._overheads = OverheadCounter()
        self._unplaced: dict[str, int] = {}
        self._nan_in = ""  # the first layer whose output has NaN

    @property
    def parts(self) -> tuple[Any, ...]:
        """Everything that counts over all batches; `KEPT` of each says by what."""
        streams, calls = self.streams, (self._operators, self._spike_costs)
        return (self, self.call_sites, streams, streams.moments, streams.lattices, *calls, self._overheads)

    def begin(self, inputs: Tensor, images: int) -> None:
        """Start a batch of that many images; origins are followed in the first."""
        self._batch_images = images
        self._image_size = tuple(inputs.shape[-2:]) if inputs.dim() > 3 else ()
        for part in (self.call_sites, self._operators, self._spike_costs):
            part.begin()
        self.streams.begin(self.layouts, images)
        if self.images == 0:
            self.origins = Origins(self._buffers)
            self.origins.mark(inputs, INPUT)
            self.streams.lattices.origins = self.origins
            self.flow = DataFlow(inputs)

    def end(self) -> None:
        """Count the batch. EnergyError for NaN, and for neurons that did not run T times, or a multiple of T."""
        repeats = self.call_sites.repeats()
        self._operators.end(repeats)
        self._spike_costs.end(repeats)
        self.streams.end(repeats, self._time_steps)
        if self._nan_in:
            raise EnergyError(f"{self._nan_in}: its output has NaN; the weights or the input are damaged")
        self._check_runs()
        self._overheads.settle()
        if self.flow is not None:
            self._entrances, heads = self.flow.entrances, self.flow.heads
            if self._heads_given:
                check_heads(self._heads or (), self._operators.layers)
            elif heads is not None:
                self._heads = frozenset(repeats.get(layer, layer) for layer in heads)
        self.origins = self.flow = None
        self.images += self._batch_images

    def _check_runs(self) -> None:
        """EnergyError for neurons that did not run T times, or a multiple of T, and for a model that runs over more
        steps than T: all its neurons do, and at least one operator as often."""
        steps, runs = self._time_steps, self.streams.runs()
        neurons = {key.layer: count for key, count in runs.items() if key.role == OUTPUT}
        for layer in set(self._functions.values()) & {layer for layer, count in neurons.items() if count % steps}:
            self._forget_function(layer)
            del neurons[layer]
        for layer, count in neurons.items():
            if count % steps:
                early = " If the model's loop stops early, let it run all steps" if count < steps else ""
                raise EnergyError(f"{layer} ran {count} time steps, not {steps}; is time_steps = {steps} right?{early}")
        (most, *others) = set(neurons.values()) or {steps}
        operators = {count for key, count in runs.items() if key.role != OUTPUT}
        if most > steps and not others and most in operators:
            raise EnergyError(
                f"the model runs over {most} time steps by itself, not {steps}: all its neurons did, such as "
                f"{next(iter(neurons))}; pass time_steps = {most}"
            )

    def _forget_function(self, layer: str) -> None:
        """Take a function that does not run for all time steps for no neurons."""
        self._functions = {site: name for site, name in self._functions.items() if name != layer}
        self.streams.counters.pop(StreamKey(layer, OUTPUT), None)
        self._overheads.remove(layer)

    def operator(self, name: str, module: nn.Module, inputs: Sequence[Tensor], output: Tensor) -> None:
        """A module that is an operator by itself has run."""
        call = of_module(module, tuple(inputs), output)
        assert call is not None
        if not call.streams:  # what flows inside is not seen
            self._note_unplaced(name, call)
        if self.origins is not None:
            for stream, given in zip(call.streams, inputs, strict=False):
                self.origins.mark(stream.values, self.origins.of(given))  # which may be quantised
        self._operators.observe(name, call, self.origins)
        self._look_for_nan(name, output)
        if self.flow is not None:
            self.flow.operator(name, list(inputs), output)

    def _note_unplaced(self, layer: str, call: Call) -> None:
        """Add the MACs of a call of the first batch whose inputs are not observed."""
        if self.images == 0:
            self._unplaced[layer] = self._unplaced.get(layer, 0) + call.macs // self._batch_images

    def bias(self, name: str, module: nn.Module, output: Tensor) -> None:
        """A module that may add a bias to its output has run."""
        if isinstance(getattr(module, "bias", None), Tensor):
            self._overheads.add(f"{name}.bias", "bias", output, self._batch_images)

    def bare_call(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> None:
        """A torch function with MACs has run; one inside of an operator's module is that module's own."""
        if self.call_sites.inside_operator:
            return
        for call in described(func, args, kwargs):
            layer = self.call_sites.name(call)
            if multiplies_without_synapses(self.call_sites.running):
                self._note_unplaced(layer, call)
                continue
            layouts = self._layouts(layer, call)
            placed = None not in layouts
            if all(layout is not None and not (layout.has_time and self._steps_per_call > 1) for layout in layouts):
                self.call_sites.note_single_step(layer, call)
            self._look_for_nan(layer, output)
            if self.flow is not None:
                self.flow.operator(layer, call.tensors, output)
            if self._operators.known(layer) or placed:
                self._operators.observe(layer, call, self.origins)
            else:
                self._unplaced.setdefault(layer, call.macs // self._batch_images)

    def _layouts(self, layer: str, call: Call) -> list[Layout | None]:
        """The layouts of the streams of a bare call."""
        found = []
        for key in self._operators.streams_of(layer, call, self.origins):
            stream = call.streams[key.position]
            found.append(self.streams.layout(key, stream.values, stream.rank))
        return found

    def output(self, output: Any) -> None:
        """The model has given its output."""
        if self.flow is not None:
            logits = logits_in(output, self._batch_images, self._mode)
            self.flow.output(None if logits is None else output_tensor(output))

    def neuron(self, name: str, module: nn.Module, inputs: Sequence[Tensor], output: Any) -> None:
        """A layer of spiking neurons has run."""
        key, spikes, sequences = StreamKey(name, OUTPUT), emitted(output), takes_sequences(module)
        self.streams.stats.note_neuron(spikes)
        self.call_sites.neuron_runs += 1
        # a neuron that runs over one step at a time has no time axis, whatever its shape looks like
        rank = spikes.dim() if sequences is False else None
        layout = self.streams.layout(key, spikes, rank)
        if sequences:
            self._check_sequence(name, spikes, steps_run(module, spikes))
        steps = self.streams.split(key, spikes, rank)
        if self.origins is not None:
            self.origins.note_factors((*parameters_of(module), *nn.Module.buffers(module)))
        known = 1 if self._known_binary(key, module) else math.inf
        self.streams.observe(key, steps, highest=known, source="spikes")
        if self._maps is not None and name in self._maps:
            if layout is not None and layout.in_parts:
                shape = tuple(spikes.shape)
                raise EnergyError(f"{name}: an output of shape {shape} has parts of images in a row and no map")
            self._maps.add(name, steps, self._image_size)
        if self.origins is not None and self.flow is not None:
            self.origins.mark(spikes, Origin("spikes", (name,)))
            self.flow.neuron(list(inputs), output)

    def function(self, site: Site, given: Sequence[Any], output: Any) -> None:
        """A bare autograd function has run, which may be a layer of neurons."""
        name = self._functions.get(site)
        if name is None or self.streams.layout(StreamKey(name, OUTPUT), output, None) is None:
            return
        self.streams.stats.note_neuron(output)
        self.call_sites.neuron_runs += 1
        key = StreamKey(name, OUTPUT)
        self.streams.observe(key, self.streams.split(key, output), source="spikes")
        self._overheads.add(name, "neuron_update", output, self._batch_images)
        if self.origins is not None and self.flow is not None:
            self.origins.mark(output, Origin("spikes", (name,)))
            self.flow.neuron([each for each in given if isinstance(each, Tensor)], output)

    def _check_sequence(self, name: str, spikes: Tensor, ran: int) -> None:
        """EnergyError if the output of a multi-step neuron is not over T time steps."""
        steps, shape = self._steps_per_call, tuple(spikes.shape)
        merged = shape[0] == steps * self._batch_images and shape[1:2] != (self._batch_images,)
        if ran != steps and not merged:
            raise EnergyError(f"{name} runs over {ran} time steps, not {steps}; is time_steps = {steps} right?")

    def _known_binary(self, key: StreamKey, neuron: nn.Module) -> bool:
        """Whether a neuron is binary by its class and was so in the first batch, which then is not checked again."""
        counter = self.streams.counters.get(key)
        return self.images > 0 and counter is not None and counter.kind == BINARY and is_binary(neuron)

    def overhead(self, name: str, op: str, inputs: Sequence[Tensor], output: Any) -> None:
        """A module that costs something beside MACs has run; column sums and masks are fed with spikes."""
        result = emitted(output)
        self._look_for_nan(name, result)
        largest = result if isinstance(result, Tensor) and result.numel() > inputs[0].numel() else inputs[0]
        self._overheads.add(name, op, largest, self._batch_images)
        if op in SPIKE_COSTS:
            self._spike_costs.observe(name, spike_cost(op, inputs), self.origins)

    def _look_for_nan(self, layer: str, output: Any) -> None:
        """Note NaN in an output of the first batch: a neuron that is fed with it is silent, and no operator may ever
        read it. Inputs of operators are checked in every batch."""
        watched = isinstance(output, Tensor) and output.is_floating_point() and not output.is_meta
        if watched and self.images == 0 and not self._nan_in and has_nan(output):
            self._nan_in = layer

    def _ordered_layer(self, key: StreamKey) -> str:
        """The layer of a stream if the order of its values matters; a silent one has none."""
        counter = self.streams.counters.get(key)
        return key.layer if counter is not None and any(counter.sums) else ""

    def result(self) -> Recording:
        """What was counted so far."""
        operators = with_roles(self._operators.operators(self.images), self._entrances, self._heads)
        overheads = self._overheads.entries(self._spike_costs)
        entries: tuple[Operator | Overhead, ...] = (*operators, *overheads)
        count_keys = [key for entry in entries for key in entry.count_keys()]
        neurons = {key.layer: each for key, each in self.streams.counters.items() if key.role == OUTPUT}
        return Recording(
            images=self.images,
            time_steps=self._time_steps,
            operators=operators,
            neurons=tuple(counter.neuron_layer(layer) for layer, counter in neurons.items()),
            overheads=overheads,
            moments=self.streams.moments.moments(count_keys),
            unplaced=dict(self._unplaced),
            called=frozenset(self.call_sites.called),
            assumed_order=tuple(dict.fromkeys(filter(None, map(self._ordered_layer, self.streams.layouts.guessed())))),
        )
