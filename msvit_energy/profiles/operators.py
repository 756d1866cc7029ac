"""What was observed of operators, neuron layers and the work beside them: counts, and rates derived from them."""

from dataclasses import dataclass
from typing import Annotated, Literal

from msgspec import Meta

from msvit_energy.errors import EnergyError
from msvit_energy.profiles.amounts import Amount
from msvit_energy.profiles.field_types import Count, Exact, Positive
from msvit_energy.profiles.layer_shape import LayerShape
from msvit_energy.profiles.operand import Operand, Signed, Step, StepVaries

Role = Literal["entrance", "head", ""]


@dataclass(frozen=True)
class Operator:
    """A convolution, linear layer or product of activations, in the order of the first call.

    `role` is "entrance" for the first convolution, "head" for a linear layer that comes last, else empty.
    `runs_per_image` is how often it was executed per image: T, or 1 where the input is constant or pooled over time.
    """

    layer: Annotated[str, Meta(description="unique name, dotted as in the model")]
    stage: Annotated[str, Meta(description="part of the model under which tables and figures group the layer")]
    op: Annotated[str, Meta(description="kind of operator, such as conv2d, linear or matmul")]
    role: Annotated[Role, Meta(description="entrance: the first convolution; head: a linear layer that comes last")]
    macs_per_image: Annotated[Count, Meta(description="dense multiply-accumulates per image, of all runs")]
    runs_per_image: Annotated[Positive, Meta(description="executions per image: T, or 1")]
    operands: Annotated[tuple[Operand, ...], Meta(description="what flowed into each argument", min_length=1)]
    pairs: Annotated[
        Count | None,
        Meta(description="of a product: sum of value x value where non-zero elements meet, over all images; else null"),
    ] = None
    shape: Annotated[
        LayerShape | None, Meta(description="sizes that memory depends on; absent where they are unknown")
    ] = None

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
        """Synaptic operations per image, input rate x T x MACs (MSViT paper, Appendix C, equation 17).

        Of an analog input the same product, which counts nothing: real numbers are no spikes.
        """
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
        return pairs_key(self.layer)

    def count_keys(self) -> tuple[str, ...]:
        """All counts of this operator whose spread over images is kept."""
        keys = tuple(key for operand in self.operands for key in operand.count_keys())
        return keys if self.pairs is None else (*keys, self.pairs_key)


@dataclass(frozen=True)
class NeuronLayer:
    """Output of a layer of spiking neurons, summed over all images, per time step.

    Outputs with a sign or a constant factor count by magnitude and step, as those of an Operand.
    """

    neuron: Annotated[str, Meta(description="unique name of the layer")]
    stage: Annotated[str, Meta(description="part of the model under which figures group the layer")]
    elements: Annotated[Positive, Meta(description="neurons x images: outputs per time step, over all images")]
    sums: Annotated[tuple[Exact, ...], Meta(description="sum of the outputs, for each time step", min_length=1)]
    step: Step = 1
    step_by: StepVaries = ""
    signed: Signed = False

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

    layer: Annotated[str, Meta(description="unique name")]
    stage: Annotated[str, Meta(description="part of the model under which tables group the entry")]
    op: Annotated[str, Meta(description="batch_norm, bias, pooling, column_sum, mask, neuron_update, ...")]
    elements_per_image: Annotated[Count, Meta(description="elements read (bias: written) per image, at all time steps")]
    operands: Annotated[
        tuple[Operand, ...], Meta(description="what flowed into a column sum or a mask; empty for all else")
    ] = ()

    def flow(self) -> Operand:
        """What a column sum adds, or what a mask lets pass or stops; EnergyError where a table of rates lacks it."""
        if not self.operands:
            raise EnergyError(f"{self.layer}: no rate of what it is fed; give those of the neurons before it")
        return self.operands[-1]

    def count_keys(self) -> tuple[str, ...]:
        """All counts of this entry whose spread over images is kept."""
        return tuple(key for operand in self.operands for key in operand.count_keys())


def pairs_key(layer: str) -> str:
    """The name under which the pairs of a product are kept over images."""
    return f"{layer} pairs"


def stage_of(layer: str) -> str:
    """The part of a model that a layer belongs to: the first component of its name."""
    return layer.split(".", 1)[0]
