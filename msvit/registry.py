"""Names of models: `register` puts a builder into the list, which is filled when it is first asked for."""

import fnmatch
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from msvit.classifier import ModelSpec, SpikingClassifier
from msvit.errors import ModelError, did_you_mean

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
    """Decorator: register a builder under its own name.

    The built model carries `spec`, the ModelSpec that builds it again.
    """
    return lambda build: add_entry(build.__name__, build, source)


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


def entries() -> Mapping[str, Entry]:
    """All registered models by name, those of the families in `msvit/models/` included."""
    import_module("msvit.models")  # each family registers its models
    return _ENTRIES


def register_with_timm() -> None:
    """Let `timm.create_model(name)` build the models of this package; names that timm already has stay timm's."""
    import timm

    for name, registered in entries().items():
        if not timm.is_model(name):
            timm.models.register_model(registered.build)


def list_models(pattern: str = "*") -> list[str]:
    """Registered names that match a shell pattern, sorted."""
    return sorted(fnmatch.filter(entries(), pattern))


def entry(name: str) -> Entry:
    """The registered model of that name; an unknown name raises ModelError with the right ones."""
    known = entries()
    if name not in known:
        raise ModelError(f"unknown model {name!r}; {did_you_mean(name, known)}models: {', '.join(list_models())}")
    return known[name]


def create_model(
    name: str, /, *, time_steps: int | None = None, num_classes: int | None = None, **kwargs: Any
) -> SpikingClassifier:
    """Build a registered model with fresh weights. `time_steps` and `num_classes` default to the model's own.

    Further arguments go to the model's class; unknown names, unknown arguments and values that do not fit raise
    ModelError.
    """
    given = {"time_steps": time_steps, "num_classes": num_classes}
    kwargs |= {key: value for key, value in given.items() if value is not None}
    try:
        return entry(name).build(**kwargs)
    except ModelError:
        raise
    except Exception as error:
        if not kwargs:
            raise
        if "unexpected keyword argument" in str(error):
            raise ModelError(f"{name}: {str(error).split('() ')[-1]}") from error
        named = ", ".join(f"{key}={value!r}"[:100] for key, value in kwargs.items())
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise ModelError(f"{name} cannot be built with {named}: {reason}") from error
