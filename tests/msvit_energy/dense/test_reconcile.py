"""The graph of a model from shapes alone, against sums by hand and the graph that values give; when it is made anew."""

import gc
from collections.abc import Callable
from dataclasses import dataclass
from types import MethodType
from typing import Any
from weakref import ref

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import msvit
import msvit_energy
from msvit_energy import Preparation
from msvit_energy.dense.graph import Graph, trace
from msvit_energy.meta_tensors import ShapesOnly
from tests.support import parity
from tests.support.foreign_models import Forward, numbers


def of_shapes(model: nn.Module, *shape: int, listed: tuple[str, ...] = ()) -> Graph:
    with ShapesOnly():
        return trace(model.eval(), torch.empty(*shape, device="meta"), listed)


class Many(nn.Module):
    """One of each operator that has a size, and what stands between them."""

    def __init__(self) -> None:
        super().__init__()
        self.grouped = nn.Conv2d(4, 8, 3, stride=2, padding=1, groups=2)  # [1, 8, 5, 5], 2 x 9 products each
        self.norm = nn.BatchNorm2d(8)
        self.back = nn.ConvTranspose2d(8, 3, 2, stride=2)  # 8 x 5 x 5 inputs to 3 x 4 outputs each
        self.along = nn.Conv1d(3, 5, 3)  # [1, 5, 98], 3 x 3 products each
        self.deep = nn.Conv3d(1, 2, (1, 2, 2))  # [1, 2, 1, 4, 97], 4 products each
        self.scale = nn.Parameter(torch.tensor(0.5))

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm(self.grouped(x)).relu_()
        x = self.along(self.back(x).flatten(2)) * self.scale  # a parameter that is a number
        x = self.deep(x[:, None, None])[:, 0, 0]  # [1, 4, 97]
        x = F.linear(x, self.table())  # [1, 4, 6], 97 products each
        scores = x @ x.transpose(1, 2) / x.shape[-1] ** 0.5  # [1, 4, 4], 6 products each
        kept = torch.zeros(4, 6)  # made without values of the input, and written to
        kept[:2] = 1
        kept.add_(2)
        return scores @ x + kept  # [1, 4, 6], 4 products each

    def table(self) -> Tensor:
        return torch.linspace(0, 1, 6 * 97).view(6, 97)


def test_macs_of_every_operator_by_hand() -> None:
    assert of_shapes(Many(), 1, 4, 9, 9).own_macs == {
        "": 4 * 6 * 97 + 4 * 4 * 6 + 4 * 6 * 4,
        "grouped": 8 * 25 * 2 * 9,
        "norm": 0,
        "back": 8 * 25 * 3 * 4,
        "along": 5 * 98 * 9,
        "deep": 2 * 4 * 97 * 4,
    }


def test_what_has_no_size_is_the_same_with_and_without_values() -> None:
    with_values = trace(Many().eval(), numbers(1, 4, 9, 9), [])
    assert with_values == of_shapes(Many(), 1, 4, 9, 9)
    assert with_values.uncountable["aten::add_"] == 1


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    ["msvit_digits_dvs", "msvit_cifar", "qkformer_dvs", "spikformer_cifar", "sdt_cifar", "spikingformer_dvs",
     "sdtv2_15m", "spikingresformer_ti", "swin_tiny_patch4_window7_224"],
)  # fmt: skip
def test_registered_models_have_the_graph_that_values_give(name: str) -> None:
    model = msvit.create_model(name)
    model.time_steps = min(model.time_steps, 2)
    with_values = trace(model.eval(), torch.zeros(1, *model.input_size), ())
    assert of_shapes(model, 1, *model.input_size) == with_values


@pytest.mark.slow
def test_the_largest_model_needs_no_values_and_no_memory_for_weights() -> None:
    with torch.device("meta"):
        model = msvit.create_model("msvit_10_768")
    facts = parity.read("msvit/imagenet_10_768.flops.json")
    graph = of_shapes(model, 1, 3, 224, 224)
    step = facts["macs_conv_linear_total"] + facts["macs_matmul_total"]
    # the first convolution has the same input at each of the T = 4 steps, the head the mean over them
    once = sum(facts["macs_conv_linear_by_module"][name] for name in ("patch_embed1.proj_conv", "head"))
    assert sum(graph.own_macs.values()) == 4 * (step - once) + once


# Shapes alone


def in_place(x: Tensor) -> Tensor:
    return torch.zeros(2, 3).add_(x)


def read(x: Tensor) -> Tensor:
    return x * float(x.sum())


def chosen(x: Tensor) -> Tensor:
    return x[x > 0]


