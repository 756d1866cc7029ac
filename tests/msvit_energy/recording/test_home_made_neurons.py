"""Home-made neurons, whatever mode the caller is in, and where inputs come from."""

import logging
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from spikingjelly.activation_based import neuron
from torch import Tensor, nn
from torch.nn import functional as F

import msvit_energy
from tests.support.foreign_models import Forward, numbers, only, way_to_feed, weight, with_weights

# Home-made neurons


@dataclass
class State:
    mem: Any = 0.0


class Keeping(nn.Module):
    """Integrate and fire at 1/2, less 1/2 after a spike; subclasses say where the potential is kept."""

    activation_op = "neuron"

    def load(self, x: Tensor) -> Any:
        return self.mem

    def keep(self, mem: Tensor) -> None:
        self.mem = mem

    def forward(self, x: Tensor) -> Tensor:
        mem = self.load(x) + x
        spikes = (mem >= 0.5).to(x.dtype)
        self.keep(mem - 0.5 * spikes)
        return spikes


class InNumber(Keeping):
    def __init__(self) -> None:
        super().__init__()
        self.mem: Any = 0.0


class InNone(InNumber):
    def __init__(self) -> None:
        super().__init__()
        self.mem = None

    def load(self, x: Tensor) -> Any:
        return 0.0 if self.mem is None else self.mem


class InNothing(Keeping):
    def load(self, x: Tensor) -> Any:
        return getattr(self, "mem", 0.0)


class InBuffer(Keeping):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mem", torch.zeros(1))


class InPlace(Keeping):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mem", torch.zeros(4, 3))

    def load(self, x: Tensor) -> Any:
        return self.mem[: len(x)]

    def keep(self, mem: Tensor) -> None:
        self.mem[: len(mem)].copy_(mem)


class InDict(Keeping):
    def __init__(self) -> None:
        super().__init__()
        self.states: dict[str, Tensor] = {}

    def load(self, x: Tensor) -> Any:
        return self.states.get("mem", 0.0)

    def keep(self, mem: Tensor) -> None:
        self.states["mem"] = mem


class InNestedList(InDict):
    def __init__(self) -> None:
        super().__init__()
        self.nested: list[list[Any]] = [[0.0]]

    def load(self, x: Tensor) -> Any:
        return self.nested[0][0]

    def keep(self, mem: Tensor) -> None:
        self.nested[0][0] = mem


class InObject(Keeping):
    def __init__(self) -> None:
        super().__init__()
        self.state = State()

    def load(self, x: Tensor) -> Any:
        return self.state.mem

    def keep(self, mem: Tensor) -> None:
        self.state.mem = mem


KEEPERS = [InNumber, InNone, InNothing, InBuffer, InPlace, InDict, InNestedList, InObject]


@pytest.mark.parametrize("kept", KEEPERS)
def test_home_made_neurons_start_every_batch_from_rest(kept: type[Keeping]) -> None:
    # A current of 7/16: 0.4375, 0.875 spike, 0.8125 spike, and 0.3125 is left over, with which the next batch would
    # fire at its first step already.
    batches = [torch.full((2, 3), 0.4375)] * 3
    profile = msvit_energy.profile(kept(), batches, time_steps=3, feed="step")
    assert profile.neurons[0].sums == (0, 18, 18)
    assert profile.neurons[0].elements == 18


@pytest.mark.parametrize("kept", KEEPERS)
def test_home_made_neurons_are_at_rest_afterwards(kept: type[Keeping]) -> None:
    model = kept()
    msvit_energy.profile(model, [torch.full((2, 3), 0.4375)], time_steps=3, feed="step")
    potential = getattr(model, "state", model).mem if hasattr(model, "mem") or hasattr(model, "state") else None
    assert potential is None or float(torch.as_tensor(potential).sum()) == 0.0
    assert model(torch.full((2, 3), 0.4375)).sum() == 0
    assert model(torch.full((2, 3), 0.4375)).sum() == 6


def test_a_buffer_stays_the_same_tensor() -> None:
    model = InPlace()
    before = model.mem
    msvit_energy.profile(model, [torch.full((2, 3), 0.4375)], time_steps=3, feed="step")
    assert model.mem is before


def test_the_way_to_feed_a_home_made_neuron_is_found() -> None:
    assert way_to_feed(InNumber(), torch.zeros(1, 3), 3) == "step"


