"""Energy of spiking networks: profile once, price many times.

`profile` and `Preparation` need torch and are imported when first used; everything else works from a saved profile
without it.
"""

from typing import TYPE_CHECKING, Any

from msvit_energy.errors import EnergyError
from msvit_energy.pricing.energy import EnergyReport, price
from msvit_energy.profiles.profile import Profile
from msvit_energy.profiles.table_format import read_table

if TYPE_CHECKING:
    from msvit_energy.preparation import Preparation
    from msvit_energy.profiler import profile

__all__ = ["EnergyError", "EnergyReport", "Preparation", "Profile", "price", "profile", "read_table"]


def __getattr__(name: str) -> Any:
    if name == "profile":
        from msvit_energy.profiler import profile

        return profile
    if name == "Preparation":
        from msvit_energy.preparation import Preparation

        return Preparation
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
