"""What the report page shows, as plain JSON data. Takes records only, no torch.

The page recomputes energies at other prices and by other protocols. So for every profile and protocol this holds the
operations of each row, and the variance of its energy as a quadratic form in the two prices.
"""

import math
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass
from typing import Any

from msvit_energy.errors import EnergyError
from msvit_energy.pricing.operation_counts import CountedEntry, count
from msvit_energy.pricing.protocol import Operations
from msvit_energy.pricing.protocols import PROTOCOLS, all_choices, get_protocol
from msvit_energy.pricing.scaled_inputs import is_real, is_scaled, share
from msvit_energy.pricing.technology import TECHNOLOGIES, Technology, get_technology
from msvit_energy.profiles.amounts import Amount, Spread, quantile
from msvit_energy.profiles.operators import Operator, Overhead
from msvit_energy.profiles.profile import Profile
from msvit_energy.profiles.provenance import DataOrigin
from msvit_energy.reporting.formatting import title

COLUMNS = ("rows", "macs", "acs", "counted", "other", "variances")  # of equal length, a value for each row


def page_content(profiles: Mapping[str, Profile], protocol: str, technology: Technology) -> dict[str, Any]:
    """Everything the page computes with: profiles by label, protocols, technologies and what it starts with."""
    first = str(get_protocol(protocol))
    choices = list(dict.fromkeys([*all_choices(), first]))
    technologies = list((TECHNOLOGIES | {technology.name: technology}).values())
    return {
        "start": {"protocol": first, "technology": technology.name},
        "protocols": [described(choice) for choice in choices],
        "technologies": [
            {name: getattr(each, name) for name in ("name", "e_mac", "e_ac", "source")} | {"memory": memory_of(each)}
            for each in technologies
        ],
        "axis": axis(profiles),
        "profiles": [measured(label, profile, choices, technologies) for label, profile in profiles.items()],
    }


def described(choice: str) -> dict[str, Any]:
    """A protocol with its source and its answers to the questions that matter."""
    protocol = PROTOCOLS[choice.partition(":")[0]]
    return {"name": choice, "source": protocol.source, "answers": protocol.answers.by_question()}


def memory_of(technology: Technology) -> str:
    """What the prices of memory depend on; technologies that have it in common share them."""
    return (
        f"{technology.bits} bits, {technology.sram or 'no price'} on the chip, {technology.dram or 'no price'} off it"
    )


def measured(
    label: str, profile: Profile, choices: Sequence[str], technologies: Sequence[Technology]
) -> dict[str, Any]:
    """A profile and its operations by every choice of protocol; a choice that it cannot be priced by, with why."""
    entries, columns = Entries(profile), Columns()
    variances: dict[Any, Variances] = {}  # by what gives the spread: not all are over the same images
    priced, unavailable = {}, {}
    for choice in choices:
        try:
            priced[choice] = columns.placed(operations(profile, choice, entries, variances, technologies))
        except EnergyError as error:
            unavailable[choice] = str(error)
    origin = profile.provenance
    return {
        "label": label,
        "title": title(profile),
        "model": origin.model_name,
        "data": origin.data_name,
        "time_steps": profile.time_steps,
        "images": profile.known_images,
        "labelled": profile.labelled,
        "correct": profile.correct,
        "parameters": profile.parameters,
        "rate": profile.firing_rate,
        "macs_per_step": profile.macs_per_step,
        "integer_share": profile.integer_share,
        "scaled_share": share(profile, is_scaled),
        "real_share": share(profile, is_real),
        "neurons": [
            {"layer": layer.neuron, "stage": layer.stage, "mean": layer.firing_rate, "rates": layer.firing_rates}
            for layer in profile.neurons
        ],
        "choices": priced,
        "unavailable": unavailable,
        "entries": entries.found,
        "columns": columns.found,
    }


class Columns:
    """Columns of choices, each kept once: many choices count alike in most of them. A column is known by its place in
    `found`."""

    def __init__(self) -> None:
        self.found: list[list[Any]] = []
        self._places: dict[str, int] = {}

    def placed(self, counts: Mapping[str, Any]) -> dict[str, Any]:
        """The columns of a choice replaced by their places."""
        return {key: self._placed(key, value) for key, value in counts.items()}

    def _placed(self, key: str, value: Any) -> Any:
        if isinstance(value, Mapping):
            return self.placed(value)
        if key not in COLUMNS or value is None:
            return value
        place = self._places.setdefault(repr(value), len(self.found))
        if place == len(self.found):
            self.found.append(value)
        return place


