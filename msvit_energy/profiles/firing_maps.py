"""Where a neuron layer spends its spikes: mean firing rate per channel, and per position of the image or token."""

import zipfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from msvit_energy.errors import EnergyError

ALONE = "example/"  # before the names of the maps of a single image


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


@dataclass(frozen=True)
class Example:
    """One image, `[h, w]` grey or `[h, w, 3]` with values from 0 to 1, and the maps that it alone gives."""

    name: str
    picture: np.ndarray
    layers: Sequence[LayerMap]


def save(layers: Iterable[LayerMap], path: Path, example: Example | None = None) -> None:
    """Write `LAYER/channels`, `LAYER/positions` and `LAYER/shape` as a compressed .npz, rates in float32; of an example
    image `example/picture`, `example/name` and the same under `example/`."""
    arrays: dict[str, np.ndarray] = {}
    if example is not None:
        arrays["example/picture"] = example.picture.astype(np.float32)
        arrays["example/name"] = np.array(example.name)
    for prefix, group in (("", layers), (ALONE, example.layers if example else ())):
        for layer in group:
            arrays[f"{prefix}{layer.neuron}/channels"] = layer.channels.astype(np.float32)
            arrays[f"{prefix}{layer.neuron}/shape"] = np.array(layer.shape)
            if layer.positions is not None:
                arrays[f"{prefix}{layer.neuron}/positions"] = layer.positions.astype(np.float32)
    np.savez_compressed(path, **arrays)  # type: ignore[arg-type]


def load(path: Path) -> tuple[list[LayerMap], Example | None]:
    """What `save` wrote; EnergyError for a file that it did not write, or that is not there."""
    try:
        with np.load(path) as file:
            arrays = dict(file)
        shown = arrays.pop("example/picture", None)
        name = str(arrays.pop("example/name", ""))
        names = [key.removesuffix("/channels") for key in arrays if key.endswith("/channels")]
        maps = {key: _layer(key, arrays) for key in names}
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise EnergyError(f"cannot read maps {path}: {error}; profile --maps writes them") from error
    alone = [replace(layer, neuron=key.removeprefix(ALONE)) for key, layer in maps.items() if key.startswith(ALONE)]
    own = [layer for key, layer in maps.items() if shown is None or not key.startswith(ALONE)]
    return own, None if shown is None else Example(name, shown, alone)


def _layer(key: str, arrays: dict[str, np.ndarray]) -> LayerMap:
    shape = tuple(int(size) for size in arrays[f"{key}/shape"])
    return LayerMap(key, shape, arrays[f"{key}/channels"], arrays.get(f"{key}/positions"))


def picture(image: np.ndarray) -> np.ndarray:
    """A preprocessed image `[..., C, h, w]` as one sees it, from 0 to 1 by its own extremes: `[h, w, 3]`, or `[h, w]`
    for other numbers of channels, which are averaged as a time axis is."""
    values = image.astype(float).reshape(-1, *image.shape[-3:]).mean(0)
    seen = values.transpose(1, 2, 0) if len(values) == 3 else values.mean(0)
    low, high = seen.min(), seen.max()
    return (seen - low) / (high - low) if high > low else np.zeros_like(seen)
