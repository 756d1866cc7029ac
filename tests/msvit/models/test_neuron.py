"""The LIF neuron against paper-and-pencil numbers and against SpikingJelly's."""

import shutil
from copy import deepcopy
from typing import Any

import pytest
import torch
from spikingjelly.activation_based import neuron
from torch import Tensor

import msvit
from msvit import lif_kernels
from msvit.distributed import unread
from msvit.errors import ModelError
from msvit.lif_kernels import lif
from msvit.neuron import LIF, compile_neurons, lif_step

CURRENTS = [1.0, 1.5, 1.5, 1.0, 2.0, 1.998, 2.0]
# h = v + (x - v) / 2: 0.5, 1.0, 0.75, 0.875, 1.4375, 0.999, 1.4995
SPIKES = [0, 1, 0, 0, 1, 0, 1]  # where h reaches 1
MEMBRANES = [0.5, 0.0, 0.75, 0.875, 0.0, 0.999, 0.0]  # h, or 0 after a spike


def stepped(currents: Tensor, tau: float, v_threshold: float) -> tuple[Tensor, Tensor]:
    """Spikes and membranes `[T, ...]` of `lif_step` in a loop from rest."""
    membrane, steps = torch.zeros_like(currents[0]), []
    for current in currents:
        spike, membrane = lif_step(membrane, current, tau, v_threshold)
        steps.append((spike, membrane))
    spikes, membranes = zip(*steps, strict=True)
    return torch.stack(spikes), torch.stack(membranes)


def test_seven_currents_worked_out_by_hand() -> None:
    currents = torch.tensor(CURRENTS, dtype=torch.float64).reshape(7, 1)
    spikes, membranes = stepped(currents, tau=2.0, v_threshold=1.0)
    assert spikes.flatten().tolist() == SPIKES
    assert membranes.flatten().tolist() == pytest.approx(MEMBRANES, abs=1e-15)
    assert LIF()(currents).flatten().tolist() == SPIKES
    # tau 4, threshold 0.5: h = 0.25 | 0.5625 spike | 0.375 | 0.53125 spike
    spikes, membranes = stepped(currents[:4], tau=4.0, v_threshold=0.5)
    assert spikes.flatten().tolist() == [0, 1, 0, 1]
    assert membranes.flatten().tolist() == [0.25, 0, 0.375, 0]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("tau", [2.0, 4.0, 1.5, 3.0])
def test_the_kernels_fire_bit_for_bit_as_the_equation(tau: float, dtype: torch.dtype) -> None:
    currents = 2 * torch.randn(8, 70_000, generator=torch.Generator().manual_seed(9), dtype=dtype)  # more than one part
    spikes, membranes = stepped(currents, tau, 1.0)
    assert 0.02 < spikes.mean() < 0.5
    assert torch.equal(lif(currents, tau, 1.0), spikes)
    charged, fired = lif_kernels._charge(currents, tau, 1.0)
    assert torch.equal(torch.stack(fired), spikes)
    assert torch.equal(torch.stack(charged) * (1 - spikes), membranes)


def test_threshold_is_reached_at_equality() -> None:
    assert LIF()(torch.tensor([[2.0]])).item() == 1
    assert LIF()(torch.tensor([[2.0 - 1e-6]])).item() == 0


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])  # the last by SpikingJelly's loop
def test_every_call_starts_from_rest(dtype: torch.dtype) -> None:
    lif = LIF()
    current = torch.full((1, 3), 1.9, dtype=dtype)
    assert torch.equal(lif(current), lif(current))  # a kept membrane of 0.95 would fire at once


