"""What is kept between measurements of a model changes no profile, and is forgotten with what it depends on."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest
import torch
from spikingjelly.activation_based import functional, layer, neuron
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

import msvit
import msvit_energy
from msvit_energy import EnergyError, Preparation, Profile

T = 4


def spikingjelly(step_mode: str) -> nn.Module:
    torch.manual_seed(0)
    net = nn.Sequential(
        layer.Conv2d(1, 4, 3, padding=1),
        layer.BatchNorm2d(4),
        neuron.LIFNode(v_threshold=0.2),
        layer.Flatten(),
        layer.Linear(4 * 36, 5),
        neuron.IFNode(v_threshold=0.1),
    )
    functional.set_step_mode(net, step_mode)
    return net


def digits() -> nn.Module:
    torch.manual_seed(0)
    return msvit.create_model("msvit_digits")


class Home(nn.Module):
    """A home-made neuron that is never put to rest by itself."""

    activation_op = "neuron"

    def __init__(self) -> None:
        super().__init__()
        self.mem: Any = 0.0

    def forward(self, x: Tensor) -> Tensor:
        self.mem = self.mem * 0.5 + x
        return (self.mem >= 0.6).to(x)


def home_made() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(36, 9), Home(), nn.Linear(9, 4))


def images(count: int, size: int = 6, seed: int = 1) -> Tensor:
    return torch.rand(count, 1, size, size, generator=torch.Generator().manual_seed(seed))


def measured(model: nn.Module, batches: list[Tensor], preparation: Preparation | None = None, **given: Any) -> Profile:
    own_steps = {} if hasattr(model, "time_steps") else {"time_steps": T}
    return msvit_energy.profile(model, batches, preparation=preparation, **own_steps | given)


MODELS: dict[str, tuple[Callable[[], nn.Module], int]] = {
    "several steps in a call": (lambda: spikingjelly("m"), 6),
    "step by step": (lambda: spikingjelly("s"), 6),
    "a time loop of its own": (digits, 12),
    "home-made": (home_made, 6),
}


@pytest.mark.parametrize("name", MODELS)
def test_profiles_are_the_same_with_and_without(name: str) -> None:
    build, size = MODELS[name]
    preparation, model = Preparation(), build()
    for seed, counts in enumerate([(1,), (1,), (3, 1), (1, 2), (1,), (3, 1)]):
        batches = [images(count, size, 10 * seed + number) for number, count in enumerate(counts)]
        assert measured(model, batches, preparation) == measured(build(), batches)


@pytest.mark.parametrize("step_mode", ["s", "m"])
def test_one_image_more_takes_two_forwards(step_mode: str) -> None:
    """The measurement, which is the first run of the check for leaks, and the second run of that, as the model keeps
    something in a function."""
    model, preparation = spikingjelly(step_mode), Preparation()
    measured(model, [images(1)], preparation)
    devices: list[str] = []
    forward = model[0].forward
    model[0].forward = lambda x: devices.append(x.device.type) or forward(x)
    measured(model, [images(1, seed=2)], preparation)  # of another structure
    devices.clear()
    measured(model, [images(1, seed=3)], preparation)
    assert devices == ["cpu"] * 2 * (T if step_mode == "s" else 1)


class Convolutions(TorchFunctionMode):
    """Counts convolutions with values: one in a forward of `spikingjelly`."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.count += func is nn.functional.conv2d and args[0].device.type == "cpu"
        return func(*args, **kwargs or {})


def forwards(model: nn.Module, preparation: Preparation, seed: int, **given: Any) -> int:
    batches = [images(1, seed=seed)]
    with Convolutions() as convolutions:
        found = measured(model, batches, preparation, **given)
    assert found == measured(model, batches, **given)
    return convolutions.count


class Plain(nn.Module):
    """Somebody's network of SpikingJelly's layers."""

    scale: ClassVar[list[float]] = [1.0]

    def __init__(self) -> None:
        super().__init__()
        self.body = spikingjelly("m")

    def forward(self, x: Tensor) -> Tensor:
        return self.body(x * self.scale[0])


@pytest.mark.parametrize("build", [lambda: spikingjelly("m"), Plain])
def test_one_image_more_takes_one_forward_of_a_model_that_forgets(build: Callable[[], nn.Module]) -> None:
    """The measurement alone, until anything that it may keep a state in is another."""
    model, preparation = build(), Preparation()
    assert forwards(model, preparation, 1) == 2  # the layouts, and the measurement, which are the check as well
    assert [forwards(model, preparation, seed) for seed in (2, 3)] == [1, 1]
    with torch.no_grad():
        next(model.parameters()).data.mul_(1.5)
    assert [forwards(model, preparation, seed) for seed in (4, 5)] == [2, 1]
    assert forwards(model, preparation, 6, reset=lambda: None) == 2


def test_a_class_that_holds_something_else_is_checked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    model, preparation = Plain(), Preparation()
    forwards(model, preparation, 1)
    monkeypatch.setattr(Plain, "scale", [2.0])
    assert [forwards(model, preparation, seed) for seed in (2, 3)] == [2, 1]


