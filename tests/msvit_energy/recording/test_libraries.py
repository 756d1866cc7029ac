"""Neurons of the libraries people use, recognised as they are: over `[B, T, ...]`, with time last, step by step."""

from collections.abc import Callable
from typing import Any

import pytest
import snntorch
import torch
from spikingjelly.activation_based import layer, neuron, rnn
from torch import Tensor, nn

import msvit_energy
from msvit_energy import Profile
from msvit_energy.recording.neurons import is_neuron, library_of, takes_sequences
from msvit_energy.recording.vmap import with_hidden_axes
from tests.support.foreign_models import Forward, numbers, with_weights

T = 4
IMAGES = numbers(3, 6).abs() * 3


def measured(model: nn.Module, **how: Any) -> Profile:
    return msvit_energy.profile(model, [IMAGES[:2], IMAGES[2:]], time_steps=T, **how)


def layers(first: nn.Module, second: nn.Module) -> nn.Module:
    """6 numbers, 8 neurons, 5 neurons, and 2 outputs."""
    a, b, c = with_weights(nn.Sequential(nn.Linear(6, 8), nn.Linear(8, 5), nn.Linear(5, 2))).children()
    return nn.Sequential(a, first, b, second, c).eval()


def twin() -> Profile:
    """The same in modules of SpikingJelly, over `[T, B, ...]`: integrate and fire at 1, less 1 after a spike."""
    return measured(layers(*(neuron.IFNode(v_reset=None, step_mode="m") for _ in range(2))))


def check_twin(profile: Profile) -> None:
    same = twin()
    assert [layer.sums for layer in profile.neurons] == [layer.sums for layer in same.neurons]
    assert [(each.layer, each.macs_per_step) for each in profile.operators] == [("0", 48), ("2", 40), ("4", 10)]
    for protocol in ("appendix-c", "exact"):
        assert msvit_energy.price(profile, protocol).total_pj == msvit_energy.price(same, protocol).total_pj
    assert all(any(layer.sums) for layer in profile.neurons)


def named(module: str) -> Callable[[type], type]:
    """A stand-in with the qualified name of a library's class, which is all that is known of it."""

    def rename(kind: type) -> type:
        kind.__module__, kind.__qualname__ = module, kind.__name__
        return kind

    return rename


# sinabs


@pytest.mark.filterwarnings("ignore")  # of the library's own imports
def test_sinabs_runs_over_the_second_axis() -> None:
    sinabs = pytest.importorskip("sinabs.layers")
    single = pytest.importorskip("sinabs.activation").SingleSpike
    profile = measured(layers(*(sinabs.IAF(spike_fn=single, min_v_mem=None) for _ in range(2))))
    assert profile.provenance.input
    assert profile.provenance.input.feed == "batch-first"
    check_twin(profile)


@pytest.mark.filterwarnings("ignore")  # of the library's own imports
def test_squeezed_neurons_of_sinabs_are_fed_batch_first() -> None:
    sinabs = pytest.importorskip("sinabs.layers")
    single = pytest.importorskip("sinabs.activation").SingleSpike
    parts = (sinabs.IAFSqueeze(spike_fn=single, min_v_mem=None, num_timesteps=T) for _ in range(2))
    net = layers(*parts)
    model = Forward(lambda s, x: s.net(x.flatten(0, 1)).unflatten(0, (-1, T)).sum(1), net=net)
    profile, same = measured(model), twin()
    assert profile.provenance.input
    assert profile.provenance.input.feed == "batch-first"
    assert [layer.sums for layer in profile.neurons] == [layer.sums for layer in same.neurons]
    assert msvit_energy.price(profile, "exact").total_pj == msvit_energy.price(same, "exact").total_pj


@pytest.mark.filterwarnings("ignore")  # of the library's own imports
def test_what_only_leaks_in_sinabs_is_no_neuron() -> None:
    sinabs = pytest.importorskip("sinabs.layers")
    assert not is_neuron(sinabs.ExpLeak(tau_mem=10.0))
    assert not is_neuron(sinabs.ExpLeakSqueeze(tau_mem=10.0, batch_size=1))
    assert is_neuron(sinabs.LIF(tau_mem=10.0))
    assert is_neuron(sinabs.ALIF(tau_mem=10.0, tau_adapt=5.0))
    assert is_neuron(sinabs.LIFSqueeze(tau_mem=10.0, batch_size=1))


# Rockpool


