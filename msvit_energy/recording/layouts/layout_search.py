"""The layout of every stream, found by how its tensors follow the number of images and of time steps.

Sizes may coincide (B = T, T = heads, tokens = T), so no size is evidence by itself. The first image alone, over T and
over T + 1 steps, shows which axis of a tensor has time; a batch beside it shows which has images. Where an axis has
both, or parts of images too, the order is the one in which the first image of the batch has the values that it has
alone, and in which the first T of T + 1 steps have the values of T.
"""

import math
import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from msvit_energy.errors import EnergyError
from msvit_energy.recording.layouts.layout import Layout, by_size
from msvit_energy.recording.stream_key import OUTPUT, StreamKey

GOLDEN = (5**0.5 - 1) / 2  # its multiples have fractions that do not repeat
SAME = 1e-5  # relative difference of sums of the same values, by rounding


class Seen(NamedTuple):
    """A tensor of a stream in a forward of one image: its shape, and `front`, weighted sums over all axes but the first
    ones, three at most (float64 on the CPU); None on the meta device."""

    shape: tuple[int, ...]
    front: Tensor | None

    @classmethod
    def of(cls, values: Tensor) -> "Seen":
        return cls(tuple(values.shape), None if values.is_meta else front_of(values))

    def sums(self, axis: int) -> Tensor | None:
        """Weighted sums over all axes but one; None where they are not known."""
        if self.front is None or axis >= self.front.dim():
            return None
        return weighted_sums(self.front.movedim(axis, 0).reshape(self.shape[axis], -1))


def front_of(values: Tensor) -> Tensor:
    """Weighted sums over all axes but the first, three at most, in one pass."""
    kept = values.shape[: max(1, min(3, values.dim() - 1))]
    exact = values.detach() if values.dtype in (torch.float32, torch.float64) else values.detach().float()
    return weighted_sums(exact.reshape(math.prod(kept), -1)).double().cpu().view(kept)


def weighted_sums(lines: Tensor) -> Tensor:
    """The sum of each line; no two elements have the same weight, so that other values seldom have the same sum."""
    weights = torch.frac(torch.arange(1, lines.shape[1] + 1, dtype=torch.float64) * GOLDEN) + 0.5
    return lines @ weights.to(lines)


Guess = tuple[tuple[str, ...], str]  # orders between which values did not decide, and the one that was taken
SeenStreams = Mapping[StreamKey, Sequence[Seen]]


