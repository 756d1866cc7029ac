"""Models that were measured alike, each over several seeds: their facts, their energies under every protocol, and how
the protocols rank them."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from msvit_energy.errors import EnergyError
from msvit_energy.pricing.energy import EnergyReport, price
from msvit_energy.profiles.profile import Profile
from msvit_energy.reporting.comparison import Entry
from msvit_energy.reporting.ranking import Claim, Cost, Costs, claims, cost, kendall, ranks, spearman
from msvit_energy.reporting.table import Column, Table

REFERENCE = "appendix-c"
LEARNED = 0.9  # accuracy of the worst seed below which a model says nothing of what energy buys
OF_DENSE_SHAPES = ("ann", "qnn")  # protocols that price a dense network of the same shape, whatever fires
UJ_PER_MJ = 1e3
KINDS = {
    "everywhere": "under every protocol",
    "somewhere": "under some protocols, the opposite under none",
    "disputed": "under some protocols, the opposite under others",
    "nowhere": "under no protocol, nor the opposite",
}


@dataclass(frozen=True)
class Rival:
    """One model, with a profile for each seed, all of the same images."""

    name: str
    profiles: tuple[Profile, ...]

    @property
    def spiking(self) -> bool:
        return self.profiles[0].firing_rate is not None

    @property
    def learned(self) -> bool:
        """Whether every seed reached LEARNED."""
        return all((profile.accuracy or 0.0) >= LEARNED for profile in self.profiles)

    def facts(self) -> dict[str, Any]:
        """Name, size, and means over seeds; counts in millions. SOPs are those of the reference protocol, events are
        counted one by one."""
        first, accuracies = self.profiles[0], [100 * (profile.accuracy or 0.0) for profile in self.profiles]
        record = {
            "model": self.name,
            "seeds": len(self.profiles),
            "accuracy": mean(accuracies),
            "worst": min(accuracies),
            "parameters": first.parameters,
            "time_steps": first.time_steps,
            "mmacs_per_step": first.macs_per_step / 1e6,
        }
        if self.spiking:
            record["rate"] = mean([profile.firing_rate or 0.0 for profile in self.profiles])
            record["msops"] = mean([price(profile, REFERENCE).acs / 1e6 for profile in self.profiles])
            record["mevents"] = mean([math.fsum(profile.events_by_layer().values()) / 1e6 for profile in self.profiles])
        return record


@dataclass(frozen=True)
class Prices:
    """Reports by protocol and model, one for each seed, under the protocols that price all models; why not the others
    is in `left_out`."""

    reports: Mapping[str, Mapping[str, Sequence[EnergyReport]]]
    left_out: Mapping[str, str]

    def costs(self, protocol: str) -> Costs:
        return {model: cost(found) for model, found in self.reports[protocol].items()}


def mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)


def price_all(rivals: Sequence[Rival], protocols: Sequence[str], technology: str = "45nm-fp32") -> Prices:
    """Price every model by every protocol. A network without spiking neurons has no price as the quantised rival of a
    spiking one, and is left out there."""
    reports: dict[str, dict[str, list[EnergyReport]]] = {}
    left_out = {}
    for protocol in protocols:
        priced = [rival for rival in rivals if rival.spiking or not protocol.startswith("qnn")]
        try:
            reports[protocol] = {
                rival.name: [price(profile, protocol, technology) for profile in rival.profiles] for rival in priced
            }
        except EnergyError as error:
            left_out[protocol] = str(error)
    return Prices(reports, left_out)


def energy_records(rivals: Sequence[Rival], prices: Prices) -> Iterator[dict[str, Any]]:
    """One record for each model, seed (in the order of the profiles) and protocol, energies in mJ per image."""
    for rival in rivals:
        for seed, profile in enumerate(rival.profiles):
            for protocol, by_model in prices.reports.items():
                if rival.name in by_model:
                    report = by_model[rival.name][seed]
                    low, high = report.interval_mj or (None, None)
                    yield {
                        "model": rival.name,
                        "seed": seed,
                        "accuracy": profile.accuracy,
                        "firing_rate": profile.firing_rate,
                        "protocol": protocol,
                        "macs": report.macs,
                        "acs": report.acs,
                        "energy_mj": report.total_mj,
                        "ci95_low_mj": low,
                        "ci95_high_mj": high,
                    }


def in_microjoule(costs: Costs, model: str, key: str) -> dict[str, float]:
    """A cell of a table: the mean over seeds, and how far seeds and images may take it, if the cell can show it."""
    if model not in costs:
        return {}
    own = costs[model]
    shown = own.margin > own.mean / 2000
    return {key: UJ_PER_MJ * own.mean} | ({f"{key} half": UJ_PER_MJ * own.margin} if shown else {})


def facts_table(rivals: Sequence[Rival], prices: Prices) -> Table:
    """Accuracy, size, activity and the energy by the reference protocol."""
    costs = prices.costs(REFERENCE)
    records = [rival.facts() | in_microjoule(costs, rival.name, "uj") for rival in rivals]
    columns = {
        "model": Column("model"),
        "accuracy": Column("accuracy %", ".2f"),
        "worst": Column("worst seed %", ".2f"),
        "parameters": Column("parameters", ",d"),
        "time_steps": Column("T", "d"),
        "mmacs_per_step": Column("M MACs per step", ".2f"),
        "rate": Column("firing rate", ".4f"),
        "msops": Column("M SOPs", ".3f"),
        "mevents": Column("M events", ".3f"),
        "uj": Column(f"uJ, {REFERENCE}", ".3g", margin="uj half"),
    }
    return Table("accuracy, activity and energy", records, columns)


def energy_table(rivals: Sequence[Rival], prices: Prices) -> Table:
    """Energy in uJ per image by every protocol as it is by default."""
    protocols = [protocol for protocol in prices.reports if ":" not in protocol]
    records: list[dict[str, Any]] = [{"model": rival.name} for rival in rivals]
    for protocol in protocols:
        costs = prices.costs(protocol)
        for record in records:
            record.update(in_microjoule(costs, record["model"], protocol))
    columns = {"model": Column("model")}
    columns |= {protocol: Column(protocol, ".3g", margin=f"{protocol} half") for protocol in protocols}
    return Table("energy per image in uJ", records, columns)


def ranking_table(rivals: Sequence[Rival], prices: Prices) -> Table:
    """The place of every spiking model under every protocol, 1 for the least energy, and how alike the ranking is to
    the reference's: of the means over seeds, and the least alike of any seed with the same seed's."""
    names = [rival.name for rival in rivals if rival.spiking]
    reference = prices.costs(REFERENCE)
    records = []
    for protocol in prices.reports:
        costs = prices.costs(protocol)
        means, expected = ([by[name].mean for name in names] for by in (costs, reference))
        by_seed = (
            spearman([costs[name].seeds[seed] for name in names], [reference[name].seeds[seed] for name in names])
            for seed in range(len(costs[names[0]].seeds))
        )
        record: dict[str, Any] = {"protocol": protocol} | dict(zip(names, ranks(means), strict=True))
        record |= {"spearman": spearman(means, expected), "kendall": kendall(means, expected)}
        known = [value for value in by_seed if value is not None]
        records.append(record | {"least_spearman": min(known, default=None)})
    columns = {"protocol": Column("protocol")} | {name: Column(name, "g") for name in names}
    columns["spearman"] = Column("Spearman", ".2f")
    columns["least_spearman"] = Column("least of a seed", ".2f")
    columns["kendall"] = Column("Kendall", ".2f")
    return Table(f"ranking by energy, and its correlation with that of {REFERENCE}", records, columns)


def found_claims(rivals: Sequence[Rival], prices: Prices) -> list[Claim]:
    """Which of two models costs less, by the protocols that price what a network itself does."""
    names = [rival.name for rival in rivals]
    own = [name for name in prices.reports if name.partition(":")[0] not in OF_DENSE_SHAPES]
    costs = {name: prices.costs(name) for name in own}
    return claims({protocol: {name: found[name] for name in names} for protocol, found in costs.items()})


def unlearned_text(rivals: Sequence[Rival]) -> str:
    """Who is in no ranking and no claim; empty if all learned."""
    facts = [(rival.name, rival.facts()["worst"]) for rival in rivals if not rival.learned]
    listed = ", ".join(f"`{name}` (worst seed {worst:.2f} %)" for name, worst in facts)
    return f"Not learned within the recipe, so in no ranking and no claim: {listed}." if facts else ""


def claims_text(found: Sequence[Claim]) -> list[str]:
    """The claims by kind, as list items."""
    lines = []
    for kind, meaning in KINDS.items():
        chosen = [claim for claim in found if claim.kind == kind]
        sign = {"nowhere": "and"}.get(kind, "<")
        pairs = "; ".join(f"{claim.cheaper} {sign} {claim.dearer}{_votes(claim)}" for claim in chosen)
        lines.append(f"{len(chosen)} of {len(found)} pairs {meaning}{': ' if pairs else ''}{pairs}")
    return lines


def _votes(claim: Claim) -> str:
    """How many protocols say what, where they do not all say the same."""
    if claim.kind == "disputed":
        return f" ({len(claim.holds)} to {len(claim.opposite)}, {len(claim.open)} open)"
    return f" ({len(claim.holds)}, {len(claim.open)} open)" if claim.kind == "somewhere" else ""


def entries(rivals: Sequence[Rival], prices: Prices, protocol: str, data: str) -> list[Entry]:
    """Points of a picture of accuracy against energy: means over seeds."""
    costs = prices.costs(protocol)
    return [_entry(rival, costs[rival.name], f"{data}, {protocol}") for rival in rivals if rival.name in costs]


def _entry(rival: Rival, own: Cost, data: str) -> Entry:
    facts = rival.facts()
    return Entry(
        name=rival.name,
        data=data,
        source=f"measured, means of {facts['seeds']} seeds",
        params_m=facts["parameters"] / 1e6,
        time_steps=facts["time_steps"],
        energy_mj=own.mean,
        energy_mj_half=own.margin,
        family=rival.name,
        top1=facts["accuracy"],
    )