@pytest.mark.filterwarnings("ignore")  # of the library's own imports
def test_rockpool_returns_its_spikes_in_front_of_its_state() -> None:
    modules = pytest.importorskip("rockpool.nn.modules")
    combinators = pytest.importorskip("rockpool.nn.combinators")
    torch.manual_seed(0)
    parts = modules.LinearTorch((6, 8)), modules.LIFTorch(8, dt=0.01), modules.LinearTorch((8, 2))
    net = combinators.Sequential(*parts)
    emitted: list[Tensor] = []
    profile = msvit_energy.profile(net, [20 * IMAGES], time_steps=T)
    parts[1].register_forward_hook(
        lambda _, args, output: emitted.append(output[0] if type(output) is tuple else output)
    )
    net((20 * IMAGES).unsqueeze(1).repeat(1, T, 1))
    (lif,) = profile.neurons
    assert lif.sums == tuple(int(each) for each in emitted[0].sum((0, 2)))
    assert sum(lif.sums) > 0
    assert [each.macs_per_step for each in profile.operators] == [48, 16]


# by name only: libraries that are not run here


@named("lava.lib.dl.slayer.neuron.base")
class Neuron(nn.Module):
    """`[N, C, H, W, T]`."""

    def forward(self, x: Tensor) -> Tensor:
        potential, spikes = torch.zeros_like(x[..., 0]), []
        for step in range(x.shape[-1]):
            potential = potential + x[..., step]
            spikes.append((potential >= 1).to(x.dtype))
            potential = potential - spikes[-1]
        return torch.stack(spikes, -1)


class OverTime(nn.Module):
    """A linear layer on the second axis."""

    def __init__(self, linear: nn.Module) -> None:
        super().__init__()
        self.linear = linear

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(x.transpose(1, -1)).transpose(1, -1)


def test_lava_has_time_last() -> None:
    net = layers(Neuron(), Neuron())
    first, second, third = (OverTime(net.get_submodule(name)) for name in "024")
    profile, same = measured(nn.Sequential(first, Neuron(), second, Neuron(), third)), twin()
    assert profile.provenance.input
    assert profile.provenance.input.feed == "time-last"
    assert [layer.sums for layer in profile.neurons] == [layer.sums for layer in same.neurons]
    assert msvit_energy.price(profile, "exact").total_pj == msvit_energy.price(same, "exact").total_pj


@named("braincog.base.node.node")
class BaseNode(nn.Module):
    """`[B, ...]` of one step, or `[T * B, ...]`."""

    def __init__(self, layer_by_layer: bool) -> None:
        super().__init__()
        self.layer_by_layer, self.step, self.mem = layer_by_layer, T, 0.0

    def n_reset(self) -> None:
        self.mem = 0.0

    def once(self, x: Tensor) -> Tensor:
        mem = self.mem + x
        spikes = (mem >= 1).to(x.dtype)
        self.mem = mem - spikes  # type: ignore[assignment]
        return spikes

    def forward(self, x: Tensor) -> Tensor:
        if not self.layer_by_layer:
            return self.once(x)
        return torch.stack([self.once(each) for each in x.unflatten(0, (self.step, -1))]).flatten(0, 1)


def test_braincog_runs_one_step_in_a_call() -> None:
    profile = measured(layers(BaseNode(False), BaseNode(False)))
    assert profile.provenance.input
    assert profile.provenance.input.feed == "step"
    check_twin(profile)


def test_braincog_runs_layer_by_layer() -> None:
    net = layers(BaseNode(True), BaseNode(True))
    model = Forward(lambda s, x: s.net(x.repeat(T, *[1] * (x.dim() - 1))).unflatten(0, (T, -1)).mean(0), net=net)
    profile, same = msvit_energy.profile(model, [IMAGES[:2], IMAGES[2:]]), twin()
    assert profile.time_steps == T
    assert [layer.sums for layer in profile.neurons] == [layer.sums for layer in same.neurons]
    assert msvit_energy.price(profile, "exact").total_pj == msvit_energy.price(same, "exact").total_pj


def test_neurons_of_the_old_spikingjelly_are_known_by_name() -> None:
    old = named("spikingjelly.clock_driven.neuron")
    multi, single = (old(type(name, (nn.Module,), {}))() for name in ("MultiStepLIFNode", "LIFNode"))
    assert is_neuron(multi)
    assert is_neuron(single)
    assert takes_sequences(multi) is True
    assert takes_sequences(single) is False


# SpikingJelly