def address(x: Tensor) -> Any:
    return (x + 1).data_ptr()


@pytest.mark.parametrize("function", [in_place, read, chosen, address])
def test_what_would_need_values_raises(function: Callable[[Tensor], Any]) -> None:
    with pytest.raises((TypeError, RuntimeError)), ShapesOnly():
        function(torch.empty(2, 3, device="meta"))


def test_real_tensors_lose_their_values_but_single_numbers_that_are_no_weights() -> None:
    with ShapesOnly():
        assert (torch.ones(2, 3) + 1).is_meta
        assert (nn.Parameter(torch.tensor(2.0)) + 1).is_meta
        assert int(torch.tensor(2) + 1) == 3
        assert torch.empty(2, 3, device="meta").addmm_(torch.ones(2, 4), torch.ones(4, 3)).shape == (2, 3)


# Which forwards a profile makes


MEASURED = ["cpu"] * 3  # one batch, and the first image before and after it


def observed(function: Callable[[Any, Tensor], Any], **parts: Any) -> tuple[Forward, list[str]]:
    """A model, and the devices of the inputs that it is called with from now on."""
    devices: list[str] = []

    def forward(module: Any, x: Tensor) -> Any:
        devices.append(x.device.type)
        return function(module, x)

    return Forward(forward, **parts), devices


def two_layers(m: Any, x: Tensor) -> Tensor:
    return m.second(m.first(x).relu()).flatten(1)


def macs(model: nn.Module, *shape: int, preparation: Preparation | None = None) -> dict[str, int]:
    profile = msvit_energy.profile(model, [numbers(*shape)], time_steps=1, feed="image", preparation=preparation)
    assert (profile.coverage.unknown, profile.coverage.note) == ((), "")
    return profile.coverage.counted


def convolutions() -> dict[str, nn.Module]:
    return {"first": nn.Conv2d(1, 2, 3), "second": nn.Conv2d(2, 4, 3)}


def test_a_graph_costs_no_forward_with_values() -> None:
    model, devices = observed(two_layers, **convolutions())
    assert macs(model, 5, 1, 6, 6) == {"first": 2 * 16 * 9, "second": 4 * 4 * 18}
    assert devices == [*MEASURED, "meta"]
    assert macs(model, 5, 1, 6, 6) == {"first": 2 * 16 * 9, "second": 4 * 4 * 18}
    assert devices == [*MEASURED, "meta"] * 2


def test_kept_graphs_are_made_once_for_each_model_and_size_of_images() -> None:
    preparation = Preparation()
    model, devices = observed(two_layers, **convolutions())
    assert macs(model, 5, 1, 6, 6, preparation=preparation) == {"first": 2 * 16 * 9, "second": 4 * 4 * 18}
    assert macs(model, 2, 1, 6, 6, preparation=preparation) == {"first": 2 * 16 * 9, "second": 4 * 4 * 18}
    assert devices == [*MEASURED, "meta", *MEASURED]
    assert macs(model, 5, 1, 8, 8, preparation=preparation) == {"first": 2 * 36 * 9, "second": 4 * 16 * 18}
    assert macs(model, 5, 1, 6, 6, preparation=preparation) == {"first": 2 * 16 * 9, "second": 4 * 4 * 18}
    assert devices == [*MEASURED, "meta", *MEASURED, *MEASURED, "meta", *MEASURED]
    other = nn.Sequential(nn.Flatten(), nn.Linear(36, 2))
    assert macs(other, 5, 1, 6, 6, preparation=preparation) == {"1": 72}


def test_inference_mode_is_no_reason_to_take_values() -> None:
    model, devices = observed(two_layers, **convolutions())
    with torch.inference_mode():
        macs(model, 2, 1, 6, 6)
    assert devices == [*MEASURED, "meta"]


@dataclass
class Settings:
    repeats: int = 1


