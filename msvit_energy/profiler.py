"""Measure: run a model over images, record what flows, count dense MACs, return a Profile."""

from collections.abc import Callable, Collection, Hashable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from msvit_energy.dense.graph import Graph, graph_of
from msvit_energy.dense.reconcile import reconcile
from msvit_energy.errors import EnergyError
from msvit_energy.preparation import Preparation, Prepared
from msvit_energy.profiles.coverage import Coverage, Unknown
from msvit_energy.profiles.profile import Profile
from msvit_energy.profiles.provenance import InputOrigin, ModelOrigin, Provenance
from msvit_energy.recording.concurrency import TURNS
from msvit_energy.recording.earlier_counts import EarlierCounts
from msvit_energy.recording.feeding import input_modes
from msvit_energy.recording.feeding.batches import read_batch
from msvit_energy.recording.feeding.calls_remembered import check_remembers
from msvit_energy.recording.feeding.input_modes import Feed, InputMode, time_steps_set
from msvit_energy.recording.feeding.mode_detection import FoundMode, find_mode
from msvit_energy.recording.firing_maps import FiringMaps
from msvit_energy.recording.layouts.layout_probe import find_layouts, known_layouts, probing
from msvit_energy.recording.layouts.layout_search import Layouts
from msvit_energy.recording.measurable import as_written, check_measurable, run_as_written
from msvit_energy.recording.memory_estimate import estimate
from msvit_energy.recording.model_parameters import parameters_of
from msvit_energy.recording.neurons import Named, named_neurons, one_or_more
from msvit_energy.recording.recorder import Recorder
from msvit_energy.recording.recording import Recording
from msvit_energy.recording.spiking_functions import named_sites
from msvit_energy.recording.state.model_state import RestState
from msvit_energy.recording.state.repeatable import float32_as_it_is
from msvit_energy.recording.state.state_check import StateCheck
from msvit_energy.recording.weights_hash import weights_hash


@dataclass
class Labels:
    """How many images had a label, and how many of those were classified correctly. Labels of data with another number
    of `classes` than the model has outputs say nothing."""

    classes: int | None = None
    known: int = 0
    right: Tensor | int = 0  # stays on the model's device until it is asked for

    @property
    def correct(self) -> int:
        """Images classified correctly."""
        return int(self.right)

    def add(self, logits: Tensor | None, labels: Tensor | None) -> None:
        """Count one batch; labels below 0 mean unknown."""
        if labels is None or logits is None or self.classes not in (None, logits.shape[-1]):
            return
        self.known += int((labels >= 0).sum())
        self.right = self.right + (logits.argmax(-1) == labels.to(logits.device, non_blocking=True)).sum()


