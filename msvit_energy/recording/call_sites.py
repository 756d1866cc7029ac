"""Which modules are running, and how the operators that they call as bare functions are named."""

import sys
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from torch import nn

from msvit_energy.recording.operator_calls import Call, is_operator


@dataclass
class RunningModule:
    """A module that is running, and how often it has called each operator as a bare function."""

    name: str
    module: nn.Module
    called: Counter[str] = field(default_factory=Counter)
    places: dict[tuple[Any, ...], int] = field(default_factory=dict)

    def ordinal(self, call: Call, repeats: bool) -> int:
        """1, 2, ... for the calls of an operator in this run of the module. One that `repeats` in a loop over time is
        the same operator: called from the same line, with the same weights."""
        weights = tuple(id(stream.values) for stream in call.streams if isinstance(stream.values, nn.Parameter))
        place = (call.op, *caller(), *weights)
        if repeats and place in self.places:
            return self.places[place]
        self.called[call.op] += 1
        self.places[place] = self.called[call.op]
        return self.called[call.op]


class CallSites:
    """The stack of running modules; `called` are the names of all that ever ran."""

    def __init__(self, model: nn.Module) -> None:
        self.called: set[str] = set()
        self._model = model
        self._stack: list[RunningModule] = []

    def begin(self) -> None:
        """Start a batch; what is left of one that failed is forgotten."""
        self._stack.clear()

    def enter(self, name: str, module: nn.Module) -> None:
        """A module starts to run."""
        self._stack.append(RunningModule(name, module))
        self.called.add(name)

    def leave(self, module: nn.Module) -> None:
        """A module is done, and with it whatever it was running."""
        while self._stack and self._stack.pop().module is not module:
            pass

    @property
    def inside_operator(self) -> bool:
        """Whether the running module is an operator by itself."""
        return bool(self._stack) and is_operator(self._stack[-1].module)

    def name(self, call: Call, repeats: bool) -> str:
        """The layer of a bare call: the running module and the operator, numbered from the second one on."""
        running = self._stack[-1] if self._stack else RunningModule("", self._model)
        ordinal = running.ordinal(call, repeats)
        return ".".join(filter(None, (running.name, call.op if ordinal == 1 else f"{call.op}_{ordinal}")))


def caller() -> tuple[str, int]:
    """File and line of the code outside torch and this package that called a torch function."""
    frame = sys._getframe(1)
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] in (
        "torch",
        "msvit_energy",
    ):
        frame = frame.f_back
    return frame.f_code.co_filename, frame.f_lineno