class Layouts:
    """Layouts of the streams of a model whose forward runs over `steps` of T = `time_steps` time steps: all, or one.

    `alone` are the streams of one image, the first of the first batch with several; `longer` the same over one time
    step more, None for a model that cannot be run so. Without `alone` sizes decide, time first.
    """

    def __init__(
        self,
        steps: int,
        time_steps: int | None = None,
        alone: SeenStreams | None = None,
        longer: SeenStreams | None = None,
    ) -> None:
        self.steps = steps
        self._time_steps = time_steps or steps
        self._alone = alone or {}
        self._longer = longer if longer and _longer_by_one(self._alone, longer, steps) else None
        self._found: dict[tuple[StreamKey, tuple[int, ...], tuple[int, ...]], Layout] = {}
        self._shown: dict[tuple[str, ...], str] = {}  # of these orders, the last one that values showed
        self._guessed: dict[StreamKey, set[Guess]] = {}
        self._unshown: Guess | None = None  # of the present tensor
        self._settled = False
        self._outside: dict[StreamKey, bool] = {}
        neurons = [calls for key, calls in self._alone.items() if key.role == OUTPUT]
        self._looped = any(len(calls) >= steps for calls in neurons)
        fronts = [calls[0].shape[:2] for calls in neurons if len(calls) < steps]
        self._time_first, self._batch_first = ((front in fronts) for front in ((steps, 1), (1, steps)))

    def split(self, key: StreamKey, call: int, values: Tensor, images: int, rank: int | None = None) -> Tensor:
        """The tensor of a stream's call as `[T or 1, B, ...]`; EnergyError for one that belongs to no image.

        `rank` is the number of axes without a time axis of its own, None where that is free.
        """
        found = self.layout(key, call, values, images, rank)
        steps = None if found is None else found.split(values, self.steps, images)
        if steps is None:
            shape, both = tuple(values.shape), self.steps * images
            raise EnergyError(
                f"{key}: a tensor of shape {shape} has neither T*B = {both} nor T, B = {self.steps}, {images} nor "
                f"B = {images} in front; is time_steps = {self.steps} right?"
            )
        return steps

    def layout(self, key: StreamKey, call: int, values: Tensor, images: int, rank: int | None = None) -> Layout | None:
        """The layout of a stream's call, counted from 0 in a batch of so many images; None for no image."""
        alone, longer = _call(self._alone, key, call), _call(self._longer, key, call)
        if alone is None:
            return by_size(values.shape, self.steps, images, rank)
        place = (key, alone.shape, () if longer is None else longer.shape)
        if place in self._found:
            return self._found[place]
        self._unshown = None
        if images == 1:
            found: Layout | None = self._of_one_image(key, alone, longer, rank)
        else:
            found = self._of_images(key, alone, longer, values, images, rank)
        if self._unshown is not None:
            self._guessed.setdefault(key, set()).add(self._unshown)
        if images > 1 and found is not None and (self._settled or self._unshown is None):
            self._found[place] = found
        return found

    def guessed(self) -> list[StreamKey]:
        """Streams with an axis of time steps, images and parts of images in an order that no values have shown."""
        return [
            key
            for key, guesses in self._guessed.items()
            if any(self._shown.get(orders) != taken for orders, taken in guesses)
        ]

    @property
    def wants_values(self) -> bool:
        """Whether only values of one step more can tell in which order an axis has time steps and parts of an image, or
        calls have time steps and windows."""
        for key, calls in self._alone.items():
            if len(calls) % self.steps == 0 and len(calls) > self.steps:
                return True
            for call, alone in enumerate(calls):
                axis = self._grown(alone, _call(self._longer, key, call))
                if axis is not None and alone.shape[axis] > self.steps:
                    return True
        return False

    def settle(self) -> None:
        """End the first batch of several images: no other begins with the image that was seen alone."""
        self._settled = True

    def window(self, key: StreamKey, call: int) -> int:
        """Which part of each image a call of one time step handles, of a stream that is called several times a step."""
        windows, rest = divmod(len(self._alone.get(key, ())), self._time_steps)
        if rest or windows < 2:
            return 0
        return call // self._time_steps if self.windows_outside(key) else call % windows

    def windows_outside(self, key: StreamKey) -> bool:
        """Whether a stream that is called several times in each step is called for all steps of one window after the
        other, and not for all windows of one step after the other."""
        if key not in self._outside:
            both = ((streams or {}).get(key, ()) for streams in (self._alone, self._longer))
            self._outside[key] = self._goes_by_window(*both)
        return self._outside[key]

    def _goes_by_window(self, alone: Sequence[Seen], longer: Sequence[Seen]) -> bool:
        windows, rest = divmod(len(alone), self.steps)
        if rest or windows < 2 or len(longer) != windows * (self.steps + 1):
            return False
        short, long = (torch.tensor([_total(seen) for seen in calls]) for calls in (alone, longer))
        by_window = long.view(windows, -1)[:, : self.steps].flatten()
        orders = ("all windows of a step", "all steps of a window")
        differences = [_distance(each, short) for each in (long[: len(short)], by_window)]
        return self._likeliest(orders, differences) == orders[1]

    def _of_one_image(self, key: StreamKey, alone: Seen, longer: Seen | None, rank: int | None) -> Layout:
        """Of a batch of one image, whose axis does not matter."""
        shape = alone.shape
        if self.steps == 1:
            return by_size(shape, 1, 1, rank) or Layout(())
        time = self._time(key, alone, longer, 0, rank)
        if time is None:
            return Layout(((0, "B"),) if shape[:1] == (1,) else ())
        near = [axis for axis in (time[0] - 1, time[0] + 1) if 0 <= axis < len(shape) and shape[axis] == 1]
        return Layout((time, *((axis, "B") for axis in near[:1] if len(shape) != rank)))

    def _of_images(
        self, key: StreamKey, alone: Seen, longer: Seen | None, values: Tensor, images: int, rank: int | None
    ) -> Layout | None:
        if not _fits(alone.shape, tuple(values.shape), images):  # perhaps of images of another size
            return by_size(values.shape, self.steps, images, rank)
        axis = next((i for i, size in enumerate(alone.shape) if values.shape[i] != size), None)
        if axis is None:
            return None
        time = self._time(key, alone, longer, axis, rank)
        merged = time is not None and time[0] == axis
        beside = time[1] if time is not None and merged else "k" if alone.shape[axis] > 1 else ""
        orders = [beside[:i] + "B" + beside[i:] for i in _places(beside)]
        found = (axis, self._place_of_images(orders, alone, values, axis, images))
        return Layout((found,) if time is None or merged else (time, found))

    def _time(
        self, key: StreamKey, alone: Seen, longer: Seen | None, axis: int, rank: int | None
    ) -> tuple[int, str] | None:
        """The axis that has time and what else it has; None for a tensor that is constant or of one step."""
        if self.steps == 1:
            before = axis > 0 and len(alone.shape) != rank and alone.shape[axis - 1] == 1
            return (axis - 1, "T") if before else None
        fixed = longer is None
        found = self._time_by_size(key, alone.shape, axis, rank) if fixed else self._grown(alone, longer)
        if found is None:
            return None
        return found, "T" if alone.shape[found] == self.steps else self._parts(alone, longer, found)

    def _grown(self, alone: Seen, longer: Seen | None) -> int | None:
        """The first axis that follows T."""
        if longer is None or len(longer.shape) != len(alone.shape):
            return None
        both = zip(alone.shape, longer.shape, strict=True)
        grown = [i for i, (n, m) in enumerate(both) if n != m and m * self.steps == n * (self.steps + 1)]
        return grown[0] if grown else None

    def _time_by_size(self, key: StreamKey, shape: tuple[int, ...], axis: int, rank: int | None) -> int | None:
        """The axis that has time in a model whose T cannot be changed, by its size and by where neurons have time;
        EnergyError where these leave a choice."""
        if self._looped and self._calls_of_kind(key) % self.steps == 0:
            return None
        sizes = enumerate(shape[:-1]) if len(shape) != rank else ()  # the last axis has features
        own = [i for i, size in sizes if size == self.steps and i != axis]
        before, after = [i for i in own if i < axis], [i for i in own if i > axis]
        unsure = self._looped and not self._time_first
        found = [*(after if self._batch_first or unsure else ()), *(before if not self._batch_first else ())]
        found += [axis] if shape[axis] % self.steps == 0 else []
        if len(found) > 1 or (found == after and found and not self._batch_first):
            raise EnergyError(
                f"{key}: of a tensor of shape {shape} for one image, axis {' or '.join(map(str, found))} may be time "
                f"steps, and may be something else of size {self.steps}; give the model an attribute time_steps that "
                "sets T"
            )
        return found[0] if found else None

    def _calls_of_kind(self, key: StreamKey) -> int:
        """Calls of a stream; of bare calls without weights, which a loop over time gives one name after the other,
        those of all that differ in nothing but a number."""
        kind = _unnumbered(key.layer)
        alike = [other for other in self._alone if other[1:] == key[1:] and _unnumbered(other.layer) == kind]
        return sum(len(self._alone[other]) for other in alike)

    def _parts(self, alone: Seen, longer: Seen | None, axis: int) -> str:
        """In which order an axis has time steps and other parts of an image."""
        orders = ["Tk", "kT"]
        short, long = alone.sums(axis), None if longer is None else longer.sums(axis)
        if short is None or long is None:
            return self._guess(orders)
        inside = long.view(len(short) // self.steps, -1)[:, : self.steps].flatten()
        return self._likeliest(orders, [_distance(each, short) for each in (long[: len(short)], inside)])

    def _place_of_images(self, orders: Sequence[str], alone: Seen, values: Tensor, axis: int, images: int) -> str:
        """In which order an axis has images and all else: the one in which the first image is what it is alone."""
        if len(orders) == 1:
            return orders[0]
        expected = alone.sums(axis)
        if expected is None or values.is_meta or self._settled:
            return self._guess(orders)
        known = {"T": self.steps, "B": images}
        differences = []
        for order in orders:
            sizes = [known.get(factor, -1) for factor in order]
            first = values.unflatten(axis, sizes).select(axis + order.index("B"), 0)
            sums = Seen.of(first.flatten(axis, axis + len(order) - 2)).sums(axis)
            differences.append(math.inf if sums is None else _distance(sums, expected))
        return self._likeliest(orders, differences)

    def _guess(self, orders: Sequence[str]) -> str:
        taken = self._shown.get(tuple(orders), orders[0])
        self._unshown = tuple(orders), taken
        return taken

    def _likeliest(self, orders: Sequence[str], differences: Sequence[float]) -> str:
        """The order with the least difference from what is expected. Where several are as good, as where all is silent
        or random, the one of them that other tensors have shown, or else the first."""
        least = min(differences)
        good = [order for order, each in zip(orders, differences, strict=True) if each <= 2 * least + SAME]
        known = self._shown.get(tuple(orders))
        if len(good) == 1 and least < 1:
            self._shown[tuple(orders)] = good[0]
            return good[0]
        taken = known if known in good else good[0]
        self._unshown = tuple(orders), taken
        return taken


def _call(streams: SeenStreams | None, key: StreamKey, call: int) -> Seen | None:
    """What was seen of a call, of the last one where there were fewer."""
    calls = (streams or {}).get(key)
    return calls[min(call, len(calls) - 1)] if calls else None


def _longer_by_one(alone: SeenStreams, longer: SeenStreams, steps: int) -> bool:
    """Whether every neuron has run for one step more, or without neurons anything."""
    sizes = ({key: _elements(calls) for key, calls in streams.items()} for streams in (alone, longer))
    short, long = sizes
    grown = {key: long.get(key, 0) * steps == size * (steps + 1) for key, size in short.items()}
    neurons = [has for key, has in grown.items() if key.role == OUTPUT]
    return all(neurons) if neurons else any(grown.values())


def _elements(calls: Sequence[Seen]) -> int:
    return sum(math.prod(seen.shape) for seen in calls)


def _fits(alone: tuple[int, ...], batch: tuple[int, ...], images: int) -> bool:
    """Whether a tensor is that of one image in all axes but those with images."""
    return len(alone) == len(batch) and all(b in (a, a * images) for a, b in zip(alone, batch, strict=True))


def _places(factors: str) -> list[int]:
    """Where images may stand among the factors of an axis, the usual place first: behind time, before the rest."""
    places = list(range(len(factors) + 1))
    return sorted(places, key=lambda place: place != factors.find("T") + 1)


def _unnumbered(layer: str) -> str:
    return re.sub(r"_\d+$", "", layer)


def _total(seen: Seen) -> float:
    return 0.0 if seen.front is None else float(seen.front.sum())


def _distance(found: Tensor, expected: Tensor) -> float:
    """The difference of two lists of sums, 0 for equal ones and 1 for one of nothing but zeros."""
    return float((found - expected).abs().sum()) / max(float(expected.abs().sum()), 1e-300)
