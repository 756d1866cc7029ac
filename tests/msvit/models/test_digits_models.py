"""The small siblings of the families: their sizes, that they learn, and that their weights say whose they are."""

import hashlib
import json
from importlib import resources
from pathlib import Path
from typing import NamedTuple

import pytest
import torch
from torch import Tensor, nn

import msvit
from msvit.checkpoint import find
from msvit.identify import identify
from msvit.models.ann import RectifiedMSViT
from msvit.neuron import LIF
from msvit.registry import entry
from msvit_energy import Profile
from tests.support import parity


class Sibling(NamedTuple):
    name: str
    parameters: int
    time_steps: int


DIGITS = [
    Sibling("msvit_digits", 164_346, 4),
    Sibling("qkformer_digits", 190_850, 4),
    Sibling("spikformer_digits", 164_418, 4),
    Sibling("spikingformer_digits", 164_034, 4),
    Sibling("cml_spikingformer_digits", 164_034, 4),
    Sibling("sdt_digits", 163_554, 4),
    Sibling("statten_digits", 163_554, 4),
    Sibling("sdtv2_digits", 187_166, 4),
    Sibling("sdtv3_digits", 186_310, 1),
    Sibling("spikingresformer_digits", 164_208, 4),
    Sibling("maxformer_digits", 187_058, 4),
    Sibling("msvit_digits_ann", 164_346, 1),
    Sibling("vit_digits", 153_482, 1),
]
EVENTS = [
    Sibling("msvit_digits_dvs", 203_946, 6),
    Sibling("qkformer_digits_dvs", 180_081, 6),
    Sibling("spikformer_digits_dvs", 164_490, 6),
    Sibling("sdt_digits_dvs", 163_626, 6),
]


def by_name(sibling: Sibling) -> str:
    return sibling.name


def test_every_small_model_is_in_this_file() -> None:
    assert msvit.list_models("*_digits*") == sorted(sibling.name for sibling in (*DIGITS, *EVENTS))


@pytest.mark.parametrize("sibling", [*DIGITS, *EVENTS], ids=by_name)
def test_small_models_have_about_as_many_parameters(sibling: Sibling) -> None:
    with torch.device("meta"):
        model = msvit.create_model(sibling.name)
    assert sum(weights.numel() for weights in model.parameters()) == sibling.parameters
    assert 150_000 <= sibling.parameters <= 210_000
    assert model.time_steps == sibling.time_steps
    assert model.input_size == ((2, 32, 32) if sibling in EVENTS else (1, 12, 12))
    assert f"{sibling.parameters:,} parameters" in " ".join((entry(sibling.name).build.__doc__ or "").split())


def batch(model: nn.Module, events: bool) -> Tensor:
    """Four images or sequences of frames."""
    steps = (model.time_steps,) if events else ()
    return torch.randn(4, *steps, *model.input_size) + 0.5  # type: ignore[misc, arg-type]


@pytest.mark.parametrize("sibling", [*DIGITS, *EVENTS], ids=by_name)
def test_a_few_steps_lower_the_loss_and_reach_every_used_parameter(sibling: Sibling) -> None:
    torch.manual_seed(0)
    model = msvit.create_model(sibling.name).train()
    images, labels = batch(model, sibling in EVENTS), torch.arange(4)
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3)
    losses: list[float] = []
    while len(losses) < 6 and not (losses and losses[-1] < losses[0]):
        loss = nn.functional.cross_entropy(model(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]
    unused = parity.UNUSED.get(entry(sibling.name).family, ())
    assert not [
        key
        for key, weights in model.named_parameters()
        if weights.grad is None and not any(part in key for part in unused)
    ]


@pytest.mark.parametrize("sibling", [*DIGITS, *EVENTS], ids=by_name)
def test_weights_say_whose_they_are_but_for_families_of_one_shape(sibling: Sibling) -> None:
    with torch.device("meta"):
        weights = msvit.create_model(sibling.name).state_dict()
    if sibling.name.startswith(("sdt_", "statten_")):  # the same parameters under the same names
        with pytest.raises(msvit.ModelError, match=f"fit several models: .*{sibling.name}.*name one"):
            identify(weights)
    else:
        assert identify(weights) == (sibling.name, {})


def test_the_dense_msvit_is_msvit_with_relu_for_neurons() -> None:
    torch.manual_seed(0)
    dense, spiking = msvit.create_model("msvit_digits_ann"), msvit.create_model("msvit_digits")
    assert isinstance(dense, RectifiedMSViT)
    kinds = [type(module) for module in dense.network.modules()]
    assert kinds.count(nn.ReLU) == sum(isinstance(module, LIF) for module in spiking.modules()) == 30
    assert not any(isinstance(module, LIF) for module in dense.modules())
    own = {key.removeprefix("network."): value.shape for key, value in dense.state_dict().items()}
    assert own == {key: value.shape for key, value in spiking.state_dict().items()}
    image = torch.randn(2, 1, 12, 12)
    first = dense.network.patch_embed1
    conv, norm = first.get_submodule("proj_conv"), first.get_submodule("proj_bn")
    seen: list[Tensor] = []
    first.get_submodule("proj1_conv").register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    with torch.inference_mode():
        dense.eval()(image)
        assert torch.equal(seen[0], norm(conv(image)).relu())


@pytest.mark.parametrize("name", ["msvit_digits_ann", "vit_digits"])
def test_dense_models_take_one_time_step(name: str) -> None:
    with pytest.raises(msvit.ModelError, match="time steps must be 1, not 4"):
        msvit.create_model(name, time_steps=4)


def test_an_unknown_stem_is_refused() -> None:
    with pytest.raises(msvit.ModelError, match="unknown stem 'dvs'; stems: imagenet, cifar"):
        msvit.create_model("spikingresformer_digits", stem="dvs")


def shipped_rivals() -> list[str]:
    return [name for name in msvit.list_checkpoints() if name.startswith("rivals/")]


@pytest.mark.parametrize("name", shipped_rivals())
def test_a_shipped_rival_is_small_and_has_the_weights_of_its_shipped_profile(name: str) -> None:
    path = find(name)
    assert path.stat().st_size < 1 << 20
    model = msvit.load_checkpoint(name)
    assert model.spec.name == path.stem
    data = resources.files("msvit_energy.reporting") / "data" / "rivals" / f"{path.stem}.profile.json"
    origin = Profile.load(Path(str(data))).provenance
    assert origin.checkpoint is not None
    assert origin.checkpoint.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    sidecar = json.loads(path.with_suffix(".json").read_text())
    assert sidecar["seed"] == 0
    assert sidecar["metrics"]["test_accuracy"] >= 0.9


def test_a_file_of_that_name_comes_before_a_shipped_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert find("rivals/sdt_digits").is_absolute()
    (tmp_path / "rivals").mkdir()
    (tmp_path / "rivals" / "sdt_digits").touch()
    assert find("rivals/sdt_digits") == Path("rivals/sdt_digits")
