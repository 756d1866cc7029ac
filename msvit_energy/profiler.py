"""Measure: run a model over images, record what flows, count dense MACs, return a Profile."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from msvit_energy.dense.graph_cache import graph_of
from msvit_energy.dense.reconcile import Graph, reconcile
from msvit_energy.errors import EnergyError
from msvit_energy.profiles.coverage import Coverage
from msvit_energy.profiles.firing_maps import Maps
from msvit_energy.profiles.operators import Operator, Role
from msvit_energy.profiles.profile import Profile
from msvit_energy.profiles.provenance import Provenance
from msvit_energy.recording import input_modes as feeding
from msvit_energy.recording.input_modes import Feed
from msvit_energy.recording.memory_estimate import estimate
from msvit_energy.recording.recorder import Recorder, stage_of

Batch = Tensor | tuple[Tensor, Tensor]


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
    batches: Iterable[Batch],
    *,
    time_steps: int | None = None,
    feed: Feed = "auto",
    classes: int | None = None,
    lemaire: int = 0,
    maps: Maps | None = None,
    provenance: Mapping[str, Any] | None = None,
    on_batch: Callable[[int], None] | None = None,
    enough: Callable[[Profile], bool] | None = None,
) -> Profile:
    """Profile `model` on `batches` of images or (images, labels); labels below 0 mean unknown.

    `time_steps` is T; by default the model's own `time_steps`, or 1. A model that has that attribute is set to the
    given T for the measurement. `feed` says how the model wants T (feeding.py); "auto" finds out from the first image.
    Images go to the model's device and number format. `classes` is the number of classes of the labels, which count
    only if the model has as many outputs. The first `lemaire` images are also run one by one through SpikingJelly's
    estimate after Lemaire et al. `maps` are filled with the rates of single layers. `provenance` are facts to store
    (provenance.py has the known ones);
    `on_batch` is told the number of images after each batch; `enough`, given what was measured so far, ends the
    measurement when it says so. The model comes back as it was: mode, hooks, T, states at rest. Works under
    `inference_mode` and `no_grad` alike. Raises EnergyError for no images, a model in bfloat16, NaN inside the network,
    or tensors that do not fit T.
    """
    _check(time_steps, feed, lemaire)
    _check_format(model)
    steps = time_steps or getattr(model, "time_steps", None) or 1
    labels, origin = Labels(classes), Provenance.of(provenance or {})
    single: list[Tensor] = []
    stream = _batches(model, batches)
    first = next(stream, None)
    if first is None:
        raise EnergyError("no images to profile")
    image = first[0][:1]
    with _measuring(model, steps):
        feed = feeding.detect(model, image, steps) if feed == "auto" else feed
        with Recorder(model, steps, steps_per_call=1 if feed == "step" else steps, maps=maps) as recorder:
            for inputs, known in chain([first], stream):
                with recorder.batch(inputs, len(inputs)):
                    logits = feeding.run(model, inputs, steps, feed)
                labels.add(logits, known)
                single += [one.unsqueeze(0) for one in inputs[: max(0, lemaire - len(single))]]
                if on_batch is not None:
                    on_batch(len(inputs))
                if enough is not None and enough(_profile(recorder, labels, Coverage(), origin)):
                    break
        coverage = covered(model, image, recorder, feed)
        memory = estimate(model, single, steps, feed) if single else None
    return replace(_profile(recorder, labels, coverage, origin), memory=memory)


def _check(time_steps: int | None, feed: str, lemaire: int) -> None:
    if time_steps is not None and time_steps < 1:
        raise EnergyError(f"time steps must be at least 1, not {time_steps}")
    if lemaire < 0:
        raise EnergyError(f"the number of images to estimate after Lemaire et al. must be 0 or more, not {lemaire}")
    feeding.check(feed)


def _check_format(model: nn.Module) -> None:
    """EnergyError for bfloat16, by the weights or by autocast."""
    device = next(model.parameters(), torch.empty(0)).device.type
    autocast = torch.is_autocast_enabled(device) and torch.get_autocast_dtype(device) == torch.bfloat16
    if autocast or any(weights.dtype == torch.bfloat16 for weights in model.parameters()):
        where = "runs under autocast to" if autocast else "is in"
        raise EnergyError(
            f"the model {where} bfloat16, which rounds membranes to 8 bits, so that other neurons fire, and sums of "
            "spikes above 256; profile it in float32"
        )


def _batches(model: nn.Module, batches: Iterable[Batch]) -> Iterator[tuple[Tensor, Tensor | None]]:
    """Images on the model's device and in its number format, and their labels."""
    anchor = next(model.parameters(), torch.empty(0))
    ahead = anchor.is_cuda  # from pinned memory a copy overlaps with what the GPU does
    for batch in batches:
        inputs, labels = (batch, None) if isinstance(batch, Tensor) else batch
        number_format = anchor.dtype if inputs.is_floating_point() else inputs.dtype
        yield inputs.to(anchor.device, number_format, non_blocking=ahead), labels


