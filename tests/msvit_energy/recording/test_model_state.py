"""Where home-made neurons may keep a state: put back for every batch, or refused."""

from collections import deque
from collections.abc import Callable
from itertools import count
from typing import Any

import numpy as np
import pytest
import torch
from spikingjelly.activation_based import neuron
from torch import Tensor, nn

import msvit_energy
from msvit_energy import EnergyError, Profile
from msvit_energy.recording.feeding.input_modes import InputMode
from msvit_energy.recording.state.model_state import RestState
from msvit_energy.recording.state.state_check import StateCheck
from tests.support.foreign_models import Forward, numbers

# Integrate and fire at 1, less 1 after a spike, three steps of 3/8 a batch: 3/8, 3/4, 9/8 and a spike at the third step
# only. 1/8 is left over, with which the next batch would go on to 1/2, 7/8, 5/4, and later ones fire at other steps.
BATCHES = [torch.full((2, 4), 0.375)] * 5
SUMS = (0, 0, 5 * 2 * 4)


class Keeping(nn.Module):
    """The neuron; subclasses say where the potential is kept."""

    activation_op = "neuron"

    def __init__(self) -> None:
        super().__init__()
        self.begin()

    def begin(self) -> None:
        """Make what keeps the potential."""

    def load(self) -> Any:
        raise NotImplementedError

    def keep(self, mem: Tensor) -> None:
        raise NotImplementedError

    def forward(self, x: Tensor) -> Tensor:
        mem = self.load() + x
        spikes = (mem >= 1).to(x.dtype)
        self.keep(mem - spikes)
        return spikes


class InArray(Keeping):
    def begin(self) -> None:
        self.mem = np.zeros((2, 4), np.float32)

    def load(self) -> Any:
        return torch.from_numpy(self.mem.copy())[:1]

    def keep(self, mem: Tensor) -> None:
        self.mem[: len(mem)] = mem.numpy()


class InDeque(Keeping):
    def begin(self) -> None:
        self.past: deque[Any] = deque([0.0], maxlen=2)

    def load(self) -> Any:
        return self.past[-1]

    def keep(self, mem: Tensor) -> None:
        self.past.append(mem)


class InSet(InDeque):
    def begin(self) -> None:
        self.past = {0.0}  # type: ignore[assignment]

    def load(self) -> Any:
        (mem,) = self.past
        return mem

    def keep(self, mem: Tensor) -> None:
        self.past.clear()
        self.past.add(mem)  # type: ignore[attr-defined]


class Slots:
    __slots__ = ("__private",)

    def __init__(self) -> None:
        self.mem = 0.0

    @property
    def mem(self) -> Any:
        return self.__private

    @mem.setter
    def mem(self, mem: Any) -> None:
        self.__private = mem


class SlotsBelow(Slots):
    __slots__ = ("more",)


class InSlots(Keeping):
    def begin(self) -> None:
        self.cell = SlotsBelow()

    def load(self) -> Any:
        return self.cell.mem

    def keep(self, mem: Tensor) -> None:
        self.cell.mem = self.cell.more = mem


class Cell:
    """A callable with a state, and a reference back."""

    def __init__(self, owner: Any) -> None:
        self.mem: Any = 0.0
        self.owner, self.itself = owner, self

    def __call__(self, mem: Tensor | None = None) -> Any:
        if mem is not None:
            self.mem = mem
        return self.mem


class InCallable(Keeping):
    def begin(self) -> None:
        self.load = self.keep = Cell(self)


class InBoundMethod(Keeping):
    def begin(self) -> None:
        self.load = self.keep = Cell(self).__call__


class InModuleOfAList(Keeping):
    def begin(self) -> None:
        self.cells = [Forward(lambda s, x: x, mem=nn.Parameter(torch.zeros(1)))]
        self.cells[0].past = 0.0  # type: ignore[assignment]

    def load(self) -> Any:
        return self.cells[0].past

    def keep(self, mem: Tensor) -> None:
        self.cells[0].past = mem  # type: ignore[assignment]


class LibraryInADict(nn.Module):
    """The same neuron, of a library, in a plain dictionary."""

    activation_op = "neuron"

    def __init__(self) -> None:
        super().__init__()
        self.cells = {"if": neuron.IFNode(v_threshold=1.0, v_reset=None)}

    def forward(self, x: Tensor) -> Tensor:
        return self.cells["if"](x)


class InParameter(Keeping):
    def begin(self) -> None:
        self.mem = nn.Parameter(torch.zeros(1, 4), requires_grad=False)

    def load(self) -> Any:
        return self.mem

    def keep(self, mem: Tensor) -> None:
        self.mem.copy_(mem[:1])


