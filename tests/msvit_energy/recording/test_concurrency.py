"""Measurements in threads, forks, modes and hooks of others, and what a model is after an exception."""

import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from spikingjelly.activation_based import neuron
from torch import Tensor, nn
from torch.autograd import Function
from torch.nn.modules.module import register_module_forward_hook
from torch.overrides import TorchFunctionMode, _get_current_function_mode_stack

from msvit_energy import Profile, profile
from msvit_energy.errors import EnergyError

T = 4


class Threshold(Function):
    """Bare spikes, of which a measurement learns by changing this class for its length."""

    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        return (values > 0.3).to(values)


class BareNetwork(nn.Module):
    """Two layers of neurons that are bare functions, over T steps; `meanwhile` happens in each."""

    def __init__(self, seed: int, width: int, meanwhile: Callable[[], None] = lambda: None) -> None:
        super().__init__()
        self._meanwhile = (meanwhile,)
        torch.manual_seed(seed)
        self.first, self.second, self.head = nn.Linear(36, width), nn.Linear(width, width), nn.Linear(width, 3)

    def forward(self, x: Tensor) -> Tensor:
        v = w = total = torch.zeros(())
        for _ in range(T):
            v = 0.5 * v + self.first(x.flatten(1))
            spikes = Threshold.apply(v)
            v = v - spikes
            self._meanwhile[0]()
            w = 0.5 * w + self.second(spikes)
            spikes = Threshold.apply(w)
            w = w - spikes
            total = total + self.head(spikes)
        return total


class Own(nn.Module):
    """A neuron of no library, with a state in an attribute and one in a buffer."""

    v: Tensor | None = None

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("trace", torch.zeros(3))

    def forward(self, x: Tensor) -> Tensor:
        self.v = x if self.v is None else 0.5 * self.v + x
        self.trace += 1
        spikes = (self.v > 0.2).to(x)
        self.v = self.v - spikes
        return spikes


class Steps(nn.Module):
    """Is called once for each step; `forwards` tells how often, and raises when it wants to."""

    def __init__(self, forwards: Callable[[], None] = lambda: None) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.norm, self.lif = nn.BatchNorm1d(36), neuron.LIFNode(step_mode="s")
        self.middle, self.own, self.head = nn.Linear(36, 5), Own(), nn.Linear(5, 3)
        self._forwards = (forwards,)

    def forward(self, x: Tensor) -> Tensor:
        spikes = self.own(self.middle(self.lif(self.norm(3 * x.flatten(1)))))
        self._forwards[0]()  # while the neurons hold a state
        return self.head(spikes)


def images(count: int = 2, seed: int = 0) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.rand(3, 1, 6, 6, generator=generator) for _ in range(count)]


def profiled(model: nn.Module, **options: Any) -> Profile:
    return profile(model, images(), **{"time_steps": T} | options)


@pytest.fixture
def threads_switch_often() -> Iterator[None]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-4)
    yield
    sys.setswitchinterval(before)


@pytest.mark.slow
@pytest.mark.usefixtures("threads_switch_often")
def test_threads_give_the_profiles_of_single_runs_and_put_everything_back() -> None:
    models = {"a": BareNetwork(0, 20), "b": BareNetwork(1, 30), "steps": Steps()}
    how: dict[str, dict[str, Any]] = {"a": {}, "b": {}, "steps": {"neurons": "own"}}
    alone = {name: profiled(model, **how[name]) for name, model in models.items()}
    assert len(alone["a"].neurons) == 2
    original = vars(Threshold)["forward"]
    found: list[tuple[str, Profile]] = []

    def work(name: str) -> None:
        found.extend((name, profiled(models[name], **how[name])) for _ in range(3))

    threads = [threading.Thread(target=work, args=(name,)) for name in models]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 9
    assert all(result == alone[name] for name, result in found)
    assert vars(Threshold)["forward"] is original
    assert torch.backends.mha.get_fastpath_enabled()


