"""Whatever a class or a function holds is seen to change, or known to be out of sight."""

import functools
import itertools
import random
from collections.abc import Callable, Iterator
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from spikingjelly.activation_based import layer, neuron
from torch import Tensor, nn

from msvit_energy.recording.state.code_state import CodeState
from msvit_energy.recording.state.model_state import RestState

COUNT = 0
LEFT = torch.zeros(2)
HELD: list[Any] = [{"a": 1}]


def keeping(x: Tensor, left: list[int] = []) -> Tensor:  # noqa: B006
    return x + len(left)


class Surrogate(torch.autograd.Function):
    width = 1.0

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return (x > Surrogate.width).to(x)


class Net(nn.Module):
    times = 1
    left: ClassVar[list[int]] = []

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(layer.Linear(2, 2), neuron.IFNode())
        self.inner = closing()

    @torch.no_grad()
    def forward(self, x: Tensor) -> Tensor:
        spikes: Tensor = Surrogate.apply(self.body(x))
        return keeping(self.inner(spikes + LEFT * COUNT + len(HELD)))

    @property
    def again(self) -> int:
        return self.times


def closing() -> Callable[[Tensor], Tensor]:
    total = [0]

    def inner(x: Tensor) -> Tensor:
        return x + total[0]

    return inner


def states(model: nn.Module) -> CodeState:
    return CodeState(RestState(model).reached)


def write_global(net: Net, patch: pytest.MonkeyPatch) -> None:
    patch.setitem(globals(), "COUNT", 1)


def write_in_closure(net: Net, patch: pytest.MonkeyPatch) -> None:
    assert net.inner.__closure__ is not None  # type: ignore[attr-defined]
    net.inner.__closure__[0].cell_contents.append(5)  # type: ignore[attr-defined]


def write_tensor(net: Net, patch: pytest.MonkeyPatch) -> None:
    patch.setitem(globals(), "LEFT", torch.ones(2))


def patch_known_class(net: Net, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(neuron.IFNode, "forward", lambda self, x: x * COUNT)


WRITES: dict[str, Callable[[Net, pytest.MonkeyPatch], Any]] = {
    "a global number": write_global,
    "a global tensor": write_tensor,
    "a list in a closure": write_in_closure,
    "a dict in a global list": lambda net, patch: patch.setitem(HELD[0], "a", 2),
    "a number of a class": lambda net, patch: patch.setattr(Net, "times", 2),
    "a list of a class": lambda net, patch: patch.setattr(Net, "left", [1]),
    "a new attribute of a class": lambda net, patch: patch.setattr(Net, "new", 1, raising=False),
    "a number of an autograd function": lambda net, patch: patch.setattr(Surrogate, "width", 2.0),
    "a default argument": lambda net, patch: patch.setattr(keeping, "__defaults__", ([1],)),
    "an attribute of a function": lambda net, patch: patch.setattr(keeping, "mem", 1, raising=False),
    "a method": lambda net, patch: patch.setattr(Net, "forward", closing()),
    "a function in a class of a library": patch_known_class,
}


@pytest.mark.parametrize("what", WRITES)
def test_a_write_is_seen(what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    net = Net()
    code = states(net)
    before = code.now()
    assert before is not None
    assert code.now() == before
    WRITES[what](net, monkeypatch)
    assert code.now() != before


def test_other_weights_and_states_of_rest_are_no_other_code() -> None:
    net = Net()
    code = states(net)
    before = code.now()
    with torch.no_grad():
        net.body[0].weight.mul_(2)
    net.body[1].v = torch.ones(2)
    assert code.now() == before


NUMBERS = itertools.count()


@functools.lru_cache
def cached(size: int) -> list[int]:
    return [size]


def importing(x: Tensor) -> Tensor:
    from msvit_energy.recording import fanout

    return x + len(fanout.__name__)


OUT_OF_SIGHT: dict[str, Callable[[Any, Tensor], Any]] = {
    "an iterator": lambda self, x: x + next(NUMBERS),
    "a cache": lambda self, x: x + cached(1)[0],
    "numpy's generator": lambda self, x: x + np.random.rand(),
    "Python's generator": lambda self, x: x + random.random(),
    "an import": lambda self, x: importing(x),
    "operators that somebody registered": lambda self, x: torch.ops.mylib.myop(x),
    "all names": lambda self, x: x + globals()["COUNT"],
}


@pytest.mark.parametrize("what", OUT_OF_SIGHT)
def test_what_cannot_be_compared_is_told_from_what_stays(what: str) -> None:
    kind = type("Out", (nn.Module,), {"forward": OUT_OF_SIGHT[what], "__module__": __name__})
    assert states(kind()).now() is None


def steps() -> Iterator[int]:
    yield from range(9)


@pytest.mark.parametrize("held", [torch.Generator(), steps(), itertools.count(), iter([1])])
def test_an_opaque_attribute_is_out_of_sight(held: Any) -> None:
    net = nn.Sequential(nn.Linear(2, 2))
    assert states(net).now() is not None
    net.held = held
    assert states(net).now() is None


def test_long_lists_of_a_module_are_put_back_and_need_no_look() -> None:
    net = nn.Linear(2, 2)
    net.held = list(range(5000))  # type: ignore[assignment]
    assert states(net).now() is not None


def test_a_hook_for_all_modules_is_out_of_sight() -> None:
    handle = nn.modules.module.register_module_forward_hook(lambda module, args, output: None)
    try:
        assert states(nn.Linear(2, 2)).now() is None
    finally:
        handle.remove()
