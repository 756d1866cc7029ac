"""Whole numbers times one constant, found in rounded values, and told from real numbers."""

from collections.abc import Callable
from fractions import Fraction

import pytest
import torch
from torch import Tensor

from msvit_energy.recording.counts.lattice import Lattice, common_step, find, magnitudes
from msvit_energy.recording.counts.tensor_stats import MOST_SPIKES

RANDOM = torch.Generator().manual_seed(0)
THRESHOLD = torch.tensor(0.37123487)  # no short decimal, and rounded to float32
BY_CHANNEL = torch.rand(8, generator=RANDOM) + 0.2


def whole(least: int, most: int, *shape: int) -> Tensor:
    return torch.randint(least, most + 1, shape or (2, 3, 8, 40), generator=RANDOM).float()


def simple(numerator: int, denominator: int) -> Callable[[Tensor], Tensor]:
    """The product with a fraction, rounded once."""
    return lambda n: (n.double() * numerator / denominator).float()


@pytest.mark.parametrize("levels", [1, 3, 30, 1000])
@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize(
    ("times", "step"),
    [
        (simple(1, 1), Fraction(1)),
        (simple(1, 4), Fraction(1, 4)),
        (simple(1, 3), Fraction(1, 3)),
        (simple(1, 49), Fraction(1, 49)),
        (simple(1, 10), Fraction(1, 10)),
        (simple(2, 3), Fraction(2, 3)),
        (simple(37, 100), Fraction(37, 100)),
        (lambda n: n * THRESHOLD, Fraction(float(THRESHOLD))),
        (lambda n: n / (1 / THRESHOLD), None),
    ],
)
def test_whole_numbers_are_found_whatever_they_are_multiplied_by(
    times: Callable[[Tensor], Tensor], step: Fraction | None, levels: int, signed: bool
) -> None:
    numbers = whole(-levels if signed else 0, levels)
    numbers[0, 0, 0, :2] = torch.tensor([1.0, levels])
    lattice = find(times(numbers), None, ())
    assert lattice is not None
    if step is None:
        assert float(lattice.step) == pytest.approx(float(THRESHOLD), rel=1e-6)
    else:
        assert lattice.step == step
    found = magnitudes(times(numbers), lattice)
    assert torch.equal(found.values, numbers.abs())
    assert found.bounds.tolist() == [float(numbers.min()), float(numbers.abs().max()), 1]


@pytest.mark.parametrize("numbers", [4, 9, 49])
def test_means_of_scaled_spikes_count_the_spikes(numbers: int) -> None:
    spikes = whole(0, 1, 2, 3, 8, 40, numbers) * THRESHOLD  # rounded at every addition
    lattice = find(spikes.mean(-1), None, ())
    assert lattice is not None
    assert float(lattice.step) == pytest.approx(float(THRESHOLD) / numbers, rel=1e-6)
    assert torch.equal(magnitudes(spikes.mean(-1), lattice).values, (spikes / THRESHOLD).round().sum(-1))


def test_what_rounding_leaves_of_a_difference_is_nothing() -> None:
    tenths = simple(1, 10)
    values = tenths(whole(0, 9)) - tenths(whole(0, 3)) * 3
    lattice = find(values, None, ())
    assert lattice is not None
    assert lattice.step == Fraction(1, 10)
    exact = (values.double() * 10).round().abs()
    assert bool((exact == 0).logical_and(values != 0).any())
    assert torch.equal(magnitudes(values, lattice).values.double(), exact)


@pytest.mark.parametrize(
    "values",
    [
        torch.rand(2, 3, 8, 40, generator=RANDOM),
        torch.randn(2, 3, 2, generator=RANDOM),
        whole(0, 1) * THRESHOLD + whole(0, 1) * 2**0.5,  # two constants without a common step
        whole(0, 1025) / 1025,  # too fine: any real number is near it
        whole(0, 1 << 21) * 16,
    ],
)
def test_real_numbers_are_on_no_lattice(values: Tensor) -> None:
    assert find(values, None, ()) is None


