"""Networks of SpikingJelly, snnTorch and Norse, profiled as they are, against brute force."""

import warnings
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any

import pytest
import snntorch
import torch
from spikingjelly.activation_based import functional, neuron
from spikingjelly.activation_based.model.sew_resnet import sew_resnet18
from spikingjelly.activation_based.model.spikformer import Spikformer
from torch import Tensor, nn

import msvit_energy
from msvit_energy import EnergyError, Profile
from tests.support.foreign_models import (
    Forward,
    assert_sums,
    brute_sums,
    half_flops,
    numbers,
    only,
    per_step,
    stored,
    way_to_feed,
    with_weights,
)

# SpikingJelly


def sew(mode: str) -> nn.Module:
    model = sew_resnet18(cnf="ADD", spiking_neuron=neuron.IFNode, num_classes=5).double().eval()
    generator = torch.Generator().manual_seed(1)
    for parameter in model.parameters():
        scale = 1.0 if parameter.dim() == 1 else parameter[0].numel() ** -0.5
        parameter.data = scale * torch.randn(parameter.shape, dtype=torch.float64, generator=generator)
    functional.set_step_mode(model, mode)
    return model


@pytest.fixture(scope="module")
def images() -> tuple[Tensor, ...]:
    return torch.rand(3, 3, 16, 16, dtype=torch.float64, generator=torch.Generator().manual_seed(2)).split(2)


@pytest.fixture(scope="module")
def sews(images: tuple[Tensor, ...]) -> dict[str, Profile]:
    return {mode: msvit_energy.profile(sew(mode), images, time_steps=2) for mode in "ms"}


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["m", "s"])
def test_a_sew_resnet_counts_as_brute_force_does(
    mode: str, sews: dict[str, Profile], images: tuple[Tensor, ...]
) -> None:
    model = sew(mode)

    def run(batch: Tensor) -> None:
        for inputs in [torch.stack([batch] * 2)] if mode == "m" else [batch] * 2:
            model(inputs)

    assert_sums(sews[mode], brute_sums(model, images, 2, run))
    assert all(layer.firing_rate > 0.01 for layer in sews[mode].neurons)


def test_multi_step_and_single_step_are_the_same_network(sews: dict[str, Profile]) -> None:
    multi, single = sews["m"], sews["s"]
    assert multi.operators == single.operators
    assert multi.neurons == single.neurons
    assert multi.overheads == single.overheads
    assert multi.moments == single.moments


@pytest.mark.parametrize(("mode", "feed"), [("m", "time-first"), ("s", "step")])
def test_the_way_to_feed_a_sew_resnet_is_found(mode: str, feed: str, images: tuple[Tensor, ...]) -> None:
    assert way_to_feed(sew(mode), images[0][:1], 2) == feed


@pytest.mark.parametrize("mode", ["m", "s"])
def test_dense_macs_of_a_sew_resnet_are_half_of_torchs_flops(
    mode: str, sews: dict[str, Profile], images: tuple[Tensor, ...]
) -> None:
    image = images[0][:1]
    flops = half_flops(sew(mode), image.unsqueeze(0) if mode == "m" else image)
    assert sews[mode].macs_per_step == flops
    assert sum(sews[mode].coverage.counted.values()) == 2 * flops
    assert (sews[mode].coverage.unknown, sews[mode].coverage.never_called) == ((), ())
    assert sews[mode].warnings() == []


def test_residual_sums_of_a_sew_resnet_are_sums_of_spikes(sews: dict[str, Profile]) -> None:
    inputs = {operator.layer: operator.operands[0] for operator in sews["m"].operators}
    assert (inputs["layer1.0.conv1"].origin, inputs["layer1.0.conv1"].kind) == ("spikes", "binary")
    assert (inputs["layer1.1.conv1"].origin, inputs["layer1.1.conv1"].kind) == ("sum", "integer")
    assert inputs["layer1.1.conv1"].neurons == ("sn1", "layer1.0.sn2")
    assert inputs["fc"].origin == "averaged"