def test_what_other_threads_run_is_not_in_a_profile() -> None:
    values = torch.ones(3, 20)

    def meanwhile() -> None:
        thread = threading.Thread(target=Threshold.apply, args=(values,))
        thread.start()
        thread.join()

    assert profiled(BareNetwork(0, 20, meanwhile)) == profiled(BareNetwork(0, 20))


def test_a_model_is_measured_once_at_a_time_and_can_be_again() -> None:
    shared = nn.Linear(36, 3)
    model, with_it = nn.Sequential(nn.Flatten(), shared), nn.Sequential(nn.Flatten(), nn.ReLU(), shared)
    other = nn.Sequential(nn.Flatten(), nn.Linear(36, 3))
    before = profiled(model, time_steps=1)
    seen: list[object] = []

    def inside(count: int) -> None:
        for again in (model, with_it, other):
            try:
                seen.append(profiled(again, time_steps=1).images)
            except EnergyError as error:
                seen.append(str(error))

    assert profile(model, images(1), time_steps=1, on_batch=inside).images == 3
    refusal = "the model, or a part of it, is being profiled already; profile it again when that is done, or a copy"
    assert [str(each).startswith(refusal) for each in seen] == [True, True, False]
    assert seen[2] == 6  # another model may be measured meanwhile
    assert profiled(model, time_steps=1) == before


def test_a_second_thread_is_refused_and_not_kept_waiting() -> None:
    model, entered, go_on = Steps(), threading.Event(), threading.Event()

    def held(count: int) -> None:
        entered.set()
        assert go_on.wait(60)

    thread = threading.Thread(target=profiled, args=(model,), kwargs={"neurons": "own", "on_batch": held})
    thread.start()
    try:
        assert entered.wait(60)
        with pytest.raises(EnergyError, match="is being profiled already"):
            profiled(model, neurons="own")
    finally:
        go_on.set()
        thread.join()
    assert profiled(model, neurons="own").images == 6


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no forks here")
@pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")
def test_a_forked_worker_measures_although_a_thread_of_its_parent_does() -> None:
    model, parents, entered, go_on = BareNetwork(0, 20), Steps(), threading.Event(), threading.Event()
    alone = profiled(model)

    def held(count: int) -> None:
        entered.set()
        assert go_on.wait(60)

    thread = threading.Thread(target=profiled, args=(parents,), kwargs={"neurons": "own", "on_batch": held})
    thread.start()
    assert entered.wait(60)
    child = os.fork()
    if child == 0:  # no assertion may leave the child
        try:
            signal.alarm(60)  # ends it if it waits for its parent
            torch.set_num_threads(1)
            os._exit(0 if profiled(model) == alone else 3)
        except BaseException:
            traceback.print_exc()
            os._exit(4)
    try:
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    finally:
        go_on.set()
        thread.join()