def test_real_numbers_of_few_values_are_seldom_on_a_lattice() -> None:
    # {0, a, b, a + b}, as sums of two spikes with constants of their own
    pairs = 0.1 + torch.rand(500, 2, generator=RANDOM)
    found = [find(torch.stack([a, b, a + b]).view(1, 1, 3), None, ()) for a, b in pairs]
    assert sum(lattice is not None for lattice in found) <= 5


@pytest.mark.parametrize(
    ("factors", "shape", "axis"),
    [
        (BY_CHANNEL.view(8, 1), (2, 3, 8, 40), 2),
        (BY_CHANNEL, (2, 3, 40, 8), 3),
        (BY_CHANNEL.repeat_interleave(5), (2, 3, 40), 2),  # channels and positions in a row
        (BY_CHANNEL.repeat(5), (2, 3, 40), 2),
        (BY_CHANNEL.view(8, 1, 1), (8, 3, 40), 0),
    ],
)
@pytest.mark.parametrize("numbers", [1, 4])
def test_constants_of_channels_and_time_steps_are_found(
    factors: Tensor, shape: tuple[int, ...], axis: int, numbers: int
) -> None:
    n = whole(0, numbers, *shape)
    values = n * factors / numbers
    lattice = find(values, None, (torch.rand(7), torch.ones(8), -BY_CHANNEL))
    assert lattice is not None
    assert (lattice.step, lattice.by, lattice.axis) == (
        Fraction(1, numbers),
        "channel" if axis else "time step",
        axis,
    )
    assert torch.equal(magnitudes(values, lattice).values, n)
    assert find(values, None, ()) is None


def test_one_constant_is_preferred_to_several() -> None:
    values = whole(0, 4) / 4
    lattice = find(values, None, (BY_CHANNEL,))
    assert lattice is not None
    assert (lattice.step, lattice.by) == (Fraction(1, 4), "")


def test_values_off_a_lattice_are_noticed_one_by_one() -> None:
    values = whole(0, 4) / 4
    quarters = Lattice(Fraction(1, 4))
    assert magnitudes(values, quarters).bounds[2] == 1
    for wrong in (0.3, -0.125, 1e-3):
        values[1, 2, 3, 4] = wrong
        assert magnitudes(values, quarters).bounds[2] == 0


def test_a_finer_lattice_keeps_the_constants_of_channels() -> None:
    halves, quarters = (whole(1, 4) / n * BY_CHANNEL.view(8, 1) for n in (2, 4))
    coarse = find(halves, None, (BY_CHANNEL,))
    assert coarse is not None
    fine = find(quarters, coarse, ())
    assert fine is not None
    assert (fine.step, fine.by, fine.axis) == (Fraction(1, 4), "channel", 2)


@pytest.mark.parametrize(("dtype", "most"), [(torch.float16, 4), (torch.float32, 4), (torch.float64, 4)])
def test_every_number_format(dtype: torch.dtype, most: int) -> None:
    numbers = whole(0, most)
    lattice = find((numbers / 4).to(dtype), None, ())
    assert lattice is not None
    assert lattice.step == Fraction(1, 4)
    assert torch.equal(magnitudes((numbers / 4).to(dtype), lattice).values.float(), numbers)


@pytest.mark.parametrize("dtype", [torch.bool, torch.int8, torch.int64])
def test_integers_are_whole_numbers(dtype: torch.dtype) -> None:
    numbers = whole(0, 1).to(dtype)
    lattice = find(numbers, None, ())
    assert lattice is not None
    assert lattice.step == 1
    assert torch.equal(magnitudes(numbers, lattice).values, numbers.double())


def test_whole_numbers_are_divided_by_what_they_have_in_common_if_asked() -> None:
    values = 3 * whole(0, 2)
    for divide, step in ((False, 1), (True, 3)):
        lattice = find(values, None, (), divide=divide)
        assert lattice is not None
        assert lattice.step == step


def test_whole_numbers_have_the_step_1_up_to_the_largest_that_is_counted() -> None:
    assert common_step(torch.tensor([1.0, MOST_SPIKES]), ()) == 1
    assert common_step(torch.tensor([1.0, MOST_SPIKES + 1.0], dtype=torch.float64), ()) is None
