"""Every network of the gallery: its counts are those of brute force, its energy that of its twin."""

import pytest
import torch

from msvit_energy import Profile, price
from tests.support.brute_force import BruteForce, Counted
from tests.support.gallery import ENTRIES
from tests.support.gallery.entry import Entry, profiled, twin_profiled


@pytest.fixture(params=ENTRIES, ids=[entry.name.replace(" ", "-") for entry in ENTRIES])
def entry(request: pytest.FixtureRequest) -> Entry:
    return request.param


def by_brute_force(entry: Entry) -> list[Counted]:
    """Every batch through a network that is at rest, since it is new."""
    model = entry.built()
    brute = BruteForce(model, entry.products, entry.units())
    with torch.no_grad():
        for batch in entry.batches:
            fresh = entry.built()
            for own, given in zip(fresh.parameters(), model.parameters(), strict=True):
                own.data = given.data
            with brute:
                entry.run(fresh, batch)
    return brute.counted()


def by_profile(profile: Profile) -> list[Counted]:
    return [
        Counted(
            operator.macs_per_image * profile.images,
            tuple(operand.nonzero_events or 0 for operand in operator.operands),
            tuple(operand.events for operand in operator.operands),
            operator.pairs,
        )
        for operator in profile.operators
    ]


def test_counts_are_those_of_brute_force_and_energy_that_of_the_twin(entry: Entry) -> None:
    profile = profiled(entry)
    assert profile.time_steps == entry.steps
    assert by_profile(profile) == by_brute_force(entry)
    assert any(event for counted in by_profile(profile) for event in counted.events)
    twin = twin_profiled(entry)
    for protocol in ("appendix-c", "exact"):
        assert price(profile, protocol).total_pj == pytest.approx(price(twin, protocol).total_pj, rel=1e-12), protocol
