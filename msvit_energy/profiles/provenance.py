"""Where a profile comes from: the facts that someone needs to measure it again."""

import hashlib
import platform
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass, replace
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Annotated, Any, Self, TypeVar, Union

from msgspec import UNSET, Meta, UnsetType, ValidationError, convert

from msvit_energy.errors import EnergyError
from msvit_energy.profiles.validation_message import validation_message

LIBRARIES = ("msvit-energy", "torch", "torchvision", "spikingjelly", "timm", "fvcore")

T = TypeVar("T")
# UNSET where a fact is not stated, and then not in the file. None and UNSET are both false.
Stated = Union[T, None, UnsetType]  # noqa: UP007 (mypy knows no generic alias with |)


@dataclass(frozen=True)
class ModelOrigin:
    """Registered name or `package.module:factory` of the model, the arguments that it was built with, a hash of its
    parameters and buffers as they were measured, and the classes or patterns that named its neurons, if any did."""

    name: Stated[str] = UNSET
    args: Stated[Mapping[str, Any]] = UNSET
    weights: Stated[str] = UNSET
    neurons: Stated[tuple[str, ...]] = UNSET
    other: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class CheckpointOrigin:
    """File of the weights, whether they are its moving average, and what was inferred to open it, in words."""

    file: Stated[str] = UNSET
    sha256: Stated[str] = UNSET
    ema: Stated[bool] = UNSET
    inferred: Stated[tuple[str, ...]] = UNSET
    other: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class DataOrigin:
    """Data set, split, and which images; `indices` are ranges such as "0-31,40", `input_size` is (C, H, W).

    `planned`: how many images there were to be, stated only if the measurement was stopped before. `skipped` are files
    that could not be read and are in no number, with the reasons; stated only if there are some.
    """

    name: Stated[str] = UNSET
    split: Stated[str] = UNSET
    drawn: Stated[str] = UNSET
    indices: Stated[str] = UNSET
    preprocessing: Stated[str] = UNSET
    input_size: Stated[tuple[int, ...]] = UNSET
    seed: Stated[int] = UNSET
    planned: Stated[int] = UNSET
    skipped: Stated[Mapping[str, str]] = UNSET
    other: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class InputOrigin:
    """How batches were handed to the model, whether they carried T (frames), and how both and T are known: given, model
    (by an attribute), data (by shape), loop (counted in the model's own loop), probes (of small batches), or default.
    `random`: the model draws random numbers as it runs, such as Poisson spikes; stated only if so.
    """

    feed: Stated[str] = UNSET
    frames: Stated[bool] = UNSET
    feed_from: Stated[str] = UNSET
    frames_from: Stated[str] = UNSET
    time_steps_from: Stated[str] = UNSET
    random: Stated[bool] = UNSET
    other: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class RatesOrigin:
    """Rates that were not measured here: a table's file, or one rate for all layers. Of a table without a model also
    what its columns were read as, and what operations its authors priced each layer at, AC or MAC."""

    file: Stated[str] = UNSET
    sha256: Stated[str] = UNSET
    rate: Stated[float] = UNSET
    columns: Stated[Mapping[str, str]] = UNSET
    priced_as: Stated[Mapping[str, str]] = UNSET
    other: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class FastInference:
    """What `profile --fast` changed, and the share (0 to 1) of neuron outputs that differ on the first images."""

    folded_batch_norms: Stated[int] = UNSET
    channels_last: Stated[bool] = UNSET
    images: Stated[int] = UNSET
    flipped_share: Stated[float] = UNSET
    other: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class MergedPart:
    """One of the profiles that were joined."""

    images: Stated[int] = UNSET
    created: Stated[str] = UNSET
    command: Stated[tuple[str, ...]] = UNSET
    versions: Stated[Mapping[str, str]] = UNSET
    other: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Provenance:
    """Everything that is known of where a profile comes from.

    What is UNSET is not stated, and not in the file. `other` holds facts of other programs; in the file they stand
    beside these.
    """

    checkpoint: Annotated[
        Stated[CheckpointOrigin],
        Meta(description="the weights' file; null if they are untrained, or loaded by the model's own factory"),
    ] = UNSET
    model: Stated[ModelOrigin] = UNSET
    device: Annotated[Stated[str], Meta(description="such as cpu or cuda")] = UNSET
    fast: Stated[FastInference] = UNSET
    data: Stated[DataOrigin] = UNSET
    input: Stated[InputOrigin] = UNSET
    rates: Annotated[Stated[RatesOrigin], Meta(description="only if nothing was measured")] = UNSET
    batch_size: Annotated[Stated[int], Meta(description="images per forward")] = UNSET
    epoch: Annotated[Stated[int | float], Meta(description="of the training, counted from 1")] = UNSET
    created: Annotated[Stated[str], Meta(description="UTC, ISO 8601")] = UNSET
    command: Annotated[Stated[tuple[str, ...]], Meta(description="command line, by argument")] = UNSET
    python: Annotated[Stated[str], Meta(description="version of Python")] = UNSET
    versions: Annotated[Stated[Mapping[str, str]], Meta(description="versions of libraries")] = UNSET
    warnings: Annotated[Stated[tuple[str, ...]], Meta(description="what a reader must know first, in words")] = UNSET
    merged: Annotated[Stated[tuple[MergedPart, ...]], Meta(description="profiles that this one joins")] = UNSET
    other: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, facts: Mapping[str, Any]) -> Self:
        """From a mapping as it stands in a file; EnergyError with the path of a fact that has a wrong type."""
        content = separate_facts(facts)
        try:
            return convert(content, cls, strict=True)
        except ValidationError as error:
            raise EnergyError(f"provenance: {validation_message(error, facts)}") from error

    def as_mapping(self) -> dict[str, Any]:
        """All that is stated, as plain data."""
        return _plain(self)

    @property
    def is_measured(self) -> bool:
        """Whether images were run; else rates were given."""
        return not self.rates

    @property
    def priced_as(self) -> Mapping[str, str]:
        """What the authors of a table priced each layer at, AC or MAC; empty where nothing says it."""
        return (self.rates and self.rates.priced_as) or {}

    def with_measured(self, measured: "Provenance") -> "Provenance":
        """With the hash of the weights, what named neurons, and the way the model was fed, as another provenance states
        them."""
        model = measured.model or ModelOrigin()
        facts = {name: fact for name in ("weights", "neurons") if (fact := getattr(model, name)) is not UNSET}
        own = replace(self, model=replace(self.model or ModelOrigin(), **facts)) if facts else self
        return replace(own, input=measured.input)

    @property
    def model_name(self) -> str:
        """The model's name, "model" where it is not known."""
        return (self.model and self.model.name) or "model"

    @property
    def data_name(self) -> str:
        """The data set's name, "given images" where it is not known, "given rates" where nothing was measured."""
        if not self.is_measured:
            return "given rates"
        return (self.data and self.data.name) or "given images"

    @property
    def skipped(self) -> Mapping[str, str]:
        """Files of the data that could not be read, with the reasons."""
        return (self.data and self.data.skipped) or {}

    def stamped(self, command: Sequence[str]) -> "Provenance":
        """With the time, the command line, and the versions of Python and libraries that are installed now."""
        return replace(
            self,
            created=datetime.now(UTC).isoformat(timespec="seconds"),
            command=("msvit-energy", *command),
            python=platform.python_version(),
            versions={name: _version(name) for name in LIBRARIES},
        )


