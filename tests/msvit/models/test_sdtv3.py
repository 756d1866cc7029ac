"""Spike-driven Transformer V3: what its reference vector does not hold, and what its neurons cost."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import msvit
import msvit_energy
from msvit.layers import over_time
from msvit.models import sdtv3_large
from msvit.neuron import MultiSpike, StepNeuron
from msvit_energy import price
from tests.support import parity

SMALL = {"dims": (8, 16, 16), "depth": 2, "num_classes": 5}


def drawn(model: nn.Module, gain: float = 2.5) -> None:
    """Random weights in float64, under which neurons fire."""
    model.double().eval()
    parity.draw(model, {"seed": 2, "gain": gain, "input_shape": (1,), "input_kind": "image"})


def noise(*shape: int, scale: float = 1.0) -> Tensor:
    return scale * torch.randn(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def quarters(x: Tensor) -> Tensor:
    """What a neuron of the large models gives: half a spike is rounded up."""
    return torch.floor(x.clamp(0, 4) + 0.5) / 4


def test_a_block_of_the_large_model_by_plain_formulas() -> None:
    dim, heads, batch, size = 16, 2, 2, 3
    block = sdtv3_large.Block(dim, heads, rep=True)
    drawn(block, gain=4)
    x = noise(1, batch, dim, size, size, scale=3)

    def chain(owner: nn.Module, tokens: Tensor) -> Tensor:
        return owner.get_submodule("conv2")(owner.get_submodule("conv1")(tokens))

    tokens = x[0].flatten(2)  # [B, C, N]
    tokens = tokens + chain(block.get_submodule("rep_conv"), quarters(tokens))
    spikes, by_head = quarters(tokens), {}
    for name in "qkv":
        projection = block.get_submodule(f"attn.{name}_conv")
        by_head[name] = quarters(projection.get_submodule("1")(chain(projection.get_submodule("0"), spikes)))
    out = torch.zeros_like(tokens)
    for head in range(heads):
        part = slice(head * dim // heads, (head + 1) * dim // heads)
        q, k, v = (by_head[name][:, part].transpose(1, 2) for name in "qkv")  # [B, N, d]
        out[:, part] = (q @ k.transpose(1, 2) @ v).transpose(1, 2) * 0.125
    assert quarters(out).count_nonzero() > 20
    projection = block.get_submodule("attn.proj_conv")
    attended = projection.get_submodule("1")(chain(projection.get_submodule("0"), quarters(out)))
    tokens = tokens + attended * block.layer_scale1[:, None]
    inner = block.get_submodule("mlp.fc1_bn")(block.get_submodule("mlp.fc1_conv")(quarters(tokens)))
    mixed = block.get_submodule("mlp.fc2_bn")(block.get_submodule("mlp.fc2_conv")(quarters(inner)))
    tokens = tokens + mixed * block.layer_scale2[:, None]
    torch.testing.assert_close(block(x)[0].flatten(2), tokens, rtol=0, atol=1e-12)


def test_the_second_head_reads_spikes_and_both_are_averaged_in_evaluation() -> None:
    model = msvit.create_model("sdtv3_83m", kd=True, **SMALL)
    drawn(model)
    images, features = noise(2, 3, 32, 32), []
    model.head.register_forward_hook(lambda _, args, out: features.append(args[0]))
    logits = model(images)
    (mean,) = features
    plain = functional.linear(mean[0], model.head.weight, model.head.bias)
    count = torch.floor(mean[0].clamp(0, 4) + 0.5)
    assert count.max() >= 2
    kd = functional.linear(count, model.head_kd.weight, model.head_kd.bias)
    torch.testing.assert_close(logits, (plain + kd) / 2, rtol=0, atol=1e-12)
    alone = msvit.create_model("sdtv3_83m", **SMALL).double().eval()
    alone.load_state_dict({key: value for key, value in model.state_dict().items() if "kd" not in key})
    torch.testing.assert_close(alone(images), plain, rtol=0, atol=1e-12)
    first, second = model.train()(images)
    assert first.shape == second.shape == (2, 5)


def test_scales_and_stochastic_depth_of_the_large_models_start_as_published() -> None:
    with torch.device("meta"):
        blocks = list(msvit.create_model("sdtv3_171m").block3)
    assert [block.drop_path for block in blocks] == pytest.approx([0.1 * place / 11 for place in range(12)])
    assert msvit.create_model("sdtv3_83m", **SMALL).block3[1].layer_scale2.unique().item() == pytest.approx(1e-6)


class Spread(StepNeuron):
    """The neurons of the paper's inference: n becomes n spikes in a row of 4 virtual time steps, `[4, B, ...]`."""

    binary = True

    def forward(self, x: Tensor) -> Tensor:  # of another shape than the currents
        count = x.clamp(0, 4).round()
        return torch.stack([(count > step).to(x.dtype) for step in range(4)])


