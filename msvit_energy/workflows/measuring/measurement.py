"""Measure a loaded model on the images that were asked for, and say where the profile comes from."""

import hashlib
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import nn
from torch.utils.data import Dataset

from msvit.data import Samples, open_data
from msvit.data.preprocessing import AS_IT_IS, PreprocessingChanges
from msvit.data.readable import Unreadable
from msvit.distributed import gathered, ranks, shared_batches
from msvit.memory import keep_memory
from msvit_energy import Profile
from msvit_energy.errors import EnergyError
from msvit_energy.profiles.image_indices import write_ranges
from msvit_energy.profiles.merge import merge
from msvit_energy.profiles.provenance import Provenance, command_line
from msvit_energy.recording.feeding.mode_detection import stated_time_steps
from msvit_energy.recording.firing_maps import FiringMaps
from msvit_energy.recording.weights_hash import weights_hash
from msvit_energy.workflows.loading.model_loading import LoadedModel
from msvit_energy.workflows.measuring.image_share import ImageShare
from msvit_energy.workflows.measuring.measurement_state import MeasurementState
from msvit_energy.workflows.progress import Progress, no_progress

SIZES_READ = 1000  # of files, to tell whether data are the same


@dataclass(frozen=True)
class DataOptions:
    """Which images are drawn from where, and how many go through the model at a time; `shard` is "i/n"."""

    data: str
    images: int | None = None
    batch_size: int = 32
    seed: int = 0
    input_size: str | None = None
    shuffle: bool = False
    shard: str | None = None
    time_steps: int | None = None  # frames of event data; None: the model's own T
    workers: int | None = None  # processes that load images; None: some for a GPU, none where they would compete
    changes: PreprocessingChanges = AS_IT_IS

    def __post_init__(self) -> None:
        parse_shard(self.shard)
        if self.workers is not None and self.workers < 0:
            raise EnergyError(f"workers must be 0 or more, not {self.workers}")
        if self.batch_size < 1:
            raise EnergyError(f"batch size must be at least 1, not {self.batch_size}")

    def open(self, loaded: LoadedModel) -> Samples:
        """The images, in the size that the model takes."""
        return open_data(
            self.data,
            loaded.size(self.input_size),
            images=self.images,
            seed=self.seed,
            shuffle=self.shuffle,
            shard=parse_shard(self.shard),
            time_steps=self.time_steps or stated_time_steps(loaded.model),
            made_for=loaded.made_for,
            changes=self.changes,
        )


def parse_shard(text: str | None) -> tuple[int, int]:
    """Number and count from "0/4", (0, 1) from None; EnergyError otherwise."""
    if text is None:
        return 0, 1
    number, _, of = text.partition("/")
    if not (number.isdigit() and of.isdigit()):
        raise EnergyError(f"a shard is i/n, such as 0/4, not {text!r}")
    return int(number), int(of)


def measure(
    loaded: LoadedModel,
    source: Samples,
    options: DataOptions,
    progress: Progress = no_progress,
    state: MeasurementState | None = None,
    *,
    strict: bool = False,
    **how: Any,
) -> Profile:
    """Profile the model; `how` goes to `msvit_energy.profile`. Several processes share the images. With a `state` the
    measurement goes on where that was written, and may be stopped. What cannot be read is skipped and named in the
    provenance; with `strict`, the first such file is an error."""
    how.setdefault("frames", source.frames)
    for note in source.notes:
        print(f"{source.name}: {note}", file=sys.stderr)
    torch.manual_seed(options.seed)  # for models that draw random spikes
    keep_memory()  # every batch needs the same again
    if state is not None:
        state.begin(identity(loaded, source, options, how), options.batch_size)
    with progress("profiling", len(source)) as advance:
        together = profile_together(
            loaded.model,
            source.dataset,
            options.batch_size,
            workers=options.workers,
            classes=source.classes,
            on_batch=advance,
            state=state,
            skip=not strict,
            **how,
        )
    measured = together.profile
    data = describe_data(source, options.seed, together)
    if together.stopped and options.shuffle and "order drawn" not in source.drawn:
        data["drawn"] = f"{source.drawn}, in an order drawn too"
    warnings = [*loaded.warnings, *source.warnings, *labels_ignored(loaded, source, measured), *together.notes]
    sampled = {"data": data, "batch_size": together.batch_size, "warnings": warnings}
    origin = Provenance.of(loaded.provenance | sampled).with_measured(measured.provenance)
    counts = measured.image_counts
    if counts is not None:
        counts = replace(counts, indices=np.array([source.indices[place] for place in together.positions], np.int64))
    return replace(measured, provenance=origin.stamped(command_line()), image_counts=counts)


