"""Find out how a model wants one image T times: it repeats the image itself, takes T in front, or is called T times."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import Tensor, UntypedStorage, nn

from msvit_energy.recording.function_mode import FunctionObserver
from msvit_energy.recording.input_modes import InputMode
from msvit_energy.recording.neurons import emitted, is_neuron, takes_sequences
from msvit_energy.recording.operator_calls import FUNCTIONS, described
from msvit_energy.recording.state.model_state import RestState


class Emission(NamedTuple):
    """One call of a neuron: the shape of what it emitted, and the memory that it was fed with (None: no tensor)."""

    shape: tuple[int, ...]
    fed_from: UntypedStorage | None


@dataclass
class Probe:
    """What a forward shows of how T reaches the neurons: their calls, or those of all layers where none is known, and
    how often operators use each weight."""

    calls: dict[nn.Module, list[Emission]] = field(default_factory=dict)
    weight_uses: Counter[int] = field(default_factory=Counter)

    def one_step(self, front: int) -> bool:
        """Whether every neuron ran for one step of a batch of `front` images: once, or for several layers in turn,
        which use each weight once and feed it from memory of their own."""
        once = max(self.weight_uses.values(), default=0) == 1
        return all(
            all(call.shape[:1] == (front,) for call in calls)
            and (len(calls) == 1 or (once and len({_address(call) for call in calls}) == len(calls)))
            for calls in self.calls.values()
        )


def _address(call: Emission) -> int | None:
    return None if call.fed_from is None else int(call.fed_from._cdata)


def detect(model: nn.Module, image: Tensor, time_steps: int, rest: RestState) -> str:
    """Find out from one image `[1, ...]` how `model` wants to be fed, by what its neurons do with it.

    Neurons that run for more than one time step have been given T by the model itself ("image"). Multi-step neurons
    that run for one, and models that refuse a batch without T, want it "time-first"; single-step neurons that run for
    one want to be called T times ("step"). Without known neurons all layers are watched. At T = 1 two images show
    whether multi-step neurons have a time axis or would run over the batch. A model with an attribute `time_steps`
    repeats the image itself.
    """
    if hasattr(model, "time_steps"):
        return "image"
    try:
        probe = _probe(model, image, rest)
    except Exception as refusal:
        return _as_sequence(model, image, time_steps, rest, refusal)
    if not probe.calls or not probe.one_step(1):
        return "image"
    over_time = any(map(takes_sequences, probe.calls))
    if time_steps > 1:
        return "time-first" if over_time else "step"
    return "time-first" if over_time and _runs_over_images(model, image, rest) else "image"


def _probe(model: nn.Module, images: Tensor, rest: RestState) -> Probe:
    """One forward of a batch; raises what the model raises."""
    neurons = [module for module in model.modules() if is_neuron(module)]
    leaves = [module for module in model.modules() if not any(True for _ in module.children())]
    probe = Probe()

    def called(module: nn.Module, args: tuple[Any, ...], output: Any) -> None:
        fed_from = args[0].untyped_storage() if args and isinstance(args[0], Tensor) else None
        probe.calls.setdefault(module, []).append(Emission(tuple(emitted(output).shape), fed_from))

    def used(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> None:
        weights = (call.weight for call in described(func, args, kwargs))
        probe.weight_uses.update(int(weight.untyped_storage()._cdata) for weight in weights if weight is not None)

    handles = [module.register_forward_hook(called) for module in neurons or leaves]
    try:
        with rest.mode(), FunctionObserver({func: [used] for func in FUNCTIONS}):
            model(images.clone())
    finally:
        for handle in handles:
            handle.remove()
        rest.restore()
    return probe


def _runs_over_images(model: nn.Module, image: Tensor, rest: RestState) -> bool:
    """Whether multi-step neurons take two images for two time steps."""
    try:
        probe = _probe(model, torch.cat([image, image]), rest)
    except Exception:  # a model of one image at a time
        return False
    return probe.one_step(2)


def _as_sequence(model: nn.Module, image: Tensor, time_steps: int, rest: RestState, refusal: Exception) -> str:
    """ "time-first" if the model takes `[T, 1, ...]`; otherwise its error about the image is raised again."""
    rest.restore()
    try:
        with rest.mode():
            model(InputMode("time-first", False, time_steps).arranged(image))
    except Exception:
        raise refusal from None
    finally:
        rest.restore()
    return "time-first"
