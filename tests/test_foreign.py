"""Other people's models, profiled as they are: SpikingJelly, snnTorch, Norse, bare functions, home-made neurons."""

import warnings
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from types import ModuleType
from typing import Any, NamedTuple

import pytest
import snntorch
import torch
from spikingjelly.activation_based import functional, neuron
from spikingjelly.activation_based.model.sew_resnet import sew_resnet18
from spikingjelly.activation_based.model.spikformer import Spikformer
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

import msvit_energy
from msvit_energy import EnergyError, Profile, feeding
from msvit_energy.neurons import emitted


class Forward(nn.Module):
    """A forward written as a function of the module and its input."""

    def __init__(self, function: Callable[[Any, Tensor], Any], **parts: nn.Module | nn.Parameter) -> None:
        super().__init__()
        self.function = function
        for name, part in parts.items():
            setattr(self, name, part)

    def forward(self, x: Tensor) -> Any:
        return self.function(self, x)


def numbers(*shape: int, seed: int = 0) -> Tensor:
    """Multiples of 1/8 from -1 to 1: sums of a few products are exact in float32, in any order."""
    return torch.randint(-8, 9, shape, generator=torch.Generator().manual_seed(seed)) / 8


def weight(*shape: int) -> nn.Parameter:
    return nn.Parameter(numbers(*shape, seed=5))


def with_weights(model: nn.Module, seed: int = 0) -> nn.Module:
    """The model with weights and biases that are multiples of 1/8, in evaluation mode."""
    for i, (name, parameter) in enumerate(model.named_parameters()):
        if name.endswith(("weight", "bias")):
            parameter.data = numbers(*parameter.shape, seed=seed + i).to(parameter.dtype)
    return model.eval()


def stored(model: nn.Module, run: Callable[[], Any]) -> dict[str, list[Tensor]]:
    """Brute force: every module's outputs, and under "name <" its inputs, while `run` runs."""
    values: dict[str, list[Tensor]] = {}

    def hook(name: str) -> Callable[..., None]:
        def store(module: nn.Module, args: tuple[Any, ...], output: Any) -> None:
            values.setdefault(name, []).append(emitted(output).clone())
            values.setdefault(f"{name} <", []).append(args[0].clone())

        return store

    handles = [module.register_forward_hook(hook(name)) for name, module in model.named_modules()]
    with torch.no_grad():
        run()
    for handle in handles:
        handle.remove()
    return values


def per_step(values: list[Tensor], time_steps: int) -> list[float]:
    """Sums of tensors that were stored one step at a time, or all with T in front."""
    return torch.cat([value.flatten() for value in values]).reshape(time_steps, -1).double().sum(1).tolist()


def brute_sums(
    model: nn.Module, batches: Sequence[Tensor], time_steps: int, run: Callable[[Tensor], Any]
) -> dict[str, list[float]]:
    """Sums per step over all batches, every batch from a SpikingJelly network at rest."""
    totals: dict[str, list[float]] = {}
    for batch in batches:
        functional.reset_net(model)
        for name, values in stored(model, lambda batch=batch: run(batch)).items():
            sums = per_step(values, time_steps)
            totals[name] = [a + b for a, b in zip(totals.get(name, [0.0] * time_steps), sums, strict=True)]
    functional.reset_net(model)
    return totals


def assert_sums(profile: Profile, brute: dict[str, list[float]]) -> None:
    """Neurons' outputs and the inputs of operators that are modules, against brute force."""
    for layer in profile.neurons:
        assert list(map(float, layer.sums)) == pytest.approx(brute[layer.neuron], rel=1e-12), layer.neuron
    for operator in profile.operators:
        if f"{operator.layer} <" in brute:
            (operand,) = operator.operands
            assert list(map(float, operand.sums)) == pytest.approx(brute[f"{operator.layer} <"], rel=1e-12)


def half_flops(model: nn.Module, inputs: Tensor) -> float:
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model.eval()(inputs)
    return counter.get_total_flops() / 2


def only(profile: Profile) -> Any:
    """The driving operand of the last operator."""
    return profile.operators[-1].operands[0]


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


@pytest.mark.parametrize(("mode", "feed"), [("m", "sequence"), ("s", "step")])
def test_the_way_to_feed_a_sew_resnet_is_found(mode: str, feed: str, images: tuple[Tensor, ...]) -> None:
    assert feeding.detect(sew(mode), images[0][:1], 2) == feed


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
@pytest.mark.parametrize("wrong", [None, 2])
def test_a_t_that_is_not_the_models_is_an_error(spikformer: Spikformer, wrong: int | None, count: int) -> None:
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
    assert feeding.detect(Leaky(), digits[0][:1], 3) == "step"
    assert feeding.detect(LoopedLeaky(), digits[0][:1], 3) == "image"


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
    assert feeding.detect(model, numbers(1, 4), 3) == "sequence"


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


