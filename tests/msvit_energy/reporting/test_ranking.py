"""Ranks, correlations and claims against numbers worked out by hand, and against SciPy."""

import random

import pytest
from scipy import stats

from msvit_energy.reporting.ranking import Claim, Cost, claims, kendall, ranks, spearman


def exactly(*seeds: float) -> Cost:
    """A cost whose images leave no doubt."""
    return Cost(seeds, min(seeds), max(seeds))


def test_equal_values_share_the_mean_of_their_places() -> None:
    assert ranks([3.0, 1.0, 3.0, 2.0]) == [3.5, 1.0, 3.5, 2.0]


def test_one_swap_of_neighbours_among_four() -> None:
    # Spearman: 1 - 6 x (1 + 1) / (4 x 15) = 0.8; Kendall: 5 pairs of 6 agree, (5 - 1) / 6
    assert spearman([1, 2, 3, 4], [1, 3, 2, 4]) == pytest.approx(0.8)
    assert kendall([1, 2, 3, 4], [1, 3, 2, 4]) == pytest.approx(4 / 6)
    assert spearman([1, 2, 3], [9, 5, 1]) == kendall([1, 2, 3], [9, 5, 1]) == -1


def test_correlations_are_those_of_scipy_with_ties_too() -> None:
    draw = random.Random(0)
    for _ in range(20):
        a, b = ([float(draw.randint(0, 5)) for _ in range(9)] for _ in range(2))
        assert spearman(a, b) == pytest.approx(stats.spearmanr(a, b).statistic)
        assert kendall(a, b) == pytest.approx(stats.kendalltau(a, b).statistic)


def test_what_is_all_equal_has_no_correlation() -> None:
    assert spearman([1, 1, 1], [1, 2, 3]) is kendall([1, 2, 3], [4, 4, 4]) is None


def test_a_claim_needs_every_seed_and_the_images() -> None:
    apart, touching = Cost((1.0, 2.0), 0.9, 2.1), Cost((2.2, 3.0), 2.0, 3.1)
    assert exactly(1, 2).is_less(exactly(2.2, 3))
    assert not exactly(1, 2.5).is_less(exactly(2.2, 3))  # one seed costs more
    assert not apart.is_less(touching)  # the seeds are apart, but not what the images leave open
    assert apart.mean == 1.5


def test_claims_by_how_many_protocols_carry_them() -> None:
    by_protocol = {
        "p": {"a": exactly(1), "b": exactly(2), "c": exactly(3, 5), "d": exactly(4)},
        "q": {"a": exactly(1), "b": exactly(2), "c": exactly(1, 3), "d": exactly(2)},
        "r": {"a": exactly(1), "b": exactly(3), "c": exactly(2), "d": exactly(2)},
    }
    found = {(claim.cheaper, claim.dearer): claim for claim in claims(by_protocol)}
    assert found["a", "b"] == Claim("a", "b", ("p", "q", "r"), (), ())
    assert {pair: claim.kind for pair, claim in found.items()} == {
        ("a", "b"): "everywhere",
        ("a", "c"): "somewhere",
        ("a", "d"): "everywhere",
        ("b", "c"): "disputed",
        ("b", "d"): "disputed",
        ("c", "d"): "nowhere",
    }


def test_a_claim_stands_in_the_direction_that_more_protocols_carry() -> None:
    by_protocol = {name: {"a": exactly(2), "b": exactly(1)} for name in "pq"} | {
        "r": {"a": exactly(1), "b": exactly(2)}
    }
    assert claims(by_protocol) == [Claim("b", "a", ("p", "q"), ("r",), ())]
