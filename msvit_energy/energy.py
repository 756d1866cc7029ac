"""Price: profile, protocol and technology give an EnergyReport. Energy per image, pJ inside, mJ at the edge."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from msvit_energy.protocols import Operations, get_protocol
from msvit_energy.records import Profile
from msvit_energy.technology import Technology, get_technology

if TYPE_CHECKING:
    import pandas as pd

PJ_PER_MJ = 1e9


@dataclass(frozen=True)
class EnergyRow:
    """One operator's operations and energy per image."""

    layer: str
    stage: str
    operations: Operations
    energy_pj: float


@dataclass(frozen=True)
class EnergyReport:
    """Energy of one image under one protocol and technology; every total is the sum of the rows."""

    protocol: str
    technology: Technology
    rows: tuple[EnergyRow, ...]
    macs_per_step: float  # dense, of all operators: the ANN of equal shape

    @property
    def macs(self) -> float:
        """Multiply-accumulates per image."""
        return sum(row.operations.macs for row in self.rows)

    @property
    def acs(self) -> float:
        """Accumulates per image."""
        return sum(row.operations.acs for row in self.rows)

    @property
    def total_pj(self) -> float:
        return sum(row.energy_pj for row in self.rows)

    @property
    def total_mj(self) -> float:
        return self.total_pj / PJ_PER_MJ

    @property
    def ann_mj(self) -> float:
        """Energy of an ANN with the same layers, E_MAC x MACs (Appendix C, equation 19)."""
        return self.technology.e_mac * self.macs_per_step / PJ_PER_MJ

    def share(self, row: EnergyRow) -> float:
        """A row's part of the total, 0 when the total is 0."""
        return row.energy_pj / self.total_pj if self.total_pj else 0.0

    def to_frame(self) -> "pd.DataFrame":
        """One row per operator; `counted` is False for what the protocol leaves out by rule."""
        import pandas as pd

        return pd.DataFrame(
            [
                {
                    "layer": row.layer,
                    "stage": row.stage,
                    "macs": row.operations.macs,
                    "acs": row.operations.acs,
                    "energy_pj": row.energy_pj,
                    "share": self.share(row),
                    "counted": row.operations.counted,
                }
                for row in self.rows
            ]
        )


def price(profile: Profile, protocol: str = "appendix-c", technology: str = "45nm-fp32") -> EnergyReport:
    """Operations and energy per image of `profile`; unknown names raise EnergyError."""
    prices = get_technology(technology)
    counts = get_protocol(protocol).count(profile)
    rows = tuple(
        EnergyRow(operator.layer, operator.stage, count, prices.e_mac * count.macs + prices.e_ac * count.acs)
        for operator, count in zip(profile.operators, counts, strict=True)
    )
    return EnergyReport(protocol, prices, rows, profile.macs_per_step)