class InDataOfParameter(InParameter):
    def keep(self, mem: Tensor) -> None:
        self.mem.data = mem  # of another shape


class InNewParameter(InParameter):
    def keep(self, mem: Tensor) -> None:
        self.mem = nn.Parameter(mem, requires_grad=False)


PUT_BACK = [
    InArray, InDeque, InSet, InSlots, InCallable, InBoundMethod, InModuleOfAList, LibraryInADict, InParameter,
    InDataOfParameter, InNewParameter,
]  # fmt: skip


def measured(model: nn.Module, batches: list[Tensor] = BATCHES, **options: Any) -> Profile:
    return msvit_energy.profile(model, batches, time_steps=3, feed="step", **options)


@pytest.mark.parametrize("kind", PUT_BACK)
def test_every_batch_starts_from_rest(kind: type[nn.Module]) -> None:
    assert measured(kind()).neurons[0].sums == SUMS


@pytest.mark.parametrize("kind", PUT_BACK)
def test_a_model_is_at_rest_afterwards(kind: type[nn.Module]) -> None:
    model = kind()
    measured(model)
    steps = [float(model(torch.full((1, 4), 0.375)).sum()) for _ in range(3)]
    assert steps == [0.0, 0.0, 4.0]


class InClass(Keeping):
    mem: Any = 0.0

    def load(self) -> Any:
        return type(self).mem

    def keep(self, mem: Tensor) -> None:
        type(self).mem = mem[:1]


class InClosure(Keeping):
    def begin(self) -> None:
        mem: Any = 0.0

        def load() -> Any:
            return mem

        def keep(value: Any) -> None:
            nonlocal mem
            mem = value[:1] if isinstance(value, Tensor) else value

        self.load, self.keep = load, keep  # type: ignore[method-assign]


def put_to_rest(model: Keeping) -> Callable[[], None]:
    def reset() -> None:
        if isinstance(model, InClass):
            InClass.mem = 0.0
        else:
            model.keep(0.0)  # type: ignore[arg-type]

    return reset


@pytest.mark.parametrize("kind", [InClass, InClosure])
def test_a_state_that_leaks_is_refused_unless_the_caller_resets_it(kind: type[Keeping]) -> None:
    model = nn.Sequential(nn.Identity(), kind())
    reset = put_to_rest(model[1])  # type: ignore[arg-type]
    reset()
    with pytest.raises(EnergyError, match=r"^1 gives another output.*a state leaks from batch to batch; pass reset="):
        measured(model)
    assert measured(model, reset=reset).neurons[0].sums == SUMS  # whatever was left
    with pytest.raises(EnergyError, match=r"^1 .* in spite of reset="):
        measured(model, reset=lambda: None)


def test_a_neuron_that_ran_before_starts_from_what_was_left_unless_it_is_reset() -> None:
    model = InDeque()
    model(torch.full((1, 4), 0.375))
    assert measured(model).neurons[0].sums == (0, 5 * 2 * 4, 0)  # 3/4, 9/8, 1/2
    assert measured(model, reset=lambda: model.past.append(0.0)).neurons[0].sums == SUMS


class OfTwo(Keeping):
    """Of images two by two only."""

    def begin(self) -> None:
        self.mem = torch.zeros(2, 4)

    def load(self) -> Any:
        return self.mem

    def forward(self, x: Tensor) -> Tensor:
        assert len(x) == 2, "a single image"
        return super().forward(x)

    def keep(self, mem: Tensor) -> None:
        self.mem.copy_(mem)


class OfTwoInClass(OfTwo):
    past: Any = 0.0

    def load(self) -> Any:
        return type(self).past

    def keep(self, mem: Tensor) -> None:
        type(self).past = mem


def test_a_model_of_a_fixed_batch_size_is_checked_with_a_whole_batch() -> None:
    assert measured(OfTwo()).neurons[0].sums == SUMS
    with pytest.raises(EnergyError, match="a state leaks"):
        measured(OfTwoInClass())
    with pytest.raises(EnergyError, match=r"called with \[1, 4\], raises AssertionError: a single image"):
        measured(OfTwo(), [torch.zeros(1, 4)])


class Unmarked(InClass):
    activation_op = None  # type: ignore[assignment]
    mem = 0.0


def test_a_leak_is_noticed_where_no_neuron_is_marked() -> None:
    with pytest.raises(EnergyError, match="the model gives another output"):
        measured(Unmarked())


