"""The schema that is shipped describes the files that are written, and is no stricter than what reads them."""

import json
import random
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from msvit_energy import EnergyError
from msvit_energy.profiles import json_schema
from msvit_energy.profiles.json_format import profile_of
from tests.support.mutations import mutate

DATA = Path(__file__).parents[2] / "data" / "plain.profile.json"


@pytest.fixture(scope="module")
def validator() -> Draft202012Validator:
    schema = json.loads(json_schema.PATH.read_text())
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)


def content() -> Any:
    return json.loads(DATA.read_text())


def test_the_shipped_schema_is_the_generated_one() -> None:
    how = "write it anew: python -m msvit_energy.profiles.json_schema"
    assert json_schema.PATH.read_text() == json_schema.text(), how


def test_every_field_of_a_profile_is_described() -> None:
    definitions = json_schema.profile_schema()["$defs"]
    for name in ("Operand", "Operator", "NeuronLayer", "Overhead", "Moments", "MemoryEstimate"):
        assert all(entry["description"] for entry in definitions[name]["properties"].values())
    assert "pJ" in definitions["MemoryEstimate"]["properties"]["parts_pj"]["description"]


def test_a_file_is_valid(validator: Draft202012Validator) -> None:
    assert list(validator.iter_errors(content())) == []


@pytest.mark.parametrize(
    ("change", "path"),
    [
        (lambda written: written["operators"][1].update(macs_per_image=-1), "$.operators[1].macs_per_image"),
        (lambda written: written["operators"][1].update(macs_per_image="24"), "$.operators[1].macs_per_image"),
        (
            lambda written: written["operators"][0]["operands"][0].update(kind="ternary"),
            "$.operators[0].operands[0].kind",
        ),
        (lambda written: written["neurons"][0].update(sums=["1/0", 1]), "$.neurons[0].sums[0]"),
        (lambda written: written["coverage"].update(colour=1), "$.coverage"),
        (lambda written: written["overheads"][0].pop("operands"), "$.overheads[0]"),
        (lambda written: written.update(version=3), "$.version"),
    ],
)
def test_a_damaged_file_is_not_valid(change: Any, path: str, validator: Draft202012Validator) -> None:
    written = content()
    change(written)
    assert [error.json_path for error in validator.iter_errors(written)] == [path]


def test_facts_of_other_programs_are_valid(validator: Draft202012Validator) -> None:
    written = content()
    written["provenance"] |= {"cluster": [1, 2]}
    written["provenance"]["model"]["paper"] = "arXiv 1"
    assert validator.is_valid(written)
    written["provenance"]["model"]["name"] = 3
    assert not validator.is_valid(written)


def test_what_is_read_is_valid(validator: Draft202012Validator) -> None:
    read = 0
    for seed in range(300):
        written = content()
        version = written.pop("version")
        mutate(written, random.Random(seed))
        written = json.loads(json.dumps(written))
        try:
            profile_of(written)
        except EnergyError:
            continue
        read += 1
        assert validator.is_valid(written | {"version": version}), seed
    assert read > 30
