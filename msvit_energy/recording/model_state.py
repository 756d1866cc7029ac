"""What a forward leaves behind in a model, and how every sample starts from the same state."""

from contextlib import AbstractContextManager
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from msvit_energy.recording.neurons import reset_of

_INTERNALS = frozenset(vars(nn.Module()))  # what every module has, its mode included


class RestState:
    """The state of rest, in which every sample starts, whatever library keeps it.

    Neurons of known libraries, and SpikingJelly's other modules with a memory, are reset by their own methods. All
    other plain attributes and buffers of modules are put back to what they were when this object was made, as the same
    objects.
    """

    def __init__(self, model: nn.Module) -> None:
        self._resets = [reset for module in model.modules() if (reset := reset_of(module)) is not None]
        with torch.inference_mode(False):
            self._reset()
            self._kept = [
                (module, {name: Snapshot(v) for name, v in _state(module).items()}) for module in model.modules()
            ]
        self._in_inference = any(value.in_inference() for _, kept in self._kept for value in kept.values())

    def restore(self) -> None:
        """Put the model back to rest."""
        with torch.inference_mode(False):
            self._reset()
            for module, kept in self._kept:
                now = _state(module)
                for name in now.keys() - kept.keys():
                    delattr(module, name)
                for name, value in kept.items():
                    original = value.restored()
                    if now.get(name, kept) is not original:
                        setattr(module, name, original)

    def mode(self) -> AbstractContextManager[Any]:
        """A mode without gradients: inference mode where a state was made in it, and can be written to in it alone."""
        return torch.inference_mode() if self._in_inference else torch.no_grad()

    def _reset(self) -> None:
        for reset in self._resets:
            reset()


class Snapshot:
    """A value and what it holds: tensors, and containers and plain objects with tensors inside."""

    def __init__(self, value: Any) -> None:
        self.value = value
        self.content: Any = None
        if isinstance(value, Tensor):
            self.content = value.clone()
        elif isinstance(value, list | tuple):
            self.content = [Snapshot(item) for item in value]
        elif (items := _items(value)) is not None:
            self.content = {name: Snapshot(item) for name, item in items.items()}
        self.fixed = self.content is None or (isinstance(value, tuple) and all(kept.fixed for kept in self.content))

    def in_inference(self) -> bool:
        """Whether a tensor in it was made in inference mode."""
        if isinstance(self.value, Tensor):
            return self.value.is_inference()
        held = self.content.values() if isinstance(self.content, dict) else self.content or ()
        return any(kept.in_inference() for kept in held)

    def restored(self) -> Any:
        """The value itself, holding what it held."""
        if self.fixed:
            return self.value
        if isinstance(self.value, Tensor):
            if not self.value.is_meta and not torch.equal(self.value, self.content):
                with torch.inference_mode(self.value.is_inference()):
                    self.value.copy_(self.content)
        elif isinstance(self.value, list):
            self.value[:] = [kept.restored() for kept in self.content]
        elif isinstance(self.value, tuple):
            for kept in self.content:
                kept.restored()
        elif self.content is not None:
            items = _items(self.value)
            assert items is not None
            fresh = {name: kept.restored() for name, kept in self.content.items()}
            items.clear()
            items.update(fresh)
        return self.value


def _items(value: Any) -> dict[Any, Any] | None:
    """What a dictionary or a plain object holds by name; None for modules, classes, functions, loggers and the like."""
    if isinstance(value, dict):
        return value
    plain = hasattr(value, "__dict__") and not isinstance(value, nn.Module | type | ModuleType) and not callable(value)
    return vars(value) if plain and type(value).__module__.partition(".")[0] not in ("torch", "logging") else None


def _state(module: nn.Module) -> dict[str, Any]:
    """What a forward may leave behind: plain attributes and buffers."""
    found = vars(module) | module._buffers
    return {name: found[name] for name in found.keys() - _INTERNALS if not callable(found[name])}  # nor modules
