"""A function mode that reports the torch functions that a forward calls."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

from msvit_energy.recording.torch_functions import OPENED

Listener = Callable[[Any, tuple[Any, ...], dict[str, Any], Any], None]  # function, its arguments, its output


class FunctionObserver(TorchFunctionMode):
    """Calls listeners after every torch function of a `with` block, but not after those that listeners call: those
    that are given for a function, and those that listen `always`. Of OPENED functions what they call is reported."""

    def __init__(self, listeners: Mapping[Any, Iterable[Listener]], always: Sequence[Listener] = ()) -> None:
        super().__init__()
        self._listeners, self._always = listeners, always

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func in OPENED:
            with self:
                return OPENED[func](*args, **kwargs)
        output = func(*args, **kwargs)
        if listeners := (*self._listeners.get(func, ()), *self._always):
            with torch._C.DisableTorchFunction():  # a mode of somebody else sees the forward alone
                for listener in listeners:
                    listener(func, args, kwargs, output)
        return output
