"""Join profiles of disjoint images of one data set, exactly."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from math import prod
from typing import Any, TypeVar

from msgspec import UNSET

from msvit_energy.errors import EnergyError
from msvit_energy.profiles.amounts import Moments
from msvit_energy.profiles.image_counts import ImageCounts
from msvit_energy.profiles.image_indices import as_text, overlap, read_ranges, sorted_ranges
from msvit_energy.profiles.memory_estimate import MemoryEstimate
from msvit_energy.profiles.merged_streams import merged_neurons, merged_operands, multiple, plus
from msvit_energy.profiles.operand import Operand
from msvit_energy.profiles.operators import Operator, Overhead
from msvit_energy.profiles.profile import Profile
from msvit_energy.profiles.provenance import MergedPart, Provenance

UNPROVEN = "joined from profiles that do not say which weights they are of, so nothing shows that all are of the same"

Kept = TypeVar("Kept", Moments, ImageCounts)

# what the provenance of profiles that are joined must agree on
SAME = (
    ("model", ("model", "name")),
    ("model arguments", ("model", "args")),
    ("checkpoint", ("checkpoint", "sha256")),
    ("data", ("data", "name")),
    ("split", ("data", "split")),
    ("preprocessing", ("data", "preprocessing")),
    ("input size", ("data", "input_size")),
)


def merge(profiles: Iterable[Profile], names: Sequence[str] = (), *, disjoint: bool = False) -> Profile:
    """The profile of all images together, as if measured in one go. Only one of `profiles` is held at a time, so they
    may be read from files as they are asked for.

    `names` are what messages call the profiles. `disjoint=True` takes the caller's word that no image is in two of
    them; otherwise their provenance must say which images they are of. EnergyError for fewer than two profiles, other
    models, T, data, or common images.
    """
    merged, seen = None, _Seen(disjoint=disjoint)
    for number, profile in enumerate(profiles):
        seen.check(profile, names[number] if names else f"profile {number + 1}")
        merged = profile if merged is None else _joined(merged, profile)
    if merged is None or len(seen.parts) < 2:
        raise EnergyError(f"a merge joins two profiles or more, not {len(seen.parts)}")
    return replace(merged, provenance=seen.provenance(merged.provenance))


class _Seen:
    """What must agree between all profiles, must differ between any two, or is kept of each, profile by profile."""

    def __init__(self, *, disjoint: bool) -> None:
        self.parts: list[MergedPart] = []
        self._first: tuple[Profile, str] | None = None
        self._weights: tuple[str, str] | None = None  # the hash that was stated first, and by whom
        self._unstated = False  # whether some profile states none
        self._checkpoints: set[Any] = set()
        self._notes: dict[str, None] = {}
        self._skipped: dict[str, str] = {}
        self._planned, self._stopped = 0, False  # images that were to be measured; whether fewer were
        self._images: list[tuple[list[range], str]] | None = None if disjoint else []

    def check(self, profile: Profile, label: str) -> None:
        """Note one more profile; EnergyError if it is no other part of the same measurement."""
        self._first = self._first or (profile, label)
        _check_same(self._first[0], profile, self._first[1], label)
        self._check_weights(profile, label)
        if self._images is not None:
            self._images.append((_indices(profile, label), label))
        origin = profile.provenance
        self._checkpoints.add(_fact(profile, ("checkpoint", "sha256")))
        self._notes |= dict.fromkeys(origin.warnings or ())
        self._skipped |= origin.skipped
        planned = _fact(profile, ("data", "planned"))
        self._planned += planned or profile.images
        self._stopped |= planned is not None
        facts = origin.created or None, origin.command or None, origin.versions or None
        self.parts.append(MergedPart(profile.images, *facts))

    def _check_weights(self, profile: Profile, label: str) -> None:
        """EnergyError for other weights than those that an earlier profile states."""
        own = _weights(profile)
        if own is None:
            self._unstated = True
        elif self._weights is None:
            self._weights = own, label
        elif own != self._weights[0]:
            raise EnergyError(f"{self._weights[1]} and {label} are profiles of different weights")

    def provenance(self, first: Provenance) -> Provenance:
        """Where the whole comes from, if `first` says that of the first profile."""
        data, notes = first.data, dict(self._notes)
        if data and self._images is not None:
            data = replace(data, indices=as_text(_together(self._images)))
        if data and self._skipped:
            data = replace(data, skipped=self._skipped)
        if data and self._stopped:
            data = replace(data, planned=self._planned)
        if self._unstated and None in self._checkpoints:
            notes |= dict.fromkeys([UNPROVEN])
        return replace(first, data=data, warnings=tuple(notes), merged=tuple(self.parts))


def _check_same(first: Profile, other: Profile, label: str, other_label: str) -> None:
    for what, path in SAME:
        mine, theirs = (_fact(profile, path) for profile in (first, other))
        if mine != theirs:
            raise EnergyError(f"{label} and {other_label} differ in {what}: {mine!r} and {theirs!r}")
    if first.time_steps != other.time_steps:
        raise EnergyError(f"{label} and {other_label} differ in T: {first.time_steps} and {other.time_steps}")
    if _layers(first) != _layers(other):
        raise EnergyError(f"{label} and {other_label} are profiles of different models: their layers differ")
    for mine, theirs in zip(first.operators, other.operators, strict=True):
        if mine.macs_per_image != theirs.macs_per_image:
            raise EnergyError(
                f"{label} and {other_label} differ in the MACs of {mine.layer}, {mine.macs_per_image} and "
                f"{theirs.macs_per_image} per image: are their images of one size?"
            )


def _layers(profile: Profile) -> list[tuple[Any, ...]]:
    """What profiles of one model have in common, whatever their images."""
    operators = [(o.layer, o.op, o.runs_per_image) for o in profile.operators]
    neurons = [(layer.neuron, len(layer.sums)) for layer in profile.neurons]
    streams = [(operand.name, len(operand.sums)) for operand in _all_operands(profile)]
    return [*operators, *((entry.layer, entry.op) for entry in profile.overheads), *neurons, *streams]


def _weights(profile: Profile) -> str | None:
    """The hash of the model's weights; None where a file of an earlier version lacks it."""
    text = _fact(profile, ("model", "weights"))
    return text if isinstance(text, str) else None


