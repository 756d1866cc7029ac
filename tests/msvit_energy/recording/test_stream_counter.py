"""Counts of one stream against Python's integers and fractions, on this device and on another."""

from collections.abc import Iterator, Sequence
from fractions import Fraction
from itertools import cycle, islice, product
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map_only

import msvit_energy
from msvit_energy import EnergyError, Profile
from msvit_energy.recording.counts.stream_counter import (
    ANALOG,
    BINARY,
    INTEGER,
    Observation,
    StreamCounter,
    observe,
    to_cpu,
)
from msvit_energy.recording.counts.tensor_stats import TensorStatsCache
from msvit_energy.recording.spike_lineage import OTHER

MAPS: tuple[float | Tensor, ...] = (
    3,
    torch.tensor([1.0, 0, 2, 5]),
    torch.tensor([[1.0, 2, 0, 7], [3, 0, 0, 1], [1, 1, 4, 9]]),
)


def seen(values: Tensor, reached: float | Tensor = 0) -> Observation:
    """What there is to see in values that nobody saw before."""
    return observe(values, reached, TensorStatsCache())


def count(counter: StreamCounter, values: Tensor, reached: float | Tensor = 0, run: int = 0) -> dict[str, list[int]]:
    """Count values `[runs, images, ...]`, as a recorder does."""
    counter.announce(run, len(values), values.numel(), reached)
    (observation,) = fetched([seen(values, reached)])
    return {name: numbers.tolist() for name, numbers in counter.add(run, observation, reached).items()}


def fetched(observations: Sequence[Observation]) -> list[Observation]:
    """The same on the CPU."""
    here = iter(to_cpu([tensor for observation in observations for tensor in observation]))
    return [Observation._make(islice(here, len(observation))) for observation in observations]


def draw(kind: int, *shape: int, seed: int = 0) -> Tensor:
    """Random values of a kind in float64, 0 among them."""
    generator = torch.Generator().manual_seed(seed)
    values = torch.randint(0, 2 if kind == BINARY else 1000, shape, generator=generator).double()
    return values - 0.5 * (values % 3 == 1) if kind == ANALOG else values


@pytest.mark.parametrize("values", [*product((0.0, 1.0), repeat=2), (0.0, 3.0), (0.5, 0.0), (-1.0, 1.0)])
def test_kind_is_that_of_all_values(values: tuple[float, float]) -> None:
    counter = StreamCounter()
    count(counter, torch.tensor(values).reshape(1, 1, 2))
    expected = 2 if any(v < 0 or v % 1 for v in values) else int(max(values) > 1)
    assert counter.kind == expected
    count(counter, torch.zeros(1, 1, 2))  # later zeros do not narrow it
    assert counter.kind == expected


def test_real_sums_do_not_depend_on_the_order_of_images() -> None:
    values = torch.randn(1, 50, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) * 1e8
    forward, backward = StreamCounter(), StreamCounter()
    count(forward, values)
    for image in reversed(range(50)):
        count(backward, values[:, image : image + 1])
    assert forward.exact_sums() == backward.exact_sums() == (sum(map(Fraction, values.sum(-1).flatten().tolist())),)


@pytest.mark.parametrize("reached", MAPS)
@pytest.mark.parametrize("kind", [BINARY, INTEGER, ANALOG])
@pytest.mark.parametrize("shape", [(2, 3, 5, 3, 4), (1, 4, 3, 4), (2, 2, 2, 2, 3, 4)])
def test_counts_of_each_image_equal_numpy(shape: tuple[int, ...], kind: int, reached: float | Tensor) -> None:
    values = draw(kind, *shape)
    array, factor = values.numpy(), np.asarray(reached).astype(np.int64)
    axes = (0, *range(2, len(shape)))
    spikes, whole = (array != 0).astype(np.int64), array.astype(np.int64) * (kind != ANALOG)
    counter = StreamCounter()
    assert count(counter, values, reached) == {
        "nonzero": spikes.sum(axes).tolist(),
        "nonzero_events": (spikes * factor).sum(axes).tolist(),
        "value": whole.sum(axes).tolist(),
        "events": (whole * factor).sum(axes).tolist(),
    }
    assert (counter.kind, counter.maximum, counter.elements) == (kind, array.max(), array.size)
    assert (counter.events, counter.nonzero_events) == ((whole * factor).sum(), (spikes * factor).sum())
    assert list(counter.exact_sums()) == [sum(map(Fraction, run.ravel().tolist())) for run in array]
    assert counter.nonzeros == [int(run.sum()) for run in spikes]


