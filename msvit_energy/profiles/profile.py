"""What a profile is: counts of what flowed where, as plain data. No torch here, and no opinion on energy.

Counts, not ratios, are stored; rates are properties. "Per image" means summed over everything one image causes
(all time steps), unless a name says per step.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msvit_energy.errors import EnergyError
from msvit_energy.profiles.amounts import Amount, Moments, Spread
from msvit_energy.profiles.operand import Operand

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Operator:
    """A convolution, linear layer or product of activations, in the order of the first call.

    `role` is "entrance" for the first convolution, "head" for a linear layer that comes last, else empty.
    `runs_per_image` is how often it was executed per image: T, or 1 where the input is constant or pooled over time.
    """

    layer: str
    stage: str
    op: str
    role: str
    macs_per_image: int
    runs_per_image: int
    operands: tuple[Operand, ...]
    pairs: int | None = None  # of a product: non-zero elements that meet, value times value, over all images

    @property
    def macs_per_step(self) -> float:
        """Dense multiply-accumulates of one run (the papers' FLOPs)."""
        quotient, remainder = divmod(self.macs_per_image, self.runs_per_image)
        return self.macs_per_image / self.runs_per_image if remainder else quotient

    @property
    def driver(self) -> Operand:
        """The operand whose events trigger operations: of those that carry spikes, the one with the lowest rate."""
        candidates = [operand for operand in self.operands if operand.carries_spikes]
        return min(candidates or self.operands, key=lambda operand: operand.rate)

    @property
    def sops(self) -> float:
        """Synaptic operations per image, input rate x T x MACs (MSViT paper, Appendix C, equation 17)."""
        return self.driver.rate * self.macs_per_image

    def events(self, images: int, *, nonzero: bool = False) -> Amount:
        """Synaptic events per image, counted one by one; EnergyError where none were observed.

        Of a product of two spike tensors: the pairs of spikes that meet. Of everything else: the driving operand's
        values (or its non-zero values, once each), times the synapses that each really reaches.
        """
        if self.pairs is not None and all(operand.carries_spikes for operand in self.operands):
            return Amount(self.pairs / images, {self.pairs_key: 1 / images})
        return self.driver.reached(images, nonzero=nonzero)

    @property
    def pairs_key(self) -> str:
        """The name under which the spread of `pairs` over images is kept."""
        return f"{self.layer} pairs"

    def count_keys(self) -> tuple[str, ...]:
        """All counts of this operator whose spread over images is kept."""
        keys = tuple(key for operand in self.operands for key in operand.count_keys())
        return keys if self.pairs is None else (*keys, self.pairs_key)


@dataclass(frozen=True)
class NeuronLayer:
    """Output of a layer of spiking neurons, summed over all images, per time step."""

    neuron: str
    stage: str
    elements: int  # over all images, per time step
    sums: tuple[int | Fraction, ...]

    @property
    def firing_rate(self) -> float:
        """Mean output per neuron, time step and image."""
        return float(sum(self.sums) / (self.elements * len(self.sums)))

    @property
    def firing_rates(self) -> tuple[float, ...]:
        """Mean output per neuron and image, for each time step."""
        return tuple(float(total / self.elements) for total in self.sums)


@dataclass(frozen=True)
class Overhead:
    """Work beside the dense MACs: batch norm, bias, pooling, column sums, masks, neuron updates.

    `elements_per_image` are the elements read (for a bias: the outputs that receive it), over all time steps.
    `operands` are what flowed into a column sum or a mask, empty for all else.
    """

    layer: str
    stage: str
    op: str
    elements_per_image: int
    operands: tuple[Operand, ...] = ()

    def flow(self) -> Operand:
        """What a column sum adds, or what a mask lets pass or stops; EnergyError where a table of rates lacks it."""
        if not self.operands:
            raise EnergyError(f"{self.layer}: no rate of what it is fed; give those of the neurons before it")
        return self.operands[-1]

    def count_keys(self) -> tuple[str, ...]:
        """All counts of this entry whose spread over images is kept."""
        return tuple(key for operand in self.operands for key in operand.count_keys())


@dataclass(frozen=True)
class Unknown:
    """Work that nobody counted: of an operator of the graph (`calls` per image) or of a module; `macs_per_image` is
    None where even its size is unknown."""

    name: str
    calls: int
    macs_per_image: int | None = None


@dataclass(frozen=True)
class Coverage:
    """The hooks' dense MACs held against fvcore's graph of the same model: four separate answers.

    `counted`: operators (MACs per image) that both see alike. `free`: graph operators that have no synapses by
    declaration, with their calls. `unknown`: neither. `never_called`: modules with parameters that no image reached.
    `note` says why there is no graph, if there is none.
    """

    counted: Mapping[str, int] = field(default_factory=dict)
    free: Mapping[str, int] = field(default_factory=dict)
    unknown: tuple[Unknown, ...] = ()
    never_called: tuple[str, ...] = ()
    note: str = ""

    @property
    def macs(self) -> int:
        """All known dense MACs per image."""
        return sum(self.counted.values()) + self.unknown_macs

    @property
    def unknown_macs(self) -> int:
        """Dense MACs per image that were found but not measured."""
        return sum(item.macs_per_image or 0 for item in self.unknown)

    @property
    def unknown_share(self) -> float:
        """Share of the known dense MACs that were not measured; what has no size at all is not in it."""
        return self.unknown_macs / self.macs if self.macs else 0.0


@dataclass(frozen=True)
class MemoryEstimate:
    """SpikingJelly's estimate after Lemaire et al. 2022 (operations, addressing, memory), images run one by one.

    `parts_pj` has the energy of every image for each part; `model` is the estimator's name for itself, `warnings` what
    it says it left out.
    """

    model: str
    parts_pj: Mapping[str, tuple[float, ...]]
    warnings: tuple[str, ...] = ()

    @property
    def images(self) -> int:
        """Number of images estimated."""
        return len(next(iter(self.parts_pj.values())))

    def mean(self, part: str) -> Amount:
        """Energy of a part per image, in pJ."""
        return Amount(sum(self.parts_pj[part]) / self.images, {part: 1 / self.images})

    def spread(self) -> Spread:
        """How far the parts may be off, by their spread over the estimated images."""
        return Spread.of_samples(self.parts_pj)


@dataclass(frozen=True)
class Profile:
    """One measurement of one model on one set of images; storage.py keeps it as JSON.

    `moments` are the exact second moments of the counts over images, from which uncertainties come. `parameters` is the
    number of the model's trainable and frozen weights, None where a file of an earlier version does not say it.
    """

    images: int
    time_steps: int
    operators: tuple[Operator, ...]
    neurons: tuple[NeuronLayer, ...] = ()
    overheads: tuple[Overhead, ...] = ()
    coverage: Coverage = field(default_factory=Coverage)
    moments: Moments = field(default_factory=Moments)
    memory: MemoryEstimate | None = None
    labelled: int = 0
    correct: int = 0
    parameters: int | None = None
    provenance: Mapping[str, Any] = field(default_factory=dict)

    @property
    def entries(self) -> "tuple[Operator | Overhead, ...]":
        """Everything that was observed, operators first."""
        return (*self.operators, *self.overheads)

    @property
    def accuracy(self) -> float | None:
        """Share of the labelled images that were classified correctly; None without labels."""
        return self.correct / self.labelled if self.labelled else None

    @property
    def macs_per_step(self) -> float:
        """Dense MACs of one pass at one time step: all operators, and what was found but not measured."""
        elsewhere = self.coverage.unknown_macs / self.time_steps if self.coverage.unknown_macs else 0
        return sum(operator.macs_per_step for operator in self.operators) + elsewhere

    @property
    def integer_share(self) -> float:
        """Share of the dense MACs whose driving input is whole numbers above 1: protocols disagree on their price."""
        integer = sum(operator.macs_per_step for operator in self.operators if operator.driver.kind == "integer")
        return integer / self.macs_per_step if integer else 0.0

    def spread(self) -> Spread:
        """How far amounts computed from this profile may be off, by the spread over its images."""
        return Spread.of_moments(self.moments, self.images)

    def count_keys(self) -> tuple[str, ...]:
        """All counts whose spread over images is kept, in order."""
        return tuple(key for entry in self.entries for key in entry.count_keys())

    @property
    def firing_rate(self) -> float | None:
        """Mean output over all neurons, time steps and images; None for a model without spiking neurons."""
        updates = sum(layer.elements * len(layer.sums) for layer in self.neurons)
        return float(sum(sum(layer.sums) for layer in self.neurons) / updates) if updates else None

    def events_by_layer(self) -> dict[str, float]:
        """Synaptic events per image, one by one, of the operators whose driving input is whole numbers."""
        return {
            operator.layer: float(operator.events(self.images))
            for operator in self.operators
            if operator.driver.events is not None
        }

    def overhead_totals(self) -> dict[str, int]:
        """Elements per image of each kind of overhead."""
        totals: Counter[str] = Counter()
        for overhead in self.overheads:
            totals[overhead.op] += overhead.elements_per_image
        return dict(totals)

    def warnings(self) -> list[str]:
        """What a reader must know before using the numbers, in words."""
        notes = list(self.provenance.get("warnings", ()))
        rate = self.firing_rate
        if rate is not None and rate < 0.001:
            notes.append(f"the network hardly fires: mean firing rate {rate:.2g}")
        if self.time_steps > 1 and not self.neurons and "rates" not in self.provenance:
            notes.append("no layer of spiking neurons was recognised, so nothing says that T is right")
        silent = [layer.neuron for layer in self.neurons if layer.firing_rate == 0]
        if silent:
            notes.append(f"{len(silent)} of {len(self.neurons)} neuron layers never fire: {', '.join(silent[:4])}")
        notes += contradictions(self)
        if self.coverage.unknown:
            names = ", ".join(item.name for item in self.coverage.unknown[:6])
            share = (
                f"{self.coverage.unknown_share:.1%} of the MACs" if self.coverage.unknown_macs else "of unknown size"
            )
            notes.append(f"unknown work, not in the energy: {names} ({share})")
        if self.coverage.note:
            notes.append(self.coverage.note)
        return notes

    def save(self, path: str | Path) -> None:
        """Write the profile as JSON."""
        from msvit_energy.profiles.json_format import save

        save(self, path)

    @staticmethod
    def load(path: str | Path) -> "Profile":
        """Read a saved profile; a missing, damaged or newer file raises EnergyError."""
        from msvit_energy.profiles.json_format import load

        return load(path)

    def records(self) -> list[dict[str, Any]]:
        """One record per operator. MACs are per run, SOPs per image (Appendix C), rates of the driving operand."""
        events = self.events_by_layer()
        return [
            {
                "layer": operator.layer,
                "stage": operator.stage,
                "op": operator.op,
                "role": operator.role,
                "kind": operator.driver.kind,
                "macs_per_step": operator.macs_per_step,
                "runs_per_image": operator.runs_per_image,
                "input_rate": operator.driver.rate,
                "nonzero_rate": operator.driver.nonzero_rate,
                "input_max": operator.driver.maximum,
                "sops": operator.sops,
                "events": events.get(operator.layer),
            }
            for operator in self.operators
        ]

    def to_frame(self) -> "pd.DataFrame":
        """`records` as a frame."""
        import pandas as pd

        return pd.DataFrame(self.records())

    def neurons_frame(self) -> "pd.DataFrame":
        """One row per neuron layer and time step (counted from 0)."""
        import pandas as pd

        rows = [
            {"neuron": layer.neuron, "stage": layer.stage, "time_step": step, "firing_rate": rate}
            for layer in self.neurons
            for step, rate in enumerate(layer.firing_rates)
        ]
        return pd.DataFrame(rows, columns=["neuron", "stage", "time_step", "firing_rate"])


def contradictions(profile: Profile) -> list[str]:
    """Inputs whose observed kind does not fit where they come from, in words."""
    notes = []
    entries = [(operator.layer, operator.driver) for operator in profile.operators if operator.role != "head"]
    for layer, operand in entries:
        kind, origin = operand.kind, operand.origin
        if kind != "analog" and origin == "input":
            notes.append(
                f"{layer}: the model's input is {kind}: right for events, which count as accumulates; "
                "an image that happens to be so would be priced too low"
            )
        elif kind != "analog" and origin in ("other", "averaged") and operand.maximum > 0:
            notes.append(f"{layer}: the input is {kind}, but comes from no spiking neuron")
        elif kind == "analog" and operand.carries_spikes:
            notes.append(f"{layer}: the input comes from spiking neurons, but has values that are no spike counts")
        elif kind == "analog" and origin == "scaled":
            notes.append(
                f"{layer}: the input is spikes times a constant, priced as real numbers; "
                "with the constant folded into the weights it would be spikes"
            )
    return notes
