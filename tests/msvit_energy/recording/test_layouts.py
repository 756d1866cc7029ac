"""One network written in many ways has one profile, even where all sizes coincide."""

import pytest
import torch
from spikingjelly.activation_based import neuron
from torch import Tensor, nn

import msvit_energy
from msvit_energy.errors import EnergyError
from tests.support.spellings import SPELLINGS, UNDETECTABLE, Block, Sizes, energies, facts, spelled

ALIKE = Sizes(steps=4, heads=4, tokens=4, width=2)  # four images too


@pytest.fixture(scope="module")
def reference() -> msvit_energy.Profile:
    return msvit_energy.profile(spelled(ALIKE, "time first"), [ALIKE.images(4)])


def test_the_reference_is_counted_by_hand(reference: msvit_energy.Profile) -> None:
    """4 steps x 4 tokens x 8 x 8 weights in the inner layers, 4 x 4 heads x 4 x 4 x 2 in the products, 4 x 8 x 3 in the
    head; every neuron emits 4 tokens x 8 features in each step of each of 4 images."""
    assert [each.macs_per_image for each in reference.operators] == [4 * 4 * 64] * 4 + [4 * 4 * 32] * 2 + [4 * 24]
    assert {each.runs_per_image for each in reference.operators} == {4}
    assert {layer.elements for layer in reference.neurons} == {4 * 32}
    assert all(0.05 < layer.firing_rate < 0.95 for layer in reference.neurons)
    assert len({len(set(layer.sums)) for layer in reference.neurons} - {1}) > 0  # steps differ


def assert_same(network: Block, reference: msvit_energy.Profile, **how: str | int) -> None:
    profile = msvit_energy.profile(network, [ALIKE.images(4)], **how)  # type: ignore[arg-type]
    assert facts(profile) == facts(reference)
    assert energies(profile) == pytest.approx(energies(reference), rel=1e-12)


@pytest.mark.parametrize("name", SPELLINGS)
def test_axes_are_found_whatever_their_sizes(name: str, reference: msvit_energy.Profile) -> None:
    assert_same(spelled(ALIKE, name), reference)


@pytest.mark.parametrize("name", [name for name in SPELLINGS if name not in UNDETECTABLE])
def test_where_t_is_fixed_axes_are_found_or_refused(name: str, reference: msvit_energy.Profile) -> None:
    try:
        assert_same(spelled(ALIKE, name, fixed=True), reference, time_steps=4, feed="image")
    except EnergyError as refusal:
        assert "may be time steps, and may be something else of size 4" in str(refusal)


def test_images_that_come_after_a_single_one_are_placed_anew(reference: msvit_energy.Profile) -> None:
    images = ALIKE.images(4)
    for name in ("batch first, merged", "tokens first, merged"):
        profile = msvit_energy.profile(spelled(ALIKE, name), [images[:1], images[1:]])
        assert facts(profile) == facts(reference)
        assert energies(profile) == pytest.approx(energies(reference), rel=1e-12)


class Folded(nn.Module):
    """Time steps, tokens and images in one axis, in either order of the first two."""

    time_steps = 2

    def __init__(self, *order: int) -> None:
        super().__init__()
        self.order = order
        self.fire, self.fc = neuron.IFNode(step_mode="m"), nn.Linear(3, 4, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        spikes = self.fire(x.expand(2, *x.shape))
        folded = self.fc(spikes.permute(*self.order, 1, 3).flatten(0, 2))
        return folded.view(-1, len(x), 4).mean(0)


@pytest.mark.parametrize("order", [(0, 2), (2, 0)])
def test_an_order_that_no_value_shows_is_announced_also_where_a_step_is_silent(order: tuple[int, int]) -> None:
    images = torch.zeros(3, 2, 3)  # of two tokens the second fires, at the second of two steps: the same either way
    images[:, 1] = 0.5
    profile = msvit_energy.profile(Folded(*order), [images])
    assert profile.operators[0].driver.sums == (0, 9)
    assert profile.coverage.assumed_order == ("fc",)
