"""Prices of memory: what an access to an on-chip buffer of some size costs, and a bit from off-chip memory.

Where sources read one figure in two ways, both are here, and a technology names the one that it takes.
"""

from dataclasses import dataclass
from itertools import pairwise

KB = 1024


@dataclass(frozen=True)
class Sram:
    """Price of an access of `access_bits` to a buffer, by its size: `points` are (bytes, pJ), straight lines between
    them, the same as at the ends beyond; `rising` goes on beyond the last one as between the last two."""

    points: tuple[tuple[float, float], ...]
    access_bits: int
    source: str
    rising: bool = False

    def access_pj(self, size: float, bits: float) -> float:
        """Price of reading or writing `bits` of a buffer of `size` bytes, in pJ."""
        return self._at(size) * bits / self.access_bits

    def _at(self, size: float) -> float:
        (low, least), (high, most) = self.points[0], self.points[-1]
        if size <= low or (size >= high and not self.rising):
            return least if size <= low else most
        lines = list(pairwise(self.points))
        (a, here), (b, there) = next((line for line in lines if size <= line[1][0]), lines[-1])
        return here + (there - here) * (size - a) / (b - a)


@dataclass(frozen=True)
class Dram:
    """Price of a bit that is read from or written to off-chip memory, in pJ."""

    pj_per_bit: float
    source: str


HOROWITZ_SRAM = "Horowitz, ISSCC 2014: 10 pJ for 8 kB, 20 pJ for 32 kB, 100 pJ for 1 MB"
LEMAIRE_SLOPE, LEMAIRE_OFFSET = 1.09e-5, 13.2  # pJ per bit of the buffer, pJ

SRAMS = {
    "per-64-bits": Sram(
        ((8 * KB, 10.0), (32 * KB, 20.0), (KB * KB, 100.0)),
        access_bits=64,
        source=f"{HOROWITZ_SRAM}. Read as 64 bits an access by PMC8934428, which takes 5 pJ for 32 bits of 8 kB",
    ),
    "per-32-bits": Sram(
        ((0, 0.0), (8 * KB, 10.0), (32 * KB, 20.0), (KB * KB, 100.0)),
        access_bits=32,
        source=f"{HOROWITZ_SRAM}. Read as 4 bytes an access, and from 0 pJ at 0 bytes, by SpikingJelly 2.0.0 "
        "op_counter/analytical_energy.py",
    ),
    "lemaire": Sram(
        ((0, LEMAIRE_OFFSET), (KB * KB, LEMAIRE_OFFSET + LEMAIRE_SLOPE * 8 * KB * KB)),
        access_bits=32,
        source="Lemaire et al. 2022, arXiv 2210.13107: 1.09e-5 x words x bits + 13.2 pJ an access",
        rising=True,
    ),
    "step": Sram(
        ((0, 24.96),),
        access_bits=8,
        source="SpikingJelly 2.0.0 op_counter/simple_energy.py: 24.96 pJ per byte of any memory, after the 3.12 pJ "
        "per bit of STEP, arXiv 2505.11151",
    ),
}

DRAMS = {
    "horowitz": Dram(1300 / 64, "1300 pJ per 64 bits, the lower end of 1300 to 2600 (stillwater-sc/universal "
                     "generic_45nm.hpp, after Horowitz, ISSCC 2014)"),
    "dramsim3": Dram(12.45, "12.45 pJ per bit (Prosperity, HPCA 2025, by DRAMsim3)"),
}  # fmt: skip
