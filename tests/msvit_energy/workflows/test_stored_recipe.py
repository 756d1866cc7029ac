"""recipe.json of a training run: read back as it was written, refused with the path of what is wrong."""

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from msvit.training.recipes import get_recipe
from msvit_energy import EnergyError
from msvit_energy.workflows.training.stored_recipe import StoredStart, read_stored_recipe

RECIPE = replace(get_recipe("digits"), model_args={"num_classes": 10}, sop_penalty=0.5)
START = {"seed": 3, "data_folder": "data", "init": None}


def test_a_recipe_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "recipe.json"
    path.write_text(json.dumps(asdict(RECIPE) | START))
    assert read_stored_recipe(path) == (RECIPE, StoredStart(3, "data", None))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"epochs": "12"}, r"\$\.epochs: expected int, got str"),
        ({"flip": True}, r"\$\.flip: expected float, got bool"),
        ({"seed": None}, r"\$\.seed: expected int, got null"),
        ({"epochs": 0}, r"epochs must be at least 1, not 0"),
        ({"colour": 1}, r"\$: object contains unknown field 'colour'"),
    ],
)
def test_a_damaged_recipe_is_refused_by_name(changes: dict[str, Any], message: str, tmp_path: Path) -> None:
    path = tmp_path / "recipe.json"
    path.write_text(json.dumps(asdict(RECIPE) | START | changes))
    with pytest.raises(
        EnergyError, match=f"recipe.json does not say how to go on: .*{message}; give the run's settings"
    ):
        read_stored_recipe(path)


@pytest.mark.parametrize(("text", "message"), [(None, "No such file"), ("{", "Expecting"), ("[]", "expected object")])
def test_a_file_that_is_no_recipe_is_named(text: str | None, message: str, tmp_path: Path) -> None:
    if text is not None:
        (tmp_path / "recipe.json").write_text(text)
    with pytest.raises(EnergyError, match=message):
        read_stored_recipe(tmp_path / "recipe.json")