def identity(loaded: LoadedModel, source: Samples, options: DataOptions, how: Mapping[str, Any]) -> dict[str, Any]:
    """What a measurement has in common with one that it goes on with, by the names that a user knows."""
    files = getattr(getattr(source.dataset, "dataset", source.dataset), "files", ())
    some = files[:: len(files) // SIZES_READ + 1]
    sizes = [path.stat().st_size for path in (Path(name) for name, *_ in some) if path.exists()]
    contents = [str(name) for name, *_ in files], sizes
    maps: FiringMaps | None = how.get("maps")
    origin = loaded.provenance
    return {
        "model": origin.get("model"),
        "checkpoint": (origin.get("checkpoint") or {}).get("sha256"),
        "weights": weights_hash(loaded.model),
        "device": origin.get("device"),
        "--fast": "fast" in origin,
        "data": (source.name, source.split, source.drawn, source.preprocessing, source.input_size),
        "images": hashlib.sha256(repr((source.indices, contents)).encode()).hexdigest(),
        "--batch-size": options.batch_size,
        "--seed": options.seed,
        "--maps": maps and maps.patterns,
        **{
            f"--{name.replace('_', '-')}": how.get(name) for name in ("time_steps", "feed", "frames", "neurons", "head")
        },
        "--lemaire": how.get("lemaire"),
        "--per-image": how.get("per_image"),
        "number of processes": ranks(),
        "version of torch": torch.__version__,
        "version of msvit-energy": metadata.version("msvit-energy"),
    }


class Together(NamedTuple):
    """The profile by all processes, the positions of its images in the data set, what could not be read, the size of
    the batches, whether a process was asked to stop, and what a reader must know of how it went."""

    profile: Profile
    positions: list[int]
    skipped: list[Unreadable]
    batch_size: int
    stopped: bool
    notes: list[str]


def profile_together(
    model: nn.Module,
    dataset: Dataset[Any],
    batch_size: int,
    *,
    workers: int | None = 0,
    maps: FiringMaps | None = None,
    enough: Callable[[Profile], bool] | None = None,
    state: MeasurementState | None = None,
    skip: bool = False,
    **options: Any,
) -> Together:
    """The profile of all images, of which each process measures some: whole batches, so that one process alone would
    find the same, number by number. With `skip`, what cannot be read is left out; without, the first such file is an
    error. EnergyError for `enough`, which only one process can decide, and if nothing can be read."""
    if enough is not None and ranks() > 1:
        raise EnergyError(f"--ci ends a measurement after a batch, which {ranks()} processes cannot; use --images")
    positions = [position for batch in shared_batches(dataset, batch_size) for position in batch]
    own: list[tuple[Profile, list[int], int]] = []
    unread: list[Unreadable] = []
    with state or MeasurementState(None, stoppable=False) as kept:
        if positions or ranks() == 1:
            options |= {"maps": maps, "enough": enough}
            share = ImageShare(model, dataset, positions, workers, kept, skip, options)
            own = share.measured(batch_size)
            unread = list(kept.unread.values())
        # one that waits for the others can be stopped no more, but has its state
        found = [part for some in gathered(own) for part in some]
        skipped = [each for some in gathered(unread) for each in some]
        stopped = any(gathered(kept.stopped))
        notes = list(dict.fromkeys(note for some in gathered(kept.notes) for note in some))
        if maps is not None and ranks() > 1:
            maps.take(gathered(maps))
    if not found:
        raise EnergyError(nothing_readable(skipped))
    profiles, taken, sizes = zip(*found, strict=True)
    whole = merge(profiles, disjoint=True) if len(profiles) > 1 else profiles[0]
    together = [position for some in taken for position in some]
    early = stopped and len(together) + len(skipped) < len(dataset)  # type: ignore[arg-type]
    return Together(whole, together, skipped, min(sizes), early, notes)


def nothing_readable(unread: Sequence[Unreadable]) -> str:
    """Why there is nothing to profile, in words."""
    if not unread:
        return "no images to profile"
    first = unread[0]
    return f"none of {len(unread)} images can be read; {first.file}: {first.reason}"


def labels_ignored(loaded: LoadedModel, source: Samples, measured: Profile) -> list[str]:
    """A warning where the labels are of another number of classes than the model has outputs."""
    if not source.classes or measured.labelled:
        return []
    kind, outputs = "folders" if source.split == "folder" else "classes", getattr(loaded.model, "num_classes", None)
    if not isinstance(outputs, int) or outputs == source.classes:
        return [f"{source.classes} {kind} do not fit what the model returns: labels ignored"]
    return [f"{source.classes} {kind}, {outputs} outputs: labels ignored"]


def describe_data(source: Samples, seed: int, together: Together) -> dict[str, Any]:
    """The data's part of the provenance, of the images that were used; of those that could not be read the names."""
    data = {
        "name": source.name,
        "split": source.split,
        "drawn": source.drawn,
        "indices": write_ranges(source.indices[position] for position in together.positions),
        "preprocessing": source.preprocessing,
        "input_size": list(source.input_size),
        "seed": seed,
    }
    if together.stopped:
        data["planned"] = len(source) - len(together.skipped)
    return data | ({"skipped": {each.file: each.reason for each in together.skipped}} if together.skipped else {})
