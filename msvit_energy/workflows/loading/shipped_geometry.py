"""Geometries that were counted once: what `models`, `table1` and published rates need of a model without building it.

Two files of the package hold them: models.csv has size and cost of every registered model, geometries.json.gz the
operators of those in the paper's Table 1 and its appendix. `python -m msvit_energy.workflows.loading.shipped_geometry`
counts all again and writes them; a test holds them against the models.
"""

import csv
import fnmatch
import gzip
import io
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from msvit_energy.profiles.json_format import content_of, profile_of
from msvit_energy.profiles.profile import Profile
from msvit_energy.reporting.formatting import size_text
from msvit_energy.workflows.loading.model_arguments import parse_size

DATA = resources.files("msvit_energy.reporting") / "data"
MODELS, GEOMETRIES = "models.csv", "geometries.json.gz"


@dataclass(frozen=True)
class Geometry:
    """A model without images: its operators, all counts 0, the names of its modules, the arguments it was built with,
    and its input `[C, H, W]`."""

    profile: Profile
    modules: tuple[str, ...]
    args: Mapping[str, Any]
    input_size: tuple[int, ...]


def geometry_of(name: str, args: Mapping[str, Any], size: str | None = None) -> Geometry:
    """The geometry of a registered model, at its own input size or at another (as "288"): shipped or counted."""
    given = {key: value for key, value in args.items() if value is not None}
    if size is None and (shipped := _shipped().get(_key(name, given))) is not None:
        profile = profile_of(shipped["profile"])
        return Geometry(profile, tuple(shipped["modules"]), given, tuple(shipped["input_size"]))
    return counted(name, given, size)


def counted(name: str, args: Mapping[str, Any], size: str | None = None) -> Geometry:
    """The same, counted now on a model without memory."""
    from msvit_energy.geometry import geometry
    from msvit_energy.workflows.loading.model_loading import without_memory

    model = without_memory(name, args)
    inputs = model.input_size if size is None else parse_size(size, model.input_size)
    profile = geometry(model, inputs, model.time_steps)  # not every model runs over any T
    return Geometry(profile, tuple(module for module, _ in model.named_modules()), args, tuple(inputs))


def model_records(pattern: str = "*") -> list[dict[str, Any]]:
    """Every registered model whose name fits a shell pattern, or without wildcards contains it: name, family,
    parameters, input `[C, H, W]`, T, dense MACs of one time step, source."""
    wanted = pattern if any(sign in pattern for sign in "*?[") else f"*{pattern}*"
    return [row for row in _models() if fnmatch.fnmatchcase(row["name"], wanted)]


def counted_record(name: str) -> dict[str, Any]:
    """One of `model_records`, counted now."""
    from msvit.registry import entry

    registered, found = entry(name), counted(name, {})
    return {
        "name": name,
        "family": registered.family,
        "parameters": found.profile.parameters,
        "input_size": list(found.input_size),
        "time_steps": found.profile.time_steps,
        "macs_per_step": found.profile.macs_per_step,
        "source": registered.source,
    }


@cache
def _models() -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = list(csv.DictReader((DATA / MODELS).read_text().splitlines()))
    for row in rows:
        row["input_size"] = [int(size) for size in row["input_size"].split("x")]
        row |= {key: int(row[key]) for key in ("parameters", "time_steps", "macs_per_step")}
    return rows


@cache
def _shipped() -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = json.loads(gzip.decompress((DATA / GEOMETRIES).read_bytes()))
    return found


def _key(name: str, args: Mapping[str, Any]) -> str:
    return json.dumps([name, args], sort_keys=True)


def _of_tables() -> Iterator[tuple[str, dict[str, Any]]]:
    """The models of Table 1 and its appendix, with their arguments."""
    from msvit_energy.workflows.paper_tables.table1_rows import ROWS, appendix_models

    for row in ROWS:
        if row.model is not None:
            yield row.model, dict(row.args)
        if row.printed_is is not None:
            yield row.printed_is[1], {}
    yield from ((name, {}) for name in appendix_models())


def write(folder: Path) -> None:
    """Count all models and write both files."""
    import msvit

    records = [counted_record(name) for name in msvit.list_models()]
    text = io.StringIO()
    writer = csv.DictWriter(text, list(records[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(record | {"input_size": size_text(record["input_size"])} for record in records)
    (folder / MODELS).write_text(text.getvalue())
    found = {}
    for name, args in _of_tables():
        each = counted(name, args)
        content = content_of(each.profile)
        del content["version"]
        found[_key(name, args)] = {"modules": each.modules, "input_size": each.input_size, "profile": content}
    (folder / GEOMETRIES).write_bytes(gzip.compress(json.dumps(found).encode(), mtime=0))


if __name__ == "__main__":
    write(Path(str(DATA)))
