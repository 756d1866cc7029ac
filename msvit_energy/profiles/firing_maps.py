"""Where a neuron layer spends its spikes: mean firing rate per channel, and per position of the image or token.

A layer's output for one image is read as `[channels..., height, width]` where its last two axes are the image's size
divided by a power of two, else as `[channels..., tokens]` in either order where an axis is such a size in a row; every
other output has channels alone. `LayerMap.layout` says what was read.
"""

import difflib
import fnmatch
import math
from collections.abc import Iterable, Sequence
from copy import copy
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from msvit_energy.errors import EnergyError

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class LayerMap:
    """Mean firing rates of one layer over images and time steps: `channels` `[C]`, and `positions` `[h, w]` over the
    image, None for a layer without positions."""

    neuron: str
    shape: tuple[int, ...]
    channels: np.ndarray
    positions: np.ndarray | None

    @property
    def layout(self) -> str:
        """How the layer's output was read, in words."""
        size = " x ".join(map(str, self.shape))
        if self.positions is None:
            return f"{size} as {len(self.channels)} channels"
        return f"{size} as {len(self.channels)} channels of {' x '.join(map(str, self.positions.shape))}"


class Maps:
    """Maps of the neuron layers that match `patterns`, filled while a model is profiled (`profile(maps=...)`)."""

    def __init__(self, patterns: Sequence[str]) -> None:
        self.patterns = tuple(patterns)
        self._layers: dict[str, _Sums] = {}
        self._wanted: frozenset[str] = frozenset()

    def choose(self, neurons: Sequence[str]) -> None:
        """Take the layers that match; EnergyError for a pattern that matches none."""
        wanted: list[str] = []
        for pattern in self.patterns:
            found = fnmatch.filter(neurons, pattern)
            if not found:
                near = difflib.get_close_matches(pattern, neurons, n=3, cutoff=0.4) or neurons[:3]
                raise EnergyError(f"no neuron layer matches {pattern!r}; layers: {', '.join(near)}, ...")
            wanted += found
        self._wanted = frozenset(wanted)

    def __contains__(self, neuron: str) -> bool:
        return neuron in self._wanted

    def add(self, neuron: str, spikes: "Tensor", image: tuple[int, ...]) -> None:
        """Outputs `[runs, images, ...]` of a layer, for images of that height and width."""
        if neuron not in self._layers:
            self._layers[neuron] = _Sums(tuple(spikes.shape[2:]), image)
        self._layers[neuron].add(neuron, spikes)

    def take(self, parts: "Iterable[Maps]") -> None:
        """Become the maps of all images of the parts, which mapped the same layers."""
        together: dict[str, _Sums] = {}
        for part in parts:
            for neuron, sums in part._layers.items():
                together[neuron] = together[neuron] + sums if neuron in together else sums
        self._layers = together

    def layers(self) -> list[LayerMap]:
        """What was seen, in the order of the first call."""
        return [sums.layer_map(neuron) for neuron, sums in self._layers.items()]


class _Sums:
    """Running sums of one layer; spikes are whole numbers, so float64 sums are exact."""

    def __init__(self, shape: tuple[int, ...], image: tuple[int, ...]) -> None:
        self.shape = shape
        self.axes, self.grid = placed(shape, image)
        self.channels = self.positions = np.zeros(())
        self.runs = 0

    def add(self, neuron: str, spikes: "Tensor") -> None:
        if tuple(spikes.shape[2:]) != self.shape:
            raise EnergyError(f"{neuron}: outputs of {tuple(spikes.shape[2:])} and {self.shape} have no common map")
        sums = spikes.double().sum((0, 1))
        others = [axis for axis in range(len(self.shape)) if axis not in self.axes]
        self.channels = self.channels + (sums.sum(self.axes) if self.axes else sums).flatten().cpu().numpy()
        if self.grid is not None:
            self.positions = self.positions + (sums.sum(others) if others else sums).reshape(self.grid).cpu().numpy()
        self.runs += spikes.shape[0] * spikes.shape[1]

    def __add__(self, other: "_Sums") -> "_Sums":
        both = copy(self)
        both.channels, both.positions = self.channels + other.channels, self.positions + other.positions
        both.runs = self.runs + other.runs
        return both

    def layer_map(self, neuron: str) -> LayerMap:
        elements = math.prod(self.shape)
        channels = self.channels / (self.runs * elements / self.channels.size)
        positions = None if self.grid is None else self.positions / (self.runs * elements / math.prod(self.grid))
        return LayerMap(neuron, self.shape, channels, positions)


def placed(shape: tuple[int, ...], image: tuple[int, ...]) -> tuple[tuple[int, ...], tuple[int, int] | None]:
    """The axes of a layer's output that run over the image, and the grid they make; none for channels alone."""
    if len(image) < 2:
        return (), None
    strides = (2**power for power in range(min(image).bit_length()))
    sizes = [(image[0] // stride, image[1] // stride) for stride in strides if not any(n % stride for n in image)]
    last = len(shape) - 1
    if len(shape) > 1 and shape[-2:] in sizes:
        return (last - 1, last), (shape[-2], shape[-1])
    for axis in range(last, -1, -1):
        for grid in sizes:
            if len(shape) > 1 and math.prod(grid) == shape[axis] and shape[axis] > 1:
                return (axis,), grid
    return (), None


@dataclass(frozen=True)
class Example:
    """One image, `[h, w]` grey or `[h, w, 3]` with values from 0 to 1, and the maps that it alone gives."""

    name: str
    picture: np.ndarray
    layers: Sequence[LayerMap]


def save(layers: Iterable[LayerMap], path: Path, example: Example | None = None) -> None:
    """Write `LAYER/channels`, `LAYER/positions` and `LAYER/shape` as a compressed .npz, rates in float32; of an example
    image `example/picture` and the same under `example/`."""
    arrays: dict[str, np.ndarray] = {}
    if example is not None:
        arrays["example/picture"] = example.picture.astype(np.float32)
    for prefix, group in (("", layers), ("example/", example.layers if example else ())):
        for layer in group:
            arrays[f"{prefix}{layer.neuron}/channels"] = layer.channels.astype(np.float32)
            arrays[f"{prefix}{layer.neuron}/shape"] = np.array(layer.shape)
            if layer.positions is not None:
                arrays[f"{prefix}{layer.neuron}/positions"] = layer.positions.astype(np.float32)
    np.savez_compressed(path, **arrays)  # type: ignore[arg-type]


def picture(image: np.ndarray) -> np.ndarray:
    """A preprocessed image `[..., C, h, w]` as one sees it, from 0 to 1 by its own extremes: `[h, w, 3]`, or `[h, w]`
    for other numbers of channels, which are averaged as a time axis is."""
    values = image.astype(float).reshape(-1, *image.shape[-3:]).mean(0)
    seen = values.transpose(1, 2, 0) if len(values) == 3 else values.mean(0)
    low, high = seen.min(), seen.max()
    return (seen - low) / (high - low) if high > low else np.zeros_like(seen)