def profile(
    model: nn.Module,
    batches: Iterable[Any],
    *,
    time_steps: int | None = None,
    feed: Feed = "auto",
    frames: bool | None = None,
    input_key: str | int | None = None,
    classes: int | None = None,
    lemaire: int = 0,
    maps: FiringMaps | None = None,
    per_image: bool = False,
    provenance: Mapping[str, Any] | None = None,
    on_batch: Callable[[int], None] | None = None,
    enough: Callable[[Profile], bool] | None = None,
    earlier: EarlierCounts | None = None,
    after_batch: Callable[[Callable[[], EarlierCounts]], bool] | None = None,
    preparation: Preparation | None = None,
    reset: Callable[[], object] | None = None,
    head: str | Collection[str] | None = None,
    neurons: Named | Collection[Named] = (),
) -> Profile:
    """Profile `model` on `batches` of images or (images, labels); labels below 0 mean unknown. Images are a tensor, an
    array or a list of PIL images; a batch may also be a longer tuple or a dict.

    - `time_steps`: T; by default that of the model (an attribute, or its own loop over time) or of the data; without
      neurons 1. A model with an attribute `time_steps` is set to the given T for the measurement.
    - `feed`: how the model wants T: "image" (called once with a batch as it is), "time-first" (`[T, B, ...]`),
      "batch-first", "time-last", or "step" (called T times); "auto" finds out from small batches.
    - `frames`: whether a batch carries T, `[B, T, ...]`; else it is images, which are repeated. None finds out, where
      an axis is as long as T.
    - `input_key`: of batches that are dicts or tuples, where the images are, if not under a usual name or in front.
    - `classes`: classes of the labels, which count only if the model has as many outputs.
    - `lemaire`: so many images also go one by one through SpikingJelly's estimate after Lemaire et al.
    - `maps`: filled with the rates of single layers.
    - `per_image`: also keeps the counts of single images, for `energy_per_image` and for the interval of `diff`.
    - `provenance`: facts to store; Provenance has the known ones.
    - `on_batch`: called after each batch with its number of images.
    - `enough`: called with what was measured so far; ends the measurement when it returns True.
    - `earlier`: what an earlier process counted before it ended. `batches` are then the very first one, which runs
      again and is not counted twice, and those that the other had not run; the profile is that of all.
    - `after_batch`: called after each batch with a function that makes such counts, to be written before it returns;
      ends the measurement when it returns True.
    - `preparation`: keeps what is worked out about the model for its next measurement, such as how it is fed.
    - `reset`: called before every batch, after the resets of known libraries' neurons; puts a state to rest that
      is kept where RestState does not find it, such as in class attributes or in variables of functions.

    - `head`: the layer or layers that make the output, which some protocols leave out; by default those that the first
      batch shows to make logits `[B, classes]`, be it through neurons.
    - `neurons`: one's own layers of spiking neurons, beside those of known libraries: classes of modules, or patterns
      of their names or of names of their classes, such as "lif*".

    Every batch starts from the state that the model is in when this is called. A neuron of no known library that ran
    before keeps what was left in it: pass `reset`. The first image alone runs once before and once after the
    measurement, with torch's generators in the same state, and has to give the same spikes; of a single image on the
    CPU the measurement is the second run. Random numbers from other generators differ, and are taken for a state that
    leaks from batch to batch.

    Random spikes, such as Poisson encoding, are one draw from torch's generators as they are, and the profile warns of
    them: call torch.manual_seed before, and state the seed.

    Images go to the model's device and number format. The model comes back as it was, after an exception too: mode,
    hooks, T, states at rest. Measurements in several threads take turns, one of each model; nothing else may run it
    meanwhile.
    Works under `inference_mode` and `no_grad` alike. Raises EnergyError for what the
    model raises, no images, `neurons` that no module is, a model of torch.jit or in bfloat16, NaN inside
    the network, tensors that do not fit T, a state that leaks from batch to batch, or where T is unknown, no way of
    feeding fits, or several do and give different numbers.
    """
    model = as_written(model)
    check_measurable(model, batches, time_steps, feed, lemaire)
    named = one_or_more(neurons)
    spiking = named_neurons(model, named)
    origin = _with_model(Provenance.of(provenance or {}), model, named, preparation)
    labels = Labels(classes)
    single: list[Tensor] = []
    stream = _batches(model, batches, input_key)
    first = next(stream, None)
    if first is None:
        raise EnergyError("no images to profile")
    image = first[0][:1].clone()
    with TURNS.alone(model), _measuring(model, time_steps):
        rest = RestState(model, reset, spiking)
        prepared = Prepared() if preparation is None else preparation.of(model, rest, named)
        found = _fed(model, first[0], rest, prepared, time_steps=time_steps, feed=feed, frames=frames)
        mode = found.mode
        leaks = StateCheck(model, first[0], mode, rest, prepared.forgets if preparation is not None else None)
        layouts, first_run = _first_look(model, first[0], mode, rest, leaks, prepared)
        with Recorder(model, mode, rest, maps=maps, heads=_names(head), per_image=per_image) as recorder:
            recorder.place_by(layouts)
            alone = len(first[0]) == 1
            for inputs, known in chain([first], stream):
                if alone and len(inputs) > 1:
                    alone = False
                    with recorder.unhooked():
                        recorder.place_by(find_layouts(model, inputs[:1], mode, rest, kept=prepared.shapes))
                single.extend(one.unsqueeze(0).clone() for one in inputs[: max(0, lemaire - len(single))])
                with recorder.batch(inputs, len(inputs)), first_run:
                    logits = input_modes.run(model, inputs, mode)
                first_run = nullcontext()
                labels.add(logits, known)
                counted = len(inputs)
                if earlier is not None:
                    counted, earlier = _taken_over(earlier, recorder, labels, single), None
                if on_batch is not None:
                    on_batch(counted)
                if after_batch is not None and after_batch(lambda: _counted(recorder, labels, single)):
                    break
                if enough is not None and enough(profile_of(model, recorder.result(), labels)):
                    break
        recording = recorder.result()
        leaks.settle(recording.images)
        if found.feed_from == "probes":
            check_remembers(model, image, mode, recording.neurons, rest)
        coverage = _coverage(model, image, recording, mode, rest, prepared.graphs)
        memory = estimate(model, single, mode, rest) if single else None
    origin = replace(origin, input=_input_origin(found, random=leaks.random))
    measured = profile_of(model, recording, labels, coverage, origin)
    return replace(measured, memory=memory, image_counts=recorder.image_counts(measured.count_keys()))


