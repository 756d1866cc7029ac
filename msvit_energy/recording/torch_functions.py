"""The torch functions with dense MACs, and those that are looked into."""

from collections.abc import Callable, Mapping
from types import FunctionType
from typing import Any

from torch.nn import functional as F

from msvit_energy.recording import contractions, operator_calls, recurrent_calls
from msvit_energy.recording.operator_calls import Call
from msvit_energy.recording.vmap import refuse_vmap

# torch functions with dense MACs -> what a call with the same arguments does
FUNCTIONS: Mapping[Any, Callable[..., Call | tuple[Call, ...] | None]] = {
    **operator_calls.FUNCTIONS,
    **contractions.FUNCTIONS,
    **recurrent_calls.FUNCTIONS,
}


def described(func: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> tuple[Call, ...]:
    """What a call of one of FUNCTIONS does; nothing where its arguments cannot be read, which leaves its MACs to
    fvcore as unknown. EnergyError inside of `torch.vmap`."""
    refuse_vmap()
    try:
        found = FUNCTIONS[func](*args, **kwargs)
    except (TypeError, RuntimeError, ValueError):
        return ()
    return found if isinstance(found, tuple) else () if found is None else (found,)


def _opened(function: Any) -> Any:
    """A function of `torch.nn.functional` that shows what it calls to a function mode, and not itself."""
    names = F.__dict__ | {"has_torch_function": lambda tensors: False}
    copy = FunctionType(function.__code__, names, function.__name__, function.__defaults__)
    copy.__kwdefaults__ = function.__kwdefaults__
    return copy


# functions of several operators -> the same, of which the operators are seen one by one
OPENED: Mapping[Any, Callable[..., Any]] = {F.multi_head_attention_forward: _opened(F.multi_head_attention_forward)}
