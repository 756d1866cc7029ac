"""Spikes of bare functions: of a `torch.autograd.Function` that somebody's forward calls, such as a surrogate gradient.

One that turns numbers into 0 and 1, or into -1, 0 and 1, is a layer of neurons, named after the module that calls it.
It is known by what it returns, whatever its own name is.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import wraps
from threading import get_ident
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd import Function

OWN = ("torch.", "msvit.")  # packages whose functions are no neurons by themselves
Listener = Callable[[Sequence[Any], Any], None]  # arguments of a function, its output


class Site(NamedTuple):
    """Where a function is called: the module, the last operators with and without weights that ran in it before, and
    how many axes the output has. A loop over T comes back to the same sites."""

    module: str
    weighted: str
    plain: str
    rank: int


class FunctionCall(NamedTuple):
    """A call of a function: whether it made spikes (None: the output says nothing), and the shape of these."""

    site: Site
    spikes: bool | None
    shape: tuple[int, ...]


@contextmanager
def reporting(listener: Listener) -> Iterator[None]:
    """Functions of a `with` block tell the listener what they were given and what they returned, unless they run in
    another thread. A function that calls another one is a single one."""
    kinds = {kind: vars(kind)["forward"] for kind in _kinds(Function) if "forward" in vars(kind)}
    kinds = {kind: forward for kind, forward in kinds.items() if not kind.__module__.startswith(OWN)}
    running: list[type] = []
    try:
        for kind in kinds:
            kind.forward = staticmethod(_reported(kind, listener, running))
        yield
    finally:
        for kind, forward in kinds.items():
            kind.forward = forward


def _kinds(base: Any) -> Iterator[Any]:
    for kind in base.__subclasses__():
        yield kind
        yield from _kinds(kind)


def _reported(kind: Any, listener: Listener, running: list[type]) -> Callable[..., Any]:
    forward, thread = kind.forward, get_ident()

    @wraps(forward)
    def run(*args: Any, **kwargs: Any) -> Any:
        if torch.compiler.is_compiling() or get_ident() != thread:
            return forward(*args, **kwargs)
        running.append(kind)
        try:
            output = forward(*args, **kwargs)
        finally:
            running.pop()
        if not running:
            with torch._C.DisableTorchFunction():
                listener((*args, *kwargs.values()), output)
        return output

    return run


def makes_spikes(given: Sequence[Any], output: Any) -> bool | None:
    """Whether a function that was called with `given` made spikes: its output is 0 and 1, or -1, 0 and 1, and not what
    it was given. None where all is 0."""
    if not isinstance(output, Tensor) or not output.is_floating_point() or not output.dim() or output.is_meta:
        return False
    high = output.abs()
    if not bool(((high == 0) | (high == 1)).all()) or (bool((output < 0).any()) and not bool((output == 0).any())):
        return False
    alike = [each for each in given if isinstance(each, Tensor) and each.numel() == output.numel()]
    same = any(bool((each.reshape(output.shape) == output).all()) for each in alike)
    silent = not bool(high.any())
    return None if same and silent else not same


def named_sites(calls: Sequence[FunctionCall], time_steps: int, taken: Collection[str]) -> dict[Site, str]:
    """The sites whose functions are neurons, of the calls of one image over T steps, with the names of their layers:
    that of the module, or with numbers where a module has several. Sites that do not run for all T are one with the
    others of their module, or none."""
    sites: dict[Site, list[FunctionCall]] = {}
    for call in calls:
        sites.setdefault(call.site, []).append(call)
    spiking = {site: each for site, each in sites.items() if _all_spikes(each)}
    by_module: dict[str, list[Site]] = {}
    for site in spiking:
        by_module.setdefault(site.module, []).append(site)
    names: dict[Site, str] = {}
    for module, own in by_module.items():
        if all(_runs_all(spiking[site], time_steps) for site in own):
            names |= dict(zip(own, _names(module, taken), strict=False))
        elif _runs_all([call for site in own for call in spiking[site]], time_steps):
            names |= dict.fromkeys(own, next(_names(module, taken)))
    return names


def _all_spikes(calls: Sequence[FunctionCall]) -> bool:
    return any(call.spikes for call in calls) and all(call.spikes is not False for call in calls)


def _runs_all(calls: Sequence[FunctionCall], time_steps: int) -> bool:
    if len(calls) % time_steps == 0:
        return True
    return len(calls) == 1 and any(size and size % time_steps == 0 for size in calls[0].shape)


def _names(module: str, taken: Collection[str]) -> Iterator[str]:
    if module:
        yield module
    number = 1 if not module else 2
    while True:
        name = ".".join(filter(None, (module, "spikes" if number == 1 else f"spikes_{number}")))
        number += 1
        if name not in taken:
            yield name


NO_SITES: Mapping[Site, str] = {}