def _fed(model: nn.Module, images: Tensor, rest: RestState, prepared: Prepared, **given: Any) -> FoundMode:
    """How the model wants batches like `images`, found once."""
    place = (tuple(images.shape), images.dtype, images.device, *given.values())
    if place not in prepared.modes:
        prepared.modes[place] = find_mode(model, images, rest, **given)
    return prepared.modes[place]


def _first_look(
    model: nn.Module, images: Tensor, mode: InputMode, rest: RestState, leaks: StateCheck, prepared: Prepared
) -> tuple[Layouts, AbstractContextManager[None]]:
    """The layouts, and what the first batch is to run in. The first run of the check for leaks shows the layouts, and
    the measurement of a single image is the second one, or where they are known the first one, but on devices that may
    take other kernels in it."""
    shapes = prepared.shapes if prepared.graphs else {}  # in what shapes alone go through, they hang on no values
    usable = len(images) == 1 and images.is_cpu and not prepared.has_functions
    if usable and (known := known_layouts(images, mode, shapes)) is not None:
        rest.neurons = replace(rest.neurons, functions={})
        return known, leaks.first_run()
    with probing(model, mode.steps_per_call, rest.neurons) as probe:
        leaks.run()
    functions = named_sites(probe.function_calls, mode.time_steps, {name for name, _ in model.named_modules()})
    rest.neurons = replace(rest.neurons, functions=functions)
    prepared.has_functions = bool(probe.function_calls)
    alone = probe.with_functions(functions) if leaks.alone else None
    layouts = find_layouts(model, images[:1].clone(), mode, rest, alone, prepared.shapes)
    return layouts, leaks.second_run() if len(images) == 1 and images.is_cpu else nullcontext()


def _counted(recorder: Recorder, labels: Labels, single: list[Tensor]) -> EarlierCounts:
    """What was counted so far, for another process."""
    return EarlierCounts.of(recorder, known=labels.known, right=labels.correct, single=single)


def _taken_over(earlier: EarlierCounts, recorder: Recorder, labels: Labels, single: list[Tensor]) -> int:
    """Replace what was counted in the first batch by what was counted earlier; of how many images that is."""
    earlier.restore(recorder)
    labels.known, labels.right, single[:] = earlier.known, earlier.right, earlier.single
    return earlier.images


def _names(head: str | Collection[str] | None) -> Collection[str] | None:
    return (head,) if isinstance(head, str) else head


def profile_of(
    model: nn.Module,
    recording: Recording,
    labels: Labels | None = None,
    coverage: Coverage | None = None,
    provenance: Provenance | None = None,
) -> Profile:
    """What was recorded of `model`, as a profile."""
    labels = labels or Labels()
    return Profile(
        images=recording.images,
        time_steps=recording.time_steps,
        operators=recording.operators,
        neurons=recording.neurons,
        overheads=recording.overheads,
        coverage=coverage or Coverage(),
        moments=recording.moments,
        labelled=labels.known,
        correct=labels.correct,
        parameters=sum(weights.numel() for weights in parameters_of(model) if not is_lazy(weights)),
        provenance=provenance or Provenance(),
    )


