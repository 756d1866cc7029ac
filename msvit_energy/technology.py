"""Technologies: what one operation costs."""

from dataclasses import dataclass

from msvit_energy.errors import EnergyError


@dataclass(frozen=True)
class Technology:
    """Prices of a multiply-accumulate and of an accumulate, in pJ, with their source."""

    name: str
    e_mac: float
    e_ac: float
    source: str


TECHNOLOGIES = {
    technology.name: technology
    for technology in (
        Technology(
            "45nm-fp32",
            e_mac=4.6,
            e_ac=0.9,
            source="MSViT paper (IJCAI 2025), Appendix C, after Horowitz, ISSCC 2014: 3.7 pJ multiply + 0.9 pJ add",
        ),
    )
}


def get_technology(name: str) -> Technology:
    """The technology of that name; EnergyError with the list for an unknown one."""
    if name not in TECHNOLOGIES:
        raise EnergyError(f"unknown technology {name!r}; technologies: {', '.join(sorted(TECHNOLOGIES))}")
    return TECHNOLOGIES[name]
