"""Price: counted operations and a technology give an EnergyReport. Energy per image, pJ inside, mJ at the edge."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from msvit_energy.pricing.energy_units import energy_text, energy_unit
from msvit_energy.pricing.operation_counts import OperationCounts, count
from msvit_energy.pricing.protocol import Protocol
from msvit_energy.pricing.technology import Technology, get_technology
from msvit_energy.profiles.amounts import Amount, Uncertainty
from msvit_energy.profiles.html_table import html_table
from msvit_energy.profiles.operand import Operand
from msvit_energy.profiles.operators import Operator
from msvit_energy.profiles.profile import Profile

if TYPE_CHECKING:
    import pandas as pd

PJ_PER_MJ = 1e9


@dataclass(frozen=True)
class EnergyRow:
    """One entry's operations and energy per image; `counted` is False for what the protocol leaves out by rule.
    `beside_pj` is the part of the energy that is not operations: memory, and what a protocol prices itself.

    `spread` is the uncertainty of `energy_pj` over images, None where it is not known.
    """

    layer: str
    stage: str
    macs: float
    acs: float
    energy_pj: float
    counted: bool = True
    spread: Uncertainty | None = None
    beside_pj: float = 0.0


@dataclass(frozen=True, repr=False)
class EnergyReport:
    """Energy of one image under one protocol and technology; every total is the sum of the rows, rounded once, so
    that it is the same on every version of Python.

    The first rows are the profile's operators, in its order; others that a protocol counts follow. `spread` is the
    uncertainty of the total over images.
    """

    protocol: str
    technology: Technology
    rows: tuple[EnergyRow, ...]
    macs_per_step: float  # dense, of all operators: the ANN of equal shape
    spread: Uncertainty | None = None

    @property
    def macs(self) -> float:
        """Multiply-accumulates per image."""
        return math.fsum(row.macs for row in self.rows)

    @property
    def acs(self) -> float:
        """Accumulates per image."""
        return math.fsum(row.acs for row in self.rows)

    @property
    def total_pj(self) -> float:
        return math.fsum(row.energy_pj for row in self.rows)

    @property
    def total_mj(self) -> float:
        return self.total_pj / PJ_PER_MJ

    @property
    def ann_mj(self) -> float:
        """Energy of an ANN with the same layers, E_MAC x MACs (Appendix C, equation 19)."""
        return self.technology.e_mac * self.macs_per_step / PJ_PER_MJ

    @property
    def interval_mj(self) -> tuple[float, float] | None:
        """95 % confidence interval of the total over images, None for fewer than two."""
        if self.spread is None:
            return None
        low, high = self.spread.interval
        return low / PJ_PER_MJ, high / PJ_PER_MJ

    def share(self, row: EnergyRow) -> float:
        """A row's part of the total, 0 when the total is 0."""
        return row.energy_pj / self.total_pj if self.total_pj else 0.0

    def summary(self) -> str:
        """Total, operations and prices in three lines."""
        margin = ""
        if self.spread is not None and self.total_pj:
            margin = f" +- {self.spread.half_width / self.total_pj:.1%} (95 %, {self.spread.images} images)"
        prices = self.technology
        return "\n".join(
            (
                f"{energy_text(self.total_mj)} per image{margin} by {self.protocol}",
                f"{self.acs:,.0f} accumulates, {self.macs:,.0f} multiply-accumulates; an ANN of equal shape "
                f"{energy_text(self.ann_mj)}",
                f"{prices.name}: E_MAC {prices.e_mac} pJ, E_AC {prices.e_ac} pJ",
            )
        )

    def __repr__(self) -> str:
        return f"<EnergyReport: {'; '.join(self.summary().splitlines())}>"

    def _repr_html_(self) -> str:
        """The entries, for notebooks."""
        title, *notes = self.summary().splitlines()
        unit = energy_unit([self.total_mj])
        rows = [
            (
                row.layer,
                f"{row.acs:,.0f}",
                f"{row.macs:,.0f}",
                f"{row.energy_pj / PJ_PER_MJ * unit.per_mj:.4g}" if row.counted else "",
                f"{self.share(row):.1%}" if row.counted else "",
            )
            for row in self.rows
        ]
        return html_table(title, ("layer", "ACs", "MACs", unit.name, "share"), rows, notes)

    def records(self) -> list[dict[str, Any]]:
        """One record per entry, with its standard error and 95 % confidence interval over images where known."""
        rows = []
        for row in self.rows:
            low, high = row.spread.interval if row.spread else (None, None)
            rows.append(
                {
                    "layer": row.layer,
                    "stage": row.stage,
                    "macs": row.macs,
                    "acs": row.acs,
                    "energy_pj": row.energy_pj,
                    "share": self.share(row),
                    "counted": row.counted,
                    "standard_error_pj": row.spread.standard_error if row.spread else None,
                    "ci95_low_pj": low,
                    "ci95_high_pj": high,
                }
            )
        return rows

    def to_frame(self) -> "pd.DataFrame":
        """`records` as a frame."""
        import pandas as pd

        return pd.DataFrame(self.records())