class Entries:
    """What is known of each row whatever it costs; a row is known by its place in `found`."""

    def __init__(self, profile: Profile) -> None:
        self.found: list[dict[str, Any]] = []
        self._observed = {entry.layer: entry for entry in reversed(profile.entries)}
        self._events = profile.events_by_layer()
        self._places: dict[str, int] = {}

    def place(self, row: CountedEntry) -> int:
        """Where `row` is, added if it is new."""
        if row.layer not in self._places:
            self._places[row.layer] = len(self.found)
            known = _known(self._observed.get(row.layer), self._events.get(row.layer))
            self.found.append({"layer": row.layer, "stage": row.stage} | known)
        return self._places[row.layer]


def _known(entry: Operator | Overhead | None, events: float | None) -> dict[str, Any]:
    """MACs are per time step, except `dense`, which are per image; None is unknown or does not apply."""
    if isinstance(entry, Operator):
        driver = entry.driver
        nonzero = None if math.isnan(driver.nonzero_rate) else driver.nonzero_rate
        known = {"op": entry.op, "kind": driver.label, "rate": driver.input_rate, "nonzero": nonzero, "events": events}
        known |= {"macs": entry.macs_per_step, "dense": entry.macs_per_image, "runs": entry.runs_per_image}
        return known | {"scaled": is_scaled(entry), "real": is_real(entry)}
    blank = dict.fromkeys(("op", "kind", "rate", "nonzero", "events", "macs", "dense", "runs"))
    blank |= {"scaled": False, "real": False}
    if entry is None:
        return blank
    flow = {"kind": entry.flow().label, "rate": entry.flow().input_rate} if entry.operands else {}
    return blank | {"op": entry.op} | flow


def operations(
    profile: Profile,
    choice: str,
    entries: Entries,
    known: "dict[Any, Variances]",
    technologies: Sequence[Technology],
) -> dict[str, Any]:
    """The operations of each row, before any price: COLUMNS, and the variance of their sum.

    `other` is in pJ; energy is E_MAC x macs + E_AC x acs + other. `t` is Student's quantile of the interval. What
    depends on prices of memory, `by_memory` has for each; a protocol with prices of its own is energy alone.
    """
    counts, spread_of = count(profile, choice), get_protocol(choice).protocol.spread
    variances = known.setdefault(spread_of, Variances(spread_of(profile)))
    rows = [entry.operations for entry in counts.entries]
    if counts.own_prices:
        prices = get_technology(counts.own_prices)
        rows = [Operations(other_pj=each.energy_pj(prices)) for each in rows]
    counted = [entry.counted for entry in counts.entries]
    found = {
        "rows": [entries.place(entry) for entry in counts.entries],
        "macs": [float(each.macs) for each in rows],
        "acs": [float(each.acs) for each in rows],
        "counted": counted,
        "t": variances.t,
    }
    if not any(each.accesses for each in rows):
        return found | variances.columns(rows, counted)
    by_memory = {memory_of(each): each for each in reversed(technologies)}
    return found | {"by_memory": {name: _at(each, rows, counted, variances) for name, each in by_memory.items()}}


def _at(
    technology: Technology, rows: Sequence[Operations], counted: Sequence[bool], variances: "Variances"
) -> dict[str, Any]:
    """The columns that depend on prices of memory, or why there are none."""
    try:
        priced = [Operations(each.macs, each.acs, other_pj=each.beside_pj(technology)) for each in rows]
    except EnergyError as error:
        return {"why": str(error)}
    return variances.columns(priced, counted)


class Variances:
    """Variances of energies over images, as quadratic forms in the two prices.

    The same amounts recur from protocol to protocol, so what has been worked out is kept.
    """

    def __init__(self, spread: Spread) -> None:
        self._spread = spread
        self._seen: dict[tuple[tuple[str, float], ...], float | None] = {}

    @property
    def t(self) -> float | None:
        """Half of a 95 % interval in standard errors; None for fewer than two images."""
        return quantile(self._spread.images) if self._spread.images > 1 else None

    def columns(self, rows: Sequence[Operations], counted: Sequence[bool]) -> dict[str, Any]:
        """Energy beside the operations, and the variances of each row and of their sum."""
        return {
            "other": [float(each.other_pj) for each in rows],
            "variances": [self.of(each) if known else None for each, known in zip(rows, counted, strict=True)],
            "variance": self.of(Operations.total(rows)),
        }

    def of(self, priced: Operations) -> list[float] | None:
        """The coefficients of E_MAC^2, E_AC^2, 1, E_MAC x E_AC, E_MAC, E_AC; None where no interval is known."""
        macs, acs, other = priced.macs, priced.acs, priced.other_pj
        squares = [self._variance(amount) for amount in (macs, acs, other)]
        if None in squares:
            return None
        mixed = [self._mixed(*pair) for pair in ((macs, acs), (macs, other), (acs, other))]
        return [each or 0.0 for each in (*squares, *mixed)]

    def _mixed(self, a: Amount, b: Amount) -> float:
        """Twice the covariance."""
        if not a.weights or not b.weights:
            return 0.0
        both, first, second = (self._variance(amount) or 0.0 for amount in (a + b, a, b))
        return both - first - second

    def _variance(self, amount: Amount) -> float | None:
        key = tuple(amount.weights.items())
        if key not in self._seen:
            found = self._spread.of(amount)
            self._seen[key] = None if found is None else found.standard_error**2
        return self._seen[key]