def _fact(profile: Profile, path: tuple[str, str]) -> Any:
    """A fact of the provenance, None where it is not stated."""
    record, name = path
    value = getattr(getattr(profile.provenance, record), name, None)
    return None if value is UNSET else value


def _together(images: Sequence[tuple[list[range], str]]) -> list[range]:
    """The indices of all profiles; EnergyError where one shares some with an earlier one."""
    every = sorted((each.start, each.stop, number) for number, (ranges, _) in enumerate(images) for each in ranges)
    for (_, stop, first), (start, _, second) in pairwise(every):
        if start < stop:
            later = max(first, second)
            own, label = images[later]
            common = overlap(sorted_ranges(each for ranges, _ in images[:later] for each in ranges), own)
            count = sum(map(len, common))
            raise EnergyError(f"{label} shares {count} images with another profile: {as_text(common)}")
    return sorted_ranges(range(start, stop) for start, stop, _ in every)


def _indices(profile: Profile, label: str) -> list[range]:
    """The indices of its images; EnergyError if a profile does not say them."""
    text = _fact(profile, ("data", "indices"))
    if not isinstance(text, str):
        raise EnergyError(f"{label} does not say which images it is of, so nothing shows that they are others")
    return read_ranges(text)


def _joined(a: Profile, b: Profile) -> Profile:
    operators = tuple(_operators(*pair, a.images, b.images) for pair in zip(a.operators, b.operators, strict=True))
    overheads = tuple(_overheads(*pair, a.images, b.images) for pair in zip(a.overheads, b.overheads, strict=True))
    merged = replace(
        a,
        images=a.images + b.images,
        operators=operators,
        neurons=tuple(map(merged_neurons, a.neurons, b.neurons)),
        overheads=overheads,
        coverage=replace(
            a.coverage,
            never_called=tuple(x for x in a.coverage.never_called if x in b.coverage.never_called),
            assumed_order=tuple(dict.fromkeys((*a.coverage.assumed_order, *b.coverage.assumed_order))),
        ),
        memory=_memory(a.memory, b.memory),
        labelled=a.labelled + b.labelled,
        correct=a.correct + b.correct,
    )
    known = a.moments.keys and b.moments.keys  # else no interval is known of the whole either
    if not known:
        return replace(merged, moments=Moments(), image_counts=None)
    moments = _converted(a.moments, a, merged) + _converted(b.moments, b, merged)
    if a.image_counts is None or b.image_counts is None:
        return replace(merged, moments=moments, image_counts=None)
    counts = _converted(a.image_counts, a, merged) + _converted(b.image_counts, b, merged)
    return replace(merged, moments=moments, image_counts=counts)


