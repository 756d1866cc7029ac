"""`profile --maps`: which layers are mapped, and the one image whose own maps are shown beside the mean."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msvit_energy.errors import EnergyError

if TYPE_CHECKING:
    from msvit_energy.profiles.firing_maps import Example
    from msvit_energy.recording.firing_maps import FiringMaps
    from msvit_energy.workflows.measurement import Sampling
    from msvit_energy.workflows.model_loading import Subject

FILES = ("maps.npz", "maps.png", "maps.svg")


def wanted(layers: str | None, image: str | None, out: Path | None) -> "FiringMaps | None":
    """Empty maps of the layers named in "a,b*"; EnergyError for options that do not go together."""
    from msvit_energy.recording.firing_maps import FiringMaps

    if layers is None:
        if image is not None:
            raise EnergyError("--map-image goes with --maps")
        return None
    if out is None:
        raise EnergyError("--maps writes files, so it needs --out")
    patterns = [part.strip() for part in layers.split(",") if part.strip()]
    if not patterns:
        raise EnergyError(f"--maps names no layer: {layers!r}")
    return FiringMaps(patterns)


def example(
    subject: "Subject", sampling: "Sampling", name: str, maps: "FiringMaps", options: dict[str, Any]
) -> "Example":
    """The picture of one image of the data, and the maps that it alone gives."""
    import msvit_energy
    from msvit_energy.profiles.firing_maps import Example, picture
    from msvit_energy.recording.firing_maps import FiringMaps

    whole = replace(sampling, images=None, shuffle=False, shard=(0, 1)).source(subject)
    image = whole.dataset[whole.locate(name)][0]
    alone = FiringMaps(maps.patterns)
    msvit_energy.profile(subject.model, [image.unsqueeze(0)], maps=alone, **options)
    return Example(name, picture(image.numpy()), alone.layers())


def write(maps: "FiringMaps", shown: "Example | None", folder: Path) -> None:
    """FILES in `folder`."""
    from msvit_energy.profiles.firing_maps import save
    from msvit_energy.reporting.figures import save as save_figure
    from msvit_energy.reporting.figures.maps import firing_maps

    layers = maps.layers()
    save(layers, folder / "maps.npz", shown)
    figure = firing_maps(layers, shown)
    for name in FILES[1:]:
        save_figure(figure, folder / name)