@pytest.fixture(scope="module")
def spikformer() -> Spikformer:
    sizes = dict(img_size_h=8, img_size_w=8, patch_size=4, embed_dims=16, num_heads=2, mlp_ratio=2, depths=1)
    model = Spikformer(T=3, num_classes=5, **sizes).double().eval()
    generator = torch.Generator().manual_seed(3)
    for parameter in model.parameters():
        drawn = torch.randn(parameter.shape, dtype=torch.float64, generator=generator)
        parameter.data = 1.0 + drawn if parameter.dim() == 1 else drawn
    return model


def test_spikingjellys_spikformer_counts_as_brute_force_does(spikformer: Spikformer) -> None:
    batches = torch.rand(3, 3, 8, 8, dtype=torch.float64).split(2)
    profile = msvit_energy.profile(spikformer, batches, time_steps=3)  # it repeats the image itself
    assert_sums(profile, brute_sums(spikformer, batches, 3, spikformer))
    assert profile.firing_rate is not None
    assert profile.firing_rate > 0.1
    assert profile.coverage.unknown == ()
    assert 3 * profile.macs_per_step == half_flops(spikformer, batches[0][:1])


def test_the_products_inside_spikingjellys_attention_are_operators(spikformer: Spikformer) -> None:
    # 16 channels in 2 heads, 2 x 2 tokens: v k^T is [8, 4] [4, 8], its product with q [8, 8] [8, 4], in both heads
    profile = msvit_energy.profile(spikformer, [torch.rand(2, 3, 8, 8)], time_steps=3)
    products = {o.layer: o for o in profile.operators if o.op == "matmul"}
    assert {name: o.macs_per_step for name, o in products.items()} == {
        "blocks.0.attn.matmul": 2 * 8 * 4 * 8,
        "blocks.0.attn.matmul_2": 2 * 8 * 8 * 4,
    }
    assert [x.origin for x in products["blocks.0.attn.matmul"].operands] == ["spikes", "spikes"]
    assert [x.origin for x in products["blocks.0.attn.matmul_2"].operands] == ["product", "spikes"]


@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize("wrong", [1, 2])
def test_a_t_that_is_not_the_models_is_an_error(spikformer: Spikformer, wrong: int, count: int) -> None:
    with pytest.raises(EnergyError, match="time_steps"):
        msvit_energy.profile(spikformer, [torch.rand(count, 3, 8, 8)], time_steps=wrong, feed="image")


def test_a_t_that_is_not_that_of_a_loop_is_an_error() -> None:
    def loop(module: Any, x: Tensor) -> Tensor:
        return torch.stack([module.fire(module.linear(x)) for _ in range(4)])

    model = Forward(loop, linear=nn.Linear(4, 4), fire=neuron.IFNode())
    with pytest.raises(EnergyError, match="time_steps"):
        msvit_energy.profile(model, [torch.ones(2, 4)], time_steps=3)


# snnTorch


class Leaky(nn.Module):
    """Called once per step; the neurons remember."""

    def __init__(self, channels: int = 4) -> None:
        super().__init__()
        kind = dict(beta=0.5, threshold=0.5)
        self.conv = nn.Conv2d(1, channels, 3, padding=1)
        self.lif1 = snntorch.Leaky(**kind, init_hidden=True)
        self.fc = nn.Linear(16 * channels, 5)
        self.lif2 = snntorch.Leaky(**kind, init_hidden=True, output=True)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return self.lif2(self.fc(self.lif1(self.conv(x)).flatten(1)))


class LoopedLeaky(Leaky):
    """The same network, which loops over three steps itself and passes the states on."""

    def __init__(self, channels: int = 4) -> None:
        super().__init__(channels)
        self.lif1, self.lif2 = (snntorch.Leaky(beta=0.5, threshold=0.5) for _ in range(2))

    def forward(self, x: Tensor) -> Tensor:  # type: ignore[override]
        mem1, mem2 = self.lif1.reset_mem(), self.lif2.reset_mem()
        outputs = []
        for _ in range(3):
            spikes, mem1 = self.lif1(self.conv(x), mem1)
            spikes, mem2 = self.lif2(self.fc(spikes.flatten(1)), mem2)
            outputs.append(spikes)
        return torch.stack(outputs)


