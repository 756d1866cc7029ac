"""Measure a loaded model on the images that were asked for, and say where the profile comes from."""

import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any

import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset

import msvit_energy
from msvit.data import Samples, open_data
from msvit.data.preprocessing import AS_IT_IS, PreprocessingChanges
from msvit.data.readable import Readable, Unreadable, joined
from msvit.distributed import gathered, ranks, shared_batches
from msvit.memory import keep_memory
from msvit_energy import Profile
from msvit_energy.errors import EnergyError
from msvit_energy.profiles.image_indices import write_ranges
from msvit_energy.profiles.merge import merge
from msvit_energy.profiles.provenance import Provenance, command_line
from msvit_energy.recording.feeding.mode_detection import stated_time_steps
from msvit_energy.recording.firing_maps import FiringMaps
from msvit_energy.recording.model_parameters import parameters_of
from msvit_energy.workflows.model_loading import LoadedModel
from msvit_energy.workflows.progress import Progress, no_progress


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
    *,
    strict: bool = False,
    **how: Any,
) -> Profile:
    """Profile the model; `how` goes to `msvit_energy.profile`. Several processes share the images. What cannot be read
    is skipped and named in the provenance; with `strict`, the first such file is an error."""
    how.setdefault("frames", source.frames)
    for note in source.notes:
        print(f"{source.name}: {note}", file=sys.stderr)
    skipped: list[Unreadable] = []
    torch.manual_seed(options.seed)  # for models that draw random spikes
    keep_memory()  # every batch needs the same again
    with progress("profiling", len(source)) as advance:
        measured = profile_together(
            loaded.model,
            source.dataset,
            options.batch_size,
            workers=options.workers,
            classes=source.classes,
            on_batch=advance,
            skipped=None if strict else skipped,
            **how,
        )
    data = describe_data(source, options.seed, measured.images, skipped)
    warnings = [*loaded.warnings, *source.warnings, *labels_ignored(loaded, source, measured)]
    sampled = {"data": data, "batch_size": options.batch_size, "warnings": warnings}
    origin = Provenance.of(loaded.provenance | sampled).with_measured(measured.provenance)
    return replace(measured, provenance=origin.stamped(command_line()))


def profile_together(
    model: nn.Module,
    dataset: Dataset[Any],
    batch_size: int,
    *,
    workers: int | None = 0,
    lemaire: int = 0,
    maps: FiringMaps | None = None,
    enough: Callable[[Profile], bool] | None = None,
    skipped: list[Unreadable] | None = None,
    **options: Any,
) -> Profile:
    """The profile of all images, of which each process measures some: whole batches, so that one process alone would
    find the same, number by number. `skipped` receives what cannot be read; without it, the first such file is an
    error. EnergyError for `enough`, which only one process can decide, and if nothing can be read."""
    if enough is not None and ranks() > 1:
        raise EnergyError(f"--ci ends a measurement after a batch, which {ranks()} processes cannot; use --images")
    own = shared_batches(dataset, batch_size)
    singly = min(lemaire, sum(index < lemaire for batch in own for index in batch))
    on_gpu = next(parameters_of(model), torch.empty(0)).is_cuda
    workers = (min(8, os.cpu_count() or 1) if on_gpu else 0) if workers is None else workers
    samples = dataset if skipped is None else Readable(dataset)
    loader = DataLoader(samples, batch_sampler=own, num_workers=workers, pin_memory=on_gpu, collate_fn=joined)
    unread: list[Unreadable] = []
    batches = readable_batches(loader, unread)
    parts: list[Profile] = []
    if (first := next(batches, None)) is not None:
        every = chain([first], batches)
        parts = [msvit_energy.profile(model, every, lemaire=singly, maps=maps, enough=enough, **options)]
    parts = [part for some in gathered(parts) for part in some]
    everywhere = [each for some in gathered(unread) for each in some]
    if not parts:
        raise EnergyError(nothing_readable(everywhere))
    if skipped is not None:
        skipped += everywhere
    if maps is not None and ranks() > 1:
        maps.take(gathered(maps))
    return merge(parts, disjoint=True) if len(parts) > 1 else parts[0]


def readable_batches(loader: Iterable[Any], unread: list[Unreadable]) -> Iterator[tuple[Any, ...]]:
    """The batches of a loader whose samples are `joined`, of what could be read; `unread` receives what could not."""
    for batch, missing in loader:
        unread += missing
        if batch is not None:
            yield tuple(batch)


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


def describe_data(source: Samples, seed: int, images: int, skipped: Sequence[Unreadable] = ()) -> dict[str, Any]:
    """The data's part of the provenance, of the first `images` that were used, without those that were skipped."""
    unread = {each.position for each in skipped}
    used = [index for position, index in enumerate(source.indices[: images + len(unread)]) if position not in unread]
    data = {
        "name": source.name,
        "split": source.split,
        "drawn": source.drawn,
        "indices": write_ranges(used),
        "preprocessing": source.preprocessing,
        "input_size": list(source.input_size),
        "seed": seed,
    }
    return data | ({"skipped": {each.file: each.reason for each in skipped}} if skipped else {})
