"""Moments and uncertainties against Python's integers, fractions, numpy and a printed table of Student's t."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from scipy.special import stdtrit

from msvit_energy.profiles.amounts import Amount, Moments, Spread, Uncertainty
from msvit_energy.profiles.student_t import MANY, student_t
from msvit_energy.recording.counts import moment_accumulator
from msvit_energy.recording.counts.moment_accumulator import MomentAccumulator

Image = Mapping[str, int]
MOST = 1 << 40
KEYS = ("early", "small", "late")


def draw(images: int, seed: int) -> list[Image]:
    """Counts of every size below 2^40; "late" is seen from the fifth image, "small" (below 2^20) up to the ninth."""
    rng = np.random.default_rng(seed)
    columns = {"early": rng.integers(0, MOST, images), "small": rng.integers(0, 1 << 20, images)}
    columns["late"] = rng.integers(MOST // 2, MOST, images)
    seen = {"early": range(images), "small": range(9), "late": range(4, images)}
    return [{key: int(column[i]) for key, column in columns.items() if i in seen[key]} for i in range(images)]


def accumulated(images: Sequence[Image], sizes: Sequence[int]) -> Moments:
    """Moments of the images, counted in batches of the given sizes; a batch has the keys of its images."""
    assert sum(sizes) == len(images)
    accumulator, start = MomentAccumulator(), 0
    for size in sizes:
        batch = images[start : start + size]
        start += size
        keys = dict.fromkeys(key for image in batch for key in image)
        accumulator.add({key: np.array([image.get(key, 0) for image in batch]) for key in keys})
    return accumulator.moments(KEYS)


def brute_force(images: Sequence[Image], keys: Sequence[str] = KEYS) -> Moments:
    """The same sums in Python's integers, which have no largest one."""
    columns = [[image.get(key, 0) for image in images] for key in keys]
    products = tuple(
        tuple(sum(a * b for a, b in zip(x, y, strict=True)) for y in columns[row:]) for row, x in enumerate(columns)
    )
    return Moments(tuple(keys), tuple(map(sum, columns)), products)


def moments_of(**columns: Sequence[int]) -> Moments:
    """Moments of counts given column by column."""
    accumulator = MomentAccumulator()
    accumulator.add({key: np.array(column) for key, column in columns.items()})
    return accumulator.moments(columns)


@pytest.mark.parametrize("sizes", [(13,), (1,) * 13, (4, 9), (6, 6, 1), (2, 0, 11)])
def test_moments_equal_python_integers_for_any_split_into_batches(sizes: Sequence[int]) -> None:
    images = draw(13, seed=1)
    expected = brute_force(images)
    assert expected.products[0][0] > 1 << 63  # beyond int64, and odd digits beyond float64
    assert accumulated(images, sizes) == expected


def test_moments_of_a_large_batch_of_the_largest_counts_are_exact() -> None:
    images = [{"early": MOST - 1 - i % 3, "small": i, "late": MOST - 1} for i in range(20_001)]
    assert accumulated(images, [20_001]) == accumulated(images, [4_097, 1, 15_903]) == brute_force(images)


def test_moments_of_disjoint_parts_add_up_to_those_of_the_whole() -> None:
    images = draw(11, seed=2)
    assert accumulated(images[:7], [7]) + accumulated(images[7:], [1, 3]) == brute_force(images)


def test_moments_of_different_counts_do_not_add() -> None:
    with pytest.raises(ValueError, match="different counts"):
        moments_of(a=[1]) + moments_of(b=[1])


def test_moments_are_given_for_the_asked_counts_in_the_asked_order() -> None:
    # a = 1, 2 and b = 5, 7: sums 3 and 12; squares 1 + 4 = 5 and 25 + 49 = 74; products 5 + 14 = 19
    accumulator = MomentAccumulator()
    accumulator.add({"a": np.array([1, 2]), "unasked": np.array([9, 9]), "b": np.array([5, 7])})
    assert accumulator.moments(["a", "b"]) == Moments(("a", "b"), (3, 12), ((5, 19), (74,)))
    assert accumulator.moments(["b", "a"]) == Moments(("b", "a"), (12, 3), ((74, 19), (5,)))


def test_a_selected_count_that_was_not_stored_is_a_multiple_of_its_source() -> None:
    images = draw(9, seed=3)
    stored = brute_force(images)
    same = [image | {"alias": 9 * image.get("late", 0)} for image in images]
    keys = ("alias", "early", "late", "small")
    assert stored.select(keys, {"alias": ("late", 9), "early": ("small", 2)}) == brute_force(
        same, keys
    )  # early has its own


def test_counts_from_two_to_the_forty_are_refused() -> None:
    accumulator = MomentAccumulator()
    accumulator.add({"early": np.array([MOST - 1])})
    with pytest.raises(OverflowError, match=f"{MOST} events in one image"):
        accumulator.add({"early": np.array([3, MOST])})


