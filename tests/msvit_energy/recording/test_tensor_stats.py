"""What a tensor holds against numpy, sums that are rounded once (`math.fsum`) and numbers counted by hand; what is
remembered of tensors against writes, freed memory and views."""

import math
import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.multiprocessing.reductions import StorageWeakRef

from msvit_energy.recording.counts.tensor_stats import (
    PART,
    TensorStatsCache,
    channel_nonzeros,
    channel_sums,
    tensor_stats,
    whole_sums,
)
from msvit_energy.recording.feeding.input_modes import InputMode
from msvit_energy.recording.recorder import Recorder

MANY = 3 * PART + 1234  # several parts and a piece of one
HALVES = (torch.float16, torch.bfloat16)


def check(values: Tensor, *, highest: float = math.inf) -> None:
    """Hold the statistics of `values`, with some 0 or 2 among them, against numpy."""
    found, array = tensor_stats(values, highest=highest), values.double().numpy()
    whole = bool(((array >= 0) & (array <= 2**20) & (array % 1 == 0)).all())
    assert found.bounds.tolist() == [array.min(), array.max(), whole]
    rows = [[image.ravel().tolist() for image in run] for run in array]
    sums = [[math.fsum(row) for row in run] for run in rows]
    assert found.sums.dtype == found.nonzeros.dtype == found.bounds.dtype == torch.float64
    if whole:
        assert found.sums.tolist() == sums
    else:
        scale = max(sum(map(abs, row)) for run in rows for row in run)
        assert found.sums.numpy() == pytest.approx(np.array(sums), rel=0, abs=1e-13 * scale)
    assert found.nonzeros.tolist() == [[len(row) - row.count(0) for row in run] for run in rows]


def draw(kind: str, *shape: int, seed: int = 0) -> Tensor:
    """Random values of a kind, with 0 among them."""
    generator = torch.Generator().manual_seed(seed)
    if kind == "real":
        values = torch.randn(shape, generator=generator)
    else:
        values = torch.randint(0, 2 if kind == "binary" else 1001, shape, generator=generator).float()
    values.view(-1)[0] = 0
    return values


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(
    ("values", "bounds", "total", "nonzeros"),
    [
        ((0, 1, 1, 0), (0, 1, 1), 2, 2),
        ((0, 0), (0, 0, 1), 0, 0),
        ((-0.0, 1), (0, 1, 1), 1, 1),
        ((0, 3, 1), (0, 3, 1), 4, 2),
        ((3, 3), (3, 3, 1), 6, 2),
        ((0.5, 0.5), (0.5, 0.5, 0), 1, 2),  # the sum alone would be that of one spike
        ((0.5, 1.5), (0.5, 1.5, 0), 2, 2),
        ((0, 2.5, 1.5), (0, 2.5, 0), 4, 2),
        ((*[0.5] * 8, 2), (0.5, 2, 0), 6, 9),  # the squares alone have the same sum
        ((-1, 1), (-1, 1, 0), 0, 2),
        ((-1, 2, 3), (-1, 3, 0), 4, 3),
        ((-2, 0), (-2, 0, 0), -2, 1),
        ((0, 2.0**-30), (0, 2.0**-30, 0), 2.0**-30, 1),
        ((2.0**-149, 0), (0, 2.0**-149, 0), 2.0**-149, 1),  # the least float32, whose square is 0
        ((1, 1 - 2.0**-24), (1 - 2.0**-24, 1, 0), 2 - 2.0**-24, 2),  # the neighbours of 1 in float32
        ((1, 1 + 2.0**-23), (1, 1 + 2.0**-23, 0), 2 + 2.0**-23, 2),
        ((2.0**20, 0), (0, 2.0**20, 1), 2**20, 1),
        ((2.0**20 + 1, 0), (0, 2.0**20 + 1, 0), 2**20 + 1, 1),
        ((2.0**100, 1), (1, 2.0**100, 0), 2.0**100, 2),
    ],
)
def test_counted_by_hand(
    values: tuple[float, ...], bounds: tuple[float, ...], total: float, nonzeros: int, dtype: torch.dtype
) -> None:
    found = tensor_stats(torch.tensor(values, dtype=dtype).view(1, 1, -1))
    assert (*found.bounds.tolist(), found.sums.item(), found.nonzeros.item()) == (*bounds, total, nonzeros)


