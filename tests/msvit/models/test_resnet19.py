"""ResNet-19: its neuron by hand, its many names, and the artificial network of the same layers."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import msvit
import msvit_energy
from msvit.models.resnet19 import StrictLIF
from msvit.training.optimisation import moving_average
from msvit.training.recipes import cifar10
from msvit_energy.recording.neurons import is_neuron

CURRENTS = [1.0, 0.5, 0.75, 1.25, 0.5, 0.5]
# h = v / 2 + x: 1.0 (no spike: not above 1) | 1.0 | 1.25 spike | 1.25 spike | 0.5 | 0.75
SPIKES = [0, 0, 1, 1, 0, 0]


def test_six_currents_worked_out_by_hand() -> None:
    currents = torch.tensor(CURRENTS, dtype=torch.float64).reshape(6, 1)
    neuron = StrictLIF()
    assert neuron(currents).flatten().tolist() == SPIKES
    assert neuron(currents).flatten().tolist() == SPIKES  # from rest every time


def test_gradient_of_two_steps_worked_out_by_hand() -> None:
    # h1 = x1 = 1.25, s1 = 1, v1 = h1 (1 - s1); h2 = v1 / 2 + x2 = 0.75; slopes of the triangle: 0.75 at both
    # d s2 / d x1 = 0.75 * 1/2 * ((1 - s1) - h1 * 0.75) = -0.3515625, d s2 / d x2 = 0.75, d s1 / d x1 = 0.75
    currents = torch.tensor([[1.25], [0.75]], dtype=torch.float64, requires_grad=True)
    spikes = StrictLIF()(currents)
    assert spikes.flatten().tolist() == [1, 0]
    spikes.sum().backward()
    assert currents.grad is not None
    assert currents.grad.flatten().tolist() == [0.75 - 0.3515625, 0.75]


def test_the_gradient_is_zero_one_away_from_the_threshold() -> None:
    currents = torch.tensor([[-0.5, 0.0, 2.0, 3.0]], requires_grad=True)
    StrictLIF()(currents).sum().backward()
    assert currents.grad is not None
    assert not currents.grad.any()


def test_names_of_one_tensor_share_its_storage_and_the_last_one_loaded_stays() -> None:
    model = msvit.create_model("resnet19_cifar")
    state = model.state_dict()
    names = ["conv1.weight", "conv1_s.layer.module.weight"]
    assert len({state[name].data_ptr() for name in names}) == 1
    norms = [f"layer1.0.{name}.running_var" for name in ("bn1.bn", "bn1.seqbn.module", "conv1_s.bn.bn")]
    norms.append("layer1.0.conv1_s.bn.seqbn.module.running_var")
    assert len({state[name].data_ptr() for name in norms}) == 1
    assert len({value.data_ptr() for value in state.values()}) == 22 + 2 + 5 * 20  # convolutions, linear (bias), norms
    apart = {key: value.clone() for key, value in state.items()}
    for value, name in enumerate(norms):
        apart[name].fill_(value)
    model.load_state_dict(apart)
    assert model.state_dict()[norms[0]].unique().item() == 3


def test_checkpoints_go_round_although_names_share_tensors(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = msvit.create_model("resnet19_cifar", num_classes=3, time_steps=2)
    path = msvit.save_checkpoint(tmp_path / "model.safetensors", model)
    loaded = msvit.load_checkpoint(path)
    assert all(torch.equal(value, model.state_dict()[key]) for key, value in loaded.state_dict().items())
    torch.save({"state_dict": model.state_dict()}, tmp_path / "official.pth")
    assert msvit.load_checkpoint(tmp_path / "official.pth").spec.name == "resnet19_cifar"


def test_a_moving_average_counts_a_tensor_of_several_names_once() -> None:
    model = msvit.create_model("resnet19_cifar")
    average = moving_average(replace(cifar10(), ema_decay=0.75), model)
    assert average is not None
    before = {name: weights.clone() for name, weights in model.named_parameters()}
    for weights in model.parameters():
        weights.data += 1
    model.bn1.bn.num_batches_tracked.fill_(5)
    average.update(model)
    for name, weights in average.module.named_parameters():
        torch.testing.assert_close(weights, before[name] + 0.25, rtol=0, atol=1e-6)
    assert average.module.state_dict()["bn1.seqbn.module.num_batches_tracked"] == 5


def test_the_artificial_network_has_relu_in_the_places_of_neurons() -> None:
    torch.manual_seed(0)
    spiking, artificial = (msvit.create_model(name).eval() for name in ("resnet19_cifar", "resnet19_cifar_ann"))
    assert sum(parameter.numel() for parameter in artificial.parameters()) == 12_630_858
    places = [name for name, module in spiking.named_modules() if isinstance(module, StrictLIF)]
    assert [name for name, module in artificial.named_modules() if isinstance(module, nn.ReLU)] == places
    assert len(places) == 1 + 8 * 2 + 1
    assert not any(map(is_neuron, artificial.modules()))
    image = torch.randn(1, 3, 32, 32)
    profile = msvit_energy.profile(artificial, [image])
    assert (profile.time_steps, profile.neurons) == (1, ())
    assert profile.macs_per_step == 2_216_495_616
    assert torch.equal(artificial(image), stepwise(artificial, image))
    with pytest.raises(msvit.ModelError, match="without neurons there is no time: time steps must be 1, not 4"):
        msvit.create_model("resnet19_cifar_ann", time_steps=4)


def stepwise(network: nn.Module, x: Tensor) -> Tensor:
    """The network layer by layer, as a residual network is usually written."""
    x = torch.relu(network.bn1.bn(network.conv1(x)))
    for block in (*network.layer1, *network.layer2, *network.layer3):
        y = torch.relu(block.bn1.bn(block.conv1(x)))
        shortcut = x
        if hasattr(block, "downsample"):
            shortcut = block.downsample.bn.bn(block.downsample.layer.module(x))
        x = torch.relu(block.bn2.bn(block.conv2(y)) + shortcut)
    return network.fc2(torch.relu(network.fc1(x.mean(dim=(2, 3)))))
