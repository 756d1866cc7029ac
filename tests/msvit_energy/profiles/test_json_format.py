"""Files of profiles: exact, the same bytes for the same profile, and refused with the path of what is wrong."""

import json
import random
import re
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from msvit_energy import EnergyError, Profile, price
from msvit_energy.pricing.protocols import all_choices
from msvit_energy.pricing.technology import TECHNOLOGIES
from msvit_energy.profiles.json_format import profile_of
from msvit_energy.reporting import page
from tests.support.mutations import mutate
from tests.support.plain_profile import plain_profile

BIG = 2**70 + 1  # no 64-bit integer and no double is this number


@cache
def text() -> str:
    """The file of the small profile."""
    folder = Path(__file__).parents[2] / "data"
    return (folder / "plain.profile.json").read_text()


def content() -> Any:
    return json.loads(text())


def test_a_profile_is_written_as_it_always_was(tmp_path: Path) -> None:
    plain_profile().save(tmp_path / "p.json")
    assert (tmp_path / "p.json").read_text() == text()


def test_a_file_is_read_and_written_to_the_byte(tmp_path: Path) -> None:
    (tmp_path / "p.json").write_text(text())
    profile = Profile.load(tmp_path / "p.json")
    assert profile == plain_profile()
    profile.save(tmp_path / "q.json")
    assert (tmp_path / "q.json").read_text() == text()


def test_whole_numbers_of_any_size_are_exact(tmp_path: Path) -> None:
    written = content()
    moments = written["moments"]
    moments["sums"][0] = 2**62
    moments["products"][0][0] = BIG
    (tmp_path / "p.json").write_text(json.dumps(written))
    profile = Profile.load(tmp_path / "p.json")
    assert profile.moments.products[0][0] == BIG
    profile.save(tmp_path / "q.json")
    assert f"[{BIG}, " in (tmp_path / "q.json").read_text()


def test_files_without_what_was_added_later_still_load(tmp_path: Path) -> None:
    written = content()
    del written["parameters"], written["provenance"]
    (tmp_path / "p.json").write_text(json.dumps(written))
    assert Profile.load(tmp_path / "p.json").parameters is None


def change(*path: Any) -> Callable[[Any], Any]:
    """Sets the last of `path` at the place that the others lead to."""

    def changed(written: Any) -> Any:
        *places, name, value = path
        place = written
        for step in places:
            place = place[step]
        place[name] = value
        return written

    return changed


def without(*path: Any) -> Callable[[Any], Any]:
    """Drops what `path` leads to."""

    def changed(written: Any) -> Any:
        *places, name = path
        place = written
        for step in places:
            place = place[step]
        del place[name]
        return written

    return changed


OPERANDS = ("operators", 2, "operands")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (change(*OPERANDS, 1, "elements", -4), "$.operators[2].operands[1].elements: expected int >= 1, got -4"),
        (change(*OPERANDS, 1, "elements", 4.0), "$.operators[2].operands[1].elements: expected int, got float"),
        (change(*OPERANDS, 1, "elements", "4"), "$.operators[2].operands[1].elements: expected int, got str"),
        (change(*OPERANDS, 0, "kind", "ternary"), "$.operators[2].operands[0].kind: invalid enum value 'ternary'"),
        (change(*OPERANDS, 0, "sums", 0, True), "$.operators[2].operands[0].sums[0]: expected a whole number or a"),
        (change(*OPERANDS, 0, "sums", 0, "1/0"), "$.operators[2].operands[0].sums[0]: expected a whole number or a"),
        (change(*OPERANDS, 0, "sums", 0, -1), "$.operators[2].operands[0].sums: expected sums from 0, since the input"),
        (change(*OPERANDS, 0, "sums", [9]), "$.operators[2].operands[0].sums: 1 sums of 2 runs"),
        (change(*OPERANDS, 1, "sums", [1, 1, 1]), "$.operators[2].operands[1].sums: 3 sums of 2 runs"),
        (change(*OPERANDS, 0, "nonzeros", [5]), "$.operators[2].operands[0].nonzeros: 1 counts of 2 runs"),
        (change(*OPERANDS, 0, "nonzeros", [5, 44]), "$.operators[2].operands[0].nonzeros: expected counts from 0,"),
        (change(*OPERANDS, 0, "name", "mlp#3"), "$.operators[2].operands[0].name: 'mlp#3' is no argument of 'qk'"),
        (change("operators", 0, "operands", 0, "events", 3), "$.operators[0].operands[0].events: real numbers have no"),
        (change("operators", 0, "operands", []), "$.operators[0].operands: expected array of length >= 1, got []"),
        (change("operators", 3, "layer", "mlp"), "$.operators[3].layer: 'mlp' is also $.operators[1].layer"),
        (change("neurons", 1, "neuron", "lif"), "$.neurons[1].neuron: 'lif' is also $.neurons[0].neuron"),
        (change("operators", 0, "colour", 1), "$.operators[0]: object contains unknown field 'colour'"),
        (
            change(*OPERANDS, 0, "kind", "a - at `$.b\n"),
            "$.operators[2].operands[0].kind: invalid enum value 'a - at $.b",
        ),
        (change("note", ""), "$: object contains unknown field 'note'"),
        (without("operators", 0, "pairs"), "$.operators[0]: object missing required field pairs"),
        (without("operators"), "$: object missing required field operators"),
        (without("moments", "keys", 0), "$.moments.keys: not the counts of this profile: 'conv#0 nonzero'"),
        (change("moments", "keys", 0, "mlp#0 value"), "$.moments.keys: not the counts of this profile: 'conv#0"),
        (without("moments", "sums", 0), "$.moments.sums: 11 sums of 12 keys"),
        (without("moments", "products", 0, 3), "$.moments.products: not the upper triangle of 12 x 12"),
        (change("moments", "products", 1, 2, BIG), f"$.moments.products[1][2]: {BIG} is more than the product of the"),
        (change("coverage", "counted", "conv", -1), "$.coverage.counted[...]: expected int >= 0"),
        (change("memory", "parts_pj", "memory", 0, 1e300), "$.memory.parts_pj[...][0]: expected float <= 1e+100"),
        (change("memory", "parts_pj", "memory", [1.0]), "$.memory.parts_pj: expected the same images for each part"),
        (change("memory", "parts_pj", {}), "$.memory.parts_pj: expected object of length >= 1, got {}"),
        (change("correct", 4), "$.correct: 4 of 3 labelled images"),
        (change("labelled", 4), "$.labelled: 4 of 3 images"),
        (change("images", 10**400), "$.images: expected int <= 9223372036854775807, got 1000000"),
        (change("provenance", "data", "seed", "0"), "$.provenance.data.seed: expected int | null, got str"),
    ],
)
def test_a_damaged_field_is_named_in_one_line(damage: Callable[[Any], Any], message: str, tmp_path: Path) -> None:
    path = tmp_path / "p.json"
    path.write_text(json.dumps(damage(content())))
    with pytest.raises(EnergyError) as refused:
        Profile.load(path)
    assert str(refused.value).startswith(f"{path} is a damaged profile: {message}")
    assert "\n" not in str(refused.value)


