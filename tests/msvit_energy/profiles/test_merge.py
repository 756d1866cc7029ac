"""Profiles of parts join to the profile of the whole, exactly."""

from collections.abc import Iterator, Sequence
from copy import deepcopy
from dataclasses import replace
from statistics import mean, stdev
from weakref import ref

import pytest
import torch
from msgspec import UNSET
from torch import Tensor, nn

import msvit_energy
from msvit.classifier import SpikingClassifier
from msvit_energy import EnergyError, Profile, price
from msvit_energy.pricing.protocols import all_choices
from msvit_energy.profiles.amounts import Moments
from msvit_energy.profiles.image_indices import as_text, overlap, read_ranges, sorted_ranges, write_ranges
from msvit_energy.profiles.merge import merge
from msvit_energy.profiles.provenance import CheckpointOrigin, ModelOrigin, Provenance
from tests.support.foreign_models import Forward, numbers
from tests.support.plain_profile import plain_profile

pytestmark = pytest.mark.slow


IMAGES = torch.randn(7, 1, 12, 12, dtype=torch.float64, generator=torch.Generator().manual_seed(2))


def measured(model: SpikingClassifier, indices: Sequence[int], images: Tensor = IMAGES, **given: object) -> Profile:
    data = {"name": "random", "split": "all", "indices": write_ranges(indices)} | given
    return msvit_energy.profile(model, [images[list(indices)]], lemaire=1, provenance={"data": data})


def counts_of(profile: Profile) -> Profile:
    """Without what says where it comes from, and without the estimate of single images."""
    return replace(profile, provenance=Provenance(), memory=None)


def test_parts_join_to_the_whole(small_model: SpikingClassifier) -> None:
    parts = [measured(small_model, indices) for indices in ((0, 3, 4), (1, 2), (5, 6))]
    whole = measured(small_model, range(7))
    joined = merge(parts)
    assert joined.provenance.data.indices == "0-6"
    assert counts_of(joined) == counts_of(whole)
    assert joined.memory is not None
    assert joined.memory.images == 3
    assert merge(parts[::-1]).moments == joined.moments


def test_an_input_that_is_binary_in_one_part_and_integer_in_the_other_is_integer(
    small_model: SpikingClassifier,
) -> None:
    images = torch.cat([torch.zeros(3, 1, 12, 12, dtype=torch.float64), IMAGES])  # a blank image lets nothing fire
    blank, rest = measured(small_model, range(3), images), measured(small_model, range(3, 10), images)
    whole = measured(small_model, range(10), images)
    assert any(a.driver.kind != b.driver.kind for a, b in zip(blank.operators, rest.operators, strict=True))
    for joined in (merge([blank, rest]), merge([rest, blank])):
        assert counts_of(joined) == counts_of(whole)
        for choice in set(all_choices()) - {"lemaire-estimate"}:
            assert price(joined, choice).spread == price(whole, choice).spread


def test_profiles_are_read_one_at_a_time(small_model: SpikingClassifier) -> None:
    part = measured(small_model, (0,))
    alive: list[ref[Profile]] = []

    def parts() -> Iterator[Profile]:
        for index in range(20):
            data = replace(part.provenance.data, indices=str(index))
            alive.append(ref(one := replace(part, provenance=replace(part.provenance, data=data))))
            yield one
            del one
            # the first one, which all are held against, this one, and the joined one
            assert sum(each() is not None for each in alive) <= 2

    joined = merge(parts())
    assert (joined.images, joined.provenance.data.indices, len(joined.provenance.merged)) == (20, "0-19", 20)
    assert joined.moments.sums == tuple(20 * total for total in part.moments.sums)


def test_what_does_not_belong_together_is_refused(small_model: SpikingClassifier) -> None:
    one, two = measured(small_model, (0, 1)), measured(small_model, (2, 3))
    with pytest.raises(EnergyError, match="b shares 1 images with another profile: 1"):
        merge([one, measured(small_model, (1, 2))], ["a", "b"])
    with pytest.raises(EnergyError, match="a and b differ in split: 'all' and 'train'"):
        merge([one, measured(small_model, (2,), split="train")], ["a", "b"])
    with pytest.raises(EnergyError, match="differ in T: 4 and 2"):
        merge([one, replace(two, time_steps=2)])
    with pytest.raises(EnergyError, match="are profiles of different models"):
        merge([one, replace(two, operators=two.operators[1:])])
    with pytest.raises(EnergyError, match="differ in model: 'm' and None"):
        merge([replace(one, provenance=replace(one.provenance, model=ModelOrigin("m"))), two])
    with pytest.raises(EnergyError, match="two profiles or more, not 1"):
        merge([one])


def test_without_indices_the_caller_must_vouch(small_model: SpikingClassifier) -> None:
    one, two = (msvit_energy.profile(small_model, [part]) for part in IMAGES.split(4))
    with pytest.raises(EnergyError, match="profile 1 does not say which images it is of"):
        merge([one, two])
    assert merge([one, two], disjoint=True).moments == msvit_energy.profile(small_model, [IMAGES]).moments


@pytest.mark.parametrize(
    ("indices", "text"), [([], ""), ([5], "5"), ([3, 1, 2, 7], "1-3,7"), (range(355), "0-354"), ([0, 2, 4], "0,2,4")]
)
def test_indices_are_written_as_ranges_and_read_back(indices: Sequence[int], text: str) -> None:
    assert write_ranges(indices) == text
    assert [index for part in read_ranges(text) for index in part] == sorted(indices)


