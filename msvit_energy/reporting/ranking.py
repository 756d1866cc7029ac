"""How models rank by energy under each protocol, how alike rankings are, and which claims all protocols carry."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from msvit_energy.pricing.energy import EnergyReport


@dataclass(frozen=True)
class Cost:
    """Energy of a model under one protocol, in mJ per image: that of each seed, and the lowest and the highest end of
    the seeds' 95 % intervals over images."""

    seeds: tuple[float, ...]
    low: float
    high: float

    @property
    def mean(self) -> float:
        return math.fsum(self.seeds) / len(self.seeds)

    @property
    def margin(self) -> float:
        """How far it may be from the mean, up or down."""
        return max(self.high - self.mean, self.mean - self.low)

    def is_less(self, other: "Cost") -> bool:
        """Whether all that it may be is below all that the other may be."""
        return self.high < other.low


Costs = Mapping[str, Cost]  # by model


def cost(reports: Sequence[EnergyReport]) -> Cost:
    """The cost by one report for each seed."""
    intervals = [report.interval_mj or (report.total_mj, report.total_mj) for report in reports]
    lows, highs = zip(*intervals, strict=True)
    return Cost(tuple(report.total_mj for report in reports), min(lows), max(highs))


def ranks(values: Sequence[float]) -> list[float]:
    """The place of each value, 1 for the least; equal ones share the mean of their places."""
    return [sum(b < a for b in values) + (sum(b == a for b in values) + 1) / 2 for a in values]


def spearman(a: Sequence[float], b: Sequence[float]) -> float | None:
    """Spearman's rank correlation; None where one side is all equal."""
    first, second = ranks(a), ranks(b)
    middle = (len(a) + 1) / 2
    x, y = [rank - middle for rank in first], [rank - middle for rank in second]
    size = math.sqrt(sum(v * v for v in x) * sum(v * v for v in y))
    return sum(v * w for v, w in zip(x, y, strict=True)) / size if size else None


def kendall(a: Sequence[float], b: Sequence[float]) -> float | None:
    """Kendall's tau-b: pairs in the same order less those in the other, ties aside; None where a side is all equal."""
    signs = [((a[i] > a[j]) - (a[i] < a[j]), (b[i] > b[j]) - (b[i] < b[j])) for i, j in combinations(range(len(a)), 2)]
    size = math.sqrt(sum(x * x for x, _ in signs) * sum(y * y for _, y in signs))
    return sum(x * y for x, y in signs) / size if size else None


@dataclass(frozen=True)
class Claim:
    """ "`cheaper` costs less than `dearer`": the protocols under which it holds, those under which the opposite does,
    and those under which neither."""

    cheaper: str
    dearer: str
    holds: tuple[str, ...]
    opposite: tuple[str, ...]
    open: tuple[str, ...]

    @property
    def kind(self) -> str:
        """ "everywhere", "somewhere" (never the opposite), "disputed" or "nowhere"."""
        if self.opposite:
            return "disputed"
        if self.open:
            return "somewhere" if self.holds else "nowhere"
        return "everywhere"


def claims(by_protocol: Mapping[str, Costs]) -> list[Claim]:
    """One claim for every pair of models, in the direction that more protocols carry."""
    names = list(next(iter(by_protocol.values())))
    return [_claim(a, b, by_protocol) for a, b in combinations(names, 2)]


def _claim(a: str, b: str, by_protocol: Mapping[str, Costs]) -> Claim:
    holds = tuple(name for name, costs in by_protocol.items() if costs[a].is_less(costs[b]))
    opposite = tuple(name for name, costs in by_protocol.items() if costs[b].is_less(costs[a]))
    undecided = tuple(name for name in by_protocol if name not in (*holds, *opposite))
    if len(opposite) > len(holds):
        return Claim(b, a, opposite, holds, undecided)
    return Claim(a, b, holds, opposite, undecided)
