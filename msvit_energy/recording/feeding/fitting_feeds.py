"""Which ways of feeding fit a model, by what its neurons do in probes.

A way fits if every neuron of a known library runs the T steps of a probe, or a whole multiple, and if what all other
neurons emit for one image does not depend on another image, but at one step on an earlier one.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import count, islice

import torch
from torch import Tensor, nn

from msvit_energy.errors import EnergyError
from msvit_energy.recording.feeding.input_modes import TIME_AXES
from msvit_energy.recording.feeding.mode_probes import IMAGES, STEPS, Arguments, Probe, Prober, Sizes
from msvit_energy.recording.feeding.neuron_alone import NeuronAlone, random_pairs
from msvit_energy.recording.feeding.refusals import Refusal
from msvit_energy.recording.neurons import takes_sequences, time_axis

SEQUENCES = ("time-first", "batch-first", "time-last")
OVER_IMAGES = "its neurons run over the images of a batch"
ENOUGH = 2  # stimuli of a layer with many outputs, to see whether it remembers
NOT_OVER_STEPS = "its neurons do not run over its time steps"


@dataclass(frozen=True)
class Fit:
    """The ways that fit, and what became of those that do not: a refusal, or why not, in words. `own_steps` is the T of
    a model that runs over time by itself (None: not known), `keeps_state` whether any neuron remembers a step."""

    feeds: tuple[str, ...] = ()
    own_steps: int | None = None
    keeps_state: bool = True
    tried: dict[str, Refusal | str] = field(default_factory=dict)

    @property
    def all_refused(self) -> bool:
        """Whether the model refused everything that was tried."""
        return bool(self.tried) and all(isinstance(outcome, Refusal) for outcome in self.tried.values())


def fitting_feeds(
    prober: Prober,
    frames: Tensor,
    feeds: Sequence[str],
    steps: int | None,
    *,
    avoided: Sequence[int] = (),
    batch_size: int | None = None,
) -> Fit:
    """Of `feeds`, those that fit for images like `frames`, `[N, ...]`, where T is `steps`, if that is known.

    No size of a probe is one of an image or `avoided`. With a `batch_size`, the model may also insist on its own T, and
    if it refuses everything on one image at a time, or on that many.
    """
    kept = Fit()
    for sizes, last_resort in _sizes({*frames.shape[1:], *avoided}, steps, batch_size):
        if last_resort and not kept.all_refused:
            continue
        found = _Search(prober, frames, feeds, sizes, steps).fit()
        if found.feeds:
            return found
        kept = kept if kept.tried else found
    return kept


def _sizes(avoided: set[int], steps: int | None, batch_size: int | None) -> Iterator[tuple[Sizes, bool]]:
    """B and T of probes, of which none is a multiple of another or of T, and whether they are for a model that refuses
    all others."""

    def first(least: int, *others: int | None) -> int:
        numbers = (number for number in count(least) if number not in avoided)
        return next(number for number in numbers if all(number % n and n % number for n in others if n and n > 1))

    times = first(3, steps)
    images = first(2, times, steps)
    yield Sizes(images, times), False
    avoided = avoided | {images, times}  # the model's own T may be one of them
    others = first(3, steps)
    yield Sizes(first(2, others, steps), others), False
    if batch_size is None:
        return
    if steps is not None and steps > 1 and steps not in avoided:
        yield Sizes(first(2, steps), steps), False
    for images in dict.fromkeys((1, batch_size)):
        yield Sizes(images, first(3, images, steps)), True


@dataclass(frozen=True)
class _OneCall:
    """What one call with images `[B, ...]` shows: how many steps it runs over (None: several, not known how many), and
    whether neurons run over the images."""

    steps: int | None
    over_images: bool = False


class _Search:
    """Probes of one size, each run once."""

    def __init__(self, prober: Prober, frames: Tensor, feeds: Sequence[str], sizes: Sizes, steps: int | None) -> None:
        self._prober, self._frames, self._feeds, self._sizes, self._steps = prober, frames, feeds, sizes, steps
        self._probes: dict[str, Probe | Refusal] = {}
        self._tried: dict[str, Refusal | str] = {}
        self._lengths_of: dict[str, list[frozenset[int]]] = {}
        self._alones: dict[tuple[str, nn.Module], NeuronAlone] = {}
        self._left: list[str] = []  # ways that values do not rule out

    def fit(self) -> Fit:
        """Judge all ways. EnergyError if nothing fits since the model does not come back to the state of rest."""
        found = self._fit()
        if not found.feeds and self._prober.unknown:
            self._check_rest()
        return found

    def _fit(self) -> Fit:
        call = self._one_call
        loops = call is not None and call.steps != 1 and not call.over_images and "image" in self._feeds
        if loops and (behind := [feed for feed in self._feeds_behind() if self._counts_fit(feed)]):
            return Fit(tuple(behind))
        if call is not None and loops and call.steps is not None:
            return Fit(("image",), call.steps)
        once = [feed for feed in ("step", "image") if feed in self._feeds][:1]
        single = once if call is not None and call.steps == 1 and not call.over_images else []
        found = self._by_values(single) if self._prober.unknown else self._by_counts(single)
        if not found.feeds and loops:
            return Fit(("image", "step") if self._may_be_called_stepwise() else ("image",))
        return found if found.feeds or loops or not self._prober.unknown else self._without_memory(single)

    def _feeds_behind(self) -> list[str]:
        """The ways that neurons want which have T behind the images, and which may take another axis for it."""
        axes = {time_axis(neuron) for neuron in self._prober.neurons if takes_sequences(neuron)} - {0}
        return [feed for feed in SEQUENCES if feed in self._feeds and TIME_AXES[feed] in axes]

    def _by_counts(self, single: Sequence[str]) -> Fit:
        """With neurons of known libraries only."""
        if single:
            return Fit(tuple(single), 1)
        for feed in (*self._feeds_behind(), *SEQUENCES):
            if feed in self._feeds and self._counts_fit(feed):
                return Fit((feed,))
        return Fit(tried=self._tried)

    def _probe(self, feed: str) -> Probe | Refusal:
        """A probe in which frames alternate."""
        if feed not in self._probes:
            self._probes[feed] = seen = self._prober.probe(feed, self._grid)
            if isinstance(seen, Refusal):
                self._tried[feed] = seen
        return self._probes[feed]

    @cached_property
    def _grid(self) -> Tensor:
        first, second = next(self._stimuli())
        images, steps = (torch.arange(size, device=first.device) for size in self._sizes)
        odd = (images.unsqueeze(1) + steps.unsqueeze(0)) % 2 == 1
        return torch.where(odd.view(*self._sizes, *[1] * first.dim()), second, first)

    def _check_rest(self) -> None:
        """EnergyError if a probe that ran before gives something else now."""
        for feed, seen in self._probes.items():
            again = self._prober.probe(feed, self._grid)
            if not isinstance(seen, Refusal) and (isinstance(again, Refusal) or seen.outputs != again.outputs):
                raise EnergyError(
                    "the same images give another output in every forward: a state leaks from one to the next; pass "
                    "reset=, a callable that puts the model to rest (reset=lambda: net.reset()), to "
                    "msvit_energy.profile"
                )

    @cached_property
    def _one_call(self) -> _OneCall | None:
        """None if the model refuses images without T."""
        seen = self._probe("image")
        if isinstance(seen, Refusal):
            return None
        ran = self._ran(seen)
        own = math.gcd(*seen.weight_uses.values())
        if not self._prober.neurons and len(ran) == 1 and own > 1 and self._steps in (None, own):
            return _OneCall(own)  # a model without modules that uses all its weights in each step of a loop
        if self._run_over_images(ran):
            self._tried["image"] = self._tried["step"] = OVER_IMAGES
            return _OneCall(None, over_images=True)
        if not ran or (set(ran.values()) == {1} and (self._prober.neurons or self._images_in_front())):
            return _OneCall(1)
        numbers = (*ran.values(), *seen.weight_uses.values())
        if not self._prober.neurons and self._images_in_front() and all(n % (self._steps or 1) for n in numbers):
            return _OneCall(1)  # in which nothing happens T times
        return _OneCall(self._own_loop(seen, ran))

    def _own_loop(self, seen: Probe, ran: Mapping[nn.Module, int]) -> int | None:
        """The steps of one call in which neurons run more often than once; None where that does not show."""
        uses = max(seen.weight_uses.values(), default=1)
        lengths = {call.steps if call.sequence else 0 for calls in seen.calls.values() for call in calls}
        if (least := min(lengths, default=0)) > 1 and math.gcd(*lengths) == least:
            return least  # however often its neurons run over so many
        if uses > 1 and math.gcd(*ran.values()) % uses == 0:
            return uses
        more = self._steps is not None and any(steps % self._steps for steps in ran.values())
        again = uses == 1 and lengths == {0} and not self._prober.unknown and (more or seen.charged)
        return 1 if again else None

    def _run_over_images(self, ran: Mapping[nn.Module, int]) -> bool:
        """Whether layers ran more steps in a call the more images it had; a probe of one image says it, where T does
        not."""
        images = self._sizes.images
        if images == 1 or all(steps % images for steps in ran.values()):
            return False
        if self._steps is not None and any(steps % self._steps for steps in ran.values()):
            return True
        first = next(self._stimuli())[0]
        single = self._prober.probe("image", first.expand(1, 1, *first.shape))
        return isinstance(single, Refusal) or self._ran(single) != ran

    def _ran(self, seen: Probe) -> dict[nn.Module, int]:
        """The steps that each layer ran, as far as its kind and calls tell."""
        steps = {layer: 1 if seen.once(calls) else len(calls) for layer, calls in seen.calls.items()}
        over = {layer: calls for layer, calls in seen.calls.items() if calls[0].sequence}
        return steps | {layer: sum(call.steps for call in calls) for layer, calls in over.items()}

    def _shapes(self) -> list[tuple[int, ...]]:
        """Of all outputs in one call with images."""
        seen = self._probe("image")
        return [] if isinstance(seen, Refusal) else [call.shape for each in seen.calls.values() for call in each]

    def _images_in_front(self) -> bool:
        """Whether all outputs are of images, or of several windows of each, which are not as many as steps."""
        images = self._sizes.images
        windows = [divmod(shape[0], images) if shape else (0, 1) for shape in self._shapes()]
        return all(not rest and (n == 1 or (self._steps is not None and n % self._steps)) for n, rest in windows)

    def _hides_steps(self) -> bool:
        """Whether one call with images may run over some T, as outputs are of something else than images, or neurons
        mix what they are fed with."""
        mixed = any(self._alone("image", neuron).mixed_axes for neuron in self._examples("image"))
        return mixed or not self._images_in_front()

    def _may_carry_steps(self) -> bool:
        """Whether outputs in one call with images may be over T, by their shape; a last one may be a mean over time."""
        images, steps, shapes = self._sizes.images, self._steps or 1, self._shapes()
        in_front = any(shape[:2] == (steps, images) or shape[:1] == (steps * images,) for shape in shapes)
        one_more = self._frames.dim() + 1  # axis than a batch of images
        behind = any(shape[:2] == (images, steps) and len(shape) >= one_more for shape in shapes)
        return steps > 1 and (in_front or behind)

    def _counts_fit(self, feed: str) -> bool:
        """Whether neurons of known libraries run T steps or a multiple; those over sequences at least once just T."""
        seen = self._probe(feed)
        if isinstance(seen, Refusal):
            return False
        lengths = [call.steps for calls in seen.calls.values() for call in calls if call.sequence]
        times = [len(calls) for calls in seen.calls.values() if calls[0].sequence is False]
        steps = 1 if feed == "step" else self._sizes.steps
        fits = all(length % steps == 0 for length in lengths) and all(n % self._sizes.steps == 0 for n in times)
        if not fits or (lengths and steps not in lengths) or not seen.calls:
            self._tried.setdefault(feed, NOT_OVER_STEPS)
            return False
        return True

    def _by_values(self, single: Sequence[str]) -> Fit:
        """With layers of no known kind; `single` is the feed of a model that runs over one step in a call."""
        left = [feed for feed in (*single, *SEQUENCES) if feed in self._feeds and self._counts_fit(feed)]
        shown = {feed: self._shows_steps(feed) for feed in left}
        self._left = [feed for feed in left if shown[feed] is None]
        fits = [feed for feed in left if shown[feed]]
        for number, (first, second) in enumerate(self._stimuli()):
            if number == 0 or not self._prober.fired:
                fits = [feed for feed in fits if not self._images_mix(feed, first, second)]
        fits = fits or self._with_memory()
        if fits and self._own_steps() == self._sizes.steps:  # which may be no T of the probe
            return Fit(tried=self._tried | dict.fromkeys(fits, "its neurons may run over steps of their own"))
        if fits:
            return Fit(tuple(self._different(fits)))
        if single and "image" in self._feeds and (own_steps := self._own_steps()) is not None:
            return Fit(("image",), own_steps)
        return Fit(tried=self._tried)

    def _with_memory(self) -> list[str]:
        """Ways in which layers show that they remember a step."""
        without = 0  # stimuli in which it would have been seen
        for first, second in self._stimuli():
            self._left = [feed for feed in self._left if not self._images_mix(feed, first, second)]
            seen = {feed: self._prober.interplay(feed, STEPS, self._sizes, first, second) for feed in self._left}
            if fits := [feed for feed, interplay in seen.items() if interplay.depends]:
                return fits
            without += all(interplay.visible for interplay in seen.values())
            if without == ENOUGH:
                break
        return []

    def _without_memory(self, single: Sequence[str]) -> Fit:
        """Where no layer shows that it remembers anything: all that is left gives the same numbers, unless the model
        runs over T by itself."""
        if any(self._lengths("image")) or not self._left:
            return Fit(tried=self._tried)
        if len(self._left) > 1 and not self._prober.fired and self._steps is not None:
            return Fit(tried=self._tried | dict.fromkeys(self._left, "its neurons do not fire"))
        remembers = len(self._prober.unknown) < len(self._prober.watched)
        if single and self._prober.neurons and self._steps is None and self._hides_steps():
            return Fit(("image",))
        if single == ["step"] and "image" in self._feeds and self._may_carry_steps():
            return Fit(("image", "step"))
        return Fit(tuple(self._left[:1]), 1, keeps_state=remembers)

    def _may_be_called_stepwise(self) -> bool:
        """Whether a model without known neurons, which may run over T by itself, has layers that run once in a call,
        and remembers one call in the next."""
        seen = self._probe("image")
        if self._prober.neurons or self._steps is None or "step" not in self._feeds or isinstance(seen, Refusal):
            return False
        pairs = islice(self._stimuli(), ENOUGH)
        once = any(uses % self._steps for uses in seen.weight_uses.values())
        return once and any(self._prober.interplay("step", STEPS, self._sizes, *pair).depends for pair in pairs)

    def _shows_steps(self, feed: str) -> bool | None:
        """Whether neurons show T steps in time and none over images; None if they show nothing."""
        seen, steps = self._probe(feed), self._sizes.steps
        shown: bool | None = None
        for neuron, lengths in zip(self._examples(feed), self._lengths(feed), strict=True):
            calls = [] if isinstance(seen, Refusal) else seen.calls[neuron]
            times = 1 if isinstance(seen, Refusal) or seen.once(calls) else len(calls)
            if feed in SEQUENCES and (lengths or times > 1):
                shown = steps in lengths or (not lengths and times % steps == 0)
            elif feed == "step":
                shown = not lengths and (self._alone(feed, neuron).keeps_state() or shown)
            if shown is False:
                self._tried[feed] = NOT_OVER_STEPS
                return False
        return shown

    def _own_steps(self) -> int | None:
        """The steps that neurons run over by themselves in one call with images, the given T if they may be that."""
        lengths = [each for each in self._lengths("image") if each]
        common = frozenset.intersection(*lengths) if lengths else frozenset()
        if any(self._sizes.images in each for each in lengths if self._sizes.images > 1):
            return None
        return self._steps if self._steps in common else next(iter(common)) if len(common) == 1 else None

    def _lengths(self, feed: str) -> list[frozenset[int]]:
        """For some neurons, the steps that each may run over within one call of itself. Along time outputs depend on
        earlier inputs only; where they depend on all, as in channels that inhibit each other, the length decides."""
        if feed not in self._lengths_of:
            self._lengths_of[feed] = [self._lengths_within(feed, neuron) for neuron in self._examples(feed)]
        return self._lengths_of[feed]

    def _lengths_within(self, feed: str, neuron: nn.Module) -> frozenset[int]:
        alone, (images, steps) = self._alone(feed, neuron), self._sizes
        shape = alone.shape
        merged = feed not in SEQUENCES and shape[0] % images == 0 and shape[0] > images and shape[1:2] != (images,)
        lengths = {axis: shape[axis] // images if axis == 0 and merged else shape[axis] for axis in range(len(shape))}
        expected = {images, steps if feed in SEQUENCES else self._steps}
        mixed = alone.mixed_axes
        return frozenset(lengths[axis] for axis, causal in mixed.items() if causal or lengths[axis] in expected)

    def _examples(self, feed: str) -> list[nn.Module]:
        """Of neurons of one class and with inputs of as many axes, the first and the last to run."""
        seen = self._probe(feed)
        alike: dict[tuple[type, int], list[nn.Module]] = {}
        for neuron in () if isinstance(seen, Refusal) else seen.arguments:
            alike.setdefault((type(neuron), len(self._alone(feed, neuron).shape)), []).append(neuron)
        return [neuron for each in alike.values() for neuron in dict.fromkeys((each[0], each[-1]))]

    def _alone(self, feed: str, neuron: nn.Module) -> NeuronAlone:
        if (feed, neuron) not in self._alones:
            seen = self._probe(feed)
            given = Arguments((), {}) if isinstance(seen, Refusal) else seen.arguments[neuron]
            self._alones[feed, neuron] = NeuronAlone(neuron, given, self._prober.rest)
        return self._alones[feed, neuron]

    def _images_mix(self, feed: str, first: Tensor, second: Tensor) -> bool:
        """Whether what is emitted for one image depends on another, or is not to be had."""
        if self._sizes.images == 1 or self._prober.interplay(feed, IMAGES, self._sizes, first, second).depends is False:
            return False
        self._tried.setdefault(feed, "what its neurons emit for an image depends on the others")
        return True

    def _different(self, feeds: Sequence[str]) -> list[str]:
        """The first of all ways that give the same numbers."""
        totals: dict[str, list[float]] = {}
        for feed in feeds:
            seen = self._probe(feed)
            calls = [] if isinstance(seen, Refusal) else seen.calls.values()
            sums = [sum(call.total for call in each) for each in calls]
            if sums not in totals.values():
                totals[feed] = sums
        return list(totals)

    def _stimuli(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Pairs of images: given ones, then random ones."""
        first = self._frames[0]
        flipped = first.flip(-1) if first.dim() else first
        second = next((other for other in (*self._frames[1:], flipped) if not torch.equal(other, first)), None)
        if second is not None or not first.is_floating_point():
            yield first, flipped if second is None else second
        yield from random_pairs(first)
