"""How a batch is handed to a model: whether it carries T, and how the model wants it."""

import inspect
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal, TypeGuard

import torch
from torch import Tensor, nn

from msvit_energy.errors import EnergyError
from msvit_energy.recording.feeding.model_output import output_tensor
from msvit_energy.recording.feeding.refusals import calling

Feed = Literal["auto", "image", "time-first", "batch-first", "time-last", "step", "sequence"]
FEEDS = ("auto", "image", "time-first", "batch-first", "time-last", "step")
OWN_T = ("time_steps", "T", "num_steps", "n_steps", "step")  # attributes of models that may hold T
TIME_AXES = {"time-first": 0, "batch-first": 1, "time-last": -1}  # of what one call receives


@dataclass(frozen=True)
class InputMode:
    """How a model wants a batch, which is `[B, T, ...]` with `frames` and `[B, ...]`, images, without.

    - "image": called once with the batch as it is.
    - "time-first", "batch-first", "time-last": called once with `[T, B, ...]`, `[B, T, ...]`, `[B, ..., T]`.
    - "step": called T times with `[B, ...]`.

    Images are repeated T times, frames moved or split.
    """

    feed: str
    frames: bool
    time_steps: int

    def __post_init__(self) -> None:
        check(self.feed)
        if self.feed == "sequence":
            object.__setattr__(self, "feed", "time-first")

    @property
    def steps_per_call(self) -> int:
        """How many time steps one call of the model runs over."""
        return 1 if self.feed == "step" else self.time_steps

    def arranged(self, inputs: Tensor, step: int = 0) -> Tensor:
        """What one call receives for a batch: the only one, or that of a time step. It may be the batch itself."""
        if self.feed == "step":
            return (inputs[:, step] if self.frames else inputs).clone()
        if self.feed == "image" or (self.frames and self.feed == "batch-first"):
            return inputs
        axis = TIME_AXES[self.feed]
        if self.frames:
            return inputs.movedim(1, axis).contiguous()
        times = [1] * (inputs.dim() + 1)
        times[axis] = self.time_steps
        return inputs.unsqueeze(axis).repeat(times)


def run(model: nn.Module, inputs: Tensor, mode: InputMode) -> Tensor | None:
    """One measurement of a batch; returns logits `[B, classes]`, None if the output is no such thing.

    A model that is called T times gets copies, as a forward may write to its input; one that takes a `state` is handed
    the one it returned. The logits are the mean over T. RefusalError for what the model raises.
    """
    if mode.feed == "step":
        return logits_in(_stepwise(model, inputs, mode), len(inputs), mode)
    given = mode.arranged(inputs)
    with calling(given):
        output = model(given)
    return logits_in(output, len(inputs), mode)


def logits_in(output: Any, images: int, mode: InputMode) -> Tensor | None:
    """Logits `[B, classes]` of that many images in what a model gives; None if that is no such thing. Models trained
    with TET give them for every step, with T where they want it in their input, in front, or behind the images, or as a
    list."""
    if isinstance(output, list) and len(output) == mode.time_steps > 1 and _alike(output):
        output = torch.stack(output)
    output = output_tensor(output)
    if output is None:
        return None
    if output.dim() == 3:
        by_time = [output.movedim(axis, 0) for axis in (TIME_AXES.get(mode.feed, 0), 0, 1)]
        output = next((each for each in by_time if each.shape[:2] == (mode.time_steps, images)), output)
    if output.dim() == 3 and output.shape[1] == images:
        output = output.mean(0)
    return output if output.dim() == 2 and len(output) == images else None


def _stepwise(model: nn.Module, inputs: Tensor, mode: InputMode) -> Tensor | None:
    """`[T, ...]`; None if the model does not give a tensor of one shape at every step."""
    takes_state = "state" in inspect.signature(model.forward).parameters
    outputs, state = [], None
    for step in range(mode.time_steps):
        fresh = mode.arranged(inputs, step)
        with calling(fresh):
            result = model(fresh, state) if takes_state else model(fresh)
        if takes_state and not (isinstance(result, list | tuple) and len(result) > 1):
            raise EnergyError(f"the model takes a state, but returns a {type(result).__name__}, not (output, state)")
        state = result[1] if takes_state else None
        outputs.append(output_tensor(result))
    return torch.stack(outputs) if _alike(outputs) else None


def _alike(values: Sequence[Any]) -> TypeGuard[list[Tensor]]:
    """Whether all are tensors of one shape."""
    return all(isinstance(value, Tensor) and value.shape == values[0].shape for value in values)


@contextmanager
def own_steps_changed(model: nn.Module, before: int, after: int) -> Iterator[bool]:
    """All attributes of a model and its modules that may hold T are changed from one T to another, if that can change
    it; as before afterwards. Gives whether there are any."""
    modules = nn.Module.modules(model)
    holders = [(module, name) for module in modules for name in OWN_T if vars(module).get(name) == before]
    holders = [(module, name) for module, name in holders if type(vars(module)[name]) is int]
    try:
        for module, name in holders:
            setattr(module, name, after)
        yield bool(holders)
    finally:
        for module, name in holders:
            setattr(module, name, before)


@contextmanager
def time_steps_set(model: nn.Module, time_steps: int | None) -> Iterator[None]:
    """A model that has an attribute `time_steps` runs over that many, None for its own; as before afterwards."""
    own = getattr(model, "time_steps", None)
    if own is None or time_steps is None:
        yield
        return
    try:
        model.time_steps = time_steps  # type: ignore[assignment]
        yield
    finally:
        model.time_steps = own


def check(feed: str) -> None:
    """EnergyError for an unknown way of feeding."""
    if feed not in (*FEEDS, "sequence"):
        raise EnergyError(f"unknown feed {feed!r}; a model is fed by {', '.join(FEEDS)}")
