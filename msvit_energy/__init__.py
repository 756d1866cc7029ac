"""Energy of spiking networks: profile once, price many times.

`profile`, `Preparation` and `EnergyMonitor` need torch, and everything but pricing is imported when first used: a saved
profile is priced, compared and shown without torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from msvit_energy.errors import EnergyError
from msvit_energy.pricing.energy import EnergyReport, price
from msvit_energy.profiles.profile import Profile
from msvit_energy.profiles.table_format import read_table

if TYPE_CHECKING:
    from msvit_energy.monitor import EnergyMonitor
    from msvit_energy.preparation import Preparation
    from msvit_energy.pricing.image_energies import energy_per_image
    from msvit_energy.profiler import profile
    from msvit_energy.reporting import figures
    from msvit_energy.workflows.comparison import compare
    from msvit_energy.workflows.difference import diff
    from msvit_energy.workflows.published.evidence import evidence
    from msvit_energy.workflows.report_page import report

__all__ = [
    "EnergyError",
    "EnergyMonitor",
    "EnergyReport",
    "Preparation",
    "Profile",
    "compare",
    "diff",
    "energy_per_image",
    "evidence",
    "figures",
    "price",
    "profile",
    "read_table",
    "report",
]
_WHERE = {
    "EnergyMonitor": "monitor",
    "Preparation": "preparation",
    "compare": "workflows.comparison",
    "diff": "workflows.difference",
    "energy_per_image": "pricing.image_energies",
    "evidence": "workflows.published.evidence",
    "figures": "reporting",
    "profile": "profiler",
    "report": "workflows.report_page",
}


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = import_module(f"{__name__}.{_WHERE[name]}")
    return import_module(f"{module.__name__}.figures") if name == "figures" else getattr(module, name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
