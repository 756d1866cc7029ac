"""The JSON Schema of a profile's file, made from the types that read it: profile.schema.json, beside this file.

`python -m msvit_energy.profiles.json_schema` writes it anew.
"""

import inspect
import json
from pathlib import Path
from typing import Any

import msgspec

from msvit_energy.profiles.image_counts import ImageCounts
from msvit_energy.profiles.json_format import ELSEWHERE, OPTIONAL, VERSION
from msvit_energy.profiles.profile import Profile
from msvit_energy.profiles.provenance import RECORDS, Provenance

PATH = Path(__file__).with_name("profile.schema.json")
DIALECT = "https://json-schema.org/draft/2020-12/schema"
EXACT = {
    "anyOf": [
        {"type": "integer"},
        {"type": "string", "pattern": "^-?[0-9]+/0*[1-9][0-9]*$", "description": "a fraction p/q"},
    ]
}


def profile_schema() -> dict[str, Any]:
    """The schema. Every field of a profile is required and no other is allowed; a provenance may hold any fact."""
    (root,), definitions = msgspec.json.schema_components([Profile], schema_hook=lambda _: EXACT)
    del definitions["Profile"]["properties"][ELSEWHERE], definitions[ImageCounts.__name__]
    open_ended = {record.__name__ for record in (Provenance, *RECORDS.values())}
    for name, definition in definitions.items():
        summary = inspect.cleandoc(definition["description"]).partition("\n\n")[0]
        definition["description"] = summary.replace("\n", " ")
        _close(definition, open_ended=name in open_ended)
    own = definitions["Profile"]
    own["properties"] = {"version": {"description": "of this format", "const": VERSION}} | own["properties"]
    own["required"] = ["version", *own["required"]]
    return {"$schema": DIALECT, "title": "profile.json of msvit-energy"} | root | {"$defs": definitions}


def _close(definition: dict[str, Any], *, open_ended: bool) -> None:
    """Say which fields an object must and may have; defaults are the constructors', not the file's."""
    properties = definition["properties"]
    for entry in properties.values():
        entry.pop("default", None)
    definition["additionalProperties"] = open_ended
    if open_ended:
        del properties["other"]
        return
    definition["required"] = [name for name in properties if name not in OPTIONAL]


def text() -> str:
    """What stands in profile.schema.json."""
    return json.dumps(profile_schema(), indent=1) + "\n"


if __name__ == "__main__":
    PATH.write_text(text())