def price(
    profile: Profile, protocol: str | Protocol = "appendix-c", technology: str | Technology = "45nm-fp32"
) -> EnergyReport:
    """Operations and energy per image of `profile`; unknown names raise EnergyError.

    `protocol` is a name, which may carry options, as in "appendix-c:first-layer=every-step", or one's own Protocol.
    """
    prices = get_technology(technology)
    return price_counts(count(profile, protocol), prices)


def price_counts(counts: OperationCounts, technology: Technology) -> EnergyReport:
    """Energy per image of counted operations, each entry with its uncertainty; at the prices that the protocol is
    defined with, where it has its own."""
    technology = get_technology(counts.own_prices or technology)
    rows, energies = [], [entry.operations.energy_pj(technology) for entry in counts.entries]
    for entry, energy in zip(counts.entries, energies, strict=True):
        operations = entry.operations
        row = EnergyRow(
            layer=entry.layer,
            stage=entry.stage,
            macs=float(operations.macs),
            acs=float(operations.acs),
            energy_pj=float(energy),
            counted=entry.counted,
            spread=counts.spread.of(energy) if entry.counted and counts.spread else None,
            beside_pj=float(operations.beside_pj(technology)),
        )
        rows.append(row)
    report = EnergyReport(counts.protocol, technology, tuple(rows), counts.macs_per_step)
    if counts.spread is None:
        return report
    weights = Amount.total(energies).weights
    return replace(report, spread=counts.spread.of(Amount(report.total_pj, weights)))


def as_macs_mj(profile: Profile, report: EnergyReport, among: Callable[[Operator], bool]) -> float:
    """The total if some counted operators cost E_MAC x their dense MACs, as some protocols say of integers above 1."""
    chosen = filter(among, profile.operators)
    return _otherwise_mj(report, {item.layer: report.technology.e_mac * item.macs_per_image for item in chosen})


def as_accumulates_mj(
    profile: Profile, report: EnergyReport, among: Callable[[Operator], bool], rate: Callable[[Operand], float]
) -> float:
    """The total if some counted operators cost E_AC x a rate of their driving input x their dense MACs."""
    chosen = [operator for operator in profile.operators if among(operator)]
    counts = {operator.layer: rate(operator.driver) * operator.macs_per_image for operator in chosen}
    return _otherwise_mj(report, {layer: report.technology.e_ac * acs for layer, acs in counts.items()})


def _otherwise_mj(report: EnergyReport, energies: Mapping[str, float]) -> float:
    """The total with other energies of some entries' operations, those that are counted, in pJ."""
    rows = (energies.get(row.layer, row.energy_pj) if row.counted else row.energy_pj for row in report.rows)
    return math.fsum(rows) / PJ_PER_MJ