class Bright(nn.Module):
    """Keeps in its class how often it ran, which no dark image shows."""

    activation_op = "neuron"
    ran: ClassVar[list[int]] = [0]

    def forward(self, x: Tensor) -> Tensor:
        self.ran[0] += 1
        return (x * self.ran[0] > 1000).to(x)


class Learning(nn.Linear):
    """Writes to its weights, where the image is not dark."""

    def forward(self, x: Tensor) -> Tensor:
        self.weight.data.add_(x.mean())
        return super().forward(x)


@pytest.mark.parametrize(
    ("part", "refusal"), [(Bright, "leaks from batch to batch"), (lambda: Learning(36, 36), "writes to the parameter")]
)
def test_what_the_first_image_did_not_show_is_refused_later(part: Callable[[], nn.Module], refusal: str) -> None:
    Bright.ran[0] = 0
    model, preparation = nn.Sequential(nn.Flatten(), part(), neuron.IFNode(), nn.Linear(36, 2)), Preparation()
    for _ in range(2):
        measured(model, [torch.zeros(1, 1, 6, 6)], preparation, feed="step")
    with pytest.raises(EnergyError, match=refusal):
        measured(model, [torch.full((1, 1, 6, 6), 1000 / (Bright.ran[0] + T + 0.5))], preparation, feed="step")


class Leaking(nn.Module):
    activation_op = "neuron"
    seen: ClassVar[list[int]] = [0]

    def forward(self, x: Tensor) -> Tensor:
        self.seen[0] += 1  # in the class, which is not put back
        return (x > 0.1 * self.seen[0]).to(x)


def test_a_leak_is_found_in_every_measurement() -> None:
    model, preparation = nn.Sequential(nn.Flatten(), Leaking(), nn.Linear(36, 2)), Preparation()
    for _ in range(3):
        Leaking.seen[0] = 0
        with pytest.raises(EnergyError, match="leaks from batch to batch"):
            measured(model, [images(1)], preparation, feed="step")


def test_a_leak_that_begins_later_is_found() -> None:
    """In a measurement of one image that runs only twice."""

    class Late(Home):
        count: ClassVar[list[int]] = [0]

        def forward(self, x: Tensor) -> Tensor:
            self.count[0] += self.count[0] > 0
            return super().forward(x) * (self.count[0] <= T + 2)

    model, preparation = nn.Sequential(nn.Flatten(), nn.Linear(36, 9), Late(), nn.Linear(9, 4)), Preparation()
    for _ in range(2):
        measured(model, [images(1)], preparation, feed="step")
    Late.count[0] = 2
    with pytest.raises(EnergyError, match="leaks from batch to batch"):
        measured(model, [images(1)], preparation, feed="step")


class Configured(nn.Module):
    """Repeats the image as an object of its own says."""

    def __init__(self) -> None:
        super().__init__()
        self.settings = SimpleNamespace(repeats=2)
        self.body = spikingjelly("m")

    def forward(self, x: Tensor) -> Tensor:
        return self.body(x.repeat(self.settings.repeats, *[1] * x.dim()))


def test_what_is_known_is_forgotten_where_the_model_changes() -> None:
    preparation, model = Preparation(), Configured()

    def steps() -> int:
        return msvit_energy.profile(model, [images(1)], preparation=preparation).time_steps

    assert steps() == steps() == 2
    model.settings.repeats = 5
    assert steps() == 5
    model.body[2] = neuron.IFNode(step_mode="m", v_threshold=0.2)
    assert msvit_energy.profile(model, [images(1)], preparation=preparation) == msvit_energy.profile(model, [images(1)])


def test_another_step_mode_is_another_way_of_feeding() -> None:
    preparation, model = Preparation(), spikingjelly("m")
    for step_mode, feed in (("m", "time-first"), ("s", "step"), ("m", "time-first")):
        functional.set_step_mode(model, step_mode)
        found = measured(model, [images(1)], preparation)
        assert found.provenance.input is not None
        assert found.provenance.input.feed == feed


def test_weights_may_change_and_have_another_hash_then() -> None:
    preparation, model = Preparation(), spikingjelly("m")

    def weights() -> str | None:
        measure = measured(model, [images(1)], preparation)
        assert measure == measured(model, [images(1)])
        return measure.provenance.model.weights if measure.provenance.model is not None else None

    before = weights()
    assert weights() == before
    with torch.no_grad():
        model[4].weight.copy_(model[4].weight.flip(0))  # of the same sum
    assert weights() != before


def test_weights_that_the_first_forward_rounds_are_no_leak() -> None:
    class Rounding(nn.Linear):
        def forward(self, x: Tensor) -> Tensor:
            self.weight.data.sign_()
            return super().forward(x)

    model, preparation = nn.Sequential(nn.Flatten(), Rounding(36, 4), neuron.IFNode(), nn.Linear(4, 2)), Preparation()
    for _ in range(3):
        measured(model, [images(1)], preparation, feed="step")
        with torch.no_grad():
            model[1].weight.mul_(0.3)  # as training does