class Counting(TorchFunctionMode):
    """Somebody's function mode, which sees the forward through a measurement."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = 0

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.linear += func is nn.functional.linear
        return func(*args, **(kwargs or {}))


def test_inside_of_a_mode_and_of_hooks_of_others_the_profile_is_the_same() -> None:
    model = Steps()
    alone = profiled(model, neurons="own")
    calls: list[str] = []
    own = [
        model.middle.register_forward_hook(lambda *_: calls.append("hook")),
        model.register_forward_pre_hook(lambda *_: calls.append("before")),
        register_module_forward_hook(lambda *_: calls.append("any")),
    ]
    hooks = {module: (dict(module._forward_hooks), dict(module._forward_pre_hooks)) for module in model.modules()}
    with Counting() as mode:
        stack = _get_current_function_mode_stack()
        assert profiled(model, neurons="own") == alone
        assert _get_current_function_mode_stack() == stack
    assert hooks == {module: (module._forward_hooks, module._forward_pre_hooks) for module in model.modules()}
    assert calls.count("before") >= 2 * T + 2 * T  # two batches, and the first image before and after
    assert mode.linear >= 2 * (2 * T + 2 * T)  # two layers
    assert calls.count("hook") >= 2 * T + 2 * T
    calls.clear()
    model(images()[0])
    assert calls.count("hook") == calls.count("before") == 1
    for handle in own:
        handle.remove()


def test_a_hook_that_measures_its_own_model_is_refused() -> None:
    model = BareNetwork(0, 20)
    handle = model.register_forward_hook(lambda *_: profiled(model) and None)
    with pytest.raises(EnergyError, match="is being profiled already"):
        model(images()[0])
    handle.remove()
    assert profiled(model).images == 6


def state(model: nn.Module) -> dict[tuple[str, str], Any]:
    """Everything that a model holds: attributes, hooks, modes, parameters with gradients, buffers."""
    found: dict[tuple[str, str], Any] = {}
    for name, module in model.named_modules():
        for key, value in vars(module).items():
            held = dict(value) if isinstance(value, dict) else value
            found[name, key] = value.clone() if isinstance(value, Tensor) else held
        for key, weights in module._parameters.items():
            found[name, f"{key} values"] = weights is not None and (weights.detach().clone(), weights.requires_grad)
        for key, buffer in module._buffers.items():
            found[name, f"{key} values"] = buffer is not None and buffer.clone()
    found["", "modes"] = (torch.is_grad_enabled(), torch.is_inference_mode_enabled(), torch.get_rng_state())
    found["", "process"] = (torch.backends.mha.get_fastpath_enabled(), len(_get_current_function_mode_stack()))
    return found


def same(a: Any, b: Any) -> bool:
    if isinstance(a, Tensor) and isinstance(b, Tensor):
        return torch.equal(a, b)
    if isinstance(a, dict | tuple) and type(a) is type(b) and len(a) == len(b):
        pairs = zip(a.values(), b.values(), strict=True) if isinstance(a, dict) else zip(a, b, strict=True)
        return all(same(*pair) for pair in pairs)
    return a is b or bool(a == b)


class Boom(BaseException):
    """As KeyboardInterrupt, nothing may catch it."""


@pytest.mark.slow
@pytest.mark.parametrize("kind", [RuntimeError, Boom])
@pytest.mark.parametrize("feed", ["auto", "step"])
def test_after_an_exception_in_any_forward_the_model_is_as_it_was(kind: type[BaseException], feed: str) -> None:
    calls = fail_at = 0

    def forwards() -> None:
        nonlocal calls
        calls += 1
        if calls == fail_at:
            raise kind("here")

    model = Steps(forwards).train()
    model.norm.eval()
    model.middle.weight.requires_grad_(False)
    model.middle.register_forward_hook(lambda *_: None)
    before = state(model)
    alone = profiled(model, neurons="own", feed=feed)
    needed, raised = calls, 0
    for fail_at in range(1, needed + 1):
        calls = 0
        try:
            profiled(model, neurons="own", feed=feed)
        except (EnergyError, Boom):
            raised += 1
        after = state(model)
        assert before.keys() == after.keys(), fail_at
        assert [key for key in before if not same(before[key], after[key])] == [], fail_at
    # one of a probe may be an answer; the first image and two batches are no probes
    assert raised == needed if kind is Boom else raised >= 3 * T
    assert profiled(model, neurons="own", feed=feed) == alone


@pytest.mark.parametrize("what", ["batches", "on_batch", "enough", "reset"])
def test_after_an_exception_of_the_caller_the_model_is_as_it_was(what: str) -> None:
    def raising(*given: object) -> None:
        raise ZeroDivisionError

    def batches() -> Iterator[Tensor]:
        yield images()[0]
        raising()

    model = Steps().train()
    before = state(model)
    options: dict[str, Any] = {} if what == "batches" else {what: raising}
    with pytest.raises(ZeroDivisionError):
        profile(model, batches() if what == "batches" else images(), time_steps=T, neurons="own", **options)
    assert [key for key, value in state(model).items() if not same(before[key], value)] == []
    assert profiled(model, neurons="own").images == 6
