"""Convolutions without a neuron between them as one, as Spike-driven Transformer V2 counts them."""

import pytest
import torch
from spikingjelly.activation_based import neuron
from torch import nn

import msvit
import msvit_energy
from msvit_energy import EnergyError, Profile, price
from msvit_energy.geometry import geometry
from msvit_energy.pricing.implied_rate import line
from msvit_energy.pricing.merged_convolutions import merged


@pytest.mark.parametrize(
    ("name", "as_written", "as_one", "printed", "implied"),
    [
        ("sdtv2_15m", 6.413, 14.832, 16.70, 0.292),
        ("sdtv2_31m", 13.928, 32.269, 32.80, 0.268),
        ("sdtv2_55m", 24.698, 57.368, 52.40, 0.243),
    ],
)
def test_merged_macs_and_implied_rates_are_those_worked_out(
    name: str, as_written: float, as_one: float, printed: float, implied: float
) -> None:
    """Both kinds of chain: 1 x 1, depthwise 3 x 3, 1 x 1, and depthwise 7 x 7, 1 x 1. GMACs without the first layer and
    the head, and the rate behind the printed energy, worked out from the official layers."""
    with torch.device("meta"):
        model = msvit.create_model(name)
    skeleton = geometry(model, model.input_size, model.time_steps)
    for profile, gmacs in ((skeleton, as_written), (merged(skeleton), as_one)):
        inner = sum(operator.macs_per_step for operator in profile.operators if not operator.role)
        assert inner / 1e9 == pytest.approx(gmacs, abs=5e-4)
    rate = line(skeleton, "sdt:convs=merged", "45nm-fp32").rate(printed)
    assert rate == pytest.approx(implied, abs=6e-4)


def measured(*layers: nn.Module) -> Profile:
    torch.manual_seed(0)
    fire = neuron.IFNode(v_threshold=0.3)
    images = torch.rand(3, 3, 8, 8, dtype=torch.float64)
    return msvit_energy.profile(nn.Sequential(fire, *layers).double(), [images], time_steps=2, feed="step")


def test_a_chain_counts_at_the_spikes_of_its_first_layer() -> None:
    """By hand: 3 channels of 8 x 8 to 5 by 3 x 3 is 64 x 3 x 5 x 9 MACs, at the spikes' rate, at two steps."""
    norm, depthwise = nn.BatchNorm2d(4), nn.Conv2d(4, 4, 3, groups=4, bias=False)
    chain = (nn.Conv2d(3, 4, 1), norm, nn.ZeroPad2d(1), depthwise, nn.Conv2d(4, 5, 1), nn.BatchNorm2d(5))
    profile = measured(*chain, neuron.IFNode(), nn.Conv2d(5, 2, 1))
    rows = {row.layer: row for row in price(profile, "sdt:convs=merged").rows}
    rate = profile.operators[0].driver.rate
    assert 0 < rate < 1
    assert (rows["1"].macs, rows["1"].acs) == (0, pytest.approx(rate * 2 * 64 * 3 * 5 * 9, rel=1e-12))
    assert [rows[name].counted for name in ("4", "5", "8")] == [False, False, True]
    assert price(profile, "sdt").macs > 0  # as written, the two behind the first have real-valued inputs


def test_a_stem_on_images_is_no_chain_on_spikes() -> None:
    stem = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.Conv2d(4, 4, 1), neuron.IFNode(), nn.Conv2d(4, 2, 1))
    images = torch.rand(3, 3, 8, 8, dtype=torch.float64)
    profile = msvit_energy.profile(stem.double(), [images], time_steps=2, feed="step")
    assert price(profile, "sdt:convs=merged").total_pj == price(profile, "sdt").total_pj


def test_a_head_on_real_numbers_stays_a_layer_of_its_own() -> None:
    profile = measured(nn.Conv2d(3, 4, 1), nn.AvgPool2d(8), nn.Flatten(), nn.Linear(4, 2))
    assert profile.operators[1].role == "head"
    assert price(profile, "sdt:convs=merged").total_pj == price(profile, "sdt").total_pj


@pytest.mark.parametrize(
    "behind", [(nn.Conv2d(4, 4, 3),), (nn.Conv2d(4, 4, 3), nn.Conv2d(4, 5, 1)), (nn.Conv2d(4, 5, 1, stride=2),)]
)
def test_a_chain_whose_kernel_is_not_in_the_counts_is_refused(behind: tuple[nn.Module, ...]) -> None:
    profile = measured(nn.Conv2d(3, 4, 1), *behind, neuron.IFNode(), nn.Conv2d(behind[-1].out_channels, 2, 1))
    with pytest.raises(EnergyError, match=r"^1, 2.* follow each other without neurons, but are not one depthwise"):
        price(profile, "sdt:convs=merged")