def _converted(counts: Kept, part: Profile, merged: Profile) -> Kept:
    """What is kept of a part's counts, for the counts that the merged profile keeps: some are multiples of others in
    the part, and of those in another unit."""
    wanted = merged.count_keys()
    pairs = list(zip(_all_operands(part), _all_operands(merged), strict=True))
    if counts.keys == wanted and all(mine.step == its.step for mine, its in pairs):
        return counts
    source, times = {}, {}
    for mine, its in pairs:
        for count in ("value", "nonzero", "events", "nonzero_events"):
            kept, factor = its.key(count)
            if factor == 1:
                stored, own = mine.key(count)
                times[kept] = 1 if count.startswith("nonzero") else multiple(mine, its)
                source[kept] = stored, own
    for entry, whole in zip(part.operators, merged.operators, strict=True):
        times[entry.pairs_key] = prod(map(multiple, entry.operands, whole.operands))
    return counts.select(wanted, source).multiplied([times.get(key, 1) for key in wanted])


def _all_operands(profile: Profile) -> list[Operand]:
    return [operand for entry in profile.entries for operand in entry.operands]


def _operators(a: Operator, b: Operator, images: int, more_images: int) -> Operator:
    """Outputs are their mean over images, rounded."""
    operands = tuple(map(merged_operands, a.operands, b.operands))
    pairs = plus(_pairs(a, operands), _pairs(b, operands))
    shape = None
    if a.shape is not None and b.shape is not None:
        outputs = round(Fraction(a.shape.outputs * images + b.shape.outputs * more_images, images + more_images))
        shape = replace(a.shape, outputs=outputs)
    return replace(a, operands=operands, pairs=pairs, shape=shape)


def _pairs(part: Operator, merged: Sequence[Operand]) -> int | None:
    """The pairs of a part in the units of the whole."""
    return None if part.pairs is None else part.pairs * prod(map(multiple, part.operands, merged))


def _overheads(a: Overhead, b: Overhead, images: int, more_images: int) -> Overhead:
    """Elements are their mean over images, rounded."""
    elements = a.elements_per_image * images + b.elements_per_image * more_images
    mean = round(Fraction(elements, images + more_images))
    return replace(a, elements_per_image=mean, operands=tuple(map(merged_operands, a.operands, b.operands)))


def _memory(a: MemoryEstimate | None, b: MemoryEstimate | None) -> MemoryEstimate | None:
    if a is None or b is None:
        return a or b
    parts = {part: (*values, *b.parts_pj[part]) for part, values in a.parts_pj.items()}
    return MemoryEstimate(a.model, parts, tuple(dict.fromkeys((*a.warnings, *b.warnings))))
