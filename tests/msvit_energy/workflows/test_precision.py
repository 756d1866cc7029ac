"""The comparison of number formats, on a network whose one difference is known."""

import pytest
import torch
from torch import Tensor, nn

import msvit
from msvit.neuron import LIF
from msvit_energy import EnergyError
from msvit_energy.precision import compare_formats, excite_


class OneFlip(nn.Module):
    """One linear layer whose second output lies above the threshold only after rounding to float32; then another."""

    time_steps = 1

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(1, 3, bias=False, dtype=torch.float64)
        self.fire = LIF()
        self.second = nn.Linear(3, 1, bias=False, dtype=torch.float64)
        self.last = LIF()
        self.head = nn.Linear(1, 2, dtype=torch.float64)
        self.first.weight.data = torch.tensor([[3.0], [2.0 - 1e-12], [1.0]], dtype=torch.float64)
        nn.init.zeros_(self.second.weight)

    def forward(self, x: Tensor) -> Tensor:  # [B, 1]
        spikes = self.fire(self.first(x).unsqueeze(0))
        return self.head(self.last(self.second(spikes.flatten(0, 1)).unsqueeze(0)).flatten(0, 1))


def test_the_one_flipped_spike_is_found() -> None:
    # spikes of `fire`: (1, 0, 0) in float64, (1, 1, 0) in float32; `last` never fires: 4 outputs an image
    found = compare_formats(OneFlip(), [torch.ones(2, 1), torch.ones(3, 1)])
    assert (found.images, found.outputs, found.differing, found.spikes) == (5, 20, 5, 5)
    assert found.differing_share == 0.25
    assert found.differing_per_spike == 1.0
    # SOPs: first layer 1 x 3 = 3 in both; second 1/3 x 3 = 1 against 2/3 x 3 = 2; head 0
    assert found.sops_float64 == pytest.approx(4)
    assert found.sops_difference == pytest.approx(0.25)


def test_the_model_itself_is_left_alone() -> None:
    model = OneFlip().train()
    compare_formats(model, [torch.ones(1, 1)])
    assert model.first.weight.dtype == torch.float64
    assert model.training
    assert not any(module._forward_hooks for module in model.modules())


def test_excited_weights_make_every_layer_fire() -> None:
    model = msvit.create_model("msvit_digits").eval()
    excite_(model, seed=0)
    fired: list[float] = []
    for module in model.modules():
        if isinstance(module, LIF):
            module.register_forward_hook(lambda _, args, output: fired.append(output.mean().item()))
    with torch.inference_mode():
        model(torch.randn(4, 1, 12, 12, generator=torch.Generator().manual_seed(0)))
    assert len(fired) == 30
    assert min(fired) > 0.005


def test_nothing_to_compare_is_an_error() -> None:
    with pytest.raises(EnergyError, match="no spiking neurons, or no images"):
        compare_formats(nn.Linear(2, 2), [torch.ones(1, 2)])
