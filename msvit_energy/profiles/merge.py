"""Join profiles of disjoint images of one data set, exactly."""

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from functools import reduce
from math import prod
from typing import Any

from msgspec import UNSET

from msvit_energy.errors import EnergyError
from msvit_energy.profiles.amounts import Moments
from msvit_energy.profiles.image_indices import overlap, read_ranges, write_ranges
from msvit_energy.profiles.memory_estimate import MemoryEstimate
from msvit_energy.profiles.merged_streams import merged_neurons, merged_operands, multiple, plus
from msvit_energy.profiles.operand import Operand
from msvit_energy.profiles.operators import Operator, Overhead
from msvit_energy.profiles.profile import Profile
from msvit_energy.profiles.provenance import MergedPart, Provenance

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


def merge(profiles: Sequence[Profile], names: Sequence[str] = (), *, disjoint: bool = False) -> Profile:
    """The profile of all images together, as if measured in one go.

    `names` are what messages call the profiles. `disjoint=True` takes the caller's word that no image is in two of
    them; otherwise their provenance must say which images they are of. EnergyError for fewer than two profiles, other
    models, T, data, or common images.
    """
    if len(profiles) < 2:
        raise EnergyError(f"a merge joins two profiles or more, not {len(profiles)}")
    labels = names or [f"profile {number}" for number in range(1, len(profiles) + 1)]
    for profile, label in zip(profiles[1:], labels[1:], strict=True):
        _check_same(profiles[0], profile, labels[0], label)
    _check_weights(profiles, labels)
    indices = None if disjoint else _all_indices(profiles, labels)
    merged = reduce(_joined, profiles)
    return replace(merged, provenance=_provenance(profiles, indices))


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


def _check_weights(profiles: Sequence[Profile], labels: Sequence[str]) -> None:
    """EnergyError for profiles that state different weights."""
    stated = [(label, text) for profile, label in zip(profiles, labels, strict=True) if (text := _weights(profile))]
    for label, text in stated[1:]:
        if text != stated[0][1]:
            raise EnergyError(f"{stated[0][0]} and {label} are profiles of different weights")


def _weights(profile: Profile) -> str | None:
    """The hash of the model's weights; None where a file of an earlier version lacks it."""
    text = _fact(profile, ("model", "weights"))
    return text if isinstance(text, str) else None


def _unproven(profiles: Sequence[Profile]) -> list[str]:
    """A note where neither weights nor a checkpoint show that all profiles are of one network."""
    files = {_fact(profile, ("checkpoint", "sha256")) for profile in profiles}
    if all(map(_weights, profiles)) or None not in files:
        return []
    return ["joined from profiles that do not say which weights they are of, so nothing shows that all are of the same"]


def _fact(profile: Profile, path: tuple[str, str]) -> Any:
    """A fact of the provenance, None where it is not stated."""
    record, name = path
    value = getattr(getattr(profile.provenance, record), name, None)
    return None if value is UNSET else value


def _all_indices(profiles: Sequence[Profile], labels: Sequence[str]) -> str:
    """The indices of all images; EnergyError if some profile does not say its own, or two share one."""
    together: list[int] = []
    for profile, label in zip(profiles, labels, strict=True):
        text = _fact(profile, ("data", "indices"))
        if not isinstance(text, str):
            raise EnergyError(f"{label} does not say which images it is of, so nothing shows that they are others")
        own = read_ranges(text)
        if common := overlap(together, own):
            raise EnergyError(f"{label} shares {len(common)} images with another profile: {write_ranges(common)}")
        together += own
    return write_ranges(together)


def _provenance(profiles: Sequence[Profile], indices: str | None) -> Provenance:
    first = profiles[0].provenance
    data = replace(first.data, indices=indices) if first.data and indices is not None else first.data
    skipped = {file: why for profile in profiles for file, why in profile.provenance.skipped.items()}
    data = replace(data, skipped=skipped) if data and skipped else data
    notes = dict.fromkeys(note for profile in profiles for note in profile.provenance.warnings or ())
    notes |= dict.fromkeys(_unproven(profiles))
    parts = tuple(
        MergedPart(profile.images, origin.created or None, origin.command or None, origin.versions or None)
        for profile in profiles
        for origin in [profile.provenance]
    )
    return replace(first, data=data, warnings=tuple(notes), merged=parts)


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
    return replace(merged, moments=_moments(a, merged) + _moments(b, merged) if known else Moments())


def _moments(part: Profile, merged: Profile) -> Moments:
    """A part's moments of the counts that the merged profile keeps: some are multiples of others in the part, and of
    those in another unit."""
    source, times = {}, {}
    for mine, its in zip(_all_operands(part), _all_operands(merged), strict=True):
        for count in ("value", "nonzero", "events", "nonzero_events"):
            kept, factor = its.key(count)
            if factor == 1:
                stored, own = mine.key(count)
                times[kept] = 1 if count.startswith("nonzero") else multiple(mine, its)
                source[kept] = stored, own
    for entry, whole in zip(part.operators, merged.operators, strict=True):
        times[entry.pairs_key] = prod(map(multiple, entry.operands, whole.operands))
    wanted = merged.count_keys()
    return part.moments.select(wanted, source).multiplied([times.get(key, 1) for key in wanted])


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