def test_ones_alone_are_binary() -> None:
    found = tensor_stats(torch.ones(2, 3, 5))
    assert found.bounds.tolist()[1:] == [1, 1]
    assert found.sums.tolist() == found.nonzeros.tolist() == [[5] * 3] * 2


@pytest.mark.parametrize("place", [0, PART - 1, PART, 2 * PART + 77, MANY - 1])
@pytest.mark.parametrize("odd", [1e-30, 1 - 2.0**-24, 1 + 2.0**-23, 0.5, -1.0, 2.0, 2.0**20 + 1])
def test_one_value_among_many_spikes_is_seen(odd: float, place: int) -> None:
    values = torch.ones(MANY)
    values[place], values[5] = odd, 0
    found = tensor_stats(values.view(1, 1, -1))
    assert found.bounds.tolist() == [min(odd, 0), max(torch.tensor(odd).item(), 1), odd == 2]
    assert found.nonzeros.item() == MANY - 1
    assert found.sums.item() == pytest.approx(MANY - 2 + odd, rel=1e-15)


@pytest.mark.parametrize("place", [0, PART, MANY - 1])
@pytest.mark.parametrize("rest", [0.0, 1.0, 7.0, 0.3, -2.0])
@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_nan_and_infinity_are_seen_anywhere(bad: float, rest: float, place: int) -> None:
    values = torch.full((MANY,), rest)
    values[place] = bad
    low, high, whole = tensor_stats(values.view(1, 1, -1)).bounds.tolist()
    assert (math.isfinite(low) and math.isfinite(high), whole) == (False, 0)


@pytest.mark.parametrize("kind", ["binary", "integer", "real"])
@pytest.mark.parametrize(
    "dtype", [torch.bool, torch.uint8, torch.int32, torch.int64, *HALVES, torch.float32, torch.float64]
)
def test_every_number_format(dtype: torch.dtype, kind: str) -> None:
    values = draw(kind, 2, 2, 4099).to(dtype)
    values[1, 1, :4000] = 1  # so many that a half would round them
    check(values)