@pytest.mark.parametrize("tau", [2.0, 1.5])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_spikes_equal_spikingjelly_and_gradients_agree(tau: float, dtype: torch.dtype) -> None:
    generator = torch.Generator().manual_seed(1)
    currents = 2 * torch.randn(6, 4, 5, 7, generator=generator, dtype=dtype)
    weight = torch.randn(currents.shape, generator=generator, dtype=dtype)

    def run(layer: torch.nn.Module) -> tuple[Tensor, Tensor]:
        x = currents.clone().requires_grad_()
        spikes = layer(x)
        (spikes * weight).sum().backward()
        assert x.grad is not None
        return spikes.detach(), x.grad

    reference = neuron.LIFNode(tau=tau, detach_reset=True, step_mode="m")
    (ours, our_gradient), (theirs, their_gradient) = run(LIF(tau=tau)), run(reference)
    assert 0.05 < theirs.mean() < 0.5
    assert torch.equal(ours, theirs)
    torch.testing.assert_close(our_gradient, their_gradient, rtol=1e-5, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["msvit_digits", "spikformer_cifar", "spikingformer_cifar", "sdt_cifar", "qkformer_cifar"]
)
def test_networks_with_spikingjelly_neurons_in_place_of_ours_say_the_same(name: str) -> None:
    torch.manual_seed(7)
    ours: Any = msvit.create_model(name).train()  # fresh networks are silent with fresh statistics
    theirs = deepcopy(ours)
    for module in list(theirs.modules()):
        for part, child in module.named_children():
            if isinstance(child, LIF):
                setattr(module, part, neuron.LIFNode(tau=child.tau, v_threshold=child.v_threshold, step_mode="m"))
    assert not any(isinstance(module, LIF) for module in theirs.modules())
    images = torch.randn(2, ours.in_chans, 64, 64)
    with torch.no_grad():
        logits = ours(images)
        assert logits.count_nonzero()
        assert torch.equal(theirs(images), logits)


@pytest.mark.parametrize("shape", [(4, 300_000), (5, 2, 3, 7), (1, 9), (6, 1, 1)])
def test_parts_of_the_neurons_fire_as_all_of_them(shape: tuple[int, ...]) -> None:  # 300,000 are several parts
    currents = 2 * torch.randn(shape, generator=torch.Generator().manual_seed(4))
    assert torch.equal(LIF()(currents), stepped(currents, 2.0, 1.0)[0])


def test_spikes_lie_in_memory_as_the_currents() -> None:
    currents = 2 * torch.randn(4, 2, 3, 6, 5, generator=torch.Generator().manual_seed(5)).transpose(2, 4)
    spikes = LIF()(currents)
    assert spikes.stride() == currents.stride()
    assert torch.equal(spikes, LIF()(currents.contiguous()))


@pytest.mark.slow
@pytest.mark.skipif(not any(map(shutil.which, ("c++", "g++", "clang++"))), reason="no C++ compiler")
@pytest.mark.filterwarnings("ignore")  # of the compiler, about this and that
def test_compiled_neurons_fire_alike_and_learn_alike() -> None:
    generator = torch.Generator().manual_seed(6)
    for tau, threshold, shape in ((2.0, 1.0, (4, 3, 50)), (1.5, 0.5, (4, 2, 5, 5, 5))):
        currents = (2 * torch.randn(shape, generator=generator)).requires_grad_()
        weight = torch.randn(shape, generator=generator)
        gradients = []
        for compiled in (False, True):
            spikes = lif(currents, tau, threshold, compiled=compiled)
            gradients.append(torch.autograd.grad((spikes * weight).sum(), currents)[0])
            assert torch.equal(spikes, lif(currents.detach(), tau, threshold))
        torch.testing.assert_close(gradients[0], gradients[1], rtol=1e-5, atol=1e-6)
    model = msvit.create_model("msvit_digits").eval()
    images = torch.randn(3, 1, 12, 12, generator=generator)
    before = model(images)
    compile_neurons(model)
    assert all(module.compiled for module in model.modules() if isinstance(module, LIF))
    assert torch.equal(model(images), before)
    assert unread(model) == []  # runs without memory, where there is nothing to compile for


def test_without_a_compiler_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing(*arguments: object, **options: object) -> None:
        raise RuntimeError("no C++ compiler\nand more")

    monkeypatch.setattr("msvit.neuron.lif", nothing)
    with pytest.raises(ModelError, match=r"torch.compile does not work here: no C\+\+ compiler$"):
        compile_neurons(msvit.create_model("msvit_digits", time_steps=3))


def test_a_static_current_given_as_a_view_is_the_repeated_current() -> None:
    current = torch.randn(1, 50, generator=torch.Generator().manual_seed(2)) * 3
    with torch.inference_mode():
        assert torch.equal(LIF()(current.expand(4, 50)), LIF()(current.repeat(4, 1)))
