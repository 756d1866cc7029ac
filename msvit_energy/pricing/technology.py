"""Technologies: what one operation costs."""

import math
import tomllib
from dataclasses import dataclass
from pathlib import Path

from msvit_energy.errors import EnergyError


@dataclass(frozen=True)
class Technology:
    """Prices of a multiply-accumulate and of an accumulate, in pJ, with their source."""

    name: str
    e_mac: float
    e_ac: float
    source: str

    def __post_init__(self) -> None:
        for label, price in (("e_mac", self.e_mac), ("e_ac", self.e_ac)):
            if isinstance(price, bool) or not isinstance(price, int | float) or not (0 <= price < math.inf):
                raise EnergyError(f"technology {self.name}: {label} must be a price in pJ, 0 or more, not {price!r}")


HOROWITZ = "after Horowitz, ISSCC 2014"
TECHNOLOGIES = {
    technology.name: technology
    for technology in (
        Technology(
            "45nm-fp32",
            e_mac=4.6,
            e_ac=0.9,
            source=f"MSViT paper (IJCAI 2025), Appendix C, {HOROWITZ}: 3.7 pJ multiply + 0.9 pJ add",
        ),
        Technology(
            "45nm-fp16",
            e_mac=1.5,
            e_ac=0.4,
            source=f"SpikingJelly op_counter/compute_energy.py at afb13226, {HOROWITZ}: 1.1 pJ multiply + 0.4 pJ add",
        ),
        Technology(
            "45nm-int8",
            e_mac=0.23,
            e_ac=0.03,
            source=f"SpikingJelly op_counter/compute_energy.py at afb13226, {HOROWITZ}; stillwater-sc/universal "
            "generic_45nm.hpp: 0.2 pJ multiply + 0.03 pJ add",
        ),
        Technology(
            "45nm-int32",
            e_mac=3.2,
            e_ac=0.1,
            source=f"PMC8934428 Table 3, {HOROWITZ}; SpikingJelly analytical_energy: 3.1 pJ multiply + 0.1 pJ add",
        ),
    )
}


def get_technology(name: str) -> Technology:
    """The technology of that name, or the one in a TOML file; EnergyError with the list for an unknown one."""
    if name.endswith(".toml"):
        return read_technology(Path(name))
    if name not in TECHNOLOGIES:
        raise EnergyError(
            f"unknown technology {name!r}; technologies: {', '.join(sorted(TECHNOLOGIES))}, or a .toml file with "
            "e_mac, e_ac and source"
        )
    return TECHNOLOGIES[name]


def read_technology(path: Path) -> Technology:
    """Prices from a TOML file: `e_mac`, `e_ac` (pJ), `source`, and `name` if it is not the file's."""
    try:
        table = tomllib.loads(path.read_text())
    except OSError as error:
        raise EnergyError(f"cannot read technology {path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise EnergyError(f"{path} is not TOML: {error}") from error
    entries = {"e_mac", "e_ac", "source"}
    if missing := sorted(entries - table.keys()):
        raise EnergyError(f"{path} lacks {', '.join(missing)}; a technology has e_mac, e_ac (pJ) and source")
    if extra := sorted(table.keys() - entries - {"name"}):
        raise EnergyError(f"{path} has unknown entries {', '.join(extra)}; a technology has name, e_mac, e_ac, source")
    return Technology(str(table.get("name", path.stem)), table["e_mac"], table["e_ac"], str(table["source"]))


def with_prices(base: Technology, e_mac: float | None, e_ac: float | None) -> Technology:
    """`base` with prices given by hand, named custom if there are any; `source` says which."""
    if e_mac is None and e_ac is None:
        return base
    given = {"E_MAC": e_mac, "E_AC": e_ac}
    listed = ", ".join(f"{label} {price} pJ" for label, price in given.items() if price is not None)
    rest = "" if None not in given.values() else f", the rest as {base.name}"
    return Technology(
        "custom",
        base.e_mac if e_mac is None else e_mac,
        base.e_ac if e_ac is None else e_ac,
        source=f"given by hand: {listed}{rest}",
    )
