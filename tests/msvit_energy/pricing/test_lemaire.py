"""The protocol `lemaire`, from counts alone, against SpikingJelly's estimator, layer by layer, and by hand."""

import warnings
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from spikingjelly.activation_based import functional, layer, neuron
from spikingjelly.activation_based.op_counter.analytical_energy import LemaireEnergyConfig, LemaireEnergyProfiler
from torch import Tensor, nn

import msvit_energy
from msvit_energy import Profile, price

STEPS = 4


class Steps(nn.Module):
    """A network that is called once for each of T steps."""

    def __init__(self, *layers: nn.Module) -> None:
        super().__init__()
        self.layers = nn.Sequential(*layers)
        self.time_steps = STEPS

    def forward(self, x: Tensor) -> Tensor:
        return torch.stack([self.layers(x) for _ in range(self.time_steps)]).mean(0)


class Residual(nn.Module):
    """Two branches of spikes whose sum feeds a convolution: values 0, 1 and 2 at every step of each of the images.
    (Where a single call happens to see 0 and 1 only, the estimator takes that call for spikes.)"""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(4, 4, 3, padding=1, bias=False)
        self.fire = neuron.IFNode(0.05)
        self.after = nn.Conv2d(4, 6, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return self.after(x + self.fire(self.conv(x)))


def plain() -> nn.Module:
    return Steps(nn.Conv2d(3, 4, 3, padding=1), neuron.LIFNode(), nn.Conv2d(4, 8, 3, bias=False), neuron.LIFNode())


def strided() -> nn.Module:
    return Steps(nn.Conv2d(3, 4, 3), neuron.IFNode(), nn.Conv2d(4, 8, 3, stride=2, padding=1), neuron.IFNode())


def linear() -> nn.Module:
    return Steps(
        nn.Flatten(), nn.Linear(192, 300), neuron.LIFNode(), nn.Linear(300, 70), neuron.IFNode(), nn.Linear(70, 10)
    )


def grouped() -> nn.Module:
    return Steps(nn.Conv2d(3, 6, 1), neuron.LIFNode(), nn.Conv2d(6, 12, 5, stride=2, groups=3), neuron.LIFNode())


def one_dimensional() -> nn.Module:
    return Steps(nn.Flatten(2), nn.Conv1d(3, 5, 1), neuron.IFNode(), nn.Conv1d(5, 7, 4, stride=3), neuron.LIFNode())


def residual() -> nn.Module:
    return Steps(nn.Conv2d(3, 4, 3), neuron.IFNode(0.05), Residual(), neuron.LIFNode())


def wide() -> nn.Module:
    """Buffers of more than 8 kB, 32 kB and 1 MB."""
    return Steps(nn.Conv2d(3, 64, 3, padding=1), neuron.IFNode(), nn.Conv2d(64, 128, 3), neuron.LIFNode(), nn.Flatten(),
                 nn.Linear(128 * 36, 80), neuron.LIFNode())  # fmt: skip


def as_large_as_the_queue() -> nn.Module:
    """1000 neurons, and 1000 weights: buffers of the size of the queue, which are others all the same."""
    return Steps(nn.Flatten(), nn.Linear(192, 1000), neuron.LIFNode(), nn.Linear(1000, 100), neuron.LIFNode(),
                 nn.Linear(100, 10, bias=False), neuron.LIFNode())  # fmt: skip


NETWORKS: tuple[Callable[[], nn.Module], ...] = (
    plain,
    strided,
    linear,
    grouped,
    one_dimensional,
    residual,
    wide,
    as_large_as_the_queue,
)


def estimated(model: nn.Module, batches: Sequence[Tensor]) -> dict[str, float]:
    """The estimator's energy of each module, pJ, mean over batches of one image."""
    names = {module: name for name, module in model.named_modules()}
    energies: defaultdict[str, float] = defaultdict(float)
    for batch in batches:
        functional.reset_net(model)
        profiler = LemaireEnergyProfiler(config=LemaireEnergyConfig(strict=False))
        profiler.bind_model(model)
        counter, cost = profiler.lemaire_counter, profiler.config.cost_config

        def watched(rule: Any, counter: Any = counter, cost: Any = cost) -> Any:
            def run(module: nn.Module, *args: Any) -> Any:
                def state() -> tuple[int, int, int]:
                    accumulates = counter.paper_ac + counter.paper_acc_addr
                    return accumulates, counter.paper_mac + counter.paper_mac_addr, len(counter._accesses)

                before = state()
                result = rule(module, *args)
                accumulates, multiplies, calls = (new - old for new, old in zip(state(), before, strict=True))
                energies[names[module]] += accumulates * 0.1 + multiplies * 3.2
                for _, accessed, capacity in counter._accesses[before[2] : before[2] + calls]:
                    energies[names[module]] += accessed * cost.memory_cost_pj(capacity)
                return result

            return run

        counter.rules = {key: watched(rule) for key, rule in counter.rules.items()}
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore", RuntimeWarning)  # of layers without weights
            with profiler:
                model(batch)
    functional.reset_net(model)
    return {name: energy / len(batches) for name, energy in energies.items() if energy}


def by_counts(profile: Profile, model: nn.Module | None = None) -> dict[str, float]:
    """Leaky or not, by the classes of the neurons, which a profile does not tell."""
    found = {neurons: price(profile, f"lemaire:neurons={neurons}").rows for neurons in ("leaky", "integrate")}
    integrating = {name for name, module in (model or nn.Module()).named_modules() if isinstance(module, neuron.IFNode)}
    return {
        leaky.layer: (integrate if leaky.layer in integrating else leaky).energy_pj
        for leaky, integrate in zip(found["leaky"], found["integrate"], strict=True)
        if leaky.energy_pj
    }


@pytest.fixture
def images() -> Tensor:
    return torch.rand(3, 3, 8, 8, generator=torch.Generator().manual_seed(3)) * 3


@pytest.mark.parametrize("make", NETWORKS, ids=lambda make: make.__name__)
def test_every_layer_costs_what_the_estimator_says(make: Callable[[], nn.Module], images: Tensor) -> None:
    torch.manual_seed(1)
    model = make().eval()
    profile = msvit_energy.profile(model, [images])
    wanted = estimated(model, images.split(1))
    found = by_counts(profile, model)
    assert found.keys() == wanted.keys()
    assert any(operator.driver.kind == "binary" and any(operator.driver.sums) for operator in profile.operators)
    for name, energy in wanted.items():
        assert found[name] == pytest.approx(energy, rel=1e-12), name


@pytest.mark.parametrize(
    "layers",
    [
        (nn.Conv2d(3, 6, 3, groups=3), neuron.LIFNode()),
        (nn.Conv2d(3, 4, 3, bias=False), nn.Flatten(), nn.Linear(4 * 36, 7)),
    ],
    ids=["grouped", "without neurons"],
)
def test_real_numbers_cost_what_the_estimator_says_of_a_dense_layer(
    layers: tuple[nn.Module, ...], images: Tensor
) -> None:
    model = (Steps(*layers) if len(layers) == 2 else nn.Sequential(*layers)).eval()
    found = by_counts(msvit_energy.profile(model, [images]), model)
    assert found == pytest.approx(estimated(model, images.split(1)), rel=1e-12)


def test_where_code_runs_all_steps_in_one_call_only_the_buffers_of_the_estimator_grow_with_t(images: Tensor) -> None:
    torch.manual_seed(1)
    model = nn.Sequential(
        layer.Conv2d(3, 4, 3, step_mode="m"), neuron.LIFNode(step_mode="m"),
        layer.Conv2d(4, 8, 3, padding=1, step_mode="m"), neuron.LIFNode(step_mode="m"),
    ).eval()  # fmt: skip
    once = Steps(nn.Conv2d(3, 4, 3), neuron.LIFNode(), nn.Conv2d(4, 8, 3, padding=1), neuron.LIFNode()).eval()
    for mine, its in zip(once.parameters(), model.parameters(), strict=True):
        mine.data = its.data
    found = by_counts(msvit_energy.profile(model, [images], feed="time-first", time_steps=STEPS))
    assert sorted(found.values()) == pytest.approx(sorted(estimated(once, images.split(1)).values()), rel=1e-12)
    wanted = estimated(model, [image.repeat(STEPS, 1, 1, 1, 1) for image in images])
    assert {name: found[name] for name in "123"} == pytest.approx({name: wanted[name] for name in "123"}, rel=1e-12)
    inputs, macs, taps = 3 * 8 * 8, 4 * 36 * 27 * STEPS, 4 * 9
    wider = macs * 4 * (4 * STEPS - 4) * inputs * 2.5 / 8192  # macs reads of 4 bytes, price in proportion up to 8 kB
    assert wanted["0"] - found["0"] == pytest.approx(wider - 0.1 * taps * (STEPS - 1), rel=1e-9)


def test_the_formulas_of_the_paper_by_hand() -> None:
    """One convolution of spikes, 2 -> 3 channels, 3 x 3, stride 2, on 5 x 5: nine spikes over two steps."""
    torch.manual_seed(0)
    spikes = torch.zeros(1, 2, 2, 5, 5)
    spikes.view(-1)[[0, 7, 24, 25, 40, 51, 66, 80, 99]] = 1
    model = nn.Sequential(
        neuron.IFNode(step_mode="m"), layer.Conv2d(2, 3, 3, stride=2, step_mode="m"), neuron.LIFNode(step_mode="m")
    ).eval()
    profile = msvit_energy.profile(model, [spikes], frames=True, feed="time-first")
    arriving, taps, outputs = 9, 3 * 9, 3 * 4
    price_of_8kb = 10 / 8192

    def word(capacity_words: int) -> float:  # a word of a buffer below 8 kB
        return capacity_words * 4 * price_of_8kb

    wanted = 0.1 * (arriving * 3 * 2 * 2 + 2 * outputs)  # ceil(3 / 2)^2 outputs in 3 channels, and biases
    wanted += 0.1 * arriving * taps + 3.2 * 2 * arriving  # addresses
    wanted += arriving * word(1000)
    wanted += (arriving * taps + 2 * outputs) * word(54 + 3)
    wanted += 2 * arriving * taps * word(outputs)
    assert by_counts(profile)["1"] == pytest.approx(wanted, rel=1e-12)
    out = float(sum(profile.neurons[1].sums))
    update = 2 * outputs * 3.2 + 0.1 * out + 2 * 2 * outputs * word(outputs) + out * word(1000)
    assert by_counts(profile)["2"] == pytest.approx(update, rel=1e-12)
