"""Energies of single images are those of images measured alone; the interval of a difference comes from them."""

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor, nn

import msvit_energy
from msvit.classifier import SpikingClassifier
from msvit_energy import EnergyError, Profile, energy_per_image, price
from msvit_energy.pricing.image_energies import DifferenceInterval, difference_interval
from msvit_energy.profiles.image_indices import write_ranges
from msvit_energy.profiles.merge import merge
from tests.support.scaled_networks import STEPS, Converted

# in float64, in which no rounding makes a spike in a batch that is none alone
IMAGES = torch.rand(9, 1, 12, 12, dtype=torch.float64, generator=torch.Generator().manual_seed(5)) * 2


def measured(model: nn.Module, indices: Sequence[int] = range(9), images: Tensor = IMAGES, name: str = "x") -> Profile:
    """In batches of 4, with the places of the images in a data set of that name."""
    chosen = images[list(indices)]
    data = {"name": name, "split": "test", "indices": write_ranges(indices)}
    profile = msvit_energy.profile(model, chosen.split(4), per_image=True, provenance={"data": data})
    assert profile.image_counts is not None
    return replace(profile, image_counts=replace(profile.image_counts, indices=np.array(indices)))


def interval_of(a: Profile, b: Profile, protocol: str = "appendix-c", **how: bool) -> DifferenceInterval | None:
    """Of the difference of both when priced by a protocol."""
    first, second = ((profile, price(profile, protocol)) for profile in (a, b))
    return difference_interval(first, second, protocol, **how)


@pytest.fixture
def model(small_model: SpikingClassifier) -> SpikingClassifier:
    return small_model.double()


@pytest.mark.parametrize("kind", ["msvit", "scaled"])
def test_an_image_costs_what_it_costs_alone(kind: str, model: SpikingClassifier) -> None:
    network = model if kind == "msvit" else Converted().double()
    whole, alone = measured(network), [msvit_energy.profile(network, [image[None]]) for image in IMAGES]
    for protocol in ("appendix-c", "exact", "appendix-c:first-layer=every-step"):
        energies = energy_per_image(whole, protocol)
        for number, one in enumerate(alone):
            own = {row.layer: row.energy_pj for row in price(one, protocol).rows if row.counted}
            if (
                kind == "msvit" and protocol != "exact"
            ):  # alone, another side of the product may be the busier one, which sets its rate
                own["stage3.0.ssa.product.kv"] = energies["stage3.0.ssa.product.kv"][number]
            assert {layer: energy[number] for layer, energy in energies.items()} == pytest.approx(own, rel=1e-9)


def test_the_interval_is_that_of_the_differences_of_images(model: SpikingClassifier) -> None:
    dimmed = IMAGES * torch.linspace(0.4, 0.9, 9).view(-1, 1, 1, 1)
    a, b = measured(model), measured(model, images=dimmed)
    interval = interval_of(a, b, "exact")
    assert interval is not None
    totals = [
        [price(msvit_energy.profile(model, [image[None]]), "exact").total_pj for image in images]
        for images in (IMAGES, dimmed)
    ]
    differences = np.subtract(*totals[::-1])
    # Student's t with the root of 9 degrees of freedom, and the error of a mean of 9
    assert interval.total == pytest.approx(stats.t.ppf(0.975, 3) * differences.std(ddof=1) / 3, rel=1e-9)
    assert (interval.images, interval.unpaired) == (9, "")
    apart = interval_of(replace(a, image_counts=None), b, "exact")
    assert apart is not None
    spreads = [report.spread for report in (price(a, "exact"), price(b, "exact"))]
    assert all(spread is not None for spread in spreads)
    assert apart.total == pytest.approx(sum(spread.half_width for spread in spreads if spread))
    assert interval.total < apart.total
    assert apart.unpaired == "no counts of single images in A (profile --per-image keeps them)"
    for layer, half in interval.layers.items():
        assert half <= apart.layers[layer] * (1 + 1e-9)


def test_images_are_paired_by_their_places(model: SpikingClassifier) -> None:
    order = [4, 0, 8, 2, 6, 1, 7, 3, 5]
    interval = interval_of(measured(model), measured(model, order))
    assert interval is not None
    assert interval.unpaired == ""
    assert interval.total == pytest.approx(0, abs=1e-6)
    shuffled = interval_of(measured(model), measured(model, order), same_images=True)  # which is not so
    assert shuffled is not None
    assert shuffled.total > 1000


