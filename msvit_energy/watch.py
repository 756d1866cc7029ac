"""A function mode that tells of every torch function that a forward calls."""

from collections.abc import Callable, Sequence
from typing import Any

from torch.overrides import TorchFunctionMode

Listener = Callable[[Any, tuple[Any, ...], dict[str, Any], Any], None]  # function, its arguments, its output


class FunctionWatch(TorchFunctionMode):
    """Tells the listeners, in order, of every torch function that is called in a `with` block and not by them."""

    def __init__(self, listeners: Sequence[Listener]) -> None:
        super().__init__()
        self.listeners = tuple(listeners)

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        output = func(*args, **kwargs)
        for listener in self.listeners:
            listener(func, args, kwargs, output)
        return output
