"""What a profile is: counts of what flowed where, as plain data. No torch here, and no opinion on energy.

Counts, not ratios, are stored; rates are properties. "Per image" means summed over everything one image causes
(all time steps), unless a name says per step.
"""

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msvit_energy.errors import EnergyError

if TYPE_CHECKING:
    import pandas as pd

VERSION = 1
KINDS = ("binary", "integer", "analog")


@dataclass(frozen=True)
class Operand:
    """What flowed into one argument of an operator, over all images; `sums` and `nonzeros` have one entry per run."""

    kind: str  # binary {0, 1}, integer (whole numbers from 0), analog
    carries_spikes: bool
    elements: int  # over all images, per run
    sums: tuple[float, ...]
    nonzeros: tuple[int, ...]
    maximum: float

    @property
    def rate(self) -> float:
        """Mean of the values."""
        return sum(self.sums) / (self.elements * len(self.sums))

    @property
    def nonzero_rate(self) -> float:
        """Share of the values that are not 0."""
        return sum(self.nonzeros) / (self.elements * len(self.nonzeros))


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


@dataclass(frozen=True)
class NeuronLayer:
    """Output of a layer of spiking neurons, summed over all images, per time step."""

    neuron: str
    stage: str
    elements: int  # over all images, per time step
    sums: tuple[float, ...]

    @property
    def firing_rate(self) -> float:
        """Mean output per neuron, time step and image."""
        return sum(self.sums) / (self.elements * len(self.sums))

    @property
    def firing_rates(self) -> tuple[float, ...]:
        """Mean output per neuron and image, for each time step."""
        return tuple(total / self.elements for total in self.sums)


@dataclass(frozen=True)
class Overhead:
    """Work beside the dense MACs: batch norm, bias, pooling, column sums, masks, neuron updates.

    `elements_per_image` are the elements read (for a bias: the outputs that receive it), over all time steps.
    """

    layer: str
    stage: str
    op: str
    elements_per_image: int


@dataclass(frozen=True)
class Profile:
    """One measurement of one model on one set of images. `save` and `load` round-trip it as JSON.

    `uncounted` are dense MACs per image that fvcore sees in modules the hooks do not know; `untracked` are operators
    of the graph for which fvcore has no count, with their number of calls.
    """

    images: int
    time_steps: int
    operators: tuple[Operator, ...]
    neurons: tuple[NeuronLayer, ...]
    overheads: tuple[Overhead, ...]
    uncounted: Mapping[str, int] = field(default_factory=dict)
    untracked: Mapping[str, int] = field(default_factory=dict)
    labelled: int = 0
    correct: int = 0
    provenance: Mapping[str, Any] = field(default_factory=dict)

    @property
    def accuracy(self) -> float | None:
        """Share of the labelled images that were classified correctly; None without labels."""
        return self.correct / self.labelled if self.labelled else None

    @property
    def macs_per_step(self) -> float:
        """Dense MACs of one pass at one time step: all operators, and what sits in modules that were not measured."""
        elsewhere = sum(self.uncounted.values()) / self.time_steps if self.uncounted else 0
        return sum(operator.macs_per_step for operator in self.operators) + elsewhere

    @property
    def firing_rate(self) -> float | None:
        """Mean output over all neurons, time steps and images; None for a model without spiking neurons."""
        updates = sum(layer.elements * len(layer.sums) for layer in self.neurons)
        return sum(sum(layer.sums) for layer in self.neurons) / updates if updates else None

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
        silent = [layer.neuron for layer in self.neurons if layer.firing_rate == 0]
        if silent:
            notes.append(f"{len(silent)} of {len(self.neurons)} neuron layers never fire: {', '.join(silent[:4])}")
        if self.uncounted:
            share = sum(self.uncounted.values()) / (sum(self.uncounted.values()) + self._macs_per_image())
            notes.append(f"{share:.1%} of the dense MACs are in modules not measured: {', '.join(self.uncounted)}")
        return notes

    def _macs_per_image(self) -> int:
        return sum(operator.macs_per_image for operator in self.operators)

    def to_frame(self) -> "pd.DataFrame":
        """One row per operator. MACs are per run, SOPs per image (Appendix C), rates of the driving operand."""
        import pandas as pd

        rows = [
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
            }
            for operator in self.operators
        ]
        return pd.DataFrame(rows)

    def neurons_frame(self) -> "pd.DataFrame":
        """One row per neuron layer and time step (counted from 0)."""
        import pandas as pd

        rows = [
            {"neuron": layer.neuron, "stage": layer.stage, "time_step": step, "firing_rate": rate}
            for layer in self.neurons
            for step, rate in enumerate(layer.firing_rates)
        ]
        return pd.DataFrame(rows, columns=["neuron", "stage", "time_step", "firing_rate"])

    def save(self, path: str | Path) -> None:
        """Write the profile as JSON."""
        Path(path).write_text(json.dumps({"version": VERSION} | asdict(self), indent=1) + "\n")

    @classmethod
    def load(cls, path: str | Path) -> "Profile":
        """Read a saved profile; a missing, damaged or newer file raises EnergyError."""
        try:
            content = json.loads(Path(path).read_text())
        except OSError as error:
            raise EnergyError(f"cannot read profile {path}: {error.strerror}") from error
        except ValueError as error:
            raise EnergyError(f"{path} is not a profile: {error}") from error
        version = content.pop("version", None) if isinstance(content, dict) else None
        if version != VERSION:
            raise EnergyError(f"{path} has profile version {version}, this program reads {VERSION}")
        try:
            return cls._from_dict(content)
        except (KeyError, TypeError) as error:
            raise EnergyError(f"{path} is a damaged profile: {error}") from error

    @classmethod
    def _from_dict(cls, content: dict[str, Any]) -> "Profile":
        operators = tuple(_operator(item) for item in content.pop("operators"))
        neurons = tuple(NeuronLayer(**item | {"sums": tuple(item["sums"])}) for item in content.pop("neurons"))
        overheads = tuple(Overhead(**item) for item in content.pop("overheads"))
        return cls(operators=operators, neurons=neurons, overheads=overheads, **content)


def _operator(item: dict[str, Any]) -> Operator:
    operands = tuple(
        Operand(**operand | {"sums": tuple(operand["sums"]), "nonzeros": tuple(operand["nonzeros"])})
        for operand in item["operands"]
    )
    return Operator(**item | {"operands": operands})
