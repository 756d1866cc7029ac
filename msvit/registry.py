"""Names of models: `register` puts a builder into this package's list and into timm's."""

import difflib
import fnmatch
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import timm

from msvit.classifier import ModelSpec, SpikingClassifier
from msvit.errors import ModelError

Builder = Callable[..., SpikingClassifier]


@dataclass(frozen=True)
class Entry:
    """A registered model: its builder and where it was published."""

    build: Builder
    source: str

    @property
    def family(self) -> str:
        """The file in `msvit/models/` that the model comes from."""
        return self.build.__module__.rpartition(".")[2]


_ENTRIES: dict[str, Entry] = {}

# timm.create_model hands these to every builder; they concern weights that timm would download
_TIMM_ONLY = ("pretrained_cfg", "pretrained_cfg_overlay", "cache_dir")


def register(source: str) -> Callable[[Builder], Builder]:
    """Decorator: register a builder under its own name, here and with timm (`timm.create_model(name)`).

    The built model carries `spec`, the ModelSpec that builds it again.
    """

    def decorate(build: Builder) -> Builder:
        registered = add_entry(build.__name__, build, source)
        timm.models.register_model(registered)
        return registered

    return decorate


def add_entry(name: str, build: Builder, source: str) -> Builder:
    """Enter a builder into this package's list; returns it wrapped so that what it builds carries its ModelSpec."""

    def build_with_spec(pretrained: bool = False, **kwargs: Any) -> SpikingClassifier:
        if pretrained:
            raise ModelError(f"no downloadable weights exist for {name}; use msvit.load_checkpoint(path)")
        args = {key: value for key, value in kwargs.items() if key not in _TIMM_ONLY}
        model = build(**args)
        model.spec = ModelSpec(name, args)
        return model

    build_with_spec.__name__, build_with_spec.__module__ = name, build.__module__
    build_with_spec.__doc__ = build.__doc__
    _ENTRIES[name] = Entry(build_with_spec, source)
    return build_with_spec


def list_models(pattern: str = "*") -> list[str]:
    """Registered names that match a shell pattern, sorted."""
    return sorted(fnmatch.filter(_ENTRIES, pattern))


def entry(name: str) -> Entry:
    """The registered model of that name; an unknown name raises ModelError with the right ones."""
    if name not in _ENTRIES:
        near = difflib.get_close_matches(name, _ENTRIES, n=1)
        hint = f"did you mean {near[0]}? " if near else ""
        raise ModelError(f"unknown model {name!r}; {hint}models: {', '.join(list_models())}")
    return _ENTRIES[name]


def create_model(
    name: str, *, time_steps: int | None = None, num_classes: int | None = None, **kwargs: Any
) -> SpikingClassifier:
    """Build a registered model with fresh weights. `time_steps` and `num_classes` default to the model's own.

    Further arguments go to the model's class; unknown names, unknown arguments and values that do not fit raise
    ModelError.
    """
    given = {"time_steps": time_steps, "num_classes": num_classes}
    kwargs |= {key: value for key, value in given.items() if value is not None}
    try:
        return entry(name).build(**kwargs)
    except TypeError as error:
        if "unexpected keyword argument" in str(error):
            raise ModelError(f"{name}: {str(error).split('() ')[-1]}") from error
        raise
