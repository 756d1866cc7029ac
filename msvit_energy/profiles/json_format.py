"""A profile as JSON: versioned, exact, one entry per line. Same profile, same bytes."""

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, fields, is_dataclass, replace
from fractions import Fraction
from numbers import Rational
from pathlib import Path
from typing import Any

from msgspec import ValidationError, convert

from msvit_energy.errors import EnergyError
from msvit_energy.profiles.consistency import inconsistencies
from msvit_energy.profiles.profile import Profile
from msvit_energy.profiles.provenance import Provenance, separate_facts
from msvit_energy.profiles.text_files import check_json_memory, read_bytes
from msvit_energy.profiles.validation_message import validation_message

VERSION = 2
MOST_BYTES = 2**28
OPTIONAL = (  # not in every file of this version
    "parameters", "provenance", "varies", "assumed_order", "step", "step_by", "signed", "shape",
)  # fmt: skip
ELSEWHERE = "image_counts"  # in a file of its own
SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")
FRACTION = re.compile(r"-?[0-9]+/0*[1-9][0-9]*")


def save(profile: Profile, path: str | Path) -> None:
    """Write `profile`. Whole numbers are exact; sums of real numbers are kept as fractions, "p/q"."""
    parts = (f" {json.dumps(key)}: {_lines(value)}" for key, value in content_of(profile).items())
    Path(path).write_text("{\n" + ",\n".join(parts) + "\n}\n")


def content_of(profile: Profile) -> dict[str, Any]:
    """What the file of a profile holds, its fractions as they are."""
    content = {"version": VERSION} | asdict(replace(profile, image_counts=None))
    content["provenance"] = profile.provenance.as_mapping()
    del content[ELSEWHERE]
    operands = [operand for entry in (*content["operators"], *content["overheads"]) for operand in entry["operands"]]
    for operand in operands:
        if operand["varies"] is None:  # not observed, as in files of other programs
            del operand["varies"]
    for counted in (*operands, *content["neurons"]):
        for name, plain in (("step", 1), ("step_by", ""), ("signed", False)):  # as in nearly all
            if counted[name] == plain:
                del counted[name]
    for operator in content["operators"]:
        if operator["shape"] is None:  # unknown, as in files of earlier programs
            del operator["shape"]
    if not profile.coverage.assumed_order:  # as in nearly all
        del content["coverage"]["assumed_order"]
    return content


def load(path: str | Path) -> Profile:
    """Read a saved profile, of a folder the profile.json in it; EnergyError for a missing or newer file, or with the
    path of a field that is damaged."""
    path = Path(path, "profile.json") if Path(path).is_dir() else Path(path)
    written = read_bytes(path, MOST_BYTES, "profile")
    check_json_memory(written, path)
    try:
        text = written.decode()
        del written  # else it would be there beside all that is made of it
        content = json.loads(text, parse_constant=_refuse, object_pairs_hook=_object)
        if SURROGATE.search(text):  # of two that are one character, as they should be, or of one alone
            json.dumps(content, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:
        raise EnergyError(f"{path} is not a profile: {error}") from error
    version = content.pop("version", None) if isinstance(content, dict) else None
    if version != VERSION:
        older = " (measure again)" if isinstance(version, int) and version < VERSION else ""
        raise EnergyError(f"{path} has profile version {version}, this program reads {VERSION}{older}")
    try:
        return profile_of(content)
    except EnergyError as error:
        raise EnergyError(f"{path} is a damaged profile: {error}") from error


def profile_of(content: dict[str, Any]) -> Profile:
    """The profile that the content of a file describes; EnergyError with the path of the first field that is wrong."""
    facts = {"provenance": separate_facts(content["provenance"])} if "provenance" in content else {}
    try:
        profile = convert(content | facts, Profile, strict=True, dec_hook=_exact)
    except ValidationError as error:
        raise EnergyError(validation_message(error, content)) from error
    _check_fields(content, profile, "$")
    for path, message in inconsistencies(profile):
        raise EnergyError(f"{path}: {message}")
    return profile


def _exact(kind: type, value: Any) -> int | Fraction:
    """A whole number as it is, "p/q" as a fraction."""
    if kind is not Rational:
        raise NotImplementedError(f"{kind} in a profile")
    if type(value) is int:
        return value
    if isinstance(value, str) and FRACTION.fullmatch(value):
        return Fraction(value)
    raise ValueError("expected a whole number or a fraction 'p/q'")


def _check_fields(content: Any, built: Any, path: str) -> None:
    """That an object in a file has the fields of what was built from it, no fewer and no more."""
    if isinstance(built, tuple):
        for i, item in enumerate(built):
            if not is_dataclass(item):
                return
            _check_fields(content[i], item, f"{path}[{i}]")
    elif is_dataclass(built) and not isinstance(built, Provenance):
        names = [entry.name for entry in fields(built) if entry.name != ELSEWHERE]
        for name in names:
            if name not in content and name not in OPTIONAL:
                raise EnergyError(f"{path}: object missing required field {name}")
        for name in content:
            if name not in names:
                raise EnergyError(f"{path}: object contains unknown field {name!r}")
            _check_fields(content[name], getattr(built, name), f"{path}.{name}")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"{next(name for name in names if names.count(name) > 1)!r} stands twice in one object")
    return found


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no number in JSON")


def _lines(value: Any) -> str:
    """JSON with one line per entry of a list or an object, each entry compact."""
    if isinstance(value, list | tuple) and value:
        return "[\n  " + ",\n  ".join(_compact(item) for item in value) + "\n ]"
    if isinstance(value, Mapping) and value:
        items = (f"{json.dumps(key)}: {_compact(item)}" for key, item in value.items())
        return "{\n  " + ",\n  ".join(items) + "\n }"
    return _compact(value)


def _compact(value: Any) -> str:
    return json.dumps(value, default=_fraction, allow_nan=False)


def _fraction(value: Any) -> str:
    if isinstance(value, Fraction):
        return f"{value.numerator}/{value.denominator}"
    raise TypeError(f"{type(value).__name__} in a profile")