@pytest.fixture
def digits() -> list[Tensor]:
    return [numbers(2, 1, 4, 4, seed=7).abs(), numbers(2, 1, 4, 4, seed=8).abs()]


def run_steps(model: nn.Module, batch: Tensor, time_steps: int = 3) -> None:
    for _ in range(time_steps):
        model(batch)


def fresh_sums(make: Callable[[], nn.Module], batches: Sequence[Tensor], name: str) -> list[float]:
    """Sums per step of a module's output, every batch through a new model that is called three times."""
    totals = torch.zeros(3, dtype=torch.float64)
    for batch in batches:
        model = make()
        values = stored(model, lambda model=model, batch=batch: run_steps(model, batch))
        totals += torch.tensor(per_step(values[name], 3), dtype=torch.float64)
    return totals.tolist()


def test_snntorch_counts_as_brute_force_on_fresh_networks_does(digits: list[Tensor]) -> None:
    profile = msvit_energy.profile(with_weights(Leaky()), digits, time_steps=3)
    assert [layer.neuron for layer in profile.neurons] == ["lif1", "lif2"]
    for layer in profile.neurons:
        sums = list(map(float, layer.sums))
        assert sums == fresh_sums(lambda: with_weights(Leaky()), digits, layer.neuron)
        assert len(set(sums)) > 1  # steps differ, so states matter
    assert only(profile).sums == profile.neurons[0].sums
    assert (only(profile).origin, only(profile).kind) == ("spikes", "binary")


def test_snntorch_with_explicit_states_is_the_same_network(digits: list[Tensor]) -> None:
    stepped = msvit_energy.profile(with_weights(Leaky()), digits, time_steps=3)
    looped = msvit_energy.profile(with_weights(LoopedLeaky()), digits, time_steps=3)
    assert (looped.operators, looped.neurons) == (stepped.operators, stepped.neurons)
    assert looped.overheads == stepped.overheads
    assert sum(looped.coverage.counted.values()) == half_flops(LoopedLeaky(), digits[0][:1])


@pytest.mark.parametrize("network", [Leaky, LoopedLeaky])
def test_snntorch_starts_every_batch_from_rest(network: type[nn.Module], digits: list[Tensor]) -> None:
    model = with_weights(network())
    forwards, backwards = (msvit_energy.profile(model, batches, time_steps=3) for batches in (digits, digits[::-1]))
    assert forwards == backwards
    assert model.get_submodule("lif1").mem.numel() == 0  # as built


def test_the_way_to_feed_snntorch_is_found(digits: list[Tensor]) -> None:
    assert way_to_feed(Leaky(), digits[0][:1], 3) == "step"
    assert way_to_feed(LoopedLeaky(), digits[0][:1], 3) == "image"


@pytest.mark.parametrize("network", [Leaky, LoopedLeaky])
def test_as_many_images_and_channels_as_steps_are_no_time_axis(network: type[Leaky]) -> None:
    pictures = numbers(3, 1, 4, 4, seed=7).abs()
    model = with_weights(network(channels=3))
    together = msvit_energy.profile(model, [pictures], time_steps=3)
    assert {operator.runs_per_image for operator in together.operators} == {3}
    assert together == msvit_energy.profile(model, pictures.split(1), time_steps=3)


def test_a_recurrent_weight_inside_a_neuron_is_no_neuron() -> None:
    model = nn.Sequential(nn.Linear(4, 4), snntorch.RLeaky(beta=0.5, V=0.5, all_to_all=False, init_hidden=True))
    profile = msvit_energy.profile(with_weights(model), [numbers(2, 4).abs()], time_steps=3)
    assert [layer.neuron for layer in profile.neurons] == ["1"]