@pytest.mark.parametrize(
    "make",
    [
        lambda: neuron.PSN(T=T),
        lambda: neuron.MaskedPSN(k=2, T=T, lambda_init=1.0, step_mode="m"),
        lambda: neuron.SlidingPSN(k=2, step_mode="m"),
    ],
    ids=["PSN", "MaskedPSN", "SlidingPSN"],
)
def test_parallel_neurons_run_over_all_steps_in_one_product(make: Callable[[], nn.Module]) -> None:
    torch.manual_seed(0)
    net = with_weights(nn.Sequential(nn.Linear(6, 8), make(), nn.Linear(8, 2)))
    with torch.no_grad():
        net[1].bias.fill_(-0.2)  # type: ignore[index,union-attr]
    profile = measured(net)
    emitted = net[:2](IMAGES.expand(T, 3, 6))  # type: ignore[index]
    assert [layer.sums for layer in profile.neurons] == [tuple(int(each) for each in emitted.sum((1, 2)))]
    assert emitted.sum() > 0
    assert [(each.layer, each.macs_per_step) for each in profile.operators] == [("0", 48), ("2", 16)]
    assert [(each.name, each.macs_per_image) for each in profile.coverage.unknown] == [("1.matmul", T * T * 8)]


@pytest.mark.parametrize(("kind", "gates"), [(rnn.SpikingLSTM, 4), (rnn.SpikingGRU, 3), (rnn.SpikingVanillaRNN, 1)])
def test_recurrent_layers_of_spikingjelly_are_a_neuron_layer_each(kind: type[nn.Module], gates: int) -> None:
    torch.manual_seed(1)
    model = Forward(lambda s, x: s.head(s.rnn(x)[0].mean(0)), rnn=kind(6, 8, 2), head=nn.Linear(8, 2))
    emitted: dict[str, float] = {"rnn.cells.0": 0.0, "rnn.cells.1": 0.0}
    profile = msvit_energy.profile(model, [10 * IMAGES], time_steps=T)
    for name in ("rnn.cells.0", "rnn.cells.1"):
        model.get_submodule(name).register_forward_hook(
            lambda _, args, output, name=name: emitted.update(
                {name: emitted[name] + float((output[0] if isinstance(output, tuple) else output).sum())}
            )
        )
    with torch.no_grad():
        model((10 * IMAGES).expand(T, 3, 6))
    assert {each.neuron: sum(each.sums) for each in profile.neurons} == emitted
    macs = {each.layer: each.macs_per_step for each in profile.operators}
    assert macs["rnn.cells.0.linear_ih"] == gates * 8 * 6
    assert macs["rnn.cells.1.linear_hh"] == gates * 8 * 8


def test_a_neuron_that_feeds_back_is_one_layer() -> None:
    def add(x: Tensor, y: Tensor) -> Tensor:
        return x + y

    profiles = []
    for mode in "sm":
        first = layer.ElementWiseRecurrentContainer(neuron.IFNode(), add, step_mode=mode)
        profiles.append(measured(layers(first, neuron.IFNode(step_mode=mode))))
    assert [each.neuron for each in profiles[0].neurons] == ["1.sub_module", "3"]
    assert profiles[0].neurons == profiles[1].neurons
    assert profiles[0].operators == profiles[1].operators


def test_containers_with_time_last() -> None:
    a, first, b, second, c = layers(neuron.IFNode(v_reset=None), neuron.IFNode(v_reset=None)).children()
    parts = layer.TLastMultiStepContainer(a, first), layer.TLastMultiStepContainer(b, second, c)
    profile, same = measured(nn.Sequential(*parts)), twin()
    assert profile.provenance.input
    assert profile.provenance.input.feed == "time-last"
    assert [each.sums for each in profile.neurons] == [each.sums for each in same.neurons]
    assert msvit_energy.price(profile, "exact").total_pj == msvit_energy.price(same, "exact").total_pj


# snnTorch and Norse


@pytest.mark.parametrize("hidden", [True, False])
def test_spiking_lstm_of_snntorch(hidden: bool) -> None:
    torch.manual_seed(0)

    def run(s: Any, x: Tensor) -> Tensor:
        state, outputs = ((), []) if hidden else (s.lstm.init_slstm(), [])
        for _ in range(T):
            found = s.lstm(x, *state)
            spikes, *state = (found,) if hidden else found
            s.seen.append(spikes)
            outputs.append(s.head(spikes))
        return torch.stack(outputs).mean(0)

    model = Forward(run, lstm=snntorch.SLSTM(6, 8, threshold=0.05, init_hidden=hidden), head=nn.Linear(8, 2))
    model.seen = []  # type: ignore[assignment]
    profile = msvit_energy.profile(model, [3 * IMAGES])
    assert profile.time_steps == T
    assert profile.neurons[0].neuron == "lstm"
    model.lstm.reset_mem()  # type: ignore[operator,union-attr]
    model.seen.clear()  # type: ignore[operator,union-attr]
    model(3 * IMAGES)
    assert profile.neurons[0].sums == tuple(int(each.sum()) for each in model.seen)  # type: ignore[union-attr]
    assert sum(profile.neurons[0].sums) > 0
    assert sum(each.macs_per_step for each in profile.operators) == 4 * 8 * (6 + 8) + 8 * 2


