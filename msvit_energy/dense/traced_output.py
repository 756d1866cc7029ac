"""An output that the tracer takes, whatever a model returns.

The tracer knows tensors and tuples of them, and leaves out of its graph what no output depends on.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn


@contextmanager
def traceable_output(model: nn.Module) -> Iterator[None]:
    """In a `with` block the model returns the tensors in what it returns, or the outputs of all its modules if there
    are none."""
    seen: list[Tensor] = []

    def note(module: nn.Module, args: Any, output: Any) -> None:
        seen.extend(tensors_in(output))

    def replaced(module: nn.Module, args: Any, output: Any) -> Any:
        given, inside = tuple(tensors_in(output)), tuple(seen)
        seen.clear()
        plain = isinstance(output, Tensor) or (isinstance(output, list | tuple) and len(given) == len(output) > 0)
        return None if plain else given or inside

    inner = [module for module in nn.Module.modules(model) if module is not model]
    handles = [module.register_forward_hook(note) for module in inner] + [model.register_forward_hook(replaced)]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def tensors_in(value: Any) -> list[Tensor]:
    """All tensors in lists, tuples and dicts, or of an object its attributes that are tensors."""
    if isinstance(value, Tensor):
        return [value]
    if isinstance(value, Mapping):
        inside: Any = value.values()
    elif isinstance(value, list | tuple):
        inside = value
    else:
        inside = [each for each in getattr(value, "__dict__", {}).values() if isinstance(each, Tensor)]
    return [tensor for each in inside for tensor in tensors_in(each)]
