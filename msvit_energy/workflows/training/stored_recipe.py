"""The settings that a training run leaves in its folder, recipe.json: read back with strict types."""

import json
from dataclasses import dataclass, fields
from pathlib import Path

from msgspec import ValidationError, convert

from msvit.training.recipes import Recipe
from msvit_energy.errors import EnergyError
from msvit_energy.profiles.text_files import MIB, read_text
from msvit_energy.profiles.validation_message import validation_message

MOST_BYTES = MIB


@dataclass(frozen=True)
class StoredStart:
    """What a run started from, beside its recipe: seed, folder of the data, and name of the file of first weights."""

    seed: int
    data_folder: str | None
    init: str | None


def read_stored_recipe(path: Path) -> tuple[Recipe, StoredStart]:
    """The recipe of a run and what it started from; EnergyError with the path of the field that is wrong."""
    how = "does not say how to go on"
    try:
        content = json.loads(read_text(path, MOST_BYTES, "recipe"))
        start, recipe = convert(content, StoredStart, strict=True), convert(content, Recipe, strict=True)
    except ValidationError as error:
        raise EnergyError(f"{path} {how}: {validation_message(error, content)}; give the run's settings") from error
    except (ValueError, RecursionError) as error:
        raise EnergyError(f"{path} {how}: {error}; give the run's settings") from error
    known = {entry.name for kind in (Recipe, StoredStart) for entry in fields(kind)}
    if unknown := [name for name in content if name not in known]:
        raise EnergyError(f"{path} {how}: $: object contains unknown field {unknown[0]!r}; give the run's settings")
    return recipe, start
