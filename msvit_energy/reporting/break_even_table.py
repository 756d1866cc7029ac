"""The rate of every layer beside the one below which it costs less than a quantised dense layer."""

from collections.abc import Sequence
from typing import Any

from msvit_energy.pricing.break_even import BreakEven
from msvit_energy.pricing.energy import PJ_PER_MJ
from msvit_energy.pricing.energy_units import energy_unit
from msvit_energy.pricing.memory_rules import rival_bits
from msvit_energy.profiles.profile import Profile
from msvit_energy.reporting.formatting import title
from msvit_energy.reporting.table import Column, Table

PUBLISHED = (
    "published: break-even at a mean rate of 5.7 % for T = 5 (arXiv 2409.08290v4), at 0.15 to 1.38 spikes per synapse "
    "and inference (Dampfhoffer et al., IEEE TETCI 2023, doi 10.1109/TETCI.2022.3214509), each on its own hardware"
)


def break_even_table(
    profile: Profile, rows: Sequence[BreakEven], total: BreakEven, technology: str, counting: str
) -> Table:
    """One row per operator that is fed with spikes, the total last."""
    unit = energy_unit([total.spiking_pj / PJ_PER_MJ, total.rival_pj / PJ_PER_MJ])
    columns = {
        "layer": Column("layer"),
        "rate": Column("rate", ".4f"),
        "break_even": Column("break-even", ".4f"),
        "spiking_mj": Column(f"spiking {unit.name}", ".3g", scale=unit.per_mj, rank=2),
        "rival_mj": Column(f"rival {unit.name}", ".3g", scale=unit.per_mj, rank=2),
        "wins": Column("costs less", rank=1),
    }
    records = [record(row) for row in (*rows, total)]
    won = sum(row.wins for row in rows)
    notes = [
        f"rival: a dense network of the same shape in numbers of {rival_bits(profile)} bits, one pass",
        f"counted: {counting}, {technology}; the spiking layer costs less below its break-even rate, "
        f"{won} of {len(rows)} do",
        PUBLISHED,
    ]
    return Table(f"Break-even, {title(profile)}", records, columns, notes, profile.warnings(), missing="-")


def record(row: BreakEven) -> dict[str, Any]:
    """A row for tables and files."""
    return {
        "layer": row.layer,
        "rate": row.rate,
        "break_even": row.break_even,
        "spiking_mj": row.spiking_pj / PJ_PER_MJ,
        "rival_mj": row.rival_pj / PJ_PER_MJ,
        "wins": "spiking" if row.wins else "rival",
    }