@pytest.mark.parametrize(("sequence", "feed"), [(False, "step"), (True, "sequence")])
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
    assert feeding.detect(model, digits[0][:1].double(), 6) == feed


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


# Products as bare function calls


class Case(NamedTuple):
    """A forward with one product, the operator's name, and its MACs by hand."""

    function: Callable[[Any, Tensor], Any]
    name: str
    macs: int
    weight: tuple[int, ...] = ()
    shape: tuple[int, ...] = (3, 4)


CASES = {
    "at": Case(lambda s, x: x @ x.transpose(1, 2), "matmul", 3 * 4 * 3),
    "torch.matmul": Case(lambda s, x: torch.matmul(x, s.weight), "matmul", 3 * 4 * 5, (4, 5)),
    "weight on the left": Case(lambda s, x: s.weight @ x, "matmul", 7 * 3 * 4, (7, 3)),
    "weight transposed": Case(lambda s, x: x @ s.weight.t(), "matmul", 3 * 4 * 5, (5, 4)),
    "torch.bmm": Case(lambda s, x: torch.bmm(x, x.transpose(1, 2)), "matmul", 3 * 4 * 3),
    "method": Case(lambda s, x: x.bmm(x.transpose(1, 2)), "matmul", 3 * 4 * 3),
    "einsum": Case(lambda s, x: torch.einsum("bnc,bmc->bnm", x, x), "einsum", 3 * 3 * 4),
    "einsum of a weight": Case(lambda s, x: torch.einsum("bnc,cd->bnd", x, s.weight), "einsum", 3 * 4 * 5, (4, 5)),
    "F.linear": Case(lambda s, x: F.linear(x, s.weight), "linear", 3 * 4 * 6, (6, 4)),
    "F.conv2d": Case(
        lambda s, x: F.conv2d(x, s.weight, stride=2, padding=1), "conv2d", 5 * (2 * 2) * 2 * 9, (5, 2, 3, 3), (2, 4, 4)
    ),
    "F.conv1d": Case(lambda s, x: F.conv1d(x, s.weight), "conv1d", 5 * 2 * 3 * 3, (5, 3, 3)),
}


def bare(case: Case) -> nn.Module:
    parts = {"weight": weight(*case.weight)} if case.weight else {}
    return Forward(lambda s, x: s.inner(x), inner=Forward(case.function, **parts))


@pytest.mark.parametrize("batches", [(2,), (3,), (3, 2), (2, 3)], ids=str)
@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_a_product_in_a_bare_function_call_is_an_operator(case: Case, batches: tuple[int, ...]) -> None:
    model = bare(case)
    profile = msvit_energy.profile(model, numbers(sum(batches), *case.shape).split(batches))
    (operator,) = profile.operators
    assert (operator.layer, operator.macs_per_image) == (f"inner.{case.name}", case.macs)
    assert {operand.origin for operand in operator.operands} <= {"input", "other"}
    assert len(operator.operands) == (1 if case.weight else 2)
    assert sum(profile.coverage.counted.values()) == half_flops(model, numbers(1, *case.shape)) == case.macs
    assert (profile.coverage.unknown, profile.coverage.note) == ((), "")


KEYWORDS: dict[str, Case] = {
    "F.linear": Case(lambda s, x: F.linear(input=x, weight=s.weight), "linear", 3 * 4 * 6, (6, 4)),
    "F.conv1d": Case(lambda s, x: F.conv1d(input=x, weight=s.weight), "conv1d", 5 * 2 * 3 * 3, (5, 3, 3)),
    "torch.matmul": Case(lambda s, x: torch.matmul(input=x, other=s.weight), "matmul", 3 * 4 * 5, (4, 5)),
    "torch.bmm": Case(lambda s, x: torch.bmm(x, mat2=x.transpose(1, 2)), "matmul", 3 * 4 * 3),
}


@pytest.mark.parametrize("case", KEYWORDS.values(), ids=KEYWORDS)
def test_arguments_may_have_names(case: Case) -> None:
    profile = msvit_energy.profile(bare(case), [numbers(2, *case.shape)])
    assert {o.layer: o.macs_per_image for o in profile.operators} == {f"inner.{case.name}": case.macs}


