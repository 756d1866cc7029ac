"""Energy image by image, of profiles that keep the counts of single images, and the interval of a difference."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from msvit_energy.errors import EnergyError
from msvit_energy.pricing.energy import EnergyReport
from msvit_energy.pricing.operation_counts import count
from msvit_energy.pricing.protocol import Protocol
from msvit_energy.pricing.technology import Technology, get_technology
from msvit_energy.profiles.amounts import Amount, quantile
from msvit_energy.profiles.profile import Profile
from msvit_energy.profiles.provenance import DataOrigin

if TYPE_CHECKING:
    import numpy as np


def energy_per_image(
    profile: Profile, protocol: str | Protocol = "appendix-c", technology: str | Technology = "45nm-fp32"
) -> "dict[str, np.ndarray]":
    """The energy of every image in pJ, `[images]`, by layer, in the order of `profile.image_counts`; their mean is what
    `price` gives. Layers that the protocol leaves out are absent. What a protocol decides by all images, such as which
    side of a product is the busier one, holds for each.

    EnergyError if the profile does not keep the counts of single images, or the protocol needs others.
    """
    if profile.image_counts is None:
        raise EnergyError("the profile keeps no counts of single images; measure again with per_image (--per-image)")
    counts = count(profile, protocol)
    prices = get_technology(counts.own_prices or technology)
    places = {key: place for place, key in enumerate(profile.image_counts.keys)}
    amounts = {entry.layer: entry.operations.energy_pj(prices) for entry in counts.entries if entry.counted}
    if any(not amount.weights.keys() <= places.keys() for amount in amounts.values()):
        raise EnergyError(f"{counts.protocol} needs more than is kept of single images")
    return {layer: _of_images(amount, profile, places) for layer, amount in amounts.items()}


def _of_images(amount: Amount, profile: Profile, places: Mapping[str, int]) -> "np.ndarray":
    """An amount of every image: its constant, and the weights times the counts of that image alone."""
    import numpy as np

    assert profile.image_counts is not None
    weights = np.array(list(amount.weights.values()))
    counts = profile.image_counts.counts[[places[key] for key in amount.weights]].astype(float)
    deviations = weights @ (counts - counts.mean(1, keepdims=True)) * profile.images
    return np.asarray(float(amount) + deviations)


@dataclass(frozen=True)
class DifferenceInterval:
    """Halves of the 95 % intervals of B - A, in pJ: of the total and by layer, those that are known. Paired, they are
    of the differences that the same images make; else they are at most that wide, whatever images A and B have in
    common, and `unpaired` says why."""

    total: float
    layers: Mapping[str, float]
    images: int
    unpaired: str = ""


def difference_interval(
    a: tuple[Profile, EnergyReport],
    b: tuple[Profile, EnergyReport],
    protocol: str | Protocol,
    *,
    same_images: bool = False,
) -> DifferenceInterval | None:
    """The interval of the difference of two profiles that were priced by one protocol; None if one of them has none
    itself.

    Images are paired by their places in one data set. With `same_images` they are paired in the order of measurement,
    by the caller's word; EnergyError if that cannot be.
    """
    (first, own), (second, other) = a, b
    if own.spread is None or other.spread is None:
        return None
    if same_images:
        if first.images != second.images:
            raise EnergyError(f"A and B cannot be of the same images: {first.images} and {second.images}")
        return _paired(first, second, protocol, own.technology)
    if reason := why_unpaired(first, second):
        return _at_most(own, other, reason)
    try:
        return _paired(_in_order(first), _in_order(second), protocol, own.technology)
    except EnergyError as error:  # other protocols can be told by images
        return _at_most(own, other, str(error))


def why_unpaired(a: Profile, b: Profile) -> str:
    """Why two profiles are not known to be of the same images, in words; empty if they are."""
    without = [name for name, profile in (("A", a), ("B", b)) if profile.image_counts is None]
    if a.image_counts is None or b.image_counts is None:
        return f"no counts of single images in {' and '.join(without)} (profile --per-image keeps them)"
    if a.image_counts.indices is None or b.image_counts.indices is None:
        return "nothing says which images A and B are of"
    own, other = (each.provenance.data or DataOrigin() for each in (a, b))
    if (own.name, own.split) != (other.name, other.split):
        return "A and B are of other data"
    places = [set(each.tolist()) for each in (a.image_counts.indices, b.image_counts.indices)]
    if places[0] != places[1]:
        return f"A and B have {len(places[0] & places[1])} images in common, of {a.images} and {b.images}"
    return ""


def _in_order(profile: Profile) -> Profile:
    """With the images sorted by their places."""
    assert profile.image_counts is not None
    return replace(profile, image_counts=profile.image_counts.in_order())


def _paired(a: Profile, b: Profile, protocol: str | Protocol, technology: Technology) -> DifferenceInterval:
    import numpy as np

    first, second = (energy_per_image(profile, protocol, technology) for profile in (a, b))
    nothing = np.zeros(a.images)
    differences = {layer: second.get(layer, nothing) - first.get(layer, nothing) for layer in {**first, **second}}
    halves = {layer: _half_width(each) for layer, each in differences.items()}
    return DifferenceInterval(_half_width(sum(differences.values(), nothing)), halves, a.images)


def _half_width(values: "np.ndarray") -> float:
    return quantile(len(values)) * float(values.std(ddof=1)) / math.sqrt(len(values))


def _at_most(a: EnergyReport, b: EnergyReport, why: str) -> DifferenceInterval:
    """A standard error of a difference is no larger than both together."""
    assert a.spread is not None
    assert b.spread is not None
    halves: dict[str, float] = {}
    counted = [row for row in (*a.rows, *b.rows) if row.counted]
    known = {row.layer for row in counted} - {row.layer for row in counted if row.spread is None}
    for row in counted:
        if row.spread is not None and row.layer in known:
            halves[row.layer] = halves.get(row.layer, 0.0) + row.spread.half_width
    images = min(a.spread.images, b.spread.images)
    return DifferenceInterval(a.spread.half_width + b.spread.half_width, halves, images, why)