def test_a_neuron_that_nobody_marked_is_still_run_for_t_steps() -> None:
    class Unmarked(InNumber):
        activation_op = None  # type: ignore[assignment]

    # Spikes at steps 2 and 3: the layer behind is fed 0, 1 and 1.
    model = nn.Sequential(Unmarked(), nn.Linear(3, 2))
    profile = msvit_energy.profile(model, [torch.full((2, 3), 0.4375)], time_steps=3)
    assert only(profile).sums == (0, 6, 6)


# Whatever the caller's mode

MODES: dict[str, Callable[[], AbstractContextManager[Any]]] = {
    "grad": nullcontext,
    "no_grad": torch.no_grad,
    "inference_mode": torch.inference_mode,
}


def mixed() -> nn.Module:
    """A module and a bare call, a SpikingJelly neuron and one of each home-made kind."""

    def run(module: Any, x: Tensor) -> Tensor:
        for fire in module.fires:
            x = fire(x @ module.weight)
        return module.head(x)

    fires = nn.ModuleList([neuron.IFNode(v_threshold=0.5), InNumber(), InBuffer(), InPlace()])
    return with_weights(Forward(run, fires=fires, weight=weight(3, 3), head=nn.Linear(3, 2)))


@pytest.mark.parametrize("mode", MODES)
def test_the_callers_mode_changes_nothing(mode: str) -> None:
    plain = msvit_energy.profile(mixed(), [numbers(3, 3).abs()], time_steps=3)
    with MODES[mode]():
        profile = msvit_energy.profile(mixed(), [numbers(3, 3).abs()], time_steps=3)
    assert profile == plain
    # one weight, used by four calls in every time step
    assert [(operator.op, operator.macs_per_step) for operator in profile.operators] == [
        ("matmul", 4 * 9),
        ("linear", 6),
    ]
    assert profile.coverage.unknown == ()
    assert profile.coverage.note == ""


def test_states_of_inference_mode_can_be_written_to_outside_of_it() -> None:
    with torch.inference_mode():
        model = mixed()
    profile = msvit_energy.profile(model, [numbers(3, 3).abs()], time_steps=3)
    plain = msvit_energy.profile(mixed(), [numbers(3, 3).abs()], time_steps=3)
    assert (profile.operators, profile.neurons) == (plain.operators, plain.neurons)


def test_a_model_may_carry_a_logger_and_a_library() -> None:
    model = mixed()
    model.logger, model.library = logging.getLogger("of a model"), torch.nn.functional  # type: ignore[assignment]
    plain = msvit_energy.profile(mixed(), [numbers(3, 3).abs()], time_steps=3)
    assert msvit_energy.profile(model, [numbers(3, 3).abs()], time_steps=3) == plain


@pytest.mark.parametrize("mode", MODES)
def test_a_model_can_be_trained_after_it_was_profiled_in_any_mode(mode: str) -> None:
    model = mixed()
    with MODES[mode]():
        msvit_energy.profile(model, [numbers(3, 3).abs()], time_steps=3)
    model.get_submodule("fires.3").mem.add_(1.0)
    model.get_submodule("fires.3").mem.zero_()
    model.train()(numbers(2, 3)).sum().backward()
    assert model.get_submodule("head").weight.grad is not None


# Where inputs come from


def spiking(function: Callable[[Any, Tensor], Any], **parts: nn.Module | nn.Parameter) -> nn.Module:
    """An identity that fires for ones, then `function`, then a convolution."""
    fire = neuron.IFNode(v_threshold=1.0, v_reset=0.0)
    return Forward(lambda s, x: s.conv(function(s, s.fire(x))), fire=fire, conv=nn.Conv2d(1, 2, 1), **parts)


