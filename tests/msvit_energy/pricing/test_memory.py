"""Protocols memory and qnn, prices of memory, chips and break-even rates, worked out by hand."""

from dataclasses import replace
from fractions import Fraction
from math import ceil

import pytest
import torch
from spikingjelly.activation_based import layer, neuron
from spikingjelly.activation_based.op_counter.neuromorphic_memory_access import NeuromorphicMemoryAccessCounter
from torch import Tensor, nn

import msvit_energy
from msvit_energy import EnergyError, Profile, price
from msvit_energy.pricing.break_even import BreakEven, break_even
from msvit_energy.pricing.chips import CHIPS, on_chip
from msvit_energy.pricing.memory_prices import DRAMS, SRAMS
from msvit_energy.pricing.memory_rules import integer_mac_pj, rival_bits
from msvit_energy.pricing.technology import TECHNOLOGIES, Technology, get_technology

STEPS, SPIKES = 2, (0, 7, 24, 25, 40, 51, 66, 80, 99)
FLAT = Technology("flat", e_mac=4.0, e_ac=1.0, source="", bits=32, sram="step", dram="dramsim3")
WORD = 24.96 * 4  # pJ of 32 bits of any on-chip memory


@pytest.fixture(scope="module")
def profile() -> Profile:
    """2 -> 3 channels, 3 x 3, stride 1, padded, on 5 x 5, fed with nine spikes over two steps, and a linear layer."""
    torch.manual_seed(0)
    spikes = torch.zeros(1, STEPS, 2, 5, 5)
    spikes.view(-1)[list(SPIKES)] = 1
    model = nn.Sequential(
        neuron.IFNode(step_mode="m"), layer.Conv2d(2, 3, 3, padding=1, step_mode="m"), neuron.LIFNode(step_mode="m"),
        layer.Flatten(step_mode="m"), layer.Linear(75, 4, step_mode="m"),
    ).eval()  # fmt: skip
    return msvit_energy.profile(model, [spikes], frames=True, feed="time-first")


def energies(profile: Profile, protocol: str, technology: str | Technology = FLAT) -> dict[str, float]:
    return {row.layer: row.energy_pj for row in price(profile, protocol, technology).rows}


def test_an_event_driven_convolution_reads_a_weight_and_a_potential_for_every_event(profile: Profile) -> None:
    rate, macs = len(SPIKES) / 100, 25 * 3 * 9 * 2 * STEPS
    reached = rate * macs  # Appendix C: rate x T x MACs
    wanted = reached * 1.0 + (len(SPIKES) + reached + 2 * reached) * WORD
    assert energies(profile, "memory")["1"] == pytest.approx(wanted, rel=1e-12)
    streamed = energies(profile, "memory:weights=streamed")["1"]
    assert streamed - wanted == pytest.approx(54 * 32 * 12.45, rel=1e-12)


def test_a_dense_schedule_visits_every_synapse_and_stores_spikes_as_bits(profile: Profile) -> None:
    rate, macs = len(SPIKES) / 100, 25 * 3 * 9 * 2 * STEPS
    wanted = rate * macs + (macs + 2 * STEPS * 75) * WORD + STEPS * 50 * WORD / 32
    assert energies(profile, "memory:schedule=dense")["1"] == pytest.approx(wanted, rel=1e-12)


def test_neurons_read_and_write_their_potentials_and_send_messages(profile: Profile) -> None:
    first, second = profile.neurons
    fired = float(sum(second.sums))
    assert float(sum(first.sums)) == len(SPIKES)
    found, integrating = energies(profile, "memory"), energies(profile, "memory:neurons=integrate")
    assert found["0"] == pytest.approx(100 * 4.0 + (2 * 100 + len(SPIKES)) * WORD, rel=1e-12)
    assert integrating["0"] == pytest.approx(100 * 1.0 + (2 * 100 + len(SPIKES)) * WORD, rel=1e-12)  # an addition
    assert found["2"] == pytest.approx(150 * 4.0 + (2 * 150 + fired) * WORD, rel=1e-12)
    dense = energies(profile, "memory:schedule=dense")
    assert dense["2"] == pytest.approx(150 * 4.0 + (2 * 150 + 150 / 32) * WORD, rel=1e-12)