LAYOUTS: dict[str, Callable[[Tensor], Tensor]] = {
    "as made": lambda x: x,
    "T behind B": lambda x: x.transpose(0, 1),  # event frames
    "T behind B, made anew": lambda x: x.transpose(0, 1).contiguous().transpose(0, 1),
    "channels last": lambda x: x.permute(0, 1, 3, 4, 2),
    "channels last in memory": lambda x: x.permute(0, 1, 3, 4, 2).contiguous().permute(0, 1, 4, 2, 3),
    "time last in memory": lambda x: x.permute(1, 2, 3, 4, 0).contiguous().permute(4, 0, 1, 2, 3),
    "a channel in front": lambda x: x.permute(2, 0, 1, 3, 4),
    "some images": lambda x: x[:, 1:],
    "every other step": lambda x: x[::2],
    "some channels": lambda x: x[:, :, 1:],
    "every other column": lambda x: x[..., ::2],
    "a border off": lambda x: x[..., 1:-1, 1:-1],
    "one channel": lambda x: x[:, :, :1],
    "the same at each step": lambda x: x[:1].expand(3, -1, -1, -1, -1),
    "the same in each channel": lambda x: x[:, :, :1].expand(-1, -1, 4, -1, -1),
    "windows that overlap": lambda x: x[..., :20].unfold(4, 3, 1),
    "axes of size 1": lambda x: x[:1, :1].unsqueeze(3),
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("kind", ["binary", "integer", "real"])
@pytest.mark.parametrize("part", [500, 5000, PART])  # an image has 3300 values
def test_every_memory_layout(part: int, kind: str, layout: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("msvit_energy.recording.counts.tensor_stats.PART", part)
    check(LAYOUTS[layout](draw(kind, 4, 3, 5, 22, 30)))


def test_random_tensors_in_parts_of_every_size(monkeypatch: pytest.MonkeyPatch) -> None:
    pick = random.Random(0)
    for seed in range(300):
        shape = [pick.randint(1, 5) for _ in range(pick.randint(2, 6))]
        order = pick.sample(range(len(shape)), len(shape))
        kind = pick.choice(("binary", "integer", "real"))
        values = draw(kind, *shape, seed=seed).double().to(pick.choice((torch.float32, torch.float64)))
        values = values.permute(order)[tuple(slice(0, None, pick.choice((1, 1, 1, 2))) for _ in shape)]
        if pick.random() < 0.2:
            values = values[:1].expand(pick.randint(1, 3), *values.shape[1:])
        values = torch.cat([values[:, :1] * 0, values], 1) if pick.random() < 0.5 else values
        if values.max() == values.min() == 1:
            continue
        monkeypatch.setattr("msvit_energy.recording.counts.tensor_stats.PART", pick.choice((1, 2, 7, 30, PART)))
        known = pick.random() < 0.5 and kind != "real"
        check(values, highest=(1 if kind == "binary" else 2000) if known else math.inf)


def test_sums_beyond_two_to_the_24_are_exact() -> None:
    # 17 * 2^20 + 1 has 25 bits, float32 has 24; 16 * 2^20 = 2^24 just fits
    values = torch.tensor([2.0**20] * 17 + [1.0])
    assert tensor_stats(values.view(1, 1, -1)).sums.item() == 17 * 2**20 + 1
    assert tensor_stats(values[1:].view(1, 1, -1)).sums.item() == 2**24 + 1
    assert tensor_stats(values[1:17].view(1, 1, -1)).sums.item() == 2**24
    columns = values.view(1, 1, -1, 1).repeat(1, 1, 1, 3)
    assert channel_sums(columns, (3,), 2.0**20).tolist() == [[[17 * 2**20 + 1] * 3]]
    assert channel_sums(columns, (3,), math.inf).tolist() == [[[17 * 2**20 + 1] * 3]]
    assert tensor_stats(torch.tensor([[[2**24 + 1, 0]]])).sums.item() == 2**24 + 1
    assert whole_sums(values.view(2, 9), 1, 2.0**20).tolist() == [9 * 2**20, 8 * 2**20 + 1]


@pytest.mark.parametrize("spatial", [1, 2])
@pytest.mark.parametrize("dtype", [torch.bool, *HALVES, torch.float32, torch.float64])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_sums_at_each_position(layout: str, dtype: torch.dtype, spatial: int) -> None:
    values = LAYOUTS[layout](draw("integer", 4, 3, 5, 22, 23)).to(dtype)
    array = values.double().numpy().astype(np.int64)
    axes = tuple(range(2, array.ndim - spatial))
    shape = tuple(values.shape[-spatial:])
    highest = float(array.max())
    assert channel_sums(values, shape, highest).numpy().tolist() == array.sum(axes).tolist()
    assert channel_nonzeros(values, shape).numpy().tolist() == (array != 0).sum(axes).tolist()


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, ...]]:
    """Shapes of the tensors read so far."""
    return noted(monkeypatch, "tensor_stats", tensor_stats)


def noted(monkeypatch: pytest.MonkeyPatch, name: str, function: Callable[..., Any]) -> list[tuple[int, ...]]:
    """Shapes of the tensors that a function of tensor_stats.py was called with."""
    shapes = []

    def noting(values: Tensor, *arguments: Any, **options: Any) -> Any:
        shapes.append(tuple(values.shape))
        return function(values, *arguments, **options)

    monkeypatch.setattr(f"msvit_energy.recording.counts.tensor_stats.{name}", noting)
    return shapes


def total(cache: TensorStatsCache, values: Tensor) -> float:
    """The sum of all values."""
    return cache.stats(values).sums.sum().item()


def test_the_same_memory_is_read_once_under_any_shape(read: list[tuple[int, ...]]) -> None:
    merged, cache = draw("integer", 6, 4, 5).clone(), TensorStatsCache()  # no memory of numpy's
    stepped = merged.unflatten(0, (2, 3))
    views = stepped, stepped.flatten(2), stepped.detach(), stepped.transpose(2, 3), merged.view(2, 3, 5, 2, 2)
    sums = stepped.clone().numpy().astype(np.int64).sum((2, 3)).tolist()
    assert all(cache.stats(view).sums.tolist() == sums for view in views)
    assert len(read) == 1
    cache.clear()
    cache.stats(stepped)
    assert len(read) == 2


