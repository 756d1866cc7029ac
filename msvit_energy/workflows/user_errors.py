"""The errors that a user can cause and correct, of both packages, and the faults of the machine in words."""

from msvit.errors import ModelError
from msvit.machine_faults import fault_in_words
from msvit_energy.errors import EnergyError

__all__ = ["USER_ERRORS", "fault_in_words"]

USER_ERRORS = (ModelError, EnergyError)