class Clearing(nn.Module):
    """No neuron: `reset` is its own, for something else."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = 2.0

    def reset(self) -> None:
        self.scale = 0.0

    def forward(self, x: Tensor) -> Tensor:
        return x * self.scale


def test_a_method_called_reset_of_what_is_no_neuron_is_left_alone() -> None:
    clearing = Clearing()
    msvit_energy.profile(nn.Sequential(clearing, neuron.IFNode(), nn.Linear(4, 2)), BATCHES, time_steps=1, feed="image")
    assert clearing.scale == 2.0


class Rolling(nn.Module):
    """As many spikes each time, but others: the image with its two fronts of rows in turn."""

    activation_op = "neuron"
    turns = count()

    def forward(self, x: Tensor) -> Tensor:
        return x.unflatten(-1, (2, -1, 2)).roll(next(Rolling.turns), -2).flatten(-3)


def test_a_leak_that_moves_spikes_within_a_row_of_the_checksum_is_noticed() -> None:
    """A row of the checksum are 64 words of two float32."""
    images = torch.zeros(2, 256)
    images[:, :2] = images[:, 128:130] = 1.0
    model = nn.Sequential(Rolling(), nn.Linear(256, 3))
    with pytest.raises(EnergyError, match="0 gives another output for the first image"):
        msvit_energy.profile(model, [images], time_steps=1, feed="image")


def writing(write: Callable[[nn.Parameter], Any]) -> nn.Module:
    """A module that is no neuron and adds up in a parameter; a neuron that never fires, and sees nothing of it."""

    def forward(module: Any, x: Tensor) -> Tensor:
        write(module.total)
        return module.fire(x - 10)

    fire = neuron.IFNode(v_threshold=1.0, v_reset=None)
    return Forward(forward, fire=fire, total=nn.Parameter(torch.zeros(3), requires_grad=False))


@pytest.mark.parametrize(
    "write",
    [
        lambda weights: weights.add_(1),
        lambda weights: weights.data.add_(1),
        lambda weights: weights.numpy().__iadd__(1),
        lambda weights: setattr(weights, "data", weights + 1),
    ],
)
def test_a_forward_that_writes_to_weights_is_refused(write: Callable[[nn.Parameter], Any]) -> None:
    model: Any = writing(write)
    with pytest.raises(EnergyError, match=r"the forward writes to the parameter total, .* reset="):
        measured(model)

    def reset() -> None:
        model.total.data = torch.zeros(3)

    assert measured(model, reset=reset).neurons[0].sums == (0, 0, 0)


@pytest.mark.parametrize(
    "write",
    [
        lambda weights: weights.mul_(1),
        lambda weights: weights.add_(0.5).round_(),  # 0, as .5 goes to the even number
        lambda weights: setattr(weights, "data", torch.ones(3)),
    ],
)
def test_a_forward_may_write_what_the_first_one_wrote(write: Callable[[nn.Parameter], Any]) -> None:
    assert measured(writing(write)).neurons[0].sums == (0, 0, 0)


class Poisson(nn.Module):
    """Random spikes; a generator of its own unless that is None."""

    activation_op = "neuron"

    def __init__(self, generator: torch.Generator | None = None) -> None:
        super().__init__()
        self.generator = generator

    def forward(self, x: Tensor) -> Tensor:
        return (torch.rand(x.shape, generator=self.generator) < x).to(x.dtype)


def test_a_random_encoder_of_torchs_generator_is_measured_as_if_nothing_checked_it() -> None:
    torch.manual_seed(3)
    drawn = torch.stack([torch.rand(2, 4) for _ in BATCHES for _ in range(3)]).view(len(BATCHES), 3, 8)
    torch.manual_seed(3)
    assert measured(Poisson()).neurons[0].sums == tuple((drawn < 0.375).sum((0, 2)).tolist())


def test_the_check_leaves_torchs_generator_as_it_was() -> None:
    model = Poisson()
    before = torch.get_rng_state()
    check = StateCheck(model, torch.full((1, 4), 0.375), InputMode("step", False, 3), RestState(model))
    check.run()
    check.check()
    assert torch.equal(torch.get_rng_state(), before)


def test_randomness_of_another_generator_is_taken_for_a_leak() -> None:
    generator = torch.Generator().manual_seed(0)
    with pytest.raises(EnergyError, match="a state leaks"):
        measured(Poisson(generator))
    measured(Poisson(generator), reset=lambda: generator.manual_seed(0))


def test_a_lazy_layer_is_no_leak() -> None:
    model = nn.Sequential(nn.LazyLinear(3), neuron.IFNode(v_threshold=0.5))
    assert measured(model, [numbers(2, 4)]).images == 2


def test_random_spikes_are_announced() -> None:
    drawn = measured(Poisson())
    assert drawn.provenance.input is not None
    assert drawn.provenance.input.random is True
    assert any("draws random numbers" in warning for warning in drawn.warnings())
    still = measured(writing(lambda weights: weights.mul_(1)))
    assert not any("draws random numbers" in warning for warning in still.warnings())
