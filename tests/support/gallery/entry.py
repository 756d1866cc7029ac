"""One network of the gallery: as its author writes and runs it, and its twin of SpikingJelly modules."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from spikingjelly.activation_based import functional
from torch import Tensor, nn

import msvit_energy
from msvit_energy import Profile
from tests.support.foreign_models import numbers

STEPS = 4


class Fire(torch.autograd.Function):
    """The step function with a rectangular surrogate gradient, as most papers write it."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return (x >= 0).to(x.dtype)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        return gradient * (x.abs() < 0.5)


@dataclass(frozen=True)
class Entry:
    """A network that is profiled as it is, with `passed` as arguments, and how it is `written`, in words.

    `run` calls the network as its author does, with a batch at rest; `twin` is the same network of SpikingJelly modules
    over `[T, B, ...]`, with its parameters in the same order and shapes; it gets `twin_batches` where the batches are
    not images or `[B, T, ...]`. `products` and `units` are those of BruteForce. Without `weights` the network keeps
    those that it comes with.
    """

    name: str
    written: str
    model: Callable[[], nn.Module]
    twin: Callable[[], nn.Module]
    batches: Sequence[Any]
    run: Callable[[nn.Module, Any], object]
    steps: int = STEPS
    passed: Mapping[str, Any] = field(default_factory=dict)
    twin_batches: Sequence[Tensor] | None = None
    frames: bool = False
    products: int = 1
    units: Callable[[], Mapping[str, float]] = dict
    weights: bool = True

    def built(self) -> nn.Module:
        """The network with weights and biases that are multiples of 1/64."""
        model = self.model().eval()
        for i, (name, parameter) in enumerate(model.named_parameters()):
            if self.weights and name.endswith(("weight", "bias")):
                generator = torch.Generator().manual_seed(i)
                parameter.data = torch.randint(-48, 65, parameter.shape, generator=generator) / 64
        return model

    def built_twin(self) -> nn.Module:
        """The twin, with the weights of the network."""
        twin, model = self.twin().eval(), self.built()
        for own, given in zip(twin.parameters(), model.parameters(), strict=True):
            own.data = given.data.reshape(own.shape)
        return twin


def images(*shape: int, frames: int = 0) -> tuple[Tensor, ...]:
    """Two batches, of two images and one, of multiples of 1/32, or of events `[B, T, ...]`."""
    if frames:
        return tuple((numbers(count, frames, *shape, seed=count) > 0.25).float() for count in (2, 1))
    generator = torch.Generator().manual_seed(0)
    return tuple(torch.randint(0, 33, (count, *shape), generator=generator) / 32 for count in (2, 1))


def multi_step(*modules: nn.Module) -> nn.Sequential:
    """Modules of SpikingJelly, over `[T, B, ...]`."""
    network = nn.Sequential(*modules)
    functional.set_step_mode(network, "m")
    return network


def once(model: nn.Module, batch: Any) -> object:
    """The model repeats images by itself."""
    return model(batch)


def time_first(model: nn.Module, batch: Tensor) -> object:
    """Images are repeated in front."""
    return model(batch.expand(STEPS, *batch.shape))


def stepwise(model: nn.Module, batch: Tensor) -> object:
    """A call for each time step."""
    return [model(batch) for _ in range(STEPS)]


def profiled(entry: Entry) -> Profile:
    """The network as it is, with what a user has to pass."""
    return msvit_energy.profile(entry.built(), entry.batches, **entry.passed)


def twin_profiled(entry: Entry) -> Profile:
    """The twin, with everything said."""
    batches = entry.batches if entry.twin_batches is None else entry.twin_batches
    feeding: Any = dict(time_steps=entry.steps, feed="time-first", frames=entry.frames)
    return msvit_energy.profile(entry.built_twin(), batches, **feeding)