def test_snntorchs_parallel_neuron_wants_a_sequence() -> None:
    model = nn.Sequential(nn.Linear(4, 4), snntorch.LeakyParallel(4, 4))
    assert way_to_feed(model, numbers(1, 4), 3) == "time-first"


# Norse


@pytest.fixture(scope="module")
def norse() -> ModuleType:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # it compiles with torch.jit.script on import
        import norse.torch
    return norse.torch


def norse_network(norse: ModuleType, *, sequence: bool) -> nn.Module:
    fire, lift = (norse.LIF, norse.Lift) if sequence else (norse.LIFCell, lambda conv: conv)
    parameters = norse.LIFParameters(v_th=torch.as_tensor(0.05, dtype=torch.float64))
    return with_weights(
        norse.SequentialState(
            lift(nn.Conv2d(1, 4, 3, padding=1)),
            fire(parameters),
            nn.Flatten(2 if sequence else 1),
            nn.Linear(64, 5),
            fire(parameters),
        ).double()
    )


@pytest.mark.parametrize(("sequence", "feed"), [(False, "step"), (True, "time-first")])
def test_norse_counts_as_brute_force_with_states_does(
    norse: ModuleType, sequence: bool, feed: str, digits: list[Tensor]
) -> None:
    model = norse_network(norse, sequence=sequence)
    profile = msvit_energy.profile(model, digits, time_steps=6)

    def run(batch: Tensor) -> None:
        state = None
        for _ in range(6):
            _, state = cells(batch.double(), state)

    cells = norse_network(norse, sequence=False)
    brute = [stored(cells, lambda batch=batch: run(batch)) for batch in digits]
    for layer in profile.neurons:
        sums = torch.tensor([per_step(values[layer.neuron], 6) for values in brute]).sum(0).tolist()
        assert list(map(float, layer.sums)) == sums
        assert len(set(sums)) > 1
    assert way_to_feed(model, digits[0][:1].double(), 6) == feed


@pytest.mark.parametrize("sequence", [False, True])
def test_norse_starts_every_batch_from_rest(norse: ModuleType, sequence: bool, digits: list[Tensor]) -> None:
    model = norse_network(norse, sequence=sequence)
    forwards, backwards = (msvit_energy.profile(model, batches, time_steps=6) for batches in (digits, digits[::-1]))
    assert forwards == backwards


def test_norse_macs_are_half_of_torchs_flops(norse: ModuleType, digits: list[Tensor]) -> None:
    profile = msvit_energy.profile(norse_network(norse, sequence=False), digits, time_steps=6)
    flops = half_flops(norse_network(norse, sequence=False), digits[0][:1].double())
    assert (profile.macs_per_step, sum(profile.coverage.counted.values())) == (flops, 6 * flops)
    assert profile.coverage.unknown == ()


@pytest.mark.parametrize("readout", ["LICell", "LIBoxCell"])
def test_norses_leaky_readouts_do_not_spike(norse: ModuleType, readout: str) -> None:
    model = norse.SequentialState(nn.Linear(4, 4), norse.LIFCell(), nn.Linear(4, 2), getattr(norse, readout)())
    profile = msvit_energy.profile(model, [numbers(2, 4)], time_steps=3)
    assert [layer.neuron for layer in profile.neurons] == ["1"]


def test_recurrent_spikes_come_from_their_own_neurons(norse: ModuleType) -> None:
    cell = norse.LIFRecurrentCell(4, 3, norse.LIFParameters(v_th=torch.as_tensor(0.05)))
    profile = msvit_energy.profile(norse.SequentialState(cell), [numbers(2, 4).abs()], time_steps=4)
    inputs, recurrent = profile.operators
    assert (inputs.macs_per_step, recurrent.macs_per_step) == (4 * 3, 3 * 3)
    assert recurrent.operands[0].sums == (0, *profile.neurons[0].sums[:-1])  # what was emitted one step earlier
    assert (recurrent.operands[0].origin, recurrent.operands[0].neurons) == ("spikes", ("0",))