class Adjustable(nn.Module):
    """Two convolutions that one can get at in many ways."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(1, 2, 3), nn.Conv2d(2, 2, 3, padding=1)
        self.settings = Settings()
        self.sizes = [1]
        self.pool: Callable[[Tensor], Tensor] = F.relu
        self.register_buffer("steps", torch.tensor(1))

    def forward(self, x: Tensor) -> Tensor:
        x = self.pool(self.first(x))
        for _ in range(self.settings.repeats * self.sizes[0] * int(self.steps)):
            x = self.second(x)
        return x.flatten(1)


def halved(x: Tensor) -> Tensor:
    return F.max_pool2d(x, 2)


def set_stride(model: Any) -> None:
    model.first.stride = (2, 2)


def set_module(model: Any) -> None:
    model.first = nn.Conv2d(1, 2, 3, stride=2)


def set_class(model: Any) -> None:
    model.second = nn.Sequential(nn.Conv2d(2, 2, 3, padding=1, groups=2))


def set_function(model: Any) -> None:
    model.pool = halved


def set_in_object(model: Any) -> None:
    model.settings.repeats = 3


def set_in_list(model: Any) -> None:
    model.sizes[0] = 2


def set_in_buffer(model: Any) -> None:
    model.steps.add_(1)


def set_by_hook(model: Any) -> None:
    model.first.register_forward_hook(lambda module, args, output: halved(output))


@pytest.mark.parametrize(
    ("change", "first", "second"),
    [
        (set_stride, 4, 4 * 2),
        (set_module, 4, 4 * 2),
        (set_class, 16, 16),
        (set_function, 16, 4 * 2),
        (set_in_object, 16, 16 * 2 * 3),
        (set_in_list, 16, 16 * 2 * 2),
        (set_in_buffer, 16, 16 * 2 * 2),
        (set_by_hook, 16, 4 * 2),
    ],
)
def test_a_model_that_changed_has_another_graph(change: Callable[[Any], None], first: int, second: int) -> None:
    """MACs of 6 x 6 images: outputs times channels in, of 2 x 9 taps each."""
    model = Adjustable()
    assert sum(macs(model, 2, 1, 6, 6).values()) == 18 * (16 + 16 * 2)
    change(model)
    assert sum(macs(model, 2, 1, 6, 6).values()) == 18 * (first + second)


def test_a_graph_that_hangs_on_weights_is_made_with_values_each_time() -> None:
    def gated(m: Any, x: Tensor) -> Tensor:
        x = m.first(x)
        return m.second(x) if m.gate.sum() > 0 else x

    preparation = Preparation()
    model, devices = observed(gated, first=nn.Linear(4, 4), second=nn.Linear(4, 6), gate=nn.Parameter(torch.ones(2)))
    assert macs(model, 2, 4, preparation=preparation) == {"first": 16, "second": 24}
    assert devices == [*MEASURED, "meta", "cpu"]
    model.gate.data.neg_()
    assert macs(model, 2, 4, preparation=preparation) == {"first": 16}


def test_an_unknown_is_not_believed_without_values() -> None:
    """What a model does on the meta device only is not reported."""
    there = nn.Parameter(numbers(4, 4))

    def forward(m: Any, x: Tensor) -> Tensor:
        return torch.special.entr(m.layer(x)) if x.is_meta else m.layer(x)

    model, devices = observed(forward, layer=nn.Linear(4, 4), there=there)
    assert macs(model, 2, 4) == {"layer": 16}
    assert devices == [*MEASURED, "meta", "cpu"]


class Reading(Adjustable):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) * float(x.sum())


class Keeping(nn.Module):
    """A home-made neuron with a state, and one that reads it."""

    activation_op = "neuron"

    def __init__(self, reads: bool) -> None:
        super().__init__()
        self.reads = reads
        self.mem: Any = 0.0

    def forward(self, x: Tensor) -> Tensor:
        self.mem = self.mem + x
        if self.reads:
            assert float(self.mem.sum()) == float(x.sum())  # starts from rest
        return (self.mem >= 0.5).to(x.dtype)


@pytest.mark.parametrize("reads", [False, True])
def test_neurons_are_at_rest_before_and_after(reads: bool) -> None:
    model = nn.Sequential(Keeping(reads), nn.Linear(4, 2))
    assert macs(model, 2, 4) == {"1": 8}
    assert model[0].mem == 0.0


@pytest.mark.parametrize("kind", [Adjustable, Reading])
def test_hooks_weights_and_buffers_stay_the_models_own(kind: type[Adjustable]) -> None:
    model = kind()
    before = {name: (id(value), value.clone()) for name, value in model.state_dict(keep_vars=True).items()}
    macs(model, 2, 1, 6, 6)
    for name, value in model.state_dict(keep_vars=True).items():
        assert (id(value), torch.equal(value, before[name][1])) == (before[name][0], True)
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())


def test_a_model_is_not_kept_alive_by_its_graph() -> None:
    preparation = Preparation()
    model = Adjustable()
    model.pool = MethodType(lambda self, x: x, model)  # holds the model
    macs(model, 2, 1, 6, 6, preparation=preparation)
    assert len(preparation) == 1
    gone = [ref(model), ref(model.second)]
    del model
    gc.collect()
    assert [one() for one in gone] == [None, None]
