"""Technologies: what one operation costs, and one access to memory where the source says it."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from msvit_energy.errors import EnergyError, did_you_mean
from msvit_energy.pricing.memory_prices import DRAMS, SRAMS
from msvit_energy.profiles.field_types import MOST_REAL
from msvit_energy.profiles.text_files import read_text

MOST_BYTES = 2**14  # of a file
MEMORIES: Mapping[str, Mapping[str, Any]] = {"sram": SRAMS, "dram": DRAMS}


@dataclass(frozen=True)
class Technology:
    """Prices of a multiply-accumulate and of an accumulate, in pJ, with their source, and of memory if it has them.

    `bits` are those of a weight and of a potential. `sram` and `dram` name an entry of memory_prices.py; "" has none.
    """

    name: str
    e_mac: float
    e_ac: float
    source: str
    bits: int = 32
    sram: str = ""
    dram: str = ""

    def __post_init__(self) -> None:
        for label, price in (("e_mac", self.e_mac), ("e_ac", self.e_ac)):
            if isinstance(price, bool) or not isinstance(price, int | float) or not (0 <= price <= MOST_REAL):
                raise EnergyError(f"technology {self.name}: {label} must be a price in pJ, 0 or more, not {price!r}")
        if isinstance(self.bits, bool) or not isinstance(self.bits, int) or not 1 <= self.bits <= 64:
            raise EnergyError(f"technology {self.name}: bits must be a whole number from 1 to 64, not {self.bits!r}")
        for kind, known in MEMORIES.items():
            if (chosen := getattr(self, kind)) and chosen not in known:
                raise EnergyError(f"technology {self.name}: unknown {kind} {chosen!r}; known: {', '.join(known)}")

    def access_pj(self, size: float, bits: float) -> float:
        """Price of `bits` of a buffer of `size` bytes; EnergyError without prices of buffers."""
        if not self.sram:
            raise EnergyError(f"technology {self.name} has no price of memory; choose an sram: {', '.join(SRAMS)}")
        return SRAMS[self.sram].access_pj(size, bits)

    def dram_pj(self, bits: float) -> float:
        """Price of `bits` from off-chip memory; EnergyError without such a price."""
        if not self.dram:
            raise EnergyError(
                f"technology {self.name} has no price of off-chip memory; choose a dram: {', '.join(DRAMS)}"
            )
        return DRAMS[self.dram].pj_per_bit * bits


HOROWITZ = "after Horowitz, ISSCC 2014"
INT32 = f"PMC8934428 Table 3, {HOROWITZ}; SpikingJelly analytical_energy: 3.1 pJ multiply + 0.1 pJ add"
TECHNOLOGIES = {
    technology.name: technology
    for technology in (
        Technology(
            "45nm-fp32",
            e_mac=4.6,
            e_ac=0.9,
            source=f"MSViT paper (IJCAI 2025), Appendix C, {HOROWITZ}: 3.7 pJ multiply + 0.9 pJ add",
            sram="per-64-bits",
            dram="horowitz",
        ),
        Technology(
            "45nm-fp16",
            e_mac=1.5,
            e_ac=0.4,
            source=f"SpikingJelly op_counter/compute_energy.py at afb13226, {HOROWITZ}: 1.1 pJ multiply + 0.4 pJ add",
            bits=16,
            sram="per-64-bits",
            dram="horowitz",
        ),
        Technology(
            "45nm-int8",
            e_mac=0.23,
            e_ac=0.03,
            source=f"SpikingJelly op_counter/compute_energy.py at afb13226, {HOROWITZ}; stillwater-sc/universal "
            "generic_45nm.hpp: 0.2 pJ multiply + 0.03 pJ add",
            bits=8,
            sram="per-64-bits",
            dram="horowitz",
        ),
        Technology("45nm-int32", e_mac=3.2, e_ac=0.1, source=INT32, sram="per-64-bits", dram="horowitz"),
        Technology(
            "lemaire",
            e_mac=3.2,
            e_ac=0.1,
            source="Lemaire et al. 2022, arXiv 2210.13107: 3.1 pJ multiply, 0.1 pJ add, 32-bit integers",
            sram="lemaire",
        ),
        Technology(
            "step",
            e_mac=4.6,
            e_ac=0.9,
            source="SpikingJelly 2.0.0 op_counter/simple_energy.py: 4.6 pJ and 0.9 pJ, and 24.96 pJ per byte of memory",
            sram="step",
        ),
    )
}


def get_technology(text: "str | Technology") -> Technology:
    """The technology of that name, or the one in a TOML file; EnergyError with the list for an unknown one. What is a
    technology already stays as it is.

    Readings of memory are chosen as options of protocols are: `45nm-fp32:sram=per-32-bits,dram=dramsim3`.
    """
    if isinstance(text, Technology):
        return text
    if text.endswith(".toml"):
        return read_technology(Path(text))
    name, _, chosen = text.partition(":")
    if name not in TECHNOLOGIES:
        raise EnergyError(
            f"unknown technology {name!r}; {did_you_mean(name, TECHNOLOGIES)}"
            f"technologies: {', '.join(sorted(TECHNOLOGIES))}, or a .toml file with "
            "e_mac, e_ac and source"
        )
    readings: dict[str, Any] = {}
    for part in filter(None, chosen.split(",")):
        kind, _, reading = part.partition("=")
        if kind not in MEMORIES or reading not in MEMORIES[kind]:
            offered = "; ".join(f"{kind}={'|'.join(known)}" for kind, known in MEMORIES.items())
            raise EnergyError(f"technology {name} has no {part!r}; readings of memory: {offered}")
        readings[kind] = reading
    return replace(TECHNOLOGIES[name], name=text, **readings) if readings else TECHNOLOGIES[name]


def read_technology(path: Path) -> Technology:
    """Prices from a TOML file: `e_mac`, `e_ac` (pJ), `source`, and the other fields of Technology if wanted."""
    try:
        table = tomllib.loads(read_text(path, MOST_BYTES, "technology"))
    except EnergyError:
        raise
    except (ValueError, RecursionError) as error:
        raise EnergyError(f"{path} is not TOML: {error}") from error
    entries, known = {"e_mac", "e_ac", "source"}, [entry.name for entry in fields(Technology)]
    if missing := sorted(entries - table.keys()):
        raise EnergyError(f"{path} lacks {', '.join(missing)}; a technology has e_mac, e_ac (pJ) and source")
    if extra := sorted(table.keys() - set(known)):
        raise EnergyError(f"{path} has unknown entries {', '.join(extra)}; a technology has {', '.join(known)}")
    words = {name: str(table[name]) for name in ("name", "source", "sram", "dram") if name in table}
    return Technology(**{"name": path.stem} | table | words)


def with_prices(base: Technology, e_mac: float | None, e_ac: float | None) -> Technology:
    """`base` with prices given by hand, named custom if there are any; `source` says which."""
    if e_mac is None and e_ac is None:
        return base
    given = {"E_MAC": e_mac, "E_AC": e_ac}
    listed = ", ".join(f"{label} {price} pJ" for label, price in given.items() if price is not None)
    rest = "" if None not in given.values() and not base.sram else f", the rest as {base.name}"
    return replace(
        base,
        name="custom",
        e_mac=base.e_mac if e_mac is None else e_mac,
        e_ac=base.e_ac if e_ac is None else e_ac,
        source=f"given by hand: {listed}{rest}",
    )