def test_many_counts_are_multiplied_a_few_rows_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(moment_accumulator, "ROWS", 3)  # of halves: those of a count may lie in two parts
    images = draw(9, seed=8)
    assert accumulated(images, [4, 5]) == brute_force(images)


def test_the_total_of_amounts_is_their_sum() -> None:
    amounts = [
        Amount(0.1, {"a": 0.1, "b": 2.0}),
        Amount(0.2, {"b": 0.7}),
        Amount(0.3),
        Amount(0.4, {"c": 1.0, "a": 0.2}),
    ]
    total = Amount.total(amounts)
    assert total == sum(amounts, Amount())
    assert dict(total.weights) == {"a": pytest.approx(0.3), "b": pytest.approx(2.7), "c": 1.0}
    assert Amount.total([]) == Amount()


def test_covariances_of_sums_equal_numpys_for_moderate_counts() -> None:
    values = np.random.default_rng(4).integers(0, 1000, (4, 50))
    columns = {f"count {row}": column for row, column in enumerate(values)}
    spread = Spread.of_moments(moments_of(**columns), 50)
    covariance = 50 * np.cov(values, ddof=1)
    for weights in ([1, 0, 0, 0], [0, 1, 1, 0], [0, 0, 3, -2], [1, -0.5, 0.25, 7]):
        uncertainty = spread.of(Amount(0.0, dict(zip(columns, weights, strict=True))))
        assert uncertainty is not None
        assert uncertainty.standard_error**2 == pytest.approx(weights @ covariance @ weights, rel=1e-12)


def test_variance_is_exact_where_floats_would_cancel() -> None:
    small = np.random.default_rng(5).integers(0, 9, (2, 30))
    x, y = (small + (1 << 38)).tolist()
    moments = moments_of(x=x, y=y)
    naive = float(moments.products[0][0]) - float(moments.sums[0]) ** 2 / 30
    assert naive != pytest.approx(29 * small[0].var(ddof=1), rel=0.1)  # what is avoided
    for first, second in ((1, 0), (0, 1), (1, 1), (2, -1)):
        uncertainty = Spread.of_moments(moments, 30).of(Amount(0.0, {"x": first, "y": second}))
        together = [first * a + second * b for a, b in zip(x, y, strict=True)]
        assert uncertainty is not None
        assert uncertainty.standard_error**2 == pytest.approx(float(30 * exact_variance(together)), rel=1e-14)


def exact_variance(values: Sequence[int]) -> Fraction:
    """Sample variance in fractions."""
    mean = Fraction(sum(values), len(values))
    return sum(((value - mean) ** 2 for value in values), Fraction()) / (len(values) - 1)


def test_standard_error_of_an_amount_is_that_of_its_values_per_image() -> None:
    a, b, unused = np.random.default_rng(6).integers(0, 10_000, (3, 40))
    values = 7 + 2 * a - 0.5 * b
    amount = Amount(values.mean(), {"b": -0.5 / 40, "a": 2 / 40})  # not in the order of the counts
    uncertainty = Spread.of_moments(moments_of(a=a, unused=unused, b=b), 40).of(amount)
    assert uncertainty is not None
    assert uncertainty.mean == values.mean()
    assert uncertainty.standard_error == pytest.approx(values.std(ddof=1) / np.sqrt(40), rel=1e-12)


def test_amounts_that_rise_and_fall_together_have_no_spread_in_their_difference() -> None:
    spread = Spread.of_moments(moments_of(a=[1, 5, 9], b=[2, 10, 18]), 3)
    difference = Amount(0.0, {"a": 2 / 3, "b": -1 / 3})
    for amount in (difference, Amount(4.0)):  # a constant depends on no image
        uncertainty = spread.of(amount)
        assert uncertainty is not None
        assert uncertainty.standard_error == pytest.approx(0, abs=1e-7)


def test_spread_of_values_is_that_of_their_moments() -> None:
    samples = {"a": [3, 1, 4, 1, 5], "b": [9, 2, 6, 5, 3]}
    amount = Amount(2.0, {"a": 0.3, "b": -0.1})
    of_moments, of_samples = (
        Spread.of_moments(moments_of(**samples), 5).of(amount),
        Spread.of_samples(samples).of(amount),
    )
    assert of_moments is not None
    assert of_samples is not None
    assert of_samples.standard_error == pytest.approx(of_moments.standard_error, rel=1e-12)
    alone = Spread.of_samples({"a": [2.5, 4.5]}).of(Amount(3.5, {"a": 1 / 2}))  # standard deviation 2^0.5, by 2^0.5: 1
    assert alone is not None
    assert alone.standard_error == pytest.approx(1.0, rel=1e-12)
    assert Spread.of_samples({"a": [2.5]}).of(Amount(2.5, {"a": 1.0})) is None