def test_leaky_neurons_in_parallel() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(snntorch.LeakyParallel(6, 8, threshold=0.1), nn.Linear(8, 2))
    profile = measured(net)
    emitted = net[0](IMAGES.expand(T, 3, 6))
    assert [layer.sums for layer in profile.neurons] == [tuple(int(each) for each in emitted.sum((1, 2)))]
    assert emitted.sum() > 0
    assert profile.operators[0].macs_per_step == 48


@pytest.mark.filterwarnings("ignore")  # of the library's own imports
def test_conductance_based_neurons_of_norse() -> None:
    cell = pytest.importorskip("norse.torch.module.coba_lif").CobaLIFCell
    torch.manual_seed(0)
    seen: list[Tensor] = []

    def run(s: Any, x: Tensor) -> Tensor:
        state, outputs = None, []
        for _ in range(T):
            spikes, state = s.cell(x, state)
            seen.append(spikes.detach())
            outputs.append(s.head(spikes))
        return torch.stack(outputs).mean(0)

    model = Forward(run, cell=cell(6, 8), head=nn.Linear(8, 2))
    profile = msvit_energy.profile(model, [30 * IMAGES])
    seen.clear()
    model(30 * IMAGES)
    assert profile.time_steps == T
    assert [(each.neuron, each.sums) for each in profile.neurons] == [("cell", tuple(int(s.sum()) for s in seen))]
    assert sum(profile.neurons[0].sums) > 0


def test_the_library_of_a_neuron() -> None:
    found = library_of(snntorch.SConv2dLSTM(1, 2, 3))
    assert found is not None
    assert found.name == "snnTorch"
    assert library_of(neuron.NonSpikingIFNode()) is None
    assert library_of(nn.ReLU()) is None


def test_containers_that_want_time_last_and_call_layers_under_vmap_are_their_twin() -> None:
    over, fires = layer.TLastSeqToANNContainer, layer.TLastMultiStepContainer
    a, b, c = with_weights(nn.Sequential(nn.Linear(6, 8), nn.Linear(8, 5), nn.Linear(5, 2))).children()
    first, second = (fires(neuron.IFNode(v_reset=None)) for _ in range(2))
    profile, same = measured(nn.Sequential(over(a), first, over(b), second, over(c))), twin()
    assert profile.provenance.input
    assert profile.provenance.input.feed == "time-last"
    assert [layer.sums for layer in profile.neurons] == [layer.sums for layer in same.neurons]
    for mine, plain in zip(profile.operators, same.operators, strict=True):
        assert (mine.role, mine.macs_per_image) == (plain.role, plain.macs_per_image)
        assert (mine.driver.origin, mine.driver.sums) == (plain.driver.origin, plain.driver.sums)
        assert mine.driver.events == plain.driver.events
    for protocol in ("appendix-c", "exact"):
        assert msvit_energy.price(profile, protocol).total_pj == msvit_energy.price(same, protocol).total_pj


def test_axes_that_vmap_hides_are_shown_in_front() -> None:
    seen: list[tuple[int, ...]] = []

    def inner(x: Tensor) -> Tensor:
        seen.append(tuple(with_hidden_axes([x, 0])[0].shape))
        return x

    torch.vmap(torch.vmap(inner, in_dims=1), in_dims=2)(torch.zeros(3, 4, 5, 6))
    assert seen == [(5, 4, 3, 6)]


def test_a_layer_under_vmap_over_images_is_the_layer() -> None:
    def net(call: Callable[[nn.Module, Tensor], Tensor]) -> Profile:
        a, b = with_weights(nn.Sequential(nn.Linear(6, 8), nn.Linear(8, 2))).children()
        model = Forward(lambda s, x: s.b(s.fire(call(s.a, x))), a=a, fire=neuron.IFNode(v_reset=None), b=b)
        return measured(model.eval(), feed="step")

    mapped, plain = net(lambda module, x: torch.vmap(module)(x)), net(lambda module, x: module(x))
    assert mapped.operators == plain.operators
    assert mapped.neurons == plain.neurons
