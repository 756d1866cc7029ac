"""Spikes with a sign or a constant factor, in the networks that send them, against counts by brute force."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

import pytest
import torch
from spikingjelly.activation_based import layer, neuron
from torch import Tensor, nn

import msvit
import msvit_energy
from msvit_energy import Profile, price
from msvit_energy.profiles.merge import merge
from tests.support import parity
from tests.support.scaled_networks import (
    STEPS,
    Converted,
    Unit,
    converted_by_spikingjelly,
    few_spikes,
    flows,
    multi_step,
)


def images(*shape: int, seed: int = 0, scale: float = 3.0) -> Tensor:
    return torch.rand(5, *shape, generator=torch.Generator().manual_seed(seed)) * scale


def signed_images(*shape: int) -> Tensor:
    return images(*shape) - 1.5


def once(model: nn.Module, batch: Tensor) -> None:
    model(batch)


def repeated(model: nn.Module, batch: Tensor) -> None:
    """As sequences of T equal images."""
    model(batch.expand(STEPS, *batch.shape))


def stepwise(model: nn.Module, batch: Tensor) -> None:
    """One call per time step."""
    for _ in range(STEPS):
        model(batch)


@dataclass(frozen=True)
class Case:
    """A network, its images and how it is called; of layers the constant of their inputs and the kind's label, in which
    {} is that constant."""

    model: Callable[[], nn.Module]
    images: Tensor
    run: Callable[[nn.Module, Tensor], object]
    units: Callable[[nn.Module], Mapping[str, Unit]]
    labels: Mapping[str, str]
    time_steps: int = STEPS


def ternary() -> nn.Module:
    torch.manual_seed(0)
    first, second = layer.Conv2d(1, 4, 3, padding=1), layer.Conv2d(4, 6, 3, padding=1, stride=2)
    tail = neuron.TernaryLIFNode(v_threshold=0.5), layer.Flatten(), layer.Linear(150, 5)
    return multi_step(first, neuron.TernaryIFNode(v_threshold=0.5), second, *tail)


class Graded(nn.Module):
    """SpikingJelly's I-LIF, its counts divided by 4 as in Spike-driven Transformer V3 and SpikeYOLO, or not."""

    def __init__(self, divisor: int) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.divisor = divisor
        self.conv1, self.fire1 = nn.Conv2d(1, 4, 3, padding=1), neuron.ILIFNode()
        self.conv2, self.fire2, self.fc = nn.Conv2d(4, 6, 3, padding=1), neuron.ILIFNode(), nn.Linear(600, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.fire1(self.conv1(x)) / self.divisor
        x = self.fire2(6 * self.conv2(x)) / self.divisor
        return self.fc(x.flatten(1))


def spikezip() -> nn.Module:
    """SpikeZIP's neurons, whose ternary spikes have the scale of a quantiser."""
    torch.manual_seed(0)
    first, second = neuron.STBIFNode(0.3714, level=16, sym=True), neuron.STBIFNode(0.2222, level=16)
    return nn.Sequential(nn.Linear(6, 8), first, nn.Linear(8, 8), second, nn.Linear(8, 3))


def scalers(model: nn.Module) -> dict[str, Unit]:
    """Of a network that SpikingJelly converted: the constants of its scalers, after pooling by 4."""
    scales = [module.scale for name, module in model.named_modules() if name.endswith("scaler1")]
    first, second, third = (scale.view(-1, 1, 1) if scale.dim() else scale for scale in scales)
    wide = third.flatten().repeat_interleave(4) if third.dim() else third
    return {"4": first / 4, "7": second / 4, "10": wide}


TABLE = (0.61, 0.33, 0.171, 0.0912)  # weights of a few-spike neuron


def by_step(values: Tensor) -> Tensor:
    weights = torch.tensor(TABLE).view(-1, *[1] * (values.dim() - 1))
    return values / weights.repeat_interleave(len(values) // len(TABLE), 0)


CASES: dict[str, Case] = {
    "ternary": Case(
        ternary, signed_images(1, 10, 10), repeated, lambda m: {"2": 1.0, "5": 1.0},
        {"2": "ternary", "5": "ternary"},
    ),
    "integer": Case(
        lambda: Graded(1), images(1, 10, 10), once, lambda m: {"conv2": 1.0, "fc": 1.0},
        {"conv2": "integer", "fc": "integer"}, 1,
    ),
    "integer by 4": Case(
        lambda: Graded(4), images(1, 10, 10), once, lambda m: {"conv2": 0.25, "fc": 0.25},
        {"conv2": "integer/4", "fc": "integer/4"}, 1,
    ),
    "few spikes": Case(
        lambda: few_spikes(TABLE), images(6, scale=0.5), repeated, lambda m: {"2": by_step, "4": by_step},
        {"2": "binary x (per time step)", "4": "binary x (per time step)"},
    ),
    "SpikeZIP": Case(
        spikezip, signed_images(6), stepwise, lambda m: {"2": m[1].q_threshold, "4": m[3].q_threshold},
        {"2": "ternary x {}", "4": "ternary x {}"},
    ),
    "QCFS": Case(
        Converted, images(1, 12, 12), once, Converted.units,
        {"conv2": "integer x {}", "fc1": "binary x {}", "fc2": "binary x {}"},
    ),
    "QCFS, by channel": Case(
        lambda: Converted(by_channel=True), images(1, 12, 12), once, Converted.units,
        {"conv2": "integer/4 x (per channel)", "fc1": "binary x (per channel)", "fc2": "binary x (per channel)"},
    ),
    "converted": Case(
        converted_by_spikingjelly, images(1, 14, 14, scale=1.0), stepwise, scalers,
        {"4": "integer x {}", "7": "integer x {}", "10": "binary x {}"},
    ),
    "converted, by channel": Case(
        lambda: converted_by_spikingjelly(by_channel=True), images(1, 14, 14, scale=1.0), stepwise, scalers,
        {"4": "integer/4 x (per channel)", "7": "integer/4 x (per channel)", "10": "binary x (per channel)"},
    ),
}  # fmt: skip


def profiled(case: Case, batches: Sequence[Tensor]) -> Profile:
    return msvit_energy.profile(case.model(), batches, time_steps=case.time_steps)


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_counts_are_those_of_a_layer_of_ones_fed_with_whole_numbers(case: Case) -> None:
    profile = profiled(case, case.images.split(3))
    units = case.units(case.model())
    expected = flows(case.model(), case.run, case.images.split(3), units)
    for operator in (operator for operator in profile.operators if operator.layer in expected):
        operand, flow = operator.driver, expected[operator.layer]
        label, unit = case.labels[operator.layer], units[operator.layer]
        assert operand.label == (label if callable(unit) else label.format(f"{torch.as_tensor(unit).max():.3g}"))
        assert (sum(operand.sums), sum(operand.nonzeros), operand.maximum) == (flow.value, flow.nonzero, flow.maximum)
        assert (operand.events, operand.signed) == (flow.events, flow.signed)
        assert all(isinstance(total, int) and total >= 0 for total in operand.sums)
        assert flow.value > 0
    assert profile.coverage.unknown_macs == 0


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_a_whole_number_costs_as_many_accumulates(case: Case) -> None:
    profile = profiled(case, [case.images])
    expected = flows(case.model(), case.run, [case.images], case.units(case.model()))
    counted = {row.layer: row for row in price(profile, "exact").rows}
    rates = {row.layer: row for row in price(profile, "appendix-c").rows}
    before = {row.layer: row for row in price(profile, "appendix-c:scaled=macs").rows}
    for operator in (operator for operator in profile.operators if operator.layer in expected):
        row, flow = counted[operator.layer], expected[operator.layer]
        assert (row.macs, row.acs) == (0, pytest.approx(flow.events / 5))
        if rates[operator.layer].counted:
            share = flow.value / operator.driver.elements
            assert rates[operator.layer].acs == pytest.approx(share * operator.macs_per_image)
            if operator.driver.scaled:
                assert (before[operator.layer].macs, before[operator.layer].acs) == (operator.macs_per_image, 0)


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_batches_of_any_size_and_parts_in_any_order_are_one_profile(case: Case) -> None:
    whole = profiled(case, [case.images])
    for size in (1, 2):
        assert profiled(case, case.images.split(size)) == whole
    parts = [profiled(case, [part]) for part in (case.images[:2], case.images[2:])]
    together = merge(parts, disjoint=True)
    assert (together.operators, together.neurons, together.moments) == (
        whole.operators, whole.neurons, whole.moments,
    )  # fmt: skip


class Answers(nn.Module):
    """Neurons that give a function of their input."""

    activation_op = "neuron"

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)


class Fed(nn.Module):
    """Neurons, what is made of their outputs, a linear layer, neurons and a head."""

    def __init__(self, *neurons: nn.Module, made: Callable[..., Tensor]) -> None:
        super().__init__()
        self.neurons, self.made = nn.ModuleList(neurons), made
        self.fed, self.last, self.head = nn.Linear(4, 3), neuron.IFNode(), nn.Linear(3, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.last(self.fed(self.made(*(fire(x) for fire in self.neurons)))))


def counts(x: Tensor) -> Tensor:
    return x.clamp(0, 4).round()


def fed(profile: Profile) -> tuple[str, str, tuple[int | Fraction, ...]]:
    """Label, origin and sums of what the linear layer was fed with."""
    (operator,) = (operator for operator in profile.operators if operator.layer == "fed")
    return operator.driver.label, operator.driver.origin, operator.driver.sums


VALUES = torch.tensor([[1.0, 0.0, 4.0, 0.0], [0.0, 3.0, 0.0, 2.0]])
SUMS: dict[str, tuple[nn.Module, str, str, int]] = {
    # 1 + 4 + 3 + 2 in quarters, and four ones of four quarters each
    "n/4 and spikes": (
        Fed(Answers(lambda x: counts(x) / 4), Answers(lambda x: (x > 0).float()), made=torch.add),
        "integer/4", "sum", 10 + 16,
    ),
    # of 1/3 and 1/2, in sixths: 2 * 10 and 3 * 4
    "thirds and halves": (
        Fed(Answers(lambda x: counts(x) / 3), Answers(lambda x: (x > 0) / 2), made=torch.add),
        "integer/6", "sum", 20 + 12,
    ),
    "a difference": (
        Fed(Answers(lambda x: (x > 2.5).float()), Answers(lambda x: (x > 0).float()), made=torch.sub),
        "ternary", "sum", 2,
    ),
    "constants without a common step": (
        Fed(Answers(lambda x: (x > 2.5) * 0.371), Answers(lambda x: (x > 0) * 2**-0.5), made=torch.add),
        "analog", "sum", 0,
    ),
    "two constants": (
        Fed(Answers(counts), made=lambda x: x * 0.371 / 2**0.5), "integer x 0.262", "scaled", 10,
    ),
    "a whole constant": (Fed(Answers(counts), made=lambda x: 3 * x), "integer x 3", "scaled", 10),
    "joined": (
        Fed(Answers(lambda x: counts(x[:, :2]) / 4), Answers(lambda x: counts(x[:, 2:]) / 2),
            made=lambda *x: torch.cat(x, 1)),
        "integer/4", "spikes", 4 + 2 * 6,
    ),
    "masked": (
        Fed(Answers(lambda x: counts(x) / 4), Answers(lambda x: (x > 2.5).float()), made=torch.mul),
        "integer/4", "spikes", 7,
    ),
}  # fmt: skip


@pytest.mark.parametrize(("model", "label", "origin", "total"), SUMS.values(), ids=SUMS)
def test_a_lattice_is_followed_through_sums_and_constants(
    model: nn.Module, label: str, origin: str, total: int
) -> None:
    profile = msvit_energy.profile(model, [VALUES], time_steps=1)
    found = fed(profile)
    assert found[:2] == (label, origin)
    assert label == "analog" or found[2] == (total,)


def test_a_batch_norm_between_neurons_and_a_layer_makes_real_numbers() -> None:
    torch.manual_seed(0)
    model = Fed(Answers(lambda x: counts(x) / 4), made=nn.BatchNorm1d(4, eps=0.1).eval())
    assert fed(msvit_energy.profile(model, [VALUES], time_steps=1))[:2] == ("analog", "other")


def test_an_image_of_grey_levels_is_no_spikes() -> None:
    image = torch.randint(0, 256, (2, 4), generator=torch.Generator().manual_seed(0)) / 255
    model = Fed(nn.Identity(), made=lambda x: x)
    assert fed(msvit_energy.profile(model, [image], time_steps=1))[:2] == ("analog", "input")


def test_a_finer_step_of_a_later_batch_is_that_of_all() -> None:
    model = Fed(Answers(lambda x: counts(x) / 4), made=lambda x: x)
    batches = [torch.tensor([row]) for row in ([4.0, 0, 4, 4], [4.0, 2, 0, 2], [0.0, 1, 3, 0])]
    whole = msvit_energy.profile(model, [torch.cat(batches)], time_steps=1)
    assert fed(whole) == ("integer/4", "spikes", (24,))
    for order in ((0, 1, 2), (2, 1, 0), (1, 2, 0)):
        parts = msvit_energy.profile(model, [batches[i] for i in order], time_steps=1)
        assert (parts.operators, parts.neurons, parts.moments) == (whole.operators, whole.neurons, whole.moments)
    alone = [msvit_energy.profile(model, [batch], time_steps=1) for batch in batches]
    assert [fed(profile)[0] for profile in alone] == ["binary", "integer/2", "integer/4"]
    merged = merge(alone, disjoint=True)
    assert (merged.operators, merged.neurons, merged.moments) == (whole.operators, whole.neurons, whole.moments)


def test_a_value_off_the_lattice_makes_all_real_numbers_and_is_pointed_out() -> None:
    values = torch.tensor([[1.0, 2.0, 0.0, 4.0], [0.0, 2.0, 2.0, 0.0], [3.0, 9.0, 0.0, 1.0], [2.0, 0.0, 0.0, 2.0]])
    model = Fed(Answers(lambda x: torch.where(x > 8, 2**-0.5, x / 4)), made=lambda x: x)
    whole = msvit_energy.profile(model, [values], time_steps=1)
    assert fed(whole) == ("analog", "spikes", (sum(map(Fraction, (values / 4).sum(1)[[0, 1, 3]].tolist()))
        + Fraction(float(torch.tensor([0.75, 2**-0.5, 0.25]).double().sum())),))  # fmt: skip
    for size in (1, 2):
        parts = msvit_energy.profile(model, values.split(size), time_steps=1)
        assert (parts.operators, parts.neurons, parts.moments) == (whole.operators, whole.neurons, whole.moments)
        assert any(note.startswith("fed: the input comes from spiking neurons") for note in parts.warnings())


class Products(nn.Module):
    """q k^T v of neurons that give n / 4, ternary spikes, and spikes times a constant of each channel."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor([0.31, 0.77, 0.52, 1.3]))
        self.q, self.k = Answers(lambda x: counts(x) / 4), Answers(lambda x: (x > 1.5).float() - (x < 0.5).float())
        self.v, self.head = Answers(lambda x: (x > 2).float() * self.scale), nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.q(x), self.k(x), self.v(x)
        return self.head((q @ k.transpose(-1, -2) @ v).mean(1))


def test_pairs_in_products_are_those_of_whole_numbers() -> None:
    x = images(3, 4, scale=4.5).round()
    model = Products()
    profile = msvit_energy.profile(model, x.split(2), time_steps=1)
    q, k, v = counts(x), ((x > 1.5).float() - (x < 0.5).float()).abs(), (x > 2).float()
    first, second = profile.operators[:2]
    assert [operand.label for operand in first.operands] == ["integer/4", "ternary"]
    assert first.pairs == int((q @ k.transpose(-1, -2)).sum()) > 0
    assert [operand.label for operand in second.operands] == ["signed integer/4", "binary x (per channel)"]
    signed = q @ ((x > 1.5).float() - (x < 0.5).float()).transpose(-1, -2)
    assert second.pairs == int((signed.abs() @ v).sum()) > 0
    whole = msvit_energy.profile(model, [x], time_steps=1)
    assert (whole.operators, whole.moments) == (profile.operators, profile.moments)
    merged = merge([msvit_energy.profile(model, [part], time_steps=1) for part in (x[:1], x[1:])], disjoint=True)
    assert (merged.operators, merged.moments) == (profile.operators, profile.moments)


@pytest.mark.slow
def test_spike_driven_transformer_v3_sends_what_its_authors_code_sends() -> None:
    vector, facts = parity.read("sdtv3/imagenet_s.parity.json"), parity.read("sdtv3/imagenet_s.flops.json")
    model = msvit.create_model("sdtv3_5m").double()
    profile = msvit_energy.profile(model, [parity.draw(model, vector)])
    macs = facts["macs_conv_linear_by_module"]
    for operator in profile.operators[1:]:
        if (official := vector["weighted_layers"].get(operator.layer)) is None:
            first, second = (operand.step for operand in operator.operands)
            assert first in (Fraction(1, 4), Fraction(1, 16))  # of q, and of q k^T
            assert second == Fraction(1, 4)
            continue
        operand = operator.driver
        assert operand.label == ("integer" if operator.role == "head" else "integer/4")
        assert operand.rate * operand.step == pytest.approx(official["input_mean"], rel=1e-12)
        assert operand.nonzero_rate == official["input_nonzero"]
        assert operand.maximum * operand.step == official["input_max"]
        # a value n / 4 is n spikes over 4 virtual time steps
        spikes = price(profile, "sdt:rate=mean").rows[profile.operators.index(operator)].acs
        steps = 1 if operator.role == "head" else 4
        assert spikes == pytest.approx(steps * official["input_mean"] * macs[operator.layer], rel=1e-12)
    assert profile.warnings() == []
