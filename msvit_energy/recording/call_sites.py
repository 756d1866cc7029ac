"""Which module is running, and how the operators that it calls as bare functions are told apart."""

import sys
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from torch import nn

from msvit_energy.recording.operator_calls import Call


@dataclass
class Frame:
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


def caller() -> tuple[str, int]:
    """File and line of the code outside torch and this package that called a torch function."""
    frame = sys._getframe(1)
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] in (
        "torch",
        "msvit_energy",
    ):
        frame = frame.f_back
    return frame.f_code.co_filename, frame.f_lineno
