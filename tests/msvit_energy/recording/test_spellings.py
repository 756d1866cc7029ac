"""A property: one random network written in several ways, and measured in any batches, has one profile."""

from itertools import pairwise

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from torch import Tensor

import msvit_energy
from msvit_energy import EnergyError, Profile, price
from tests.support.spellings import FED, LINEAR, SPELLINGS, Sizes, energies, facts, spelled

small = st.integers(1, 4)
sizes = st.builds(Sizes, steps=st.integers(2, 4), heads=small, tokens=small, width=small, seed=st.integers(0, 99))


@st.composite
def batches(draw: st.DrawFn, images: Tensor) -> list[Tensor]:
    """The images in any order and in batches of any size."""
    shuffled = images[draw(st.permutations(range(len(images))))]
    cuts = sorted({0, len(images), *draw(st.lists(st.integers(0, len(images)), max_size=2))})
    return [shuffled[a:b] for a, b in pairwise(cuts)]


@pytest.mark.slow
@settings(max_examples=25, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(st.data(), sizes, st.sampled_from(sorted(SPELLINGS)), st.sampled_from(LINEAR), st.booleans(), small)
def test_one_network_has_one_profile(
    data: st.DataObject, size: Sizes, name: str, linear: str, library: bool, count: int
) -> None:
    images = size.images(count)
    profile = msvit_energy.profile(spelled(size, name, linear, library=library), data.draw(batches(images)))
    assert_same(profile, msvit_energy.profile(spelled(size, "time first"), [images]))


@pytest.mark.slow
@settings(max_examples=25, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(st.data(), sizes, st.sampled_from(sorted(FED)), st.sampled_from(LINEAR), st.booleans(), small, st.booleans())
def test_a_network_that_is_handed_time_has_the_same_profile(
    data: st.DataObject, size: Sizes, name: str, linear: str, library: bool, count: int, auto: bool
) -> None:
    """Found out or given; what is to be found out may also be refused, as the network takes tokens for time."""
    assume(size.tokens > 1)  # one token is one step, which makes no difference
    images = size.images(count)
    rewritten, feed = spelled(size, name, linear, library=library), "auto" if auto else name
    try:
        profile = msvit_energy.profile(
            rewritten,
            data.draw(batches(images)),
            time_steps=size.steps,
            feed=feed,  # type: ignore[arg-type]
            frames=None if auto else False,
        )
    except EnergyError as refusal:
        assert auto and "pass" in str(refusal)
        return
    assert_same(profile, msvit_energy.profile(spelled(size, "time first"), [images]))


def assert_same(profile: Profile, reference: Profile) -> None:
    if profile.coverage.assumed_order:  # announced: the order of an axis is not in the values
        assert [each.macs_per_image for each in profile.operators] == [o.macs_per_image for o in reference.operators]
        assert price(profile).total_pj == pytest.approx(price(reference).total_pj, rel=1e-12)
    else:
        assert facts(profile) == facts(reference)
        assert energies(profile) == pytest.approx(energies(reference), rel=1e-9)
