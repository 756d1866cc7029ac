"""`profile --maps`: which layers are mapped, and the one image whose own maps are shown beside the mean."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msvit_energy
from msvit_energy.errors import EnergyError
from msvit_energy.profiles.firing_maps import Example, picture, save
from msvit_energy.profiles.profile import Profile
from msvit_energy.recording.firing_maps import FiringMaps
from msvit_energy.workflows.loading.model_loading import LoadedModel
from msvit_energy.workflows.measuring.measurement import DataOptions

FILES = ("maps.npz", "maps.png", "maps.svg")


@dataclass(frozen=True)
class MapRequest:
    """The maps that a measurement fills, and the image by number or file name that is shown with its own."""

    maps: FiringMaps
    image: str | None = None


def requested_maps(layers: str | None, image: str | None, out: Path | None) -> MapRequest | None:
    """Empty maps of the layers named in "a,b*"; EnergyError for options that do not go together."""
    if layers is None:
        if image is not None:
            raise EnergyError("--map-image goes with --maps")
        return None
    if out is None:
        raise EnergyError("--maps writes files, so it needs --out")
    patterns = [part.strip() for part in layers.split(",") if part.strip()]
    if not patterns:
        raise EnergyError(f"--maps names no layer: {layers!r}")
    return MapRequest(FiringMaps(patterns), image)


def example(loaded: LoadedModel, options: DataOptions, request: MapRequest, how: dict[str, Any]) -> Example | None:
    """The picture of the requested image of the data, and the maps that it alone gives; `how` goes to `profile`."""
    if request.image is None:
        return None
    everything = replace(options, images=None, shuffle=False, shard=None).open(loaded)
    image = everything.dataset[everything.locate(request.image)][0]
    alone = FiringMaps(request.maps.patterns)
    msvit_energy.profile(loaded.model, [image.unsqueeze(0)], maps=alone, **how)
    return Example(request.image, picture(image.numpy()), alone.layers())


def write_maps(maps: FiringMaps, shown: Example | None, profile: Profile, folder: Path) -> None:
    """FILES in `folder`."""
    from msvit_energy.reporting.figures import save as save_figure
    from msvit_energy.reporting.figures.maps import firing_maps

    layers = maps.layers()
    save(layers, folder / "maps.npz", shown)
    figure = firing_maps(layers, shown, profile)
    for name in FILES[1:]:
        save_figure(figure, folder / name)
