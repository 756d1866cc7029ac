"""A profile as JSON: versioned, exact, one entry per line. Same profile, same bytes."""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict
from fractions import Fraction
from pathlib import Path
from typing import Any

from msvit_energy.errors import EnergyError
from msvit_energy.profiles.amounts import Moments
from msvit_energy.profiles.coverage import Coverage, Unknown
from msvit_energy.profiles.memory_estimate import MemoryEstimate
from msvit_energy.profiles.operand import KINDS, Operand
from msvit_energy.profiles.operators import NeuronLayer, Operator, Overhead
from msvit_energy.profiles.profile import Profile
from msvit_energy.profiles.provenance import Provenance

VERSION = 2


def save(profile: Profile, path: str | Path) -> None:
    """Write `profile`. Whole numbers are exact; sums of real numbers are kept as fractions, "p/q"."""
    content = {"version": VERSION} | asdict(profile) | {"provenance": profile.provenance.as_mapping()}
    parts = (f" {json.dumps(key)}: {_lines(value)}" for key, value in content.items())
    Path(path).write_text("{\n" + ",\n".join(parts) + "\n}\n")


def load(path: str | Path) -> Profile:
    """Read a saved profile; a missing, damaged or newer file raises EnergyError."""
    try:
        content = json.loads(Path(path).read_text())
    except OSError as error:
        raise EnergyError(f"cannot read profile {path}: {error.strerror}") from error
    except ValueError as error:
        raise EnergyError(f"{path} is not a profile: {error}") from error
    version = content.pop("version", None) if isinstance(content, dict) else None
    if version != VERSION:
        older = " (measure again)" if isinstance(version, int) and version < VERSION else ""
        raise EnergyError(f"{path} has profile version {version}, this program reads {VERSION}{older}")
    try:
        return _profile(content)
    except (AttributeError, KeyError, TypeError, ValueError, ZeroDivisionError) as error:
        raise EnergyError(f"{path} is a damaged profile: {type(error).__name__}: {error}") from error


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


def _profile(content: dict[str, Any]) -> Profile:
    builders: Mapping[str, Callable[[Any], Any]] = {
        "operators": lambda items: tuple(_operator(item) for item in items),
        "neurons": lambda items: tuple(_neuron_layer(item) for item in items),
        "overheads": lambda items: tuple(Overhead(**item | {"operands": _operands(item)}) for item in items),
        "coverage": _coverage,
        "moments": _moments,
        "memory": lambda item: item and _memory(item),
    }
    provenance = Provenance.of(content.get("provenance", {}))
    built = {name: build(content[name]) for name, build in builders.items()}
    profile = Profile(**content | built | {"provenance": provenance})
    if not (profile.images > 0 and profile.time_steps > 0):
        raise ValueError(f"{profile.images} images, T = {profile.time_steps}")
    return profile


def _neuron_layer(item: dict[str, Any]) -> NeuronLayer:
    layer = NeuronLayer(**item | {"sums": _numbers(item["sums"])})
    if layer.elements < 1 or not layer.sums:
        raise ValueError(f"{layer.neuron}: {layer.elements} elements in {len(layer.sums)} time steps")
    return layer


def _operator(item: dict[str, Any]) -> Operator:
    operator = Operator(**item | {"operands": _operands(item)})
    if not operator.operands or operator.macs_per_image < 0 or operator.runs_per_image < 1:
        raise ValueError(f"{operator.layer}: {operator.macs_per_image} MACs in {operator.runs_per_image} runs")
    return operator


def _operands(item: dict[str, Any]) -> tuple[Operand, ...]:
    found = tuple(
        Operand(
            **operand
            | {
                "neurons": tuple(operand["neurons"]),
                "sums": _numbers(operand["sums"]),
                "nonzeros": _numbers(operand["nonzeros"]),
            }
        )
        for operand in item["operands"]
    )
    for operand in found:
        if operand.kind not in KINDS or operand.elements < 1 or not operand.sums:
            raise ValueError(f"{operand.name}: {operand.kind}, {operand.elements} elements")
    return found


def _numbers(values: list[Any]) -> tuple[int | Fraction, ...]:
    return tuple(Fraction(value) if isinstance(value, str) else value for value in values)


def _coverage(item: dict[str, Any]) -> Coverage:
    unknown = tuple(Unknown(**entry) for entry in item["unknown"])
    return Coverage(**item | {"unknown": unknown, "never_called": tuple(item["never_called"])})


def _memory(item: dict[str, Any]) -> MemoryEstimate:
    parts = {part: tuple(values) for part, values in item["parts_pj"].items()}
    if len({len(values) for values in parts.values()}) != 1:
        raise ValueError("a memory estimate with different numbers of images")
    return MemoryEstimate(item["model"], parts, tuple(item["warnings"]))


def _moments(item: dict[str, Any]) -> Moments:
    moments = Moments(tuple(item["keys"]), tuple(item["sums"]), tuple(tuple(row) for row in item["products"]))
    size = len(moments.keys)
    if len(moments.sums) != size or [len(row) for row in moments.products] != list(range(size, 0, -1)):
        raise ValueError("moments of another size than their keys")
    return moments