def test_a_vector_of_weights_is_no_input() -> None:
    # by hand: torch counts no flops of a matrix times a vector
    profile = msvit_energy.profile(bare(Case(lambda s, x: x @ s.weight, "", 0, (4,))), numbers(5, 3, 4).split(2))
    (operator,) = profile.operators
    assert (operator.macs_per_image, len(operator.operands)) == (3 * 4, 1)
    assert sum(profile.coverage.counted.values()) == 3 * 4


def test_fused_attention_is_two_products() -> None:
    # 2 heads, 5 queries, 5 keys of width 4, values of width 3
    def attend(module: Any, x: Tensor) -> Tensor:
        return F.scaled_dot_product_attention(x, x, x[..., :3])

    profile = msvit_energy.profile(Forward(attend), [numbers(3, 2, 5, 4)])
    macs = {"attention_scores": 2 * 5 * 5 * 4, "attention_values": 2 * 5 * 5 * 3}
    assert {operator.layer: operator.macs_per_image for operator in profile.operators} == macs
    assert (profile.coverage.counted, profile.coverage.unknown) == (macs, ())
    assert [operand.origin for operator in profile.operators for operand in operator.operands] == ["input"] * 3


def test_a_bare_call_in_a_loop_over_steps_is_one_operator_that_runs_t_times() -> None:
    def loop(module: Any, x: Tensor) -> Tensor:
        return torch.stack([module.fire(F.linear(x, module.weight)) for _ in range(4)])

    model = Forward(loop, fire=neuron.IFNode(), weight=weight(6, 4))
    profile = msvit_energy.profile(model, [numbers(2, 4)], time_steps=4)
    assert {o.layer: (o.macs_per_step, o.runs_per_image) for o in profile.operators} == {"linear": (24, 4)}
    assert profile.macs_per_step == 24


@pytest.mark.parametrize(
    "function",
    [lambda s, x: x @ x.mT, lambda s, x: x @ s.weight.T, lambda s, x: x @ x.adjoint(), lambda s, x: x @ x.mH],
    ids=["mT", "T", "adjoint", "mH"],
)
def test_a_transposed_matrix_is_no_unknown_work(function: Callable[[Any, Tensor], Any]) -> None:
    profile = msvit_energy.profile(Forward(function, weight=weight(3, 4)), [numbers(2, 3, 4)])
    assert [operator.macs_per_image for operator in profile.operators] == [3 * 4 * 3]
    assert profile.coverage.unknown == ()