def test_an_entry_that_stands_twice_in_an_object_is_refused(tmp_path: Path) -> None:
    (tmp_path / "p.json").write_text(text().replace('"conv": 48,', '"conv": 48, "mlp": 24,'))
    with pytest.raises(EnergyError, match="is not a profile: 'mlp' stands twice in one object"):
        Profile.load(tmp_path / "p.json")


def test_what_is_no_number_in_json_is_refused(tmp_path: Path) -> None:
    (tmp_path / "p.json").write_text(text().replace('"maximum": 1.5', '"maximum": NaN'))
    with pytest.raises(EnergyError, match="is not a profile: NaN is no number in JSON"):
        Profile.load(tmp_path / "p.json")
    (tmp_path / "p.json").write_text(text().replace('"maximum": 1.5', '"maximum": 1e999'))
    with pytest.raises(EnergyError, match=r"operands\[0\]\.maximum: expected float <= 1e\+100, got inf"):
        Profile.load(tmp_path / "p.json")


def test_half_of_a_character_is_refused_and_a_whole_one_read(tmp_path: Path) -> None:
    path = tmp_path / "p.json"
    path.write_text(text().replace('"net"', '"\\ud83d\\ude00"'))
    assert Profile.load(path).provenance.model_name == "\U0001f600"
    path.write_text(text().replace('"net"', '"\\ud83d"'))
    with pytest.raises(EnergyError, match="is not a profile: 'utf-8' codec can't encode character"):
        Profile.load(path)


def use(profile: Profile, folder: Path) -> None:
    """All that is done with a saved profile."""
    for choice in all_choices():
        try:
            price(profile, choice).records()
        except EnergyError as error:
            assert str(error)  # a protocol may need counts that a profile says it does not have
    profile.to_frame()
    profile.neurons_frame()
    profile.warnings()
    profile.save(folder / "again.json")
    assert Profile.load(folder / "again.json") == profile
    page.page({"p": profile}, "ann", TECHNOLOGIES["45nm-fp32"])


def test_a_mutated_file_is_refused_by_name_or_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page, "_template", cache(page._template))
    refused = 0
    for seed in range(600):
        written = content()
        del written["version"]
        mutate(written, random.Random(seed))
        try:
            profile = profile_of(json.loads(json.dumps(written)))
        except EnergyError as error:
            refused += 1
            assert re.match(r"\$[^:]*: .", str(error)), (seed, str(error))
            continue
        use(profile, tmp_path)
    assert 300 < refused < 570


def test_an_operand_of_a_product_may_be_the_same_at_every_step(tmp_path: Path) -> None:
    profile = plain_profile()
    first, second = profile.operators[2].operands
    constant = replace(second, elements=12, sums=(4,), nonzeros=(4,))
    operators = tuple(
        replace(each, operands=(first, constant)) if each.layer == "qk" else each for each in profile.operators
    )
    whole = replace(profile, operators=operators)
    whole.save(tmp_path / "p.json")
    assert Profile.load(tmp_path / "p.json") == whole
