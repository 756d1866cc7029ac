"""What a profile is: counts of what flowed where, as plain data. No torch here, and no opinion on energy.

Counts, not ratios, are stored; rates are properties. "Per image" means summed over everything one image causes
(all time steps), unless a name says per step.
"""

from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from msgspec import Meta

from msvit_energy.profiles.amounts import Moments, Spread
from msvit_energy.profiles.coverage import Coverage
from msvit_energy.profiles.field_types import Count, Positive
from msvit_energy.profiles.html_table import html_table
from msvit_energy.profiles.image_counts import ImageCounts, path_beside
from msvit_energy.profiles.memory_estimate import MemoryEstimate
from msvit_energy.profiles.operators import NeuronLayer, Operator, Overhead
from msvit_energy.profiles.provenance import Provenance

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, repr=False)
class Profile:
    """One measurement of one model on one set of images; json_format.py keeps it as JSON.

    `moments` are the exact second moments of the counts over images, from which uncertainties come. `parameters` is the
    number of the model's trainable and frozen weights, None where a file of an earlier version does not have it.
    `image_counts` are the counts of single images, None where they were not asked for.
    """

    images: Annotated[Positive, Meta(description="number of images measured")]
    time_steps: Annotated[Positive, Meta(description="T, time steps per image")]
    operators: Annotated[tuple[Operator, ...], Meta(description="in the order of the first call")]
    neurons: Annotated[tuple[NeuronLayer, ...], Meta(description="layers of spiking neurons")] = ()
    overheads: Annotated[tuple[Overhead, ...], Meta(description="work beside the dense multiply-accumulates")] = ()
    coverage: Coverage = field(default_factory=Coverage)
    moments: Annotated[
        Moments, Meta(description="second moments of all counts over images; empty if uncertainties are unknown")
    ] = field(default_factory=Moments)
    memory: MemoryEstimate | None = None
    labelled: Annotated[Count, Meta(description="images with a label")] = 0
    correct: Annotated[Count, Meta(description="labelled images that were classified correctly")] = 0
    parameters: Annotated[Count | None, Meta(description="weights of the model; null if unknown")] = None
    provenance: Provenance = field(default_factory=Provenance)
    image_counts: ImageCounts | None = field(default=None, compare=False)  # in a file of their own

    @property
    def entries(self) -> "tuple[Operator | Overhead, ...]":
        """Everything that was observed, operators first."""
        return (*self.operators, *self.overheads)

    @property
    def known_images(self) -> int | None:
        """Number of images that were measured, or whose rates were given; None for rates without images."""
        return self.images if self.provenance.is_measured or self.images > 1 else None

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
        found = [item for item in self.operators if item.driver.kind == "integer" and not item.driver.scaled]
        integer = sum(operator.macs_per_step for operator in found)
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
        from msvit_energy.profiles.diagnostics import warnings

        return warnings(self)

    def save(self, path: str | Path) -> None:
        """Write the profile as JSON, and what is kept of single images into NAME.per_image.safetensors beside it."""
        from msvit_energy.profiles import image_counts
        from msvit_energy.profiles.json_format import save

        beside = path_beside(Path(path))
        beside.unlink(missing_ok=True)  # of another profile
        save(self, path)
        if self.image_counts is not None:
            image_counts.save(self.image_counts, beside)

    @staticmethod
    def load(path: str | Path, *, per_image: bool = False) -> "Profile":
        """Read a saved profile, with `per_image` also the counts of single images, if they were kept; a missing,
        damaged or newer file raises EnergyError."""
        from msvit_energy.profiles import image_counts
        from msvit_energy.profiles.json_format import load

        profile = load(path)
        beside = path_beside(Path(path, "profile.json") if Path(path).is_dir() else Path(path))
        if not per_image or not beside.exists():
            return profile
        return replace(profile, image_counts=image_counts.load(beside, profile.moments))

    def summary(self) -> str:
        """What was measured, on what, and what a reader must know, in a few lines."""
        origin = self.provenance
        of = f"{self.known_images} images, " if self.known_images is not None else ""
        right = "" if self.accuracy is None else f", accuracy {self.accuracy:.2%}"
        rate = "no spiking neurons"
        if self.firing_rate is not None:
            rate = f"mean firing rate {self.firing_rate:.4f} of {len(self.neurons)} neuron layers"
        sops = sum(operator.sops for operator in self.operators if operator.driver.kind != "analog")
        lines = [
            f"{origin.model_name} on {origin.data_name}: {of}T = {self.time_steps}{right}",
            f"{len(self.operators)} operators; {self.macs_per_step:,.0f} MACs per step, {sops:,.0f} SOPs per image",
            rate,
            *(f"warning: {warning}" for warning in self.warnings()),
        ]
        return "\n".join(lines)

    def __repr__(self) -> str:
        return f"<Profile: {'; '.join(self.summary().splitlines()[:3])}>"

    def _repr_html_(self) -> str:
        """The operators, for notebooks."""
        title, *notes = self.summary().splitlines()
        rows = [
            (
                operator.layer,
                operator.driver.label,
                "" if operator.driver.input_rate is None else f"{operator.driver.input_rate:.4f}",
                f"{operator.macs_per_step:,.0f}",
                "" if operator.driver.kind == "analog" else f"{operator.sops:,.0f}",
            )
            for operator in self.operators
        ]
        return html_table(title, ("layer", "input", "rate", "MACs per step", "SOPs"), rows, notes)

    def records(self) -> list[dict[str, Any]]:
        """One record per operator. MACs are per run, SOPs per image (Appendix C), rates of the driving operand.

        Real numbers are no spikes, so an analog input has neither `input_rate` nor `sops`: they are None. Their mean is
        `input_mean`, which of spikes in units of a step is the rate times that, and of signed ones None.
        """
        events = self.events_by_layer()
        return [
            {
                "layer": operator.layer,
                "stage": operator.stage,
                "op": operator.op,
                "role": operator.role,
                "kind": operator.driver.label,
                "macs_per_step": operator.macs_per_step,
                "runs_per_image": operator.runs_per_image,
                "input_rate": operator.driver.input_rate,
                "input_mean": operator.driver.input_mean,
                "nonzero_rate": operator.driver.nonzero_rate,
                "input_max": operator.driver.maximum,
                "sops": None if operator.driver.kind == "analog" else operator.sops,
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