class OwnRNN(nn.Module):
    """A neuron with work of its own."""

    activation_op = "neuron"

    def __init__(self) -> None:
        super().__init__()
        self.rnn = nn.RNN(4, 4, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        return (self.rnn(x)[0] > 0).to(x.dtype)


@pytest.mark.parametrize(
    ("model", "name"),
    [
        (Forward(lambda s, x: torch.fft.fft2(x).abs()), "aten::fft_fft2"),
        (Forward(lambda s, x: s.part(x)[0], part=nn.LSTM(4, 5, batch_first=True)), "aten::lstm"),
        (
            Forward(lambda s, x: s.part(x, x, x)[0], part=nn.MultiheadAttention(4, 2, batch_first=True)),
            "aten::_native_multi_head_attention",
        ),
        (Forward(lambda s, x: torch.einsum("bnc,cd,de->bne", x, s.weight, s.weight), weight=weight(4, 4)), "(top"),
        (Forward(lambda s, x: torch.cdist(x, x)), "aten::cdist"),
        (OwnRNN(), "aten::rnn_tanh"),
    ],
    ids=["fft", "LSTM", "MultiheadAttention", "einsum of three", "cdist", "RNN in a neuron"],
)
def test_what_nobody_can_count_is_unknown(model: nn.Module, name: str) -> None:
    profile = msvit_energy.profile(model, [numbers(2, 3, 4)])
    assert any(item.name.startswith(name) for item in profile.coverage.unknown)
    assert any("unknown work" in note and name in note for note in profile.warnings())


def test_a_module_that_is_never_called_is_named() -> None:
    model = Forward(lambda s, x: s.used(x), used=nn.Linear(4, 4), spare=nn.Linear(4, 4))
    assert msvit_energy.profile(model, [numbers(2, 4)]).coverage.never_called == ("spare",)


# Home-made neurons


@dataclass
class State:
    mem: Any = 0.0


class Keeping(nn.Module):
    """Integrate and fire at 1/2, less 1/2 after a spike; subclasses say where the potential is kept."""

    activation_op = "neuron"

    def load(self, x: Tensor) -> Any:
        return self.mem

    def keep(self, mem: Tensor) -> None:
        self.mem = mem

    def forward(self, x: Tensor) -> Tensor:
        mem = self.load(x) + x
        spikes = (mem >= 0.5).to(x.dtype)
        self.keep(mem - 0.5 * spikes)
        return spikes


class InNumber(Keeping):
    def __init__(self) -> None:
        super().__init__()
        self.mem: Any = 0.0


class InNone(InNumber):
    def __init__(self) -> None:
        super().__init__()
        self.mem = None

    def load(self, x: Tensor) -> Any:
        return 0.0 if self.mem is None else self.mem


class InNothing(Keeping):
    def load(self, x: Tensor) -> Any:
        return getattr(self, "mem", 0.0)


class InBuffer(Keeping):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mem", torch.zeros(1))


class InPlace(Keeping):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mem", torch.zeros(4, 3))

    def load(self, x: Tensor) -> Any:
        return self.mem[: len(x)]

    def keep(self, mem: Tensor) -> None:
        self.mem[: len(mem)].copy_(mem)


class InDict(Keeping):
    def __init__(self) -> None:
        super().__init__()
        self.states: dict[str, Tensor] = {}

    def load(self, x: Tensor) -> Any:
        return self.states.get("mem", 0.0)

    def keep(self, mem: Tensor) -> None:
        self.states["mem"] = mem


class InNestedList(InDict):
    def __init__(self) -> None:
        super().__init__()
        self.nested: list[list[Any]] = [[0.0]]

    def load(self, x: Tensor) -> Any:
        return self.nested[0][0]

    def keep(self, mem: Tensor) -> None:
        self.nested[0][0] = mem


class InObject(Keeping):
    def __init__(self) -> None:
        super().__init__()
        self.state = State()

    def load(self, x: Tensor) -> Any:
        return self.state.mem

    def keep(self, mem: Tensor) -> None:
        self.state.mem = mem


KEEPERS = [InNumber, InNone, InNothing, InBuffer, InPlace, InDict, InNestedList, InObject]


@pytest.mark.parametrize("kept", KEEPERS)
def test_home_made_neurons_start_every_batch_from_rest(kept: type[Keeping]) -> None:
    # A current of 7/16: 0.4375, 0.875 spike, 0.8125 spike, and 0.3125 is left over, with which the next batch would
    # fire at its first step already.
    batches = [torch.full((2, 3), 0.4375)] * 3
    profile = msvit_energy.profile(kept(), batches, time_steps=3, feed="step")
    assert profile.neurons[0].sums == (0, 18, 18)
    assert profile.neurons[0].elements == 18


@pytest.mark.parametrize("kept", KEEPERS)
def test_home_made_neurons_are_at_rest_afterwards(kept: type[Keeping]) -> None:
    model = kept()
    msvit_energy.profile(model, [torch.full((2, 3), 0.4375)], time_steps=3, feed="step")
    potential = getattr(model, "state", model).mem if hasattr(model, "mem") or hasattr(model, "state") else None
    assert potential is None or float(torch.as_tensor(potential).sum()) == 0.0
    assert model(torch.full((2, 3), 0.4375)).sum() == 0
    assert model(torch.full((2, 3), 0.4375)).sum() == 6


def test_a_buffer_stays_the_same_tensor() -> None:
    model = InPlace()
    before = model.mem
    msvit_energy.profile(model, [torch.full((2, 3), 0.4375)], time_steps=3, feed="step")
    assert model.mem is before


def test_the_way_to_feed_a_home_made_neuron_is_found() -> None:
    assert feeding.detect(InNumber(), torch.zeros(1, 3), 3) == "step"


def test_a_neuron_that_nobody_marked_is_still_run_for_t_steps() -> None:
    class Unmarked(InNumber):
        activation_op = None  # type: ignore[assignment]

    # Spikes at steps 2 and 3: the layer behind is fed 0, 1 and 1.
    model = nn.Sequential(Unmarked(), nn.Linear(3, 2))
    profile = msvit_energy.profile(model, [torch.full((2, 3), 0.4375)], time_steps=3)
    assert only(profile).sums == (0, 6, 6)


# Whatever the caller's mode

MODES: dict[str, Callable[[], AbstractContextManager[Any]]] = {
    "grad": nullcontext,
    "no_grad": torch.no_grad,
    "inference_mode": torch.inference_mode,
}


def mixed() -> nn.Module:
    """A module and a bare call, a SpikingJelly neuron and one of each home-made kind."""

    def run(module: Any, x: Tensor) -> Tensor:
        for fire in module.fires:
            x = fire(x @ module.weight)
        return module.head(x)

    fires = nn.ModuleList([neuron.IFNode(v_threshold=0.5), InNumber(), InBuffer(), InPlace()])
    return with_weights(Forward(run, fires=fires, weight=weight(3, 3), head=nn.Linear(3, 2)))


@pytest.mark.parametrize("mode", MODES)
def test_the_callers_mode_changes_nothing(mode: str) -> None:
    plain = msvit_energy.profile(mixed(), [numbers(3, 3).abs()], time_steps=3)
    with MODES[mode]():
        profile = msvit_energy.profile(mixed(), [numbers(3, 3).abs()], time_steps=3)
    assert profile == plain
    assert [operator.op for operator in profile.operators] == ["matmul"] * 4 + ["linear"]
    assert profile.coverage.unknown == ()
    assert profile.coverage.note == ""


@pytest.mark.parametrize("mode", MODES)
def test_a_model_can_be_trained_after_it_was_profiled_in_any_mode(mode: str) -> None:
    model = mixed()
    with MODES[mode]():
        msvit_energy.profile(model, [numbers(3, 3).abs()], time_steps=3)
    model.get_submodule("fires.3").mem.add_(1.0)
    model.get_submodule("fires.3").mem.zero_()
    model.train()(numbers(2, 3)).sum().backward()
    assert model.get_submodule("head").weight.grad is not None


# Where inputs come from


def spiking(function: Callable[[Any, Tensor], Any], **parts: nn.Module | nn.Parameter) -> nn.Module:
    """An identity that fires for ones, then `function`, then a convolution."""
    fire = neuron.IFNode(v_threshold=1.0, v_reset=0.0)
    return Forward(lambda s, x: s.conv(function(s, s.fire(x))), fire=fire, conv=nn.Conv2d(1, 2, 1), **parts)


ORIGINS: dict[str, tuple[nn.Module, str, str, str]] = {
    "spikes": (spiking(lambda s, x: x), "spikes", "binary", ""),
    "halved": (spiking(lambda s, x: x * 0.5), "scaled", "analog", "spikes times a constant"),
    "divided": (spiking(lambda s, x: x / 2), "scaled", "analog", "spikes times a constant"),
    "scaled by a weight": (
        spiking(lambda s, x: x * s.scale, scale=nn.Parameter(torch.tensor(0.5))), "scaled", "analog",
        "spikes times a constant",
    ),
    "residual": (spiking(lambda s, x: x + s.other(x), other=neuron.IFNode()), "sum", "integer", ""),
    "averaged": (spiking(lambda s, x: F.avg_pool2d(x, 2)), "averaged", "analog", ""),
    "averaged by a module": (spiking(lambda s, x: s.pool(x), pool=nn.AvgPool2d(2)), "averaged", "analog", ""),
    "maximum": (spiking(lambda s, x: F.max_pool2d(x, 2)), "spikes", "binary", ""),
    "enlarged": (spiking(lambda s, x: F.interpolate(x, scale_factor=2.0)), "spikes", "binary", ""),
    "as truth values": (spiking(lambda s, x: x.bool().float()), "spikes", "binary", ""),
    "inverted": (spiking(lambda s, x: 1 - x), "other", "binary", "comes from no spiking neuron"),
    "shifted": (spiking(lambda s, x: F.pad(x, (1, 1), value=0.5)), "spikes", "analog", "no spike counts"),
}  # fmt: skip


@pytest.mark.parametrize(("model", "origin", "kind", "note"), ORIGINS.values(), ids=ORIGINS)
def test_where_an_input_comes_from_is_followed(model: nn.Module, origin: str, kind: str, note: str) -> None:
    ones = torch.tensor([[1.0, 0.0, 1.0, 1.0]] * 4).expand(2, 1, 4, 4)
    profile = msvit_energy.profile(model, [ones], time_steps=2)
    operand = only(profile)
    assert (operand.origin, operand.kind) == (origin, kind)
    assert operand.neurons == {"other": (), "sum": ("fire", "other")}.get(origin, ("fire",))
    notes = [text for text in profile.warnings() if text.startswith("conv:")]
    assert len(notes) == bool(note)
    assert all(note in text for text in notes)


@pytest.mark.parametrize(("level", "kind"), [(1.0, "binary"), (2.0, "integer"), (0.5, "analog")])
def test_an_image_that_happens_to_be_whole_numbers_is_pointed_out(level: float, kind: str) -> None:
    model = nn.Sequential(nn.Conv2d(1, 2, 3), neuron.IFNode())
    profile = msvit_energy.profile(model, [level * (numbers(2, 1, 4, 4) > 0)], time_steps=2)
    assert (only(profile).origin, only(profile).kind) == ("input", kind)
    assert any(f"the model's input is {kind}" in note for note in profile.warnings()) == (kind != "analog")
