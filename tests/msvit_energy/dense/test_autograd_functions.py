"""Surrogate gradients are work per element; a function that may hide products is unknown."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import msvit_energy
from msvit_energy.dense.graph import trace
from tests.support.foreign_models import Forward, numbers, weight


def function(name: str, forward: Callable[..., Tensor]) -> Any:
    """An autograd function with a straight-through gradient."""
    methods = {"forward": lambda ctx, *args: forward(*args), "backward": lambda ctx, grad: grad}
    return type(name, (torch.autograd.Function,), {key: staticmethod(method) for key, method in methods.items()})


def filled(x: Tensor) -> Tensor:
    """As in SpyTorch."""
    out = torch.zeros_like(x)
    out[x > 0] = 1.0
    return out


def by_address(x: Tensor) -> Tensor:
    """What a compiled kernel leaves in the graph."""
    out = torch.empty_like(x)
    out.numpy()[:] = (x.numpy() @ x.numpy().swapaxes(-1, -2)).sum(-1, keepdims=True)
    return out


def by_address_and_after(x: Tensor) -> Tensor:
    return (by_address(x) > 0).to(x)


INNER = function("Inner", lambda x: (x > 0).to(x))
HIDDEN = function("Hidden", lambda x: x @ x.transpose(1, 2) @ x)
FREE = {
    "compare and cast": lambda x: (x > 0).to(x),
    "float": lambda x: x.gt(0.5).float(),
    "filled": filled,
    "heaviside": lambda x: torch.heaviside(x, torch.zeros_like(x)),
    "random": lambda x: (torch.rand_like(x) < x).to(x),
    "bernoulli": lambda x: torch.bernoulli(x.clamp(0, 1)),
    "levels": lambda x: x.clamp(0, 4).round() / 4,
    "one in another": lambda x: INNER.apply(x) * 2,
}
UNKNOWN = {
    "matmul": lambda x: x @ x.transpose(1, 2) @ x,
    "product by hand": lambda x: (x.unsqueeze(-1) * x.unsqueeze(-2)).sum(-2),
    "fft": lambda x: torch.fft.fft(x).real,
    "address": by_address,
    "address and after": by_address_and_after,
    "hidden in another": lambda x: HIDDEN.apply(x) + 1,
}


def spiking(forward: Callable[..., Tensor]) -> Any:
    return Forward(lambda s, x: function("Spike", forward).apply(s.part(x)), part=nn.Linear(4, 4))


@pytest.mark.parametrize("forward", FREE.values(), ids=FREE)
def test_a_surrogate_function_outside_of_a_neuron_is_free(forward: Callable[..., Tensor]) -> None:
    coverage = msvit_energy.profile(spiking(forward), [numbers(2, 3, 4)]).coverage
    assert (coverage.unknown, coverage.note) == ((), "")
    assert coverage.free["prim::PythonOp.Spike"] == 1


@pytest.mark.parametrize("forward", UNKNOWN.values(), ids=UNKNOWN)
def test_a_function_that_may_hide_products_is_unknown(forward: Callable[..., Tensor]) -> None:
    coverage = msvit_energy.profile(spiking(forward), [numbers(2, 3, 4)]).coverage
    assert "prim::PythonOp.Spike" in [item.name for item in coverage.unknown]


def test_one_name_for_a_free_and_another_function_is_unknown() -> None:
    free, other = (function("Spike", forward) for forward in (FREE["float"], UNKNOWN["fft"]))
    graph = trace(Forward(lambda s, x: other.apply(free.apply(x))), numbers(1, 3, 4), ())
    assert graph.uncountable["prim::PythonOp.Spike"] == 2
    assert not graph.is_free("prim::PythonOp.Spike")


@pytest.mark.parametrize(("name", "unknown"), [("address", []), ("matmul", ["prim::PythonOp.Spike"])])
def test_inside_of_a_neuron_only_visible_products_are_unknown(name: str, unknown: list[str]) -> None:
    neuron = Forward(lambda s, x: (function("Spike", UNKNOWN[name]).apply(x) > 0).to(x))
    neuron.activation_op = "neuron"  # type: ignore[assignment]
    model = Forward(lambda s, x: s.fire(x) @ s.weight, fire=neuron, weight=weight(4, 2))
    graph = trace(model, numbers(1, 3, 4), (), ["fire"])
    assert [op for op in graph.uncountable if not graph.is_free(op)] == unknown
