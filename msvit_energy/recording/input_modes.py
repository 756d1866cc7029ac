"""How a model wants one image T times: it repeats the image itself, takes T in front, or is called T times."""

import inspect
from typing import Any, Literal

import torch
from torch import Tensor, nn

from msvit_energy.errors import EnergyError
from msvit_energy.recording.neurons import emitted, is_neuron, takes_sequences
from msvit_energy.recording.state.model_state import RestState

Feed = Literal["auto", "image", "sequence", "step"]
FEEDS = ("auto", "image", "sequence", "step")


def run(model: nn.Module, inputs: Tensor, time_steps: int, feed: Feed) -> Tensor | None:
    """One measurement of a batch; returns logits `[B, classes]`, None if the output is no such thing.

    "image": the model is called once with the batch as it is. "sequence": once with `[T, B, ...]`, the batch repeated.
    "step": T times with a copy of the batch, as a forward may write to its input; a model that takes a `state` is
    handed the one it returned. The logits are the mean over T.
    """
    if feed == "sequence":
        output = model(repeated(inputs, time_steps))
    elif feed == "step":
        output = torch.stack(_stepwise(model, inputs, time_steps))
    else:
        output = model(inputs)
    return logits_in(output, len(inputs))


def logits_in(output: Any, images: int) -> Tensor | None:
    """Logits `[B, classes]` of that many images in what a model gives; None if that is no such thing."""
    output = emitted(output)
    if not isinstance(output, Tensor):
        return None
    if output.dim() == 3 and output.shape[1] == images:  # [T, B, classes], as models trained with TET give
        output = output.mean(0)
    return output if output.dim() == 2 and len(output) == images else None


def repeated(inputs: Tensor, time_steps: int) -> Tensor:
    """`[B, ...]` -> `[T, B, ...]`."""
    return inputs.unsqueeze(0).repeat(time_steps, *[1] * inputs.dim())


def _stepwise(model: nn.Module, inputs: Tensor, time_steps: int) -> list[Tensor]:
    takes_state = "state" in inspect.signature(model.forward).parameters
    outputs, state = [], None
    for _ in range(time_steps):
        fresh = inputs.clone()
        result = model(fresh, state) if takes_state else model(fresh)
        if takes_state:
            state = result[1]
        outputs.append(emitted(result))
        if not isinstance(outputs[-1], Tensor):
            raise EnergyError(f"the model returns a {type(outputs[-1]).__name__} at every step, not a tensor first")
    return outputs


def detect(model: nn.Module, image: Tensor, time_steps: int, rest: RestState) -> Feed:
    """Find out from one image `[1, ...]` how `model` wants to be fed, by what its neurons do with it.

    Neurons that run several times, or emit more than one time step, have been given T by the model itself ("image").
    Multi-step neurons that emit one, and models that refuse a batch without T, want a "sequence"; single-step neurons
    that run once want to be called T times ("step"). Without known neurons all layers are watched. At T = 1 two images
    show whether multi-step neurons have a time axis or would run over the batch. A model with an attribute `time_steps`
    repeats the image itself.
    """
    if hasattr(model, "time_steps"):
        return "image"
    try:
        seen = _emitted_shapes(model, image, rest)
    except Exception as refusal:
        return _as_sequence(model, image, time_steps, rest, refusal)
    waiting = all(len(shapes) == 1 and shapes[0][:1] == (1,) for shapes in seen.values())
    over_time = any(map(takes_sequences, seen))
    if not seen or not waiting:
        return "image"
    if time_steps > 1:
        return "sequence" if over_time else "step"
    return "sequence" if over_time and _run_over_images(model, image, rest) else "image"


def _emitted_shapes(model: nn.Module, images: Tensor, rest: RestState) -> dict[nn.Module, list[tuple[int, ...]]]:
    """Shapes of all that the neurons emit for a batch, or without known neurons all layers; raises what the model
    raises."""
    neurons = [module for module in model.modules() if is_neuron(module)]
    leaves = [module for module in model.modules() if not any(True for _ in module.children())]
    seen: dict[nn.Module, list[tuple[int, ...]]] = {}
    handles = [
        module.register_forward_hook(lambda m, _, output: seen.setdefault(m, []).append(tuple(emitted(output).shape)))
        for module in neurons or leaves
    ]
    try:
        with rest.mode():
            model(images.clone())
    finally:
        for handle in handles:
            handle.remove()
        rest.restore()
    return seen


def _run_over_images(model: nn.Module, image: Tensor, rest: RestState) -> bool:
    """Whether multi-step neurons take two images for two time steps."""
    try:
        seen = _emitted_shapes(model, torch.cat([image, image]), rest)
    except Exception:  # a model of one image at a time
        return False
    return all(shapes[0][:1] == (2,) for neuron, shapes in seen.items() if takes_sequences(neuron))


def _as_sequence(model: nn.Module, image: Tensor, time_steps: int, rest: RestState, refusal: Exception) -> Feed:
    """ "sequence" if the model takes `[T, 1, ...]`; otherwise its error about the image is raised again."""
    rest.restore()
    try:
        with rest.mode():
            model(repeated(image, time_steps))
    except Exception:
        raise refusal from None
    finally:
        rest.restore()
    return "sequence"


def check(feed: str) -> None:
    """EnergyError for an unknown way of feeding."""
    if feed not in FEEDS:
        raise EnergyError(f"unknown feed {feed!r}; a model is fed by {', '.join(FEEDS)}")