class Layers(nn.Module):
    """Two convolutions with such neurons between, run once on n / 4, or on the spikes of the virtual steps."""

    def __init__(self, neuron: nn.Module, time_steps: int) -> None:
        super().__init__()
        self.time_steps, self.neuron = time_steps, neuron
        self.first, self.second = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 6, 3, padding=1, stride=2, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        spikes = self.neuron(self.first(x)) if self.time_steps > 1 else self.neuron(self.first(x).unsqueeze(0))
        return over_time(self.second, spikes).sum(0)


@pytest.mark.parametrize("protocol", ["sdt:rate=mean", "appendix-c", "exact"])
def test_a_quarter_costs_what_spikes_over_virtual_steps_cost(protocol: str) -> None:
    images = noise(5, 3, 9, 9, scale=3)
    once, spread = Layers(MultiSpike(), 1), Layers(Spread(), 4)
    drawn(once)
    spread.double().load_state_dict(once.state_dict())
    torch.testing.assert_close(spread(images) / 4, once(images))
    profiles = [msvit_energy.profile(model, [images]) for model in (once, spread)]
    assert [profile.operators[1].driver.label for profile in profiles] == ["integer/4", "binary"]
    accumulates = [price(profile, protocol).rows[1].acs for profile in profiles]
    assert accumulates[0] == pytest.approx(accumulates[1], rel=1e-14)
    assert accumulates[0] > 0


@pytest.mark.slow
def test_energy_of_the_reference_vector_is_that_of_the_authors_rule() -> None:
    facts, macs = parity.read("sdtv3/imagenet_s.parity.json"), parity.read("sdtv3/imagenet_s.flops.json")
    model = msvit.create_model("sdtv3_5m").double()
    report = price(msvit_energy.profile(model, [parity.draw(model, facts)]), "sdt:rate=mean")
    layers, neurons = macs["macs_conv_linear_by_module"], facts["neurons"]
    first, *inner = facts["weighted_layers"]
    *inner, head = inner
    # T x D x spikes per virtual step x MACs, at 0.9 pJ: n is 4 times the value, in front of the head the value
    accumulates = 4 * sum(facts["weighted_layers"][layer]["input_mean"] * layers[layer] for layer in inner)
    accumulates += facts["weighted_layers"][head]["input_mean"] * layers[head]
    in_layers = [row for row in report.rows if row.layer in layers]
    assert sum(row.energy_pj for row in in_layers) == pytest.approx(4.6 * layers[first] + 0.9 * accumulates, rel=1e-12)
    # q k^T counts at the rarer of the two; it is a fifth of the products, since v is four times as wide
    for owner, products in macs["macs_matmul_by_module"].items():
        (row,) = (row for row in report.rows if row.layer == f"{owner}.product.qk")
        rate = min(neurons[f"{owner}.{name}_spike"]["mean"] for name in "qk")
        assert row.acs == pytest.approx(4 * rate * products / 5, rel=1e-12)