@pytest.mark.parametrize(
    "write",
    [
        lambda x: x.add_(1),
        lambda x: x.view(-1).add_(1),
        lambda x: x.detach()[:].add_(1),
        lambda x: torch.add(x, 1, out=x),
        lambda x: x.__setitem__(slice(None), x + 1),
    ],
)
@pytest.mark.parametrize("grad", [torch.no_grad, torch.enable_grad, torch.inference_mode])
def test_a_write_is_noticed(
    grad: Callable[[], Any], write: Callable[[Tensor], None], read: list[tuple[int, ...]]
) -> None:
    values, cache = torch.zeros(2, 3, 4), TensorStatsCache()
    with grad():
        assert total(cache, values) == total(cache, values.view(2, 3, 2, 2)) == 0
        write(values)
        assert total(cache, values) == total(cache, values.view(2, 3, 2, 2)) == 24
    assert len(read) == 2


def test_values_at_the_address_of_freed_ones_are_not_taken_for_them() -> None:
    cache, memory = TensorStatsCache(), np.zeros(24, np.float32)
    addresses = set()
    for value in range(50):
        memory[:] = value
        foreign = torch.from_numpy(memory).view(2, 3, 4)
        addresses.add(foreign.data_ptr())
        assert total(cache, foreign) == 24 * value
        del foreign
        assert total(cache, torch.full((2, 3, 4), float(value))) == 24 * value  # torch takes what it just freed
    assert len(addresses) == 1


def test_a_view_of_freed_values_is_not_taken_for_others() -> None:
    # the memory of one tensor lives on in a view of its second half, that of the other was freed
    cache = TensorStatsCache()
    for value in range(50):
        both = torch.full((4, 3, 4), float(value))
        half = both[2:]
        assert total(cache, both) == 48 * value
        del both
        assert total(cache, half) == 24 * value


def test_cache_do_not_keep_memory_alive() -> None:
    cache, values = TensorStatsCache(), torch.ones(2, 3, 4)
    cache.stats(values)
    cache.channel_sums(values, (4,), 1)
    memory = StorageWeakRef(values.untyped_storage())
    assert not memory.expired()
    del values
    assert memory.expired()


def test_tensors_that_do_not_tell_of_writes_are_never_remembered(read: list[tuple[int, ...]]) -> None:
    cache = TensorStatsCache()
    with torch.inference_mode():
        values = torch.zeros(2, 3, 4)
        assert total(cache, values) == 0
        assert cache.channel_sums(values, (4,), 1).sum() == 0
        values += 1
        assert total(cache, values) == 24
        assert cache.channel_sums(values, (4,), 1).sum() == 24
    assert total(cache, values) == 24
    assert len(read) == 3


VIEWS: dict[str, Callable[[Tensor], Tensor]] = {
    "all": lambda x: x,
    "T and B swapped": lambda x: x.transpose(0, 1),
    "T and B otherwise": lambda x: x.flatten(0, 1).unflatten(0, (1, 9)),
    "first image": lambda x: x[:, :1],
    "second image": lambda x: x[:, 1:2],
    "first step": lambda x: x[:1],
    "first step, T and B swapped": lambda x: x[:1].transpose(0, 1),
    "second step": lambda x: x[1:2],
    "two images": lambda x: x[:, :2],
    "two images from the second": lambda x: x[:, 1:],
    "first channel": lambda x: x[:, :, 0],
    "second channel": lambda x: x[:, :, 1],
    "every other column": lambda x: x[..., ::2],
    "a channel as T": lambda x: x.transpose(0, 2),
    "the first step at each": lambda x: x[:1].expand(3, -1, -1, -1),
    "the bits": lambda x: x.view(torch.int32),
    "other floats": lambda x: x.double(),
}