def test_batches_and_runs_add_up() -> None:
    # two batches, the second in two calls of one step each; a map over columns
    values, reached = draw(INTEGER, 2, 5, 2, 4), MAPS[1]
    whole, parts = StreamCounter(), StreamCounter()
    count(whole, values, reached)
    for run, some in ((0, values[:, :2]), (0, values[:1, 2:]), (1, values[1:, 2:])):
        count(parts, some, reached, run)
    assert parts == whole
    assert all(type(total) is int for total in parts.exact_sums())


def test_sums_stay_exact_when_real_numbers_follow_whole_ones() -> None:
    # 0.1 in float64 is no decimal 0.1, and added to 3 * 2^34 it would be rounded
    counter, large = StreamCounter(), torch.full((1, 1, 1 << 14), 2.0**20, dtype=torch.float64)
    for values in (large, large, large, torch.tensor([[[0.1, 0.0]]], dtype=torch.float64)):
        count(counter, values, 2)
    assert counter.exact_sums() == (3 * 2**34 + Fraction(0.1),)
    assert (counter.kind, counter.nonzeros) == (ANALOG, [3 * 2**14 + 1])
    described = counter.operand("x", OTHER)
    assert (described.kind, described.events, described.nonzero_events) == ("analog", None, 2 * (3 * 2**14 + 1))


@pytest.mark.parametrize("bad", [torch.nan, torch.inf, -torch.inf])
@pytest.mark.parametrize("reached", MAPS)
def test_nan_and_infinity_are_errors(reached: float | Tensor, bad: float) -> None:
    values = torch.ones(2, 3, 5, 3, 4)
    values[1, 2, 3, 1, 2] = bad
    with pytest.raises(EnergyError, match=r"values from .*(nan|inf)"):
        count(StreamCounter(), values, reached)


@pytest.mark.parametrize(
    ("reached", "fan_out"), [((3,), 3), ((3.0, 3), 3), ((0,), 0), ((3, 4), None), ((MAPS[1],), None), ((), None)]
)
def test_fan_out_is_known_where_all_elements_reach_as_many(
    reached: Sequence[float | Tensor], fan_out: int | None
) -> None:
    counter = StreamCounter()
    for each in reached:
        counter.announce(0, 1, 6, each)
    assert counter.operand("x", OTHER).fan_out == fan_out


def test_shapes_alone_have_no_counts() -> None:
    counter = StreamCounter()
    counter.announce(1, 2, 30, 4)
    assert (counter.elements, counter.sums, counter.nonzeros) == (30, [0] * 3, [0] * 3)
    assert counter.operand("x", OTHER).maximum == 0
    assert not counter.analog


class Away(Tensor):
    """A tensor that says it is on another device, of which the machines that run tests have none: it meets tensors of
    its own device only, and what leaves it is noted. Its numbers are `held` here."""

    held: Tensor
    left: ClassVar[list[tuple[str, int]]] = []  # device and number of values of each transfer

    @staticmethod
    def __new__(cls, held: Tensor, device: torch.device) -> "Away":
        away = Tensor._make_wrapper_subclass(  # type: ignore[attr-defined]
            cls, held.shape, held.stride(), held.storage_offset(), dtype=held.dtype, device=device
        )
        away.held = held
        return away

    def __getitem__(self, index: int) -> Tensor:
        return self.select(0, index)  # torch's own asks for the device's driver

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor) and leaf.dim()]
        aways = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Away)]
        device = aways[0].device
        if any(tensor.device != device for tensor in (*aways, *tensors)):
            raise RuntimeError("Expected all tensors to be on the same device")
        target = kwargs.pop("device", device)
        output = func(*tree_map_only(Away, lambda x: x.held, args), **tree_map_only(Away, lambda x: x.held, kwargs))
        if target.type == "cpu" or not isinstance(output, Tensor | tuple | list):
            cls.left.append((str(device), aways[0].numel()))
            return output
        return tree_map_only(Tensor, lambda x: cls(x, target), output)


