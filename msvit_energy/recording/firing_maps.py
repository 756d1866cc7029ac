"""Maps of firing rates, summed while a model is profiled.

A layer's output for one image is read as `[channels..., height, width]` where its last two axes are the image's size
divided by a power of two, else as `[channels..., tokens]` in either order where an axis is such a size in a row; every
other output has channels alone. `LayerMap.layout` says what was read.
"""

import difflib
import fnmatch
import math
from collections.abc import Iterable, Sequence
from copy import copy

import numpy as np
from torch import Tensor

from msvit_energy.errors import EnergyError
from msvit_energy.profiles.firing_maps import LayerMap


class FiringMaps:
    """Maps of the neuron layers that match `patterns`, filled while a model is profiled (`profile(maps=...)`)."""

    def __init__(self, patterns: Sequence[str]) -> None:
        self.patterns = tuple(patterns)
        self._layers: dict[str, MapSums] = {}
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

    def add(self, neuron: str, spikes: Tensor, image: tuple[int, ...]) -> None:
        """Outputs `[runs, images, ...]` of a layer, for images of that height and width."""
        if neuron not in self._layers:
            self._layers[neuron] = MapSums(tuple(spikes.shape[2:]), image)
        self._layers[neuron].add(neuron, spikes)

    def take(self, parts: "Iterable[FiringMaps]") -> None:
        """Become the maps of all images of the parts, which mapped the same layers."""
        together: dict[str, MapSums] = {}
        for part in parts:
            for neuron, sums in part._layers.items():
                together[neuron] = together[neuron] + sums if neuron in together else sums
        self._layers = together

    def sums(self) -> dict[str, "MapSums"]:
        """The sums so far, by layer."""
        return self._layers

    def take_over(self, sums: dict[str, "MapSums"]) -> None:
        """Replace the sums so far."""
        self._layers = sums

    def layers(self) -> list[LayerMap]:
        """What was seen, in the order of the first call."""
        return [sums.layer_map(neuron) for neuron, sums in self._layers.items()]


class MapSums:
    """Running sums of one layer; spikes are whole numbers, so float64 sums are exact."""

    def __init__(self, shape: tuple[int, ...], image: tuple[int, ...]) -> None:
        self.shape = shape
        self.axes, self.grid = placed(shape, image)
        self.channels = self.positions = np.zeros(())
        self.runs = 0

    def add(self, neuron: str, spikes: Tensor) -> None:
        if tuple(spikes.shape[2:]) != self.shape:
            raise EnergyError(f"{neuron}: outputs of {tuple(spikes.shape[2:])} and {self.shape} have no common map")
        sums = spikes.double().sum((0, 1))
        others = [axis for axis in range(len(self.shape)) if axis not in self.axes]
        self.channels = self.channels + (sums.sum(self.axes) if self.axes else sums).flatten().cpu().numpy()
        if self.grid is not None:
            self.positions = self.positions + (sums.sum(others) if others else sums).reshape(self.grid).cpu().numpy()
        self.runs += spikes.shape[0] * spikes.shape[1]

    def __add__(self, other: "MapSums") -> "MapSums":
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