def test_views_of_the_same_memory_are_not_confused() -> None:
    values = 1 + torch.arange(3 * 3 * 3 * 4, dtype=torch.float32).view(3, 3, 3, 4) ** 2
    for names in (list(VIEWS), list(VIEWS)[::-1]):
        cache = TensorStatsCache()
        for name in names * 2:
            view = VIEWS[name](values)
            expected = view.double().numpy().reshape(*view.shape[:2], -1).sum(2)
            assert cache.stats(view).sums.tolist() == expected.tolist(), name


def test_sums_at_each_position_are_made_once_and_not_confused(monkeypatch: pytest.MonkeyPatch) -> None:
    made = noted(monkeypatch, "channel_sums", channel_sums)
    values, cache = draw("integer", 2, 3, 4, 4, 4).clone(), TensorStatsCache()
    cases = [
        (view, view.shape[-axes:])
        for view in (values, values.transpose(3, 4), values.transpose(2, 4), values[:, :, :1], values[:, :, 1:2])
        for axes in (1, 2)
    ]
    for view, spatial in cases * 2:
        array = view.clone().numpy().astype(np.int64)
        expected = array.sum(tuple(range(2, 5 - len(spatial)))).tolist()
        assert cache.channel_sums(view, tuple(spatial), 1000).tolist() == expected
        assert cache.stats(view).sums.tolist() == array.sum((2, 3, 4)).tolist()
    assert len(made) == len(cases)
    values += 1
    assert cache.channel_sums(values, (4,), 1001).tolist() == values.long().numpy().sum((2, 3)).tolist()


class Sign(nn.Module):
    """A neuron that emits `height` where its input is positive."""

    activation_op = "neuron"
    height = 1.0

    def forward(self, x: Tensor) -> Tensor:
        return (x > 0).to(x.dtype) * self.height


class Honest(Sign):
    """Says that it emits 0 and 1 and does."""

    binary = True


class Attention(nn.Module):
    """One neuron layer, and q, k and v that read it, as T and batch merged."""

    def __init__(self, fire: nn.Module, padding: int) -> None:
        super().__init__()
        self.fire = fire
        self.q, self.k, self.v = (nn.Conv2d(2, 3, 1 + 2 * padding, padding=padding) for _ in range(3))

    def forward(self, x: Tensor) -> Tensor:  # [T, B, 2, H, W]
        spikes = self.fire(x).flatten(0, 1)
        return (self.q(spikes) + self.k(spikes) + self.v(spikes)).unflatten(0, x.shape[:2]).mean(0)


@pytest.mark.parametrize("padding", [0, 1])
def test_readers_of_one_spike_tensor_cause_one_reading_per_batch(
    padding: int, read: list[tuple[int, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    positions = noted(monkeypatch, "channel_sums", channel_sums)
    model, images = Attention(Sign(), padding), draw("real", 2, 6, 2, 4, 4)
    with torch.no_grad(), Recorder(model, InputMode("image", False, 2)) as recorder:
        for batch, shown in enumerate(images.split(3, dim=1), start=1):
            with recorder.batch(shown, 3):
                model(shown)
            assert (len(read), len(positions)) == (batch, batch * padding)
    spikes = (images.numpy() > 0).sum((1, 2, 3, 4)).tolist()
    assert [list(operator.driver.sums) for operator in recorder.result().operators] == [spikes] * 3


@pytest.mark.parametrize(("fire", "believed"), [(Honest(), [False, True, True]), (Sign(), [False, False, False])])
def test_a_neuron_that_says_it_is_binary_is_checked_in_the_first_batch(
    fire: nn.Module, believed: list[bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []

    def noting(values: Tensor, *, highest: float = math.inf) -> Any:
        seen.append(highest == 1)
        return tensor_stats(values, highest=highest)

    monkeypatch.setattr("msvit_energy.recording.counts.tensor_stats.tensor_stats", noting)
    model, images = Attention(fire, 0), draw("real", 2, 6, 2, 4, 4)
    with torch.no_grad(), Recorder(model, InputMode("image", False, 2)) as recorder:
        for shown in images.split(2, dim=1):
            with recorder.batch(shown, 2):
                model(shown)
    assert seen == believed
    (neurons,) = recorder.result().neurons
    assert list(neurons.sums) == (images.numpy() > 0).sum((1, 2, 3, 4)).tolist()