RECORDS: dict[str, type] = {
    "checkpoint": CheckpointOrigin,
    "model": ModelOrigin,
    "fast": FastInference,
    "data": DataOrigin,
    "input": InputOrigin,
    "rates": RatesOrigin,
    "merged": MergedPart,
}


def separate_facts(facts: Any, record: type = Provenance) -> Any:
    """The facts that a record has fields for, and all others under `other`; what is no mapping stays as it is."""
    if not isinstance(facts, Mapping):
        return facts
    known = {entry.name for entry in fields(record)} - {"other"}
    result: dict[str, Any] = {"other": {key: value for key, value in facts.items() if key not in known}}
    for key in known & facts.keys():
        value, inner = facts[key], RECORDS.get(key) if record is Provenance else None
        if inner is None:
            result[key] = value
        elif isinstance(value, list | tuple):
            result[key] = [separate_facts(item, inner) for item in value]
        else:
            result[key] = separate_facts(value, inner)
    return result


def _plain(value: Any) -> Any:
    """The inverse of `separate_facts`, without what is UNSET."""
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    if not is_dataclass(value):
        return value
    facts = {entry.name: getattr(value, entry.name) for entry in fields(value)}
    other = facts.pop("other")
    return {key: _plain(fact) for key, fact in facts.items() if fact is not UNSET} | dict(other)


def sha256(path: Path) -> str:
    """Hash of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def command_line() -> list[str]:
    """The arguments this process was started with."""
    return sys.argv[1:]


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "not installed"
