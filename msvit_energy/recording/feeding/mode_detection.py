"""Find out how a model wants its batches, whether they carry T, and what T is, from as little as is given."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from torch import Tensor, nn

from msvit_energy.errors import EnergyError
from msvit_energy.recording.feeding.fitting_feeds import SEQUENCES, Fit, fitting_feeds
from msvit_energy.recording.feeding.input_modes import OWN_T, InputMode, check
from msvit_energy.recording.feeding.mode_probes import Prober
from msvit_energy.recording.feeding.refusals import Refusal, advice, complaint, telling
from msvit_energy.recording.state.model_state import RestState

IN_FRONT = "frames with T in front"
SAMPLES = 8  # of a batch, from which probes are made

Source = Literal["given", "model", "data", "loop", "probes", "default"]


@dataclass(frozen=True)
class FoundMode:
    """How a model is fed, and how each part of that is known: "given", "model" (an attribute says it), "data" (their
    shape), "loop" (counted in the model's own loop over time), "probes", or "default"."""

    mode: InputMode
    feed_from: Source
    frames_from: Source
    time_steps_from: Source


@dataclass(frozen=True)
class _Asked:
    """What is known before any probe: the feed, whether batches carry T, and T."""

    feed: str
    frames: bool | None
    steps: int | None
    steps_from: Source

    def found(self, feed: str, frames: bool, steps: int, steps_from: Source, feed_from: Source) -> FoundMode:
        """The rest, as it was found; what was given stands."""
        feed = "image" if feed == "step" and steps == 1 and not frames and self.feed == "auto" else feed
        frames_from: Source = "given" if self.frames is not None else "probes" if frames else "default"
        mode = InputMode(feed if self.feed == "auto" else self.feed, frames, steps)
        return FoundMode(mode, feed_from if self.feed == "auto" else "given", frames_from, steps_from)


def stated_time_steps(model: nn.Module) -> int | None:
    """The T that a model holds as an attribute."""
    values = [getattr(model, name, None) for name in OWN_T]
    return next((value for value in values if type(value) is int and value >= 1), None)


def find_mode(
    model: nn.Module,
    batch: Tensor,
    rest: RestState,
    *,
    time_steps: int | None = None,
    feed: str = "auto",
    frames: bool | None = None,
) -> FoundMode:
    """How a model wants batches like `batch`; what is given stands.

    A model with an attribute `time_steps` repeats the image itself. Any other runs over small probes, where they are
    needed to know the feed, T, or whether a batch with an axis of length T carries it. EnergyError where nothing fits,
    where two readings fit and give different numbers, where T is unknown although neurons keep a state, and where the
    data have another T.
    """
    check(feed)
    feed = "time-first" if feed == "sequence" else feed
    asked = _Asked(feed, frames, *_known_steps(model, batch, time_steps, frames))
    if asked.steps is not None and isinstance(getattr(model, "time_steps", None), int):
        return asked.found("image", bool(frames), asked.steps, asked.steps_from, "model")
    prober = Prober(model, rest)
    if asked.steps is None and not prober.neurons and not prober.calls_spiking_functions(batch):
        return asked.found("image", bool(frames), 1, "default", "default")
    if feed not in ("auto", "image") and asked.steps is None:
        raise _unknown_steps(batch)
    if feed != "auto" and asked.steps is not None and not (frames is None and _axes_of(asked.steps, batch)):
        return asked.found(feed, bool(frames), asked.steps, asked.steps_from, "given")
    return _by_probes(prober, batch, asked)


def _known_steps(
    model: nn.Module, batch: Tensor, time_steps: int | None, frames: bool | None
) -> tuple[int | None, Source]:
    steps = stated_time_steps(model) if time_steps is None else time_steps
    source: Source = "model" if time_steps is None else "given"
    if frames and batch.dim() < 2:
        raise EnergyError(f"frames are batches [B, T, ...], not of shape {_shape(batch)}")
    if frames and steps not in (None, batch.shape[1]):
        whose = f"time_steps is {steps}" if source == "given" else f"the model's own T is {steps}"
        raise EnergyError(
            f"with frames, batches are [B, T, ...]: one of shape {_shape(batch)} has T = {batch.shape[1]}, but {whose}"
        )
    if steps is None:
        return (batch.shape[1], "data") if frames else (None, "default")
    return steps, source


def _by_probes(prober: Prober, batch: Tensor, asked: _Asked) -> FoundMode:
    """With all readings of a batch that its shape allows."""
    readings: dict[str, Fit] = {}
    steps, steps_from = asked.steps, asked.steps_from
    if not asked.frames:
        feeds: Sequence[str] = ("image", "step", *SEQUENCES) if asked.feed == "auto" else (asked.feed,)
        readings["images"] = images = _of_images(prober, batch, feeds, steps)
        if steps is None:
            steps, steps_from = (images.own_steps, "loop") if images.feeds == ("image",) else (None, "default")
            steps, steps_from = (steps, steps_from) if steps or images.keeps_state else (1, "default")
    asked_axes = _axes_of(steps, batch) if asked.frames is None else ()
    for axis in (1,) if asked.frames else asked_axes:
        named = batch if axis else batch.transpose(0, 1)
        as_it_is = "batch-first" if axis else "time-first"
        feeds = ("step", *SEQUENCES) if asked.feed == "auto" else (asked.feed.replace("image", as_it_is),)
        # a model that insists on its own T shows nothing of the data
        insisting = len(named) if asked.frames or not readings["images"].feeds else None
        readings["frames" if axis else IN_FRONT] = fitting_feeds(
            prober,
            named[:SAMPLES, :SAMPLES].flatten(0, 1),
            feeds,
            steps,
            avoided=batch.shape[1:],
            batch_size=insisting,
        )
    reading, feed, fit = _chosen(readings, batch, steps, asked.feed)
    if steps is None:
        raise _unknown_steps(batch)
    if fit.own_steps not in (None, 1, steps) and feed == "image":
        raise EnergyError(
            f"the model runs over {fit.own_steps} time steps by itself, not {steps}; pass time_steps = {fit.own_steps}"
        )
    return asked.found(feed, reading == "frames", steps, steps_from, "probes")


def _of_images(prober: Prober, batch: Tensor, feeds: Sequence[str], steps: int | None) -> Fit:
    """With a batch as images. A model that takes an axis of theirs, such as tokens, for time has no T of its own."""
    images = batch[:SAMPLES]
    found = fitting_feeds(prober, images, feeds, steps, batch_size=len(batch))
    for axis, length in enumerate(images.shape[1:], start=1):
        if steps is not None and found.feeds == ("image",) and found.own_steps == length > 1 and len(feeds) > 1:
            shorter = fitting_feeds(prober, images.narrow(axis, 0, length - 1), ("image",), None)
            if shorter.own_steps == length - 1:
                others = [feed for feed in feeds if feed != "image"]
                handed = fitting_feeds(prober, images, others, steps, batch_size=len(batch))
                return handed if handed.feeds else found
    return found


def _axes_of(steps: int | None, batch: Tensor) -> tuple[int, ...]:
    """Axes of a batch that may be T, by their length alone; at one step it makes no difference."""
    if steps is None or steps == 1 or batch.dim() < 3:
        return ()
    return tuple(axis for axis in (1, 0) if batch.shape[axis] == steps)


def _chosen(readings: Mapping[str, Fit], batch: Tensor, steps: int | None, asked: str) -> tuple[str, str, Fit]:
    """The one reading that fits, and the feed that does. A batch that the model takes as it is, with time on axis 1, is
    the same whether called images or frames."""
    fitting = {name: fit for name, fit in readings.items() if fit.feeds}
    if not fitting:
        raise _nothing_fits(readings, batch, asked)
    as_it_is = set(fitting) == {"images", "frames"} and fitting["images"].feeds == ("image",)
    if as_it_is and "batch-first" in fitting["frames"].feeds:
        return "frames", "batch-first", fitting["frames"]
    turn = "give it as [B, T, ...], x.transpose(0, 1), with frames=True"
    if len(fitting) > 1:
        others = " and as ".join(fitting)
        turned = f"; if T is in front, {turn}" if IN_FRONT in fitting else ""
        raise EnergyError(
            f"a batch of shape {_shape(batch)} fits as {others}, with T = {steps}, and gives different numbers; pass "
            f"frames=True if it is [B, T, ...], frames=False if it is images [B, ...]{turned}"
        )
    ((name, fit),) = fitting.items()
    if name == IN_FRONT and _asks_for_channels(readings["images"]):  # and takes axes of a picture for a batch
        raise _nothing_fits({"images": readings["images"]}, batch, asked)
    if name == IN_FRONT:
        raise EnergyError(f"a batch of shape {_shape(batch)} has T = {steps} in front; {turn}")
    if len(fit.feeds) > 1:
        named = " and ".join(f"feed={feed!r}" for feed in fit.feeds)
        raise EnergyError(f"{named} both fit, and give different numbers; pass one")
    return name, fit.feeds[0], fit


def _asks_for_channels(fit: Fit) -> bool:
    """Whether what says most of the refusals is that images have other channels than the model."""
    refusals = [outcome for outcome in fit.tried.values() if isinstance(outcome, Refusal)]
    return bool(refusals) and "channels" in str(telling(refusals).error)


def _unknown_steps(batch: Tensor) -> EnergyError:
    carried = " (or frames=True, if batches are [B, T, ...])" if batch.dim() > 2 else ""
    return EnergyError(
        f"nothing says how many time steps the model runs, and its neurons keep a state; pass time_steps={carried}"
    )


def _nothing_fits(readings: Mapping[str, Fit], batch: Tensor, asked: str) -> EnergyError:
    """What was tried, and the refusal that says most."""
    tried: dict[str, Refusal | str] = {}
    for fit in readings.values():
        tried = dict(fit.tried) | tried
    ways = ", ".join(tried)
    reasons = [f"as {feed}, {outcome}" for feed, outcome in tried.items() if isinstance(outcome, str)]
    refusals = [outcome for outcome in tried.values() if isinstance(outcome, Refusal)]
    if reasons or not refusals:
        return EnergyError(
            f"no way of feeding a batch of shape {_shape(batch)} fits ({ways}): {'; '.join(reasons)}; pass feed="
        )
    most = telling(refusals)
    if isinstance(most.error, EnergyError):
        return most.error
    how = f"however they are fed ({ways})" if asked == "auto" else f"fed as {asked}"
    error = EnergyError(
        f"the model refuses batches of shape {_shape(batch)} {how}; called with {list(most.shape)} it raises "
        f"{complaint(most.error)}; {advice(most.error)}"
    )
    error.__cause__ = most.error
    return error


def _shape(batch: Tensor) -> list[int]:
    return list(batch.shape)