def test_common_indices_are_found_and_joined() -> None:
    a, b = read_ranges("0-9,20,30-39"), read_ranges("5-20,35-35,50")
    assert as_text(overlap(a, b)) == "5-9,20,35"
    assert as_text(sorted_ranges([*a, *b])) == "0-20,30-39,50"
    assert as_text(overlap(read_ranges("0-999999999999999999"), a)) == "0-9,20,30-39"


@pytest.mark.parametrize("text", ["a", "1-", "-1", "1--2", "1;2", "9" * 19])
def test_damaged_indices_are_named(text: str) -> None:
    with pytest.raises(EnergyError, match="image indices must look like 0-31,40, not"):
        read_ranges(text)


def test_parts_whose_elements_reach_different_numbers_of_synapses_join_to_the_whole() -> None:
    # x x^T has H x H x W products, and an element of x meets H others: 64 products for both sizes, but 4 and 2
    model = Forward(lambda module, x: x @ x.transpose(-1, -2))
    generator = torch.Generator().manual_seed(0)
    square, wide = ((torch.rand(5, 1, *size, generator=generator) < 0.3).double() for size in ((4, 4), (2, 16)))
    parts = [msvit_energy.profile(model, [images]) for images in (square, wide)]
    whole = msvit_energy.profile(model, [square, wide])
    assert [part.operators[0].operands[0].fan_out for part in (*parts, whole)] == [4, 2, None]
    for joined in (merge(parts, disjoint=True), merge(parts[::-1], disjoint=True)):
        assert counts_of(joined) == counts_of(whole)
        for choice in set(all_choices()) - {"lemaire-estimate"}:
            assert price(joined, choice).spread == price(whole, choice).spread
    events = [4 * image.sum().item() for image in square] + [2 * image.sum().item() for image in wide]
    spread = merge(parts, disjoint=True).spread().of(whole.operators[0].operands[0].reached(10))
    assert (spread.mean, spread.standard_error) == pytest.approx((mean(events), stdev(events) / 10**0.5))


def test_parts_with_other_work_per_image_are_refused_or_have_its_mean() -> None:
    model = Forward(lambda module, x: module.norm(module.conv(x)), conv=nn.Conv2d(1, 2, 3), norm=nn.BatchNorm2d(2))
    small, large = (msvit_energy.profile(model, [numbers(2, 1, size, size)]) for size in (5, 6))
    with pytest.raises(EnergyError, match="a and b differ in the MACs of conv, 162 and 288 per image: are "):
        merge([small, large], ["a", "b"], disjoint=True)
    with pytest.raises(EnergyError, match="their layers differ"):
        merge([small, replace(small, overheads=small.overheads[1:])], disjoint=True)
    norm = next(entry for entry in small.overheads if entry.op == "batch_norm")
    others = [replace(entry, elements_per_image=3) if entry == norm else entry for entry in small.overheads]
    other = replace(small, images=1, overheads=tuple(others))
    joined = {entry.layer: entry.elements_per_image for entry in merge([small, other], disjoint=True).overheads}
    assert joined["norm"] == (18 + 18 + 3) / 3


def test_without_moments_in_one_part_no_interval_is_known_of_the_whole(small_model: SpikingClassifier) -> None:
    one, two = measured(small_model, (0, 1)), measured(small_model, (2, 3))
    joined = merge([one, replace(two, moments=Moments())])
    assert price(joined).total_mj > 0
    assert price(joined).interval_mj is None


def test_profiles_of_different_weights_are_refused(small_model: SpikingClassifier) -> None:
    one, two = measured(small_model, (0, 1)), measured(small_model, (2, 3))
    assert merge([one, two]).provenance.model == one.provenance.model
    changed = deepcopy(small_model)
    changed.head.weight.data[0, 0] += 1
    with pytest.raises(EnergyError, match="a and b are profiles of different weights"):
        merge([one, measured(changed, (2, 3))], ["a", "b"])
    # files of earlier versions do not say their weights
    earlier = replace(two, provenance=replace(two.provenance, model=UNSET))
    (note,) = merge([one, earlier]).provenance.warnings
    assert note.startswith("joined from profiles that do not say which weights they are of")
    with pytest.raises(EnergyError, match="profile 1 and profile 3 are profiles of different weights"):
        merge([one, earlier, measured(changed, (4, 5))])
    hashed = CheckpointOrigin("w.pth", "ab")
    known = [replace(part, provenance=replace(part.provenance, checkpoint=hashed)) for part in (one, earlier)]
    assert merge(known).provenance.warnings == ()


def test_a_whole_with_a_part_that_was_stopped_is_partial() -> None:
    def part(indices: str, images: int, **more: int) -> Profile:
        data = {"name": "digits", "indices": indices} | more
        return replace(plain_profile(), images=images, provenance=Provenance.of({"data": data}))

    stopped, other = part("0-1", 2, planned=10), part("20-24", 5)
    whole = merge([other, stopped])
    assert whole.provenance.data and whole.provenance.data.planned == 15
    assert whole.warnings()[0].startswith("partial: stopped after 7 of 15 images")
    assert not any("partial" in note for note in merge([other, part("30-31", 2)]).warnings())
