"""The one error that a user of `msvit_energy` can cause, and correct."""

import difflib
from collections.abc import Iterable


class EnergyError(ValueError):
    """Wrong input to the profiler, a protocol or a report. The message is one line: what was wrong, the value, what
    would be right. Command lines print it and exit with code 2."""


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """For a message about an unknown name: "did you mean x? " where one is much like it, else nothing."""
    near = difflib.get_close_matches(name, list(known), n=1)
    return f"did you mean {near[0]}? " if near else ""
