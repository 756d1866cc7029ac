"""The one error that a user of `msvit_energy` can cause, and correct."""


class EnergyError(ValueError):
    """Wrong input to the profiler, a protocol or a report. The message is one line: what was wrong, the value, what
    would be right. Command lines print it and exit with code 2."""
