"""What is taken to be whole numbers without looking, against what the functions return."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from msvit_energy import Profile, profile
from msvit_energy.recording.counts.integer_bounds import bound
from msvit_energy.recording.counts.tensor_stats import TensorStatsCache
from msvit_energy.recording.function_mode import FunctionObserver

Function = Callable[..., Any]

ADDING: list[Function] = [torch.add, Tensor.add, Tensor.__add__]
MULTIPLYING: list[Function] = [torch.mul, Tensor.mul, Tensor.__mul__]
CONTRACTING: list[Function] = [torch.matmul, torch.bmm, Tensor.matmul, Tensor.bmm, Tensor.__matmul__]


def known(highest: float | None) -> Callable[[Tensor], float | None]:
    """The same of every tensor."""
    return lambda values: highest


def greatest(values: Tensor) -> float:
    """The highest value, as if it had been looked up."""
    return values.max().item()


def draw(highest: int, *shape: int, seed: int = 0) -> Tensor:
    """Whole numbers up to `highest`, some of them as high."""
    values = torch.randint(0, highest + 1, shape, generator=torch.Generator().manual_seed(seed)).float()
    values.view(-1)[:3] = highest
    return values


@pytest.mark.parametrize("highest", [1, 3, 256])
@pytest.mark.parametrize("function", ADDING + MULTIPLYING + CONTRACTING)
def test_results_of_two_whole_tensors_are_whole_and_within_the_bound(function: Function, highest: int) -> None:
    left, right = draw(highest, 2, 7, 7), draw(highest, 2, 7, 7, seed=1)
    result = function(left, right).double()
    most = bound(function, (left, right), {}, greatest)
    assert most is not None
    assert 0 <= result.min() <= result.max() <= most <= 7 * highest**2 + highest
    assert torch.equal(result, result.round())
    # nothing looser: numbers that are all as high as they may be reach the bound
    assert function(torch.full((1, 7, 7), highest), torch.full((1, 7, 7), highest)).max() == most


@pytest.mark.parametrize("function", [F.max_pool1d, F.max_pool2d, F.max_pool3d, torch.max_pool2d])
@pytest.mark.parametrize("options", [{}, {"stride": 1, "padding": 1}, {"ceil_mode": True}, {"dilation": 1}])
def test_the_greatest_of_a_window_is_one_of_its_values(function: Function, options: dict[str, Any]) -> None:
    axes = 1 if function is F.max_pool1d else 3 if function is F.max_pool3d else 2
    values = draw(5, 2, 3, *(7, 8, 9)[:axes])
    result = function(values, 3, **options)
    assert bound(function, (values, 3), options, greatest) == 5
    assert set(result.unique().tolist()) <= set(values.unique().tolist())


def test_a_window_of_nothing_but_padding_is_no_spike() -> None:
    values, options = torch.ones(1, 1, 9, 9), {"stride": 1, "padding": 1, "dilation": 10}
    assert F.max_pool2d(values, 2, **options).tolist() == [[[[-torch.inf]]]]
    assert bound(F.max_pool2d, (values, 2), options, known(1)) is None
    assert bound(F.max_pool2d, (values, 2, 1, 1, (1, 10)), {}, known(1)) is None
    assert bound(F.max_pool2d, (values, 2, 1, 1, (1, 1)), {}, known(1)) == 1


@pytest.mark.parametrize(
    ("function", "arguments", "options"),
    [
        (torch.sub, (torch.ones(2), torch.ones(2)), {}),
        (torch.div, (torch.ones(2), torch.ones(2)), {}),
        (torch.add, (torch.ones(2), 0.5), {}),
        (torch.mul, (torch.ones(2), 0.5), {}),
        (torch.add, (torch.ones(2), torch.ones(2)), {"alpha": 0.5}),
        (Tensor.add_, (torch.ones(2), torch.ones(2)), {}),
        (torch.addmm, (torch.ones(2, 2), torch.ones(2, 2), torch.ones(2, 2)), {"beta": 0.5}),
        (F.avg_pool2d, (torch.ones(1, 1, 4, 4), 2), {}),
    ],
)
def test_of_everything_else_nothing_is_said(
    function: Function, arguments: tuple[Any, ...], options: dict[str, Any]
) -> None:
    function(*arguments, **options)  # it is a call that works
    assert bound(function, arguments, options, known(1)) is None


def test_nothing_is_said_of_what_follows_from_unknown_values() -> None:
    ones = torch.ones(2, 2)
    for function in (torch.add, torch.mul, torch.matmul):
        assert bound(function, (ones, ones), {}, known(None)) is None


def test_products_of_numbers_that_bfloat16_would_round_are_looked_at() -> None:
    # 257 is no bfloat16: some processors multiply it as 256
    assert [torch.tensor(number).bfloat16().item() for number in (256.0, 257.0)] == [256, 256]
    ones = torch.ones(2, 2)
    assert bound(torch.matmul, (ones, ones), {}, known(256)) == 2 * 256**2
    assert bound(torch.matmul, (ones, ones), {}, known(257)) == torch.inf


def remembered(cache: TensorStatsCache, function: Function, *arguments: Tensor) -> Tensor:
    """The output of a call, as the cache notes it."""
    output: Tensor = function(*arguments)
    cache.note_output(function, arguments, {}, output)
    return output


def highest_asked(cache: TensorStatsCache, values: Tensor, monkeypatch: pytest.MonkeyPatch) -> float:
    """What is taken as known when values are read; the statistics are held against the values."""
    from msvit_energy.recording.counts import tensor_stats as room

    asked: list[float] = []
    plain = room.tensor_stats

    def noting(values: Tensor, *, highest: float) -> Any:
        asked.append(highest)
        return plain(values, highest=highest)

    with monkeypatch.context() as patch:
        patch.setattr(room, "tensor_stats", noting)
        found = cache.stats(values)
    array = values.double().numpy().reshape(*values.shape[:2], -1)
    assert found.sums.tolist() == array.sum(2).tolist()
    assert found.nonzeros.tolist() == (array != 0).sum(2).tolist()
    assert found.bounds.tolist()[1:] == [array.max(), bool((array % 1 == 0).all() and array.min() >= 0)]
    return asked[0]


def test_what_was_looked_at_makes_results_known_until_they_are_written_to(monkeypatch: pytest.MonkeyPatch) -> None:
    cache, (left, right) = TensorStatsCache(), (draw(1, 2, 3, 4, 5, seed=seed) for seed in (0, 1))
    assert highest_asked(cache, remembered(cache, torch.add, left, right), monkeypatch) == torch.inf
    cache.stats(left)
    assert highest_asked(cache, remembered(cache, torch.add, left, right), monkeypatch) == torch.inf
    cache.stats(right)
    both = remembered(cache, torch.add, left, right)
    assert highest_asked(cache, both.transpose(2, 3), monkeypatch) == 2
    tripled = remembered(cache, torch.add, both, left)  # of what is known itself by a rule
    tripled[0, 0, 0, 0] = 0.5
    assert highest_asked(cache, tripled, monkeypatch) == torch.inf
    # the same memory with real numbers in it
    for value in range(20):
        one = remembered(cache, torch.mul, left, right)
        del one
        assert highest_asked(cache, torch.full((2, 3, 4, 5), value + 0.5), monkeypatch) == torch.inf


def test_real_numbers_beside_whole_ones_are_not_taken_for_them(monkeypatch: pytest.MonkeyPatch) -> None:
    cache, both = TensorStatsCache(), draw(1, 2, 3, 4, 5)
    both[1] += 0.5
    for half, most in ((both[:1], 2), (both[1:], torch.inf)):
        cache.stats(half)
        assert highest_asked(cache, remembered(cache, torch.add, half, half), monkeypatch) == most
    assert highest_asked(cache, remembered(cache, torch.add, both, both), monkeypatch) == torch.inf


class Residual(nn.Module):
    """Spikes added, masked, multiplied and pooled before they are read."""

    time_steps = 2

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = Positive(), Positive()
        self.reads = nn.ModuleList(nn.Conv2d(4, 4, 3, padding=1, bias=False) for _ in range(4))

    def forward(self, x: Tensor) -> Tensor:  # [B, 4, H, W]
        x = torch.stack([x, x.roll(1, 1)])
        a, b = self.a(x), self.b(-x + 0.5)
        read = (a + b, a * b, a @ b, F.max_pool2d((a + b).flatten(0, 1), 2))
        outputs = [conv(y.flatten(0, y.dim() - 4)) for conv, y in zip(self.reads, read, strict=True)]
        return sum((y.flatten(1).mean(1, keepdim=True) for y in outputs), torch.zeros(())).expand(-1, 2)


class Positive(nn.Module):
    """A neuron that emits 1 where its input is positive, and says so."""

    activation_op = "neuron"
    binary = True

    def forward(self, x: Tensor) -> Tensor:
        return (x > 0).to(x.dtype)


def test_a_profile_is_the_same_as_if_all_was_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    model, images = Residual(), torch.randn(9, 4, 6, 6, generator=torch.Generator().manual_seed(2)).split(3)
    believing = profile(model, images)
    monkeypatch.setattr("msvit_energy.recording.counts.tensor_stats.bound", lambda *arguments: None)
    assert counted(profile(model, images)) == counted(believing)
    kinds = {operator.layer: [operand.kind for operand in operator.operands] for operator in believing.operators}
    assert [kinds[f"reads.{i}"] for i in range(4)] == [["integer"], ["binary"], ["integer"], ["integer"]]


def counted(measured: Profile) -> Any:
    """All that was counted."""
    return measured.operators, measured.neurons, measured.overheads, measured.moments


def test_listeners_hear_what_they_ask_for_and_not_their_own_calls() -> None:
    reported: list[tuple[str, int, str]] = []

    def listener(who: int) -> Any:
        def listen(function: Any, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> None:
            torch.add(torch.zeros(3), 1)
            reported.append((function.__name__, who, type(output).__name__))

        return listen

    with FunctionObserver({torch.add: [listener(1), listener(2)]}, [listener(3)]):
        torch.add(torch.ones(2), 1).mean(dim=0)
    assert reported == [
        (name, who, "Tensor") for name, who in (("ones", 3), ("add", 1), ("add", 2), ("add", 3), ("mean", 3))
    ]