class Sending(TorchDispatchMode):
    """Lets tensors of the CPU be sent to the devices of `Away`."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        if any(issubclass(kind, Away) for kind in types):
            return NotImplemented
        target = kwargs.get("device")
        if target is None or target.type != "xla":
            return func(*args, **kwargs)
        return Away(func(*args, **kwargs | {"device": torch.device("cpu")}), target)


@pytest.fixture
def left() -> Iterator[list[tuple[str, int]]]:
    """Transfers from other devices so far."""
    Away.left.clear()
    with Sending():
        yield Away.left


STREAMS: list[tuple[Tensor, float | Tensor]] = [
    (draw(kind, 2, 3, 5, 3, 4, seed=seed), reached)
    for seed, (kind, reached) in enumerate(product((BINARY, INTEGER, ANALOG), MAPS))
]
STREAMS.append((-draw(INTEGER, 2, 3, 5, 3, 4), MAPS[2]))
STREAMS.append((torch.full((2, 3, 17, 3, 4), 2.0**20 - 1), MAPS[2]))  # float32, odd sums beyond 2^24


def sent(values: Tensor, device: str) -> Tensor:
    """The same on another device."""
    return Away(values, torch.device(device))


def counted(devices: Sequence[str]) -> list[Any]:
    """The counters and counts of the streams, each on the next of the devices, of which all arrive together."""
    places = [device for device, _ in zip(cycle(devices), STREAMS, strict=False)]
    there = [
        (values if device == "cpu" else sent(values, device), reached)
        for device, (values, reached) in zip(places, STREAMS, strict=True)
    ]
    here, counters = fetched([seen(*stream) for stream in there]), [StreamCounter() for _ in there]
    pairs = zip(counters, here, STREAMS, strict=True)
    counts = [counter.add(0, seen, reached) for counter, seen, (_, reached) in pairs]
    return [*counters, *({name: numbers.tolist() for name, numbers in each.items()} for each in counts)]


def test_another_device_is_waited_for_once(left: list[tuple[str, int]]) -> None:
    there = [seen(sent(values, "xla:0"), reached) for values, reached in STREAMS]
    assert left == []
    fetched(there)
    # 3 bounds; sums, non-zeros and two kinds of events of 2 runs and 3 images
    assert left == [("xla:0", len(STREAMS) * (3 + 4 * 6))]


def test_another_device_finds_the_same(left: list[tuple[str, int]]) -> None:
    assert counted(["xla:0"]) == counted(["cpu"])


@pytest.mark.parametrize("devices", [("xla:0", "xla:1"), ("cpu", "xla:0"), ("xla:1", "cpu", "xla:0")])
def test_every_device_is_waited_for_once(devices: Sequence[str], left: list[tuple[str, int]]) -> None:
    expected = counted(["cpu"])
    assert counted(devices) == expected
    assert sorted(device for device, _ in left) == sorted(set(devices) - {"cpu"})


@pytest.mark.parametrize("dtype", [torch.bool, torch.int64, torch.float16, torch.float32])
def test_another_device_finds_the_same_in_every_number_format(dtype: torch.dtype, left: list[tuple[str, int]]) -> None:
    for values, reached in STREAMS[:-1]:  # the last is too large for a half
        here, there = StreamCounter(), StreamCounter()
        assert count(there, sent(values.to(dtype), "xla:0"), reached) == count(here, values.to(dtype), reached)
        assert there == here


@pytest.mark.parametrize("bad", [torch.nan, torch.inf, -torch.inf])
@pytest.mark.parametrize("reached", MAPS)
def test_nan_and_infinity_of_another_device_are_errors(
    reached: float | Tensor, bad: float, left: list[tuple[str, int]]
) -> None:
    values = torch.ones(2, 3, 5, 3, 4)
    values[1, 2, 3, 1, 2] = bad
    with pytest.raises(EnergyError, match=r"values from .*(nan|inf)"):
        count(StreamCounter(), sent(values, "xla:0"), reached)


def test_what_is_on_the_cpu_stays_as_it_is() -> None:
    here = [torch.ones(3), torch.zeros(2, 2)]
    assert all(a is b for a, b in zip(to_cpu(here), here, strict=True))
    assert to_cpu([]) == []


class Liar(nn.Module):
    """A neuron that says it emits 0 and 1 and emits 0.5."""

    activation_op = "neuron"
    binary = True

    def forward(self, x: Tensor) -> Tensor:
        return (x > 0).to(x.dtype) * 0.5


def lied(batch: int) -> Profile:
    """6 images, of which 3 let each of 3 neurons fire, measured in batches."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 3, bias=False), Liar(), nn.Linear(3, 2))
    nn.init.ones_(model[0].weight)
    images = torch.tensor([1.0, 1, 0, 0, 1, 0]).unsqueeze(1).expand(6, 3)
    return msvit_energy.profile(model, list(images.split(batch)), time_steps=1)


def test_a_neuron_that_is_not_binary_as_it_says_is_found_out() -> None:
    profile = lied(batch=6)
    read = profile.operators[-1].operands[0]
    assert profile.neurons[0].sums == read.sums == (9,)
    assert profile.neurons[0].step == read.step == Fraction(1, 2)
    assert (read.kind, read.nonzeros) == ("binary", (9,))


@pytest.mark.parametrize("batch", [1, 2, 3])
def test_a_neuron_that_was_found_out_is_not_believed_again(batch: int) -> None:
    assert lied(batch) == lied(batch=6)
