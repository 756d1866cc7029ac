"""Forwards written as functions, exact numbers, and brute force, for tests of other people's models."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from spikingjelly.activation_based import functional
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from msvit_energy import Profile
from msvit_energy.recording.feeding.mode_detection import find_mode
from msvit_energy.recording.neurons import emitted
from msvit_energy.recording.state.model_state import RestState


class Forward(nn.Module):
    """A forward written as a function of the module and its input."""

    def __init__(self, function: Callable[[Any, Tensor], Any], **parts: nn.Module | nn.Parameter) -> None:
        super().__init__()
        self.function = function
        for name, part in parts.items():
            setattr(self, name, part)

    def forward(self, x: Tensor) -> Any:
        return self.function(self, x)


def numbers(*shape: int, seed: int = 0) -> Tensor:
    """Multiples of 1/8 from -1 to 1: sums of a few products are exact in float32, in any order."""
    return torch.randint(-8, 9, shape, generator=torch.Generator().manual_seed(seed)) / 8


def weight(*shape: int) -> nn.Parameter:
    return nn.Parameter(numbers(*shape, seed=5))


def with_weights(model: nn.Module, seed: int = 0) -> nn.Module:
    """The model with weights and biases that are multiples of 1/8, in evaluation mode."""
    for i, (name, parameter) in enumerate(model.named_parameters()):
        if name.endswith(("weight", "bias")):
            parameter.data = numbers(*parameter.shape, seed=seed + i).to(parameter.dtype)
    return model.eval()


def stored(model: nn.Module, run: Callable[[], Any]) -> dict[str, list[Tensor]]:
    """Brute force: every module's outputs, and under "name <" its inputs, while `run` runs."""
    values: dict[str, list[Tensor]] = {}

    def hook(name: str) -> Callable[..., None]:
        def store(module: nn.Module, args: tuple[Any, ...], output: Any) -> None:
            values.setdefault(name, []).append(emitted(output).clone())
            values.setdefault(f"{name} <", []).append(args[0].clone())

        return store

    handles = [module.register_forward_hook(hook(name)) for name, module in model.named_modules()]
    with torch.no_grad():
        run()
    for handle in handles:
        handle.remove()
    return values


def per_step(values: list[Tensor], time_steps: int) -> list[float]:
    """Sums of tensors that were stored one step at a time, or all with T in front."""
    return torch.cat([value.flatten() for value in values]).reshape(time_steps, -1).double().sum(1).tolist()


def brute_sums(
    model: nn.Module, batches: Sequence[Tensor], time_steps: int, run: Callable[[Tensor], Any]
) -> dict[str, list[float]]:
    """Sums per step over all batches, every batch from a SpikingJelly network at rest."""
    totals: dict[str, list[float]] = {}
    for batch in batches:
        functional.reset_net(model)
        for name, values in stored(model, lambda batch=batch: run(batch)).items():
            sums = per_step(values, time_steps)
            totals[name] = [a + b for a, b in zip(totals.get(name, [0.0] * time_steps), sums, strict=True)]
    functional.reset_net(model)
    return totals


def assert_sums(profile: Profile, brute: dict[str, list[float]]) -> None:
    """Neurons' outputs and the inputs of operators that are modules, against brute force."""
    for layer in profile.neurons:
        assert list(map(float, layer.sums)) == pytest.approx(brute[layer.neuron], rel=1e-12), layer.neuron
    for operator in profile.operators:
        if f"{operator.layer} <" in brute:
            (operand,) = operator.operands
            assert list(map(float, operand.sums)) == pytest.approx(brute[f"{operator.layer} <"], rel=1e-12)


def half_flops(model: nn.Module, inputs: Tensor) -> float:
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model.eval()(inputs)
    return counter.get_total_flops() / 2


def only(profile: Profile) -> Any:
    """The driving operand of the last operator."""
    return profile.operators[-1].operands[0]


def way_to_feed(model: nn.Module, image: Tensor, time_steps: int) -> str:
    """What is found out about a model at rest from one image `[1, ...]`."""
    return find_mode(model, image, RestState(model), time_steps=time_steps).mode.feed