def axis(profiles: Mapping[str, Profile]) -> dict[str, Any] | None:
    """What several profiles are a series over: the epoch if all have one, T where it differs within a model, else the
    order in which they were given. `x` are places or labels, `lines` says which profiles a line may join."""
    if len(profiles) < 2:
        return None
    every = list(profiles.values())
    titles = [title(profile) for profile in every]
    epochs = [epoch for profile in every if isinstance(epoch := profile.provenance.epoch, int | float)]
    if len(epochs) == len(every) and len(set(epochs)) > 1:
        return {"name": "epoch", "x": epochs, "lines": titles}
    steps = [profile.time_steps for profile in every]
    if len(set(zip(titles, steps, strict=True))) > len(set(titles)):
        return {"name": "time steps, T", "x": steps, "lines": titles}
    return {"name": "profile", "x": list(profiles), "lines": titles}


def warnings(profiles: Mapping[str, Profile]) -> list[tuple[str, str]]:
    """Every warning once, after the labels of the profiles that it is about (empty if it is about all)."""
    found: dict[str, list[str]] = {}
    for label, profile in profiles.items():
        for note in dict.fromkeys(profile.warnings()):
            found.setdefault(note, []).append(label)
    noted = [("" if len(about) == len(profiles) else ", ".join(about), note) for note, about in found.items()]
    return noted + [("", note) for note in different_images(profiles)]


def different_images(profiles: Mapping[str, Profile]) -> list[str]:
    """A warning if profiles are known to be of different images: another number, data set, split, or other indices.

    What a profile does not state differs from nothing.
    """
    origins = [(label, _Images.of(each)) for label, each in profiles.items() if each.provenance.is_measured]
    columns = zip(*(astuple(images) for _, images in origins), strict=True)
    if all(len(set(filter(None, column))) <= 1 for column in columns):
        return []
    groups: dict[str, list[str]] = {}
    for label, images in origins:
        groups.setdefault(str(images), []).append(label)
    described = "; ".join(f"{', '.join(about)}: {images}" for images, about in groups.items())
    return [f"the profiles are of different images, so their differences are also those of the images ({described})"]


@dataclass(frozen=True)
class _Images:
    """What a profile says of its images, empty where it does not."""

    number: int
    name: str
    split: str
    indices: str

    @classmethod
    def of(cls, profile: Profile) -> "_Images":
        data = profile.provenance.data or DataOrigin()
        return cls(profile.images, data.name or "", data.split or "", data.indices or "")

    def __str__(self) -> str:
        source = " ".join(filter(None, (self.name, self.split)))
        ranges = self.indices.split(",")
        few = ",".join(ranges[:4] + ["..."] * (len(ranges) > 4))
        text = f"{self.number} image{'' if self.number == 1 else 's'}"
        return text + (f" of {source}" if source else "") + (f", numbers {few}" if few else "")


def heading(profiles: Mapping[str, Profile]) -> str:
    """The page's title: models and data unless they are many, and how many profiles if there are several."""
    titles = list(dict.fromkeys(title(profile) for profile in profiles.values()))
    several = [f"{len(profiles)} profiles"] if len(profiles) > 1 else []
    return ", ".join((titles if len(titles) <= 3 else []) + several)


def origins(profiles: Mapping[str, Profile]) -> list[dict[str, Any]]:
    """Where each profile comes from, and what was seen beside the counted operators."""
    return [
        {"label": label, "facts": _origin(profile), "beside": profile.overhead_totals(), "coverage": _coverage(profile)}
        for label, profile in profiles.items()
    ]


def _origin(profile: Profile) -> dict[str, Any]:
    """The provenance without what stands at the top of the page, the command as one would type it."""
    facts = {key: value for key, value in profile.provenance.as_mapping().items() if key != "warnings"}
    if isinstance(command := facts.get("command"), list):
        facts["command"] = shlex.join(map(str, command))
    return facts


def _coverage(profile: Profile) -> dict[str, list[str]]:
    coverage = profile.coverage
    return {"unknown": [item.name for item in coverage.unknown], "never called": list(coverage.never_called)}
