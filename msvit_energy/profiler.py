"""Measure: run a model over images, record what flows, count dense MACs, return a Profile."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from msvit_energy.dense import DenseCount, count_macs
from msvit_energy.errors import EnergyError
from msvit_energy.recorder import Recorder, reset_neurons, stage_of
from msvit_energy.records import Operator, Profile

Batch = Tensor | tuple[Tensor, Tensor]


def profile(
    model: nn.Module,
    batches: Iterable[Batch],
    *,
    time_steps: int | None = None,
    provenance: Mapping[str, Any] | None = None,
    on_batch: Callable[[int], None] | None = None,
) -> Profile:
    """Profile `model` on `batches` of images or (images, labels); labels below 0 mean unknown.

    `time_steps` is T; by default the model's own `time_steps`, or 1. A model that has that attribute is set to the
    given T for the measurement. Images go to the model's device and number format. `provenance` is stored as it is;
    `on_batch` is told the number of images after each batch. The model comes back as it was: mode, hooks, T.
    Raises EnergyError for no images, NaN inside the network, or tensors that do not fit T.
    """
    if time_steps is not None and time_steps < 1:
        raise EnergyError(f"time steps must be at least 1, not {time_steps}")
    steps = time_steps or getattr(model, "time_steps", None) or 1
    with _measuring(model, steps):
        with Recorder(model, steps) as recorder:
            images, labelled, correct, sample = _observe(model, batches, recorder, on_batch)
        dense = count_macs(model, sample, recorder.watched, recorder.listed_modules())
        reset_neurons(model)
    return Profile(
        images=images,
        time_steps=steps,
        operators=_operators(recorder, dense),
        neurons=recorder.neuron_layers(),
        overheads=tuple(recorder.overheads.values()),
        uncounted=dense.elsewhere,
        untracked=dense.untracked,
        labelled=labelled,
        correct=correct,
        provenance=dict(provenance or {}),
    )


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


def _observe(
    model: nn.Module, batches: Iterable[Batch], recorder: Recorder, on_batch: Callable[[int], None] | None
) -> tuple[int, int, int, Tensor]:
    """Run every batch; return images, labelled, correct and one image to trace."""
    anchor = next(model.parameters(), torch.empty(0))
    images, labelled, correct, sample = 0, 0, 0, None
    with torch.inference_mode():
        for batch in batches:
            inputs, labels = (batch, None) if isinstance(batch, Tensor) else batch
            inputs = inputs.to(anchor.device, anchor.dtype if inputs.is_floating_point() else None)
            recorder.start_batch(len(inputs))
            logits = model(inputs)
            if logits.dim() == 3:  # [T, B, classes], as models trained with TET give
                logits = logits.mean(0)
            if labels is not None and (labels >= 0).any():
                known = labels >= 0
                labelled += int(known.sum())
                correct += int((logits.argmax(-1).cpu() == labels.cpu())[known].sum())
            images += len(inputs)
            sample = inputs[:1] if sample is None else sample
            if on_batch is not None:
                on_batch(len(inputs))
    if sample is None:
        raise EnergyError("no images to profile")
    return images, labelled, correct, sample


def _operators(recorder: Recorder, dense: DenseCount) -> tuple[Operator, ...]:
    names = list(recorder.watched)
    convolutions = [name for name in names if recorder.watched[name].op.startswith("conv")]
    roles = dict.fromkeys(convolutions[:1], "entrance")
    if names and recorder.watched[names[-1]].op == "linear":
        roles[names[-1]] = "head"
    operators = []
    for name, watched in recorder.watched.items():
        operands = watched.operands()
        operators.append(
            Operator(
                layer=name,
                stage=stage_of(name),
                op=watched.op,
                role=roles.get(name, ""),
                macs_per_image=dense.by_layer[name],
                runs_per_image=len(operands[0].sums),
                operands=operands,
            )
        )
    return tuple(operators)