def test_other_images_are_not_paired(model: SpikingClassifier) -> None:
    a = measured(model)
    reasons = [
        (measured(model, range(8)), "A and B have 8 images in common, of 9 and 8"),
        (measured(model, name="y"), "A and B are of other data"),
        (replace(a, image_counts=replace(a.image_counts, indices=None)), "nothing says which images A and B are of"),
    ]
    for b, reason in reasons:
        interval = interval_of(a, b)
        assert interval is not None
        assert interval.unpaired == reason
    with pytest.raises(EnergyError, match="cannot be of the same images: 9 and 8"):
        interval_of(a, reasons[0][0], same_images=True)
    assert interval_of(a, measured(model, [0])) is None  # one image has no spread


def test_a_protocol_that_needs_more_is_not_paired(model: SpikingClassifier) -> None:
    profile = msvit_energy.profile(model, [IMAGES], lemaire=3, per_image=True)
    with pytest.raises(EnergyError, match="lemaire-estimate needs more than is kept of single images"):
        energy_per_image(profile, "lemaire-estimate")
    with pytest.raises(EnergyError, match="keeps no counts of single images"):
        energy_per_image(replace(profile, image_counts=None))


def test_merged_parts_keep_their_images(model: SpikingClassifier) -> None:
    images = torch.cat(
        [torch.zeros(3, 1, 12, 12, dtype=IMAGES.dtype), IMAGES]
    )  # blank images let nothing fire: other counts are kept
    parts = [measured(model, indices, images) for indices in (range(3), range(3, 8), range(8, 12))]
    whole, joined = measured(model, range(12), images), merge(parts)
    assert whole.image_counts is not None
    assert joined.image_counts is not None
    assert joined.image_counts.keys == whole.image_counts.keys
    assert (joined.image_counts.counts == whole.image_counts.counts).all()
    assert (joined.image_counts.indices == whole.image_counts.indices).all()
    assert merge([parts[0], replace(parts[1], image_counts=None)]).image_counts is None


def test_merged_parts_on_other_lattices_keep_their_images() -> None:
    torch.manual_seed(0)
    images = torch.rand(8, 1, 12, 12)
    images[:3] = 0.0
    network = Converted()
    parts = [measured(network, indices, images) for indices in (range(3), range(3, 8))]
    whole, joined = measured(network, range(8), images), merge(parts)
    assert any(a.driver.step != b.driver.step for a, b in zip(parts[0].operators, joined.operators, strict=True)), (
        "the parts are on one lattice"
    )
    assert whole.image_counts is not None
    assert joined.image_counts is not None
    assert joined.image_counts.keys == whole.image_counts.keys
    assert (joined.image_counts.counts == whole.image_counts.counts).all()
    assert whole.time_steps == STEPS


def test_a_saved_profile_has_its_images_beside_it(model: SpikingClassifier, tmp_path: Path) -> None:
    profile = measured(model)
    profile.save(tmp_path / "p.json")
    assert Profile.load(tmp_path / "p.json").image_counts is None
    again = Profile.load(tmp_path / "p.json", per_image=True)
    assert again == profile
    for protocol in ("appendix-c", "exact"):
        saved, kept = energy_per_image(again, protocol), energy_per_image(profile, protocol)
        assert all((saved[layer] == kept[layer]).all() for layer in kept)
        assert saved.keys() == kept.keys()
    moments = profile.moments
    assert again.image_counts is not None
    squares = [sum(count * count for count in row) for row in again.image_counts.counts.tolist()]
    assert squares == [row[0] for row in moments.products]
    replace(profile, image_counts=None).save(tmp_path / "p.json")
    assert not (tmp_path / "p.per_image.safetensors").exists()
    assert math.isclose(price(again).total_pj, sum(each.mean() for each in energy_per_image(again).values()))


def test_counts_of_another_profile_are_refused(model: SpikingClassifier, tmp_path: Path) -> None:
    measured(model).save(tmp_path / "a.json")
    measured(model, images=IMAGES * 0.7).save(tmp_path / "b.json")
    (tmp_path / "b.per_image.safetensors").replace(tmp_path / "a.per_image.safetensors")
    with pytest.raises(
        EnergyError, match=r"a.per_image.safetensors is not of the profile beside it: \d+ counts differ"
    ):
        Profile.load(tmp_path / "a.json", per_image=True)