def _with_model(
    origin: Provenance, model: nn.Module, neurons: Collection[Named], preparation: Preparation | None
) -> Provenance:
    """With the hash of the weights that are measured, where they can be read, and what was named as neurons."""
    weights = weights_hash(model) if preparation is None else preparation.weights_hash(model)
    facts: dict[str, Any] = {} if weights is None else {"weights": weights}
    if neurons:
        facts["neurons"] = tuple(name if isinstance(name, str) else name.__qualname__ for name in neurons)
    return replace(origin, model=replace(origin.model or ModelOrigin(), **facts)) if facts else origin


def _input_origin(found: FoundMode, *, random: bool) -> InputOrigin:
    mode = found.mode
    origin = InputOrigin(mode.feed, mode.frames, found.feed_from, found.frames_from, found.time_steps_from)
    return replace(origin, random=True) if random else origin


def _batches(model: nn.Module, batches: Iterable[Any], key: str | int | None) -> Iterator[tuple[Tensor, Tensor | None]]:
    """Copies of the images on the model's device and in its number format, and their labels. A forward may write to its
    input, and the caller may want the images again."""
    anchor = next(parameters_of(model), torch.empty(0))
    ahead = anchor.is_cuda  # from pinned memory a copy overlaps with what the GPU does
    for batch in batches:
        inputs, labels = read_batch(batch, key)
        number_format = anchor.dtype if inputs.is_floating_point() else inputs.dtype
        yield inputs.to(anchor.device, number_format, non_blocking=ahead, copy=True), labels


@contextmanager
def _measuring(model: nn.Module, time_steps: int | None) -> Iterator[None]:
    """Evaluation mode and the given T, None for the model's own, both as before afterwards."""
    modes = {module: module.training for module in nn.Module.modules(model)}
    fused = torch.backends.mha.get_fastpath_enabled()  # attention that shows nothing of what it does
    model.eval()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with float32_as_it_is(), time_steps_set(model, time_steps), run_as_written(model):
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fused)
        for module, training in modes.items():
            module.training = training


def _coverage(
    model: nn.Module,
    image: Tensor,
    recording: Recording,
    mode: InputMode,
    rest: RestState,
    graphs: dict[Hashable, Graph],
) -> Coverage:
    """The hooks' MACs held against fvcore's graph of one image `[1, ...]`."""
    calls = mode.time_steps // mode.steps_per_call
    modules = {name for name, _ in model.named_modules()}
    measured = {
        operator.layer: (_module_of(operator.layer, modules), operator.macs_per_image // calls)
        for operator in recording.operators
    }
    unplaced = {name: macs // calls for name, macs in recording.unplaced.items()}

    def doubted(graph: Graph) -> bool:
        found = reconcile(graph, measured, unplaced, calls)
        return bool(found.note) or len(found.unknown) > len(unplaced)

    inputs = mode.arranged(image.clone())
    functions = (rest.neurons.functions or {}).values()
    neurons = [layer.neuron for layer in recording.neurons if layer.neuron not in functions]
    try:
        graph = graph_of(
            model, inputs, recording.overhead_modules, neurons, restore=rest.restore, doubted=doubted, kept=graphs
        )
    except Exception as error:  # a tracer can raise anything on somebody's model
        refusal = f"{type(error).__name__}: {str(error).strip().splitlines()[0] if str(error).strip() else ''}"
        note = f"the dense MACs are the hooks' own: fvcore could not trace the model ({refusal})"
        unknown = tuple(Unknown(name, calls, macs * calls) for name, macs in unplaced.items())
        coverage = Coverage({name: macs * calls for name, (_, macs) in measured.items()}, unknown=unknown, note=note)
    else:
        coverage = reconcile(graph, measured, unplaced, calls)
    never_called = _never_called(model, recording)
    return replace(coverage, never_called=never_called, assumed_order=recording.assumed_order)


def _module_of(operator: str, modules: Collection[str]) -> str:
    """The module that runs an operator: itself, or for a bare function call the module that makes it."""
    return operator if operator in modules else operator.rpartition(".")[0]


def _never_called(model: nn.Module, recording: Recording) -> tuple[str, ...]:
    """Modules with parameters of their own that did not run."""
    return tuple(
        name
        for name, module in model.named_modules()
        if name not in recording.called and any(weights is not None for weights in module._parameters.values())
    )
