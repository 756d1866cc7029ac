"""A property: one random network written in several ways, and measured in any batches, has one profile."""

from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor

import msvit_energy
from msvit_energy import price
from tests.support.spellings import LINEAR, SPELLINGS, Sizes, energies, facts, spelled

small = st.integers(1, 4)
sizes = st.builds(Sizes, steps=st.integers(2, 4), heads=small, tokens=small, width=small, seed=st.integers(0, 99))


@st.composite
def batches(draw: st.DrawFn, images: Tensor) -> list[Tensor]:
    """The images in any order and in batches of any size."""
    shuffled = images[draw(st.permutations(range(len(images))))]
    cuts = sorted({0, len(images), *draw(st.lists(st.integers(0, len(images)), max_size=2))})
    return [shuffled[a:b] for a, b in pairwise(cuts)]


@pytest.mark.slow
@settings(max_examples=40, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(st.data(), sizes, st.sampled_from(sorted(SPELLINGS)), st.sampled_from(LINEAR), st.booleans(), small)
def test_one_network_has_one_profile(
    data: st.DataObject, size: Sizes, name: str, linear: str, library: bool, count: int
) -> None:
    images = size.images(count)
    reference = msvit_energy.profile(spelled(size, "time first"), [images])
    rewritten = spelled(size, name, linear, library=library)
    profile = msvit_energy.profile(rewritten, data.draw(batches(images)))
    if profile.coverage.assumed_order:  # announced: the order of an axis is not in the values
        assert [each.macs_per_image for each in profile.operators] == [o.macs_per_image for o in reference.operators]
        assert price(profile).total_pj == pytest.approx(price(reference).total_pj, rel=1e-12)
    else:
        assert facts(profile) == facts(reference)
        assert energies(profile) == pytest.approx(energies(reference), rel=1e-9)