@contextmanager
def _measuring(model: nn.Module, time_steps: int) -> Iterator[None]:
    """Evaluation mode and the given T, both as before afterwards."""
    modes = {module: module.training for module in model.modules()}
    own_steps = getattr(model, "time_steps", None)
    model.eval()
    try:
        if own_steps is not None:
            model.time_steps = time_steps  # type: ignore[assignment]
        yield
    finally:
        if own_steps is not None:
            model.time_steps = own_steps
        for module, training in modes.items():
            module.training = training


def covered(model: nn.Module, image: Tensor, recorder: Recorder, feed: Feed) -> Coverage:
    """The hooks' MACs held against fvcore's graph of one image `[1, ...]`."""
    steps = recorder.time_steps
    calls = steps if feed == "step" else 1
    modules = {name for name, _ in model.named_modules()}
    measured = {
        name: (_module_of(name, modules), macs_per_image(entry.macs, recorder.images) // calls)
        for name, entry in recorder.watched.items()
    }
    unplaced = {name: macs // calls for name, macs in recorder.unplaced.items()}

    def doubted(graph: Graph) -> bool:
        found = reconcile(graph, measured, unplaced, calls)
        return bool(found.note) or len(found.unknown) > len(unplaced)

    graph, refusal = _traced(model, feeding.repeated(image, steps) if feed == "sequence" else image, recorder, doubted)
    if graph is None:
        note = f"the dense MACs are the hooks' own: fvcore could not trace the model ({refusal})"
        coverage = Coverage({name: macs * calls for name, (_, macs) in measured.items()}, note=note)
    else:
        coverage = reconcile(graph, measured, unplaced, calls)
    idle = tuple(
        name
        for name, module in model.named_modules()
        if name not in recorder.called and any(True for _ in module.parameters(recurse=False))
    )
    return replace(coverage, never_called=idle)


def _traced(
    model: nn.Module, inputs: Tensor, recorder: Recorder, doubted: Callable[[Graph], bool]
) -> tuple[Graph | None, str]:
    """The graph, or what the tracer said that could not make one."""
    listed, neurons = recorder.listed_modules(), list(recorder.firing)
    try:
        return graph_of(model, inputs, recorder.time_steps, listed, neurons, doubted), ""
    except Exception as error:  # a tracer can raise anything on somebody's model
        return None, f"{type(error).__name__}: {str(error).strip().splitlines()[0] if str(error).strip() else ''}"


def _module_of(operator: str, modules: Collection[str]) -> str:
    """The module that runs an operator: itself, or for a bare function call the module that makes it."""
    return operator if operator in modules else operator.rpartition(".")[0]


def macs_per_image(macs: int, images: int) -> int:
    """MACs of one image; images of several sizes have their mean, rounded."""
    return macs // images if macs % images == 0 else round(macs / images)


def _profile(recorder: Recorder, labels: Labels, coverage: Coverage, provenance: Provenance) -> Profile:
    seen = Profile(
        images=recorder.images,
        time_steps=recorder.time_steps,
        operators=operators_of(recorder),
        neurons=recorder.neuron_layers(),
        overheads=recorder.overhead_entries(),
        coverage=coverage,
        labelled=labels.known,
        correct=labels.correct,
        parameters=sum(weights.numel() for weights in recorder.model.parameters() if not is_lazy(weights)),
        provenance=provenance,
    )
    return replace(seen, moments=recorder.moments.moments(seen.count_keys()))


def skeleton(recorder: Recorder) -> Profile:
    """What a recorder saw, MACs by the hooks alone."""
    measured = {name: macs_per_image(entry.macs, recorder.images) for name, entry in recorder.watched.items()}
    return _profile(recorder, Labels(), Coverage(measured), Provenance())


def operators_of(recorder: Recorder) -> tuple[Operator, ...]:
    """What the recorder saw of operators, in the order of the first call."""
    roles = _roles(recorder)
    operators = []
    for name, watched in recorder.watched.items():
        operands = recorder.operands(name, recorder.watched)
        operators.append(
            Operator(
                layer=name,
                stage=stage_of(name),
                op=watched.op,
                role=roles.get(name, ""),
                macs_per_image=macs_per_image(watched.macs, recorder.images),
                runs_per_image=len(operands[0].sums),
                operands=operands,
                pairs=watched.pairs if watched.countable() else None,
            )
        )
    return tuple(operators)


def _roles(recorder: Recorder) -> dict[str, Role]:
    """The entrance is the first convolution, or without any the first operator that is fed the model's input; the head
    is a linear layer that comes last."""
    watched = recorder.watched
    first = [name for name, entry in watched.items() if entry.op.startswith("conv")] or [
        name for name, entry in watched.items() if any(origin.what == "input" for origin in entry.origins.values())
    ]
    names = list(watched)
    roles: dict[str, Role] = {names[-1]: "head"} if names and watched[names[-1]].op == "linear" else {}
    return roles | dict.fromkeys(first[:1], "entrance")
