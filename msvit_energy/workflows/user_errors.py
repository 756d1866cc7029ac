"""The errors that a user can cause and correct, of both packages."""

from msvit.errors import ModelError
from msvit_energy.errors import EnergyError

USER_ERRORS = (ModelError, EnergyError)
