"""Where a profile comes from: typed facts, and room for those of other programs."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from msvit_energy import EnergyError, Profile
from msvit_energy.profiles.operand import Operand
from msvit_energy.profiles.operators import Operator
from msvit_energy.profiles.provenance import MergedPart, Provenance

INPUT = Operand("a#0", "binary", "spikes", (), 4, (1, 2), (1, 2), 1.0)
PROFILE = Profile(2, 2, (Operator("a", "a", "linear", "", 8, 2, (INPUT,)),))
FACTS: dict[str, Any] = {
    "checkpoint": None,
    "model": {"name": "net", "args": {"depth": 2}, "paper": "arXiv 1"},
    "data": {"name": "digits", "indices": "0-1", "input_size": [1, 12, 12]},
    "batch_size": 4,
    "epoch": 3,
    "command": ["msvit-energy", "profile"],
    "versions": {"torch": "2.6"},
    "warnings": ["w"],
    "merged": [{"images": 1, "created": None, "host": "b"}],
    "cluster": {"nodes": [1, 2]},
    "other": "theirs",
}


def test_facts_are_typed_and_come_back_as_they_were() -> None:
    provenance = Provenance.of(FACTS)
    assert (provenance.model_name, provenance.data_name, provenance.is_measured) == ("net", "digits", True)
    assert provenance.other == {"cluster": {"nodes": [1, 2]}, "other": "theirs"}
    assert provenance.merged == (MergedPart(images=1, created=None, other={"host": "b"}),)
    assert provenance.checkpoint is None
    assert not provenance.rates
    assert provenance.as_mapping() == FACTS


def test_foreign_facts_stand_beside_the_known_ones_in_the_file(tmp_path: Path) -> None:
    profile = replace(PROFILE, provenance=Provenance.of(FACTS))
    profile.save(tmp_path / "p.json")
    assert json.loads((tmp_path / "p.json").read_text())["provenance"] == FACTS
    assert Profile.load(tmp_path / "p.json") == profile


def test_what_is_not_said_has_a_name_and_no_key() -> None:
    assert Provenance.of({}).as_mapping() == Provenance().as_mapping() == {}
    assert (Provenance().model_name, Provenance().data_name) == ("model", "given images")
    given = Provenance.of({"rates": {"rate": 0.1}, "data": {"name": "never run"}})
    assert (given.is_measured, given.data_name) == (False, "given rates")


@pytest.mark.parametrize(
    ("facts", "message"),
    [
        ({"model": "net"}, r"^provenance: \$\.model: expected object \| null, got str$"),
        ({"model": {"name": 3}}, r"^provenance: \$\.model\.name: expected str \| null, got int$"),
        ({"warnings": "w"}, r"^provenance: \$\.warnings: expected array \| null, got str$"),
        ({"merged": [{}, {"images": "2"}]}, r"^provenance: \$\.merged\[1\]\.images: expected int \| null, got str$"),
        ({"seed": 1, "data": {"seed": 1.5}}, r"^provenance: \$\.data\.seed: expected int \| null, got float$"),
    ],
)
def test_a_fact_of_a_wrong_type_is_refused_with_its_path(facts: dict[str, Any], message: str) -> None:
    with pytest.raises(EnergyError, match=message):
        Provenance.of(facts)
