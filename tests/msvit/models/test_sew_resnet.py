"""SEW-ResNet against SpikingJelly's copy of it, and its element-wise functions by hand."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torchvision
from spikingjelly.activation_based import functional, neuron, surrogate
from spikingjelly.activation_based.model import sew_resnet
from torch import Tensor, nn

import msvit
import msvit_energy
from msvit.checkpoint import open_checkpoint
from msvit.models import sew_resnet as models
from msvit.neuron import IF
from tests.support import parity


def spikingjelly(name: str, cnf: str = "ADD") -> Any:
    """SpikingJelly's network in float64, with random weights that float32 holds."""
    arguments = {"surrogate_function": surrogate.ATan(), "detach_reset": True}
    model = getattr(sew_resnet, name)(cnf=cnf, spiking_neuron=neuron.IFNode, num_classes=7, **arguments)
    functional.set_step_mode(model.eval(), "m")
    parity.draw(model, {"seed": 1, "gain": 2.0, "input_shape": (1,), "input_kind": "image"})
    return model.double()


def images() -> Tensor:
    return torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "cnf"),
    [("sew_resnet18", "ADD"), ("sew_resnet50", "ADD"), ("sew_resnet18", "AND"), ("sew_resnet18", "IAND")],
)
def test_weights_under_spikingjellys_names_give_its_logits(tmp_path: Path, name: str, cnf: str) -> None:
    theirs = spikingjelly(name, cnf)
    torch.save(theirs.state_dict(), tmp_path / "w.pth")
    opened = open_checkpoint(tmp_path / "w.pth", model=name)
    assert "its names of weights, which are another library's, made official" in opened.notes
    ours = msvit.create_model(name, num_classes=7, connect_f=cnf).double().eval()
    ours.load_state_dict(opened.model.state_dict())
    with torch.inference_mode():
        expected = theirs(images().expand(4, -1, -1, -1, -1)).mean(0)
        assert expected.std() > 0.01
        torch.testing.assert_close(ours(images()), expected, rtol=0, atol=1e-10)


def test_names_that_a_resnet_without_spikes_has_too_want_to_be_named(tmp_path: Path) -> None:
    plain = torchvision.models.resnet18(num_classes=7)
    torch.save(plain.state_dict(), tmp_path / "w.pth")
    with pytest.raises(msvit.ModelError, match=r"would fit sew_resnet18, .* name it \(--model sew_resnet18\)"):
        msvit.load_checkpoint(tmp_path / "w.pth")
    assert msvit.load_checkpoint(tmp_path / "w.pth", model="sew_resnet18").num_classes == 7


@pytest.mark.parametrize("make", [models.basic, models.bottleneck])
@pytest.mark.parametrize("connect_f", models.CONNECT)
def test_element_wise_functions_by_their_formulas(connect_f: str, make: Callable[..., nn.Module]) -> None:
    block = make(8, 8, 2, connect_f).double().eval()
    parity.draw(block, {"seed": 1, "gain": 3.0, "input_shape": (1,), "input_kind": "image"})
    spikes = (torch.rand(4, 2, 8, 8, 8, generator=torch.Generator().manual_seed(1), dtype=torch.float64) < 0.4).double()
    ends: list[Tensor] = []
    last = [module for module in block.modules() if isinstance(module, IF)][-2:]  # of the branch, of the shortcut
    for layer in last:
        layer.register_forward_hook(lambda _, args, out: ends.append(out))
    out = block(spikes)
    branch, shortcut = ends
    assert min(branch.mean(), shortcut.mean(), 1 - branch.mean()) > 0.1
    expected = {"ADD": branch + shortcut, "AND": branch * shortcut, "IAND": shortcut - branch * shortcut}[connect_f]
    assert torch.equal(out, expected)


def test_an_unknown_element_wise_function_is_named() -> None:
    with pytest.raises(msvit.ModelError, match="unknown connect_f 'OR'; element-wise functions: ADD, AND, IAND"):
        msvit.create_model("sew_resnet18", connect_f="OR")


def test_the_stem_runs_once_for_an_image_and_for_every_frame() -> None:
    model = msvit.create_model("sew_resnet18", num_classes=3).double().train()
    seen: list[tuple[int, ...]] = []
    model.conv1.register_forward_hook(lambda _, args, out: seen.append(tuple(out.shape)))
    model(images())
    model(images().unsqueeze(1).repeat(1, 4, 1, 1, 1))
    assert seen == [(2, 64, 32, 32), (8, 64, 32, 32)]


@pytest.mark.parametrize("connect_f", models.CONNECT)
def test_the_profiler_sees_what_the_functions_make_of_spikes(connect_f: str) -> None:
    model = msvit.create_model("sew_resnet18", num_classes=3, connect_f=connect_f).double().eval()
    parity.draw(model, {"seed": 1, "gain": 2.0, "input_shape": (1,), "input_kind": "image"})
    profile = msvit_energy.profile(model, [images()])
    drivers = {operator.layer: operator.driver for operator in profile.operators}
    second = drivers["layer3.1.conv1.module.0"]
    assert (second.kind, second.maximum) == (("integer", 2) if connect_f == "ADD" else ("binary", 1))
    assert profile.warnings() == []
    assert profile.coverage.unknown == ()
