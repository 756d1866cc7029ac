"""What can be measured: checks before anything runs, and compiled models as they were written."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from msvit_energy.errors import EnergyError
from msvit_energy.recording.feeding import input_modes
from msvit_energy.recording.model_parameters import parameters_of

COMPILED = "OptimizedModule"  # what torch.compile makes of a module; importing the class takes seconds


def check_measurable(model: nn.Module, batches: object, time_steps: int | None, feed: str, lemaire: int) -> None:
    """EnergyError for what cannot be measured, before anything runs."""
    if time_steps is not None and time_steps < 1:
        raise EnergyError(f"time steps must be at least 1, not {time_steps}")
    if lemaire < 0:
        raise EnergyError(f"the number of images to estimate after Lemaire et al. must be 0 or more, not {lemaire}")
    input_modes.check(feed)
    _check_model(model)
    _check_batches(batches)


def _check_model(model: object) -> None:
    """EnergyError for what is no module, and for one whose weights have no values."""
    if not isinstance(model, nn.Module):
        raise EnergyError(f"a model is a torch.nn.Module, not a {type(model).__name__}")
    bare = next((name for name, weights in model.named_parameters() if weights.is_meta), None)
    if bare is not None:
        raise EnergyError(f"the weights {bare} are on the meta device and have no values; load a checkpoint first")
    _check_scripted(model)
    _check_format(model)


def _check_batches(batches: object) -> None:
    """EnergyError for what is no iterable of batches."""
    if isinstance(batches, Tensor | str | bytes) or not isinstance(batches, Iterable):
        what = f"a tensor {list(batches.shape)}" if isinstance(batches, Tensor) else f"a {type(batches).__name__}"
        raise EnergyError(f"batches are an iterable of batches, such as a DataLoader or [images], not {what}")


def _check_scripted(model: nn.Module) -> None:
    """EnergyError for modules that torch.jit compiled."""
    for name, module in model.named_modules():
        if isinstance(module, torch.jit.ScriptModule):
            raise EnergyError(
                f"{name or 'the model'} is a {type(module).__name__} of torch.jit, whose inside cannot be observed; "
                "profile the Python module that it was made from"
            )


def _check_format(model: nn.Module) -> None:
    """EnergyError for bfloat16, by the weights or by autocast."""
    device = next(parameters_of(model), torch.empty(0)).device.type
    autocast = torch.is_autocast_enabled(device) and torch.get_autocast_dtype(device) == torch.bfloat16
    if autocast or any(weights.dtype == torch.bfloat16 for weights in parameters_of(model)):
        where = "runs under autocast to" if autocast else "is in"
        raise EnergyError(
            f"the model {where} bfloat16, which rounds membranes to 8 bits, so that other neurons fire, and sums of "
            "spikes above 256; profile it in float32"
        )


def as_written(model: nn.Module) -> nn.Module:
    """The module that `torch.compile` was given: its hooks and operators are seen, and it runs the same forward."""
    while type(model).__name__ == COMPILED:
        model = model._orig_mod  # type: ignore[assignment]
    return model


@contextmanager
def run_as_written(model: nn.Module) -> Iterator[None]:
    """Where parts of a model are compiled, these run as they were written."""
    replaced: list[tuple[dict[str, Any], str, Any]] = []
    for part in nn.Module.modules(model):
        held = vars(part)
        if part._compiled_call_impl is not None:
            replaced.append((held, "_compiled_call_impl", None))
        if type(part).__name__ == COMPILED:
            replaced.append((held, "forward", part._orig_mod))
    before = [(held, name, held[name]) for held, name, _ in replaced]
    try:
        for held, name, value in replaced:
            held[name] = value
        yield
    finally:
        for held, name, value in before:
            held[name] = value
