"""One network written in many ways has one profile, even where all sizes coincide."""

import pytest

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
