"""`profile`: measure a loaded model on images, in the way that was asked for."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from msvit.neuron import compile_neurons
from msvit_energy import Profile
from msvit_energy.errors import EnergyError
from msvit_energy.profiles.firing_maps import Example
from msvit_energy.recording.feeding import input_modes
from msvit_energy.recording.firing_maps import FiringMaps
from msvit_energy.workflows.loading.model_loading import LoadedModel
from msvit_energy.workflows.measuring import firing_maps
from msvit_energy.workflows.measuring.fast_inference import speed_up
from msvit_energy.workflows.measuring.firing_maps import MapRequest
from msvit_energy.workflows.measuring.interval_stop import IntervalStop
from msvit_energy.workflows.measuring.measurement import DataOptions, measure
from msvit_energy.workflows.measuring.measurement_state import MeasurementState, forget, states
from msvit_energy.workflows.progress import Progress, no_progress


@dataclass(frozen=True)
class ProfilingOptions:
    """How to measure: options of `profile` that concern neither the model nor the images."""

    feed: str = "auto"
    frames: bool | None = None  # None: as the data are known to be
    time_steps: int | None = None
    lemaire: int = 0
    maps: MapRequest | None = None
    stop: IntervalStop | None = None
    fast: bool = False
    compiled: bool = False
    strict: bool = False
    head: str | None = None  # layers with commas between
    neurons: str | None = None  # patterns with commas between
    folder: Path | None = None  # of the state that a stopped measurement goes on from
    resume: bool = False
    per_image: bool = False

    def __post_init__(self) -> None:
        input_modes.check(self.feed)
        if self.per_image and self.folder is None:
            raise EnergyError("--per-image writes a file, so it needs --out")


@dataclass(frozen=True)
class Measurement:
    """A profile, how many images there were to measure, and maps with an example where they were asked for."""

    profile: Profile
    available: int
    stopped: bool = False  # before its end, as asked
    maps: FiringMaps | None = None
    example: Example | None = None


def profile_model(
    loaded: LoadedModel, data: DataOptions, options: ProfilingOptions, progress: Progress = no_progress
) -> Measurement:
    """Measure; with `strict`, EnergyError for work that could not be counted."""
    source = data.open(loaded)
    if options.compiled:
        compile_neurons(loaded.model)
    frames = source.frames if options.frames is None else options.frames
    how: dict[str, Any] = {"time_steps": options.time_steps, "feed": options.feed, "frames": frames}
    neurons = [part.strip() for part in (options.neurons or "").split(",") if part.strip()]
    if options.fast:
        loaded = speed_up(loaded, source, data.batch_size, how, neurons)
    how["neurons"] = neurons
    request, stop = options.maps, options.stop
    example = firing_maps.example(loaded, data, request, how) if request else None
    maps = request.maps if request else None
    enough = stop.reached if stop else None
    how |= {"head": options.head.split(",")} if options.head else {}
    how |= {"maps": maps, "lemaire": options.lemaire, "enough": enough, "per_image": options.per_image}
    state = MeasurementState(options.folder, resume=options.resume)
    profile = measure(loaded, source, data, progress, state, strict=options.strict, **how)
    if options.strict and (left := uncounted(profile)):
        forget([] if options.folder is None else states(options.folder))
        raise EnergyError(f"--strict: {left}")
    stopped = bool(profile.provenance.data and profile.provenance.data.planned)
    return Measurement(profile, len(source), stopped, maps, example)


def uncounted(profile: Profile) -> str:
    """What was not counted or not cross-checked, in words; empty if nothing."""
    names = ", ".join(item.name for item in profile.coverage.unknown)
    return "; ".join(filter(None, (names and f"work that nothing counts: {names}", profile.coverage.note)))