def test_no_uncertainty_for_one_image_or_for_counts_not_observed() -> None:
    assert Spread.of_moments(moments_of(a=[3]), 1).of(Amount(3.0, {"a": 1.0})) is None
    spread = Spread.of_moments(moments_of(a=[3, 4]), 2)
    assert spread.of(Amount(3.5, {"a": 0.5})) is not None
    assert spread.of(Amount(3.5, {"a": 0.5, "other": 0.5})) is None


# two-sided 95 % points of Student's t, from a printed table; degrees of freedom are the root of the images
@pytest.mark.parametrize(
    ("images", "t"), [(2, 12.7062), (3, 12.7062), (5, 4.30265), (11, 3.18245), (31, 2.57058), (121, 2.2009852)]
)
def test_interval_is_students(images: int, t: float) -> None:
    uncertainty = Uncertainty(10.0, 0.5, images)
    assert uncertainty.half_width == pytest.approx(t / 2, rel=2e-6)
    assert uncertainty.interval == pytest.approx((10 - t / 2, 10 + t / 2), rel=2e-6)


@pytest.mark.parametrize("confidence", [0.5, 0.9, 0.95, 0.99])
def test_students_t_equals_scipys(confidence: float) -> None:
    for freedom in (*range(1, 2 * MANY), 1000, 10_000, 10**6):
        assert student_t(confidence, freedom) == pytest.approx(stdtrit(freedom, (1 + confidence) / 2), rel=4e-10), (
            freedom
        )


def test_students_t_needs_a_degree_of_freedom() -> None:
    with pytest.raises(ValueError, match=r"no quantile of Student's t for 0.95 with 0 degrees of freedom"):
        student_t(0.95, 0)
    with pytest.raises(ValueError, match=r"no quantile of Student's t for 1.0 with 3 degrees of freedom"):
        student_t(1.0, 3)


def test_interval_of_five_images_worked_out_by_hand() -> None:
    # 1, 2, 3, 4, 5: mean 3, variance 10 / 4 = 2.5, standard error sqrt(2.5 / 5) = 0.70711, t = 4.30265
    uncertainty = Spread.of_moments(moments_of(a=[1, 2, 3, 4, 5]), 5).of(Amount(3.0, {"a": 1 / 5}))
    assert uncertainty is not None
    assert uncertainty.standard_error == pytest.approx(0.5**0.5, rel=1e-12)
    assert uncertainty.half_width == pytest.approx(3.04243, abs=1e-5)
    assert uncertainty.interval == pytest.approx((0, 3 + 3.04243), abs=1e-5)  # no energy is below 0
    assert replace(uncertainty, mean=-3.0).interval == pytest.approx((-3 - 3.04243, -3 + 3.04243), abs=1e-5)


def test_95_of_100_intervals_hold_the_true_mean_of_skewed_images() -> None:
    # one image in 60 is 7 standard deviations below the others, as of real sequences; of 2000 samples 95 % +- 3
    # standard errors of 0.49 %, where n - 1 degrees of freedom hold it in less than 92 %
    images, generator = 32, np.random.default_rng(7)
    rare = generator.random((2000, images)) < 1 / 60
    samples = (generator.normal(10_000, 100, rare.shape) - 700 * rare).round().astype(np.int64)
    held = {"own": 0, "normal": 0}
    for sample in samples:
        uncertainty = Spread.of_moments(moments_of(a=sample), images).of(Amount(sample.mean(), {"a": 1 / images}))
        assert uncertainty is not None
        off = abs(uncertainty.mean - (10_000 - 700 / 60))
        held["own"] += off <= uncertainty.half_width
        held["normal"] += off <= student_t(0.95, images - 1) * uncertainty.standard_error
    assert held["own"] / 2000 > 0.95 - 0.0147
    assert held["normal"] / 2000 < 0.95 - 0.0147


def test_amounts_add_and_are_multiplied_by_numbers() -> None:
    first, second = Amount(2.0, {"a": 1.0, "b": 0.5}), Amount(3.0, {"b": 0.25, "c": 4.0})
    assert first + second == Amount(5.0, {"a": 1.0, "b": 0.75, "c": 4.0})
    assert first + 1 == 1 + first == Amount(3.0, {"a": 1.0, "b": 0.5})
    assert 3 * first == first * 3 == np.float64(3) * first == Amount(6.0, {"a": 3.0, "b": 1.5})
    assert sum([first, second, first]) == Amount(7.0, {"a": 2.0, "b": 1.25, "c": 4.0})
    assert float(first) == 2.0
    assert first == Amount(2.0, {"a": 1.0, "b": 0.5})  # itself unchanged