def test_weights_and_potentials_are_read_as_spikingjelly_counts_them_where_no_border_cuts() -> None:
    """Its counter of neuromorphic memory access, in bytes; without padding every event reaches all taps inside."""
    torch.manual_seed(0)
    frames = (torch.rand(1, 3, 4, 6, 6) < 0.3).float()
    model = nn.Sequential(layer.Conv2d(4, 5, 1, bias=False, step_mode="m"), neuron.LIFNode(step_mode="m")).eval()
    model = nn.Sequential(neuron.IFNode(step_mode="m"), *model).eval()
    found = msvit_energy.profile(model, [frames], frames=True, feed="time-first")
    counter = NeuromorphicMemoryAccessCounter()
    from spikingjelly.activation_based.op_counter.base import ModuleCounterMode

    with torch.no_grad(), ModuleCounterMode([counter], model=model):
        model(frames.transpose(0, 1))
    counted = counter.get_counts()["Global"]
    only_weights = replace(FLAT, e_mac=0.0, e_ac=0.0)
    spikes = float(sum(found.neurons[0].sums))
    of_weights = energies(found, "memory", only_weights)["1"] / WORD - spikes  # without the queue
    assert of_weights / 3 * 4 == counted["weight_read_bytes"] == spikes * 5 * 4
    accesses = sum(energies(found, "memory", only_weights)[name] / WORD for name in "02")
    messages = spikes + float(sum(found.neurons[1].sums))
    states = counted["neuron_state_read_bytes"] + counted["neuron_state_write_bytes"]
    assert (accesses - messages) * 4 == pytest.approx(states, rel=1e-12)


def test_a_product_of_spikes_reads_the_other_operand(attention: Profile) -> None:
    (product,) = [operator for operator in attention.operators if operator.op == "matmul"]
    fewer = float(sum(product.driver.sums))
    assert fewer > 0
    reached = fewer * 5  # [5, 3] @ [3, 5]: every element of either side meets five
    wanted = reached * 1.0 + (fewer + reached + 2 * reached) * WORD
    assert energies(attention, "memory")[product.layer] == pytest.approx(wanted, rel=1e-12)
    # Lemaire: a buffer of 15 words, potentials of 25, below 8 kB the price is in proportion to the size
    word = 4 * 10 / 8192
    lemaire = 0.1 * 2 * reached + fewer * 1000 * word + reached * 15 * word + 2 * reached * 25 * word
    assert energies(attention, "lemaire")[product.layer] == pytest.approx(lemaire, rel=1e-12)


