"""A command in the processes that torchrun starts."""

import os
from contextlib import AbstractContextManager, nullcontext

from msvit_energy.errors import EnergyError

ACROSS_PROCESSES = ("train", "profile")


def processes(command: str) -> AbstractContextManager[None]:
    """All processes of a torchrun together, if one started this; EnergyError if that command runs in one alone."""
    if "TORCHELASTIC_RUN_ID" not in os.environ:
        return nullcontext()
    if command not in ACROSS_PROCESSES:
        raise EnergyError(f"torchrun can start {' and '.join(ACROSS_PROCESSES)}, not {command}")
    from msvit.distributed import together

    return together()
