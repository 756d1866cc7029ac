"""Measurements in several threads take turns.

A measurement sets what belongs to the whole process and puts it back: settings and generators of torch, and the
forwards of autograd functions. Two at a time would put back what the other one had set.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock, RLock
from weakref import WeakSet

from torch import nn

from msvit_energy.errors import EnergyError


class Turns:
    """Whose turn it is in this process, and which modules are measured, or wait for their turn."""

    def __init__(self) -> None:
        self._modules: WeakSet[nn.Module] = WeakSet()
        self.renew()

    def renew(self) -> None:
        """In a forked child, which lacks the threads that held the locks; models that are half measured stay so."""
        self._turn, self._look = RLock(), Lock()

    @contextmanager
    def alone(self, model: nn.Module) -> Iterator[None]:
        """A `with` block in which nothing else is measured in other threads; EnergyError for a model that is measured
        already, or that shares a module with such a one."""
        modules = set(nn.Module.modules(model))
        with self._look:
            if any(module in self._modules for module in modules):
                raise EnergyError(
                    "the model, or a part of it, is being profiled already; profile it again when that is done, or a "
                    "copy of it (copy.deepcopy)"
                )
            self._modules.update(modules)
        try:
            with self._turn:
                yield
        finally:
            with self._look:
                self._modules.difference_update(modules)


TURNS = Turns()
if hasattr(os, "register_at_fork"):  # not on Windows, which does not fork
    os.register_at_fork(after_in_child=TURNS.renew)