ORIGINS: dict[str, tuple[nn.Module, str, str, str]] = {
    "spikes": (spiking(lambda s, x: x), "spikes", "binary", ""),
    "halved": (spiking(lambda s, x: x * 0.5), "scaled", "binary", ""),
    "divided": (spiking(lambda s, x: x / 2), "scaled", "binary", ""),
    "scaled by a weight": (
        spiking(lambda s, x: x * s.scale, scale=nn.Parameter(torch.tensor(0.37))), "scaled", "binary", "",
    ),
    "scaled by place": (
        spiking(lambda s, x: x * s.scale, scale=nn.Parameter(torch.rand(4, 4))), "scaled", "analog",
        "no whole numbers times one constant",
    ),
    "difference": (spiking(lambda s, x: x - s.other(x), other=neuron.IFNode()), "sum", "binary", ""),
    "residual": (spiking(lambda s, x: x + s.other(x), other=neuron.IFNode()), "sum", "integer", ""),
    "averaged": (spiking(lambda s, x: F.avg_pool2d(x, 2)), "averaged", "integer", ""),
    "averaged by a module": (spiking(lambda s, x: s.pool(x), pool=nn.AvgPool2d(2)), "averaged", "integer", ""),
    "averaged over the map": (spiking(lambda s, x: F.avg_pool2d(x, 4)), "averaged", "analog", ""),
    "summed and divided": (spiking(lambda s, x: x.sum((2, 3), True) / 16), "averaged", "analog", ""),
    "maximum": (spiking(lambda s, x: F.max_pool2d(x, 2)), "spikes", "binary", ""),
    "enlarged": (spiking(lambda s, x: F.interpolate(x, scale_factor=2.0)), "spikes", "binary", ""),
    "enlarged by a named mode": (
        spiking(lambda s, x: F.interpolate(x, scale_factor=2.0, mode="nearest-exact")), "spikes", "binary", "",
    ),
    "enlarged smoothly": (
        spiking(lambda s, x: F.interpolate(x, scale_factor=2.0, mode="bilinear")), "other", "analog", "",
    ),
    "as truth values": (spiking(lambda s, x: x.bool().float()), "spikes", "binary", ""),
    "inverted": (spiking(lambda s, x: 1 - x), "other", "binary", "comes from no spiking neuron"),
    "shifted": (spiking(lambda s, x: F.pad(x, (1, 1), value=2**-0.5)), "spikes", "analog", "no spike counts"),
}  # fmt: skip


@pytest.mark.parametrize(("model", "origin", "kind", "note"), ORIGINS.values(), ids=ORIGINS)
def test_where_an_input_comes_from_is_followed(model: nn.Module, origin: str, kind: str, note: str) -> None:
    ones = torch.tensor([[1.0, 0.0, 1.0, 1.0]] * 4).expand(2, 1, 4, 4)
    profile = msvit_energy.profile(model, [ones], time_steps=2)
    operand = only(profile)
    assert (operand.origin, operand.kind) == (origin, kind)
    assert operand.neurons == {"other": (), "sum": ("fire", "other")}.get(origin, ("fire",))
    notes = [text for text in profile.warnings() if text.startswith("conv:")]
    assert len(notes) == bool(note)
    assert all(note in text for text in notes)


@pytest.mark.parametrize(("level", "kind"), [(1.0, "binary"), (2.0, "integer"), (0.5, "analog")])
def test_an_image_that_happens_to_be_whole_numbers_is_pointed_out(level: float, kind: str) -> None:
    model = nn.Sequential(nn.Conv2d(1, 2, 3), neuron.IFNode())
    profile = msvit_energy.profile(model, [level * (numbers(2, 1, 4, 4) > 0)], time_steps=2)
    assert (only(profile).origin, only(profile).kind) == ("input", kind)
    assert any(f"the model's input is {kind}" in note for note in profile.warnings()) == (kind != "analog")


class OverSequences(nn.Module):
    """Integrate and fire over `[T, B, ...]` at a threshold that it is handed."""

    activation_op = "neuron"

    def forward(self, x: Tensor, threshold: float) -> Tensor:
        potential, spikes = torch.zeros_like(x[0]), []
        for step in x:
            potential = potential + step
            spikes.append((potential >= threshold).to(x.dtype))
            potential = potential - spikes[-1] * threshold
        return torch.stack(spikes)


def test_t_is_found_of_a_neuron_that_is_handed_more_than_its_input() -> None:
    model = Forward(
        lambda s, x: s.head(s.fire(x.expand(3, *x.shape), 1.0)).mean(0), fire=OverSequences(), head=nn.Linear(4, 2)
    )
    profile = msvit_energy.profile(model, [torch.full((2, 4), 0.375)])
    assert profile.time_steps == 3
    assert profile.operators[-1].driver.sums == (0, 0, 8)  # 3/8, 3/4, 9/8