@pytest.fixture
def attention() -> Profile:
    class Product(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.q, self.k = neuron.IFNode(step_mode="m"), neuron.IFNode(v_threshold=1.5, step_mode="m")

        def forward(self, x: Tensor) -> Tensor:
            return self.q(x) @ self.k(x).transpose(-1, -2)

    frames = (torch.rand(1, 3, 5, 3, generator=torch.Generator().manual_seed(1)) < 0.6).float()
    return msvit_energy.profile(Product().eval(), [frames], frames=True, feed="time-first")


def test_the_rival_runs_once_in_as_many_bits_as_tell_t_spikes_apart(profile: Profile) -> None:
    assert [rival_bits(replace(profile, time_steps=steps)) for steps in (1, 2, 3, 4, 7, 8, 16)] == [1, 2, 2, 3, 3, 4, 5]
    assert integer_mac_pj(8) == pytest.approx(0.23)  # Horowitz: 0.2 + 0.03
    assert integer_mac_pj(4) == pytest.approx(0.2 / 4 + 0.03 / 2)
    macs = 25 * 3 * 9 * 2
    assert energies(profile, "qnn")["1"] == pytest.approx(macs * (0.2 / 16 + 0.03 / 4), rel=1e-12)
    more = energies(profile, "qnn:memory=resident")["1"] - energies(profile, "qnn")["1"]
    assert more == pytest.approx((macs + 2 * 75) * WORD + 50 * WORD * 2 / 32, rel=1e-12)


def test_a_neuron_of_several_values_has_a_rival_of_more_bits(profile: Profile) -> None:
    fed = profile.operators[0].driver
    of_five = replace(fed, kind="integer", maximum=4.0, step=Fraction(1, 4))
    operators = (replace(profile.operators[0], operands=(of_five,)), *profile.operators[1:])
    assert rival_bits(replace(profile, operators=operators, time_steps=1)) == 3  # 0 to 4
    real = replace(of_five, kind="analog", origin="spikes", step=1)  # of which nobody can say how many values there are
    operators = (replace(profile.operators[0], operands=(real,)), *profile.operators[1:])
    assert rival_bits(replace(profile, operators=operators, time_steps=1)) == 1


@pytest.mark.parametrize("counting", ["operations", "memory"])
@pytest.mark.parametrize("technology", ["45nm-int8", "45nm-fp32"])
def test_at_its_break_even_rate_a_layer_costs_what_the_rival_costs(
    profile: Profile, counting: str, technology: str
) -> None:
    rows, _ = break_even(profile, technology, counting)
    row = next(each for each in rows if each.layer == "1")
    assert row.break_even is not None
    operator = profile.operators[0]
    rate = Fraction(row.break_even)
    sums = tuple(rate * operator.driver.elements / STEPS for _ in range(STEPS))
    operand = replace(operator.driver, sums=sums, nonzeros=sums)
    at_it = replace(profile, operators=(replace(operator, operands=(operand,)), *profile.operators[1:]))
    protocol = {"operations": "appendix-c", "memory": "memory"}[counting]
    assert energies(at_it, protocol, technology)["1"] == pytest.approx(row.rival_pj, rel=1e-12)
    assert row.wins == (row.rate < row.break_even)


def test_what_a_layer_costs_in_silence_leaves_less_to_its_spikes() -> None:
    # 2 pJ in silence and 8 pJ more at a rate of 1/2: 16 pJ for a rate of 1, and 6 pJ are left up to the rival's 8
    assert BreakEven("a", rate=0.5, spiking_pj=10, rival_pj=8, silent_pj=2).break_even == 6 / 16
    assert BreakEven("a", rate=0.5, spiking_pj=10, rival_pj=1, silent_pj=2).break_even == 0
    assert BreakEven("a", rate=0.5, spiking_pj=2, rival_pj=1, silent_pj=2).break_even is None


def test_the_total_breaks_even_where_neurons_cost_what_they_cost_in_silence(profile: Profile) -> None:
    _, total = break_even(profile, FLAT)
    silent = 100 * 4.0 + 2 * 100 * WORD + 150 * 4.0 + 2 * 150 * WORD  # and the operators nothing
    assert total.silent_pj == pytest.approx(silent, rel=1e-12)
    assert total.spiking_pj == price(profile, "memory", FLAT).total_pj


def test_a_buffer_costs_by_its_size_between_the_sizes_that_the_source_has() -> None:
    per_64 = SRAMS["per-64-bits"]
    assert [per_64.access_pj(size, 64) for size in (1, 8192, 32768, 1 << 20, 1 << 24)] == [10, 10, 20, 100, 100]
    assert per_64.access_pj(20480, 32) == 7.5  # half way between 10 and 20, half of 64 bits
    assert [SRAMS["per-32-bits"].access_pj(size, 32) for size in (0, 4096, 1 << 21)] == [0, 5, 100]
    words, bits = 1 << 19, 32
    assert SRAMS["lemaire"].access_pj(words * 4, 32) == pytest.approx(1.09e-5 * words * bits + 13.2, rel=1e-12)
    assert DRAMS["horowitz"].pj_per_bit * 64 == 1300


def test_readings_of_memory_are_chosen_by_name() -> None:
    chosen = get_technology("45nm-fp32:sram=per-32-bits,dram=dramsim3")
    assert chosen.access_pj(8192, 32) == 10
    assert chosen.dram_pj(32) == pytest.approx(32 * 12.45)
    assert (chosen.e_mac, chosen.e_ac) == (4.6, 0.9)
    with pytest.raises(EnergyError, match=r"has no 'sram=flash'; readings of memory: sram=per-64-bits\|per-32-bits"):
        get_technology("45nm-fp32:sram=flash")


def test_a_technology_without_a_price_says_so_where_it_is_needed(profile: Profile) -> None:
    bare = Technology("bare", 4.6, 0.9, "mine")
    assert price(profile, "appendix-c", bare).total_pj > 0
    with pytest.raises(EnergyError, match="technology bare has no price of memory"):
        price(profile, "memory", bare)
    with pytest.raises(EnergyError, match="technology step has no price of off-chip memory"):
        price(profile, "memory:weights=streamed", "step")
    with pytest.raises(EnergyError, match="technology x: unknown sram 'flash'; known: per-64-bits"):
        Technology("x", 1, 1, "", sram="flash")


def test_a_profile_without_sizes_is_refused_with_what_it_lacks(profile: Profile) -> None:
    unsized = replace(profile, operators=tuple(replace(each, shape=None) for each in profile.operators))
    for protocol in ("memory", "lemaire", "qnn:memory=resident"):
        with pytest.raises(EnergyError, match=r"^1: memory depends on its weights and outputs, which are unknown"):
            price(unsized, protocol)
    assert price(unsized, "qnn").total_pj > 0


def test_lemaire_has_prices_of_its_own_unless_others_are_asked_for(profile: Profile) -> None:
    named = [price(profile, f"lemaire{option}", "45nm-int8").technology.name
             for option in ("", ":prices=paper", ":prices=technology")]  # fmt: skip
    assert named == ["45nm-int32:sram=per-32-bits", "lemaire", "45nm-int8"]


def test_a_chip_costs_its_operations_updates_and_spikes(profile: Profile) -> None:
    events = sum(float(operator.events(1)) for operator in profile.operators)
    fired = sum(float(sum(each.sums)) for each in profile.neurons)
    assert float(on_chip(profile, CHIPS["Loihi"])[0]) == pytest.approx(events * 23.6, rel=1e-12)
    detailed = events * 35.5 + 250 * 72.8 + fired * 180.3
    assert float(on_chip(profile, CHIPS["Loihi (SANA-FE, dense)"])[0]) == pytest.approx(detailed, rel=1e-12)
    assert on_chip(profile, CHIPS["Loihi"])[1] == 0


def test_intervals_are_those_of_the_images() -> None:
    """Means and standard errors over single images, each priced by itself."""
    torch.manual_seed(0)
    model = nn.Sequential(
        layer.Conv2d(1, 3, 3, step_mode="m"), neuron.LIFNode(step_mode="m"),
        layer.Conv2d(3, 4, 3, step_mode="m"), neuron.LIFNode(step_mode="m"),
        layer.Flatten(step_mode="m"), layer.Linear(16, 3, step_mode="m"), neuron.IFNode(v_threshold=1e9, step_mode="m"),
    ).eval()  # fmt: skip
    images = torch.rand(5, 1, 6, 6) * 4
    whole = msvit_energy.profile(model, [images], feed="time-first", time_steps=3)
    for protocol in ("memory", "memory:schedule=dense", "lemaire"):
        report = price(whole, protocol)
        each = torch.tensor(
            [price(msvit_energy.profile(model, [image[None]], feed="time-first", time_steps=3), protocol).total_pj
             for image in images], dtype=torch.float64,
        )  # fmt: skip
        assert report.total_pj == pytest.approx(float(each.mean()), rel=1e-12)
        assert report.spread is not None
        assert report.spread.standard_error == pytest.approx(float(each.std() / 5**0.5), rel=1e-9)


def test_every_technology_has_a_source_and_prices_that_exist() -> None:
    for technology in TECHNOLOGIES.values():
        assert technology.source and ceil(technology.access_pj(8192, 32)) >= 1
