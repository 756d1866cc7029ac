"""How much of a profile is rounding: the same weights and images in float32 and in float64.

A membrane that lands within rounding of the threshold spikes in one number format and not in the other; what follows
in later layers may amplify it or not.
"""

import copy
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from msvit_energy.errors import EnergyError
from msvit_energy.profiler import profile
from msvit_energy.recording.neurons import NONE_NAMED, Neurons, emitted
from msvit_energy.recording.state.model_state import RestState


@dataclass(frozen=True)
class Precision:
    """Neuron outputs compared, how many of them differ, spikes in float64, and total SOPs in both formats."""

    images: int
    outputs: int
    differing: int
    spikes: int
    sops_float32: float
    sops_float64: float

    @property
    def differing_share(self) -> float:
        """Share of neuron outputs that differ."""
        return self.differing / self.outputs

    @property
    def differing_per_spike(self) -> float:
        """Differing outputs per spike in float64, the larger number in a network that seldom fires."""
        return self.differing / self.spikes if self.spikes else 0.0

    @property
    def sops_difference(self) -> float:
        """Relative difference of total SOPs, float32 against float64."""
        return self.sops_float32 / self.sops_float64 - 1 if self.sops_float64 else 0.0


def compare_formats(model: nn.Module, batches: Iterable[Tensor]) -> Precision:
    """Run copies of `model` in float32 and float64 over the same images, neuron by neuron.

    EnergyError for a model without spiking neurons, or no images.
    """
    images = list(batches)
    narrow, wide = copy.deepcopy(model).float(), copy.deepcopy(model).double()
    outputs = differing = spikes = 0
    for batch in images:
        found = flips(fired(narrow, batch.float()), fired(wide, batch.double()))
        outputs, differing, spikes = outputs + found[0], differing + found[1], spikes + found[2]
    if not outputs:
        raise EnergyError("there is nothing to compare: no spiking neurons, or no images")
    profiles = [profile(network, images, feed="image") for network in (narrow, wide)]
    sops = [sum(operator.sops for operator in measured.operators) for measured in profiles]
    return Precision(sum(map(len, images)), outputs, differing, spikes, *sops)


def flips(ours: Sequence[Tensor], theirs: Sequence[Tensor]) -> tuple[int, int, int]:
    """Of two lists of what neurons emitted: outputs, how many of them differ, spikes of the second."""
    pairs = list(zip(ours, theirs, strict=True))
    return (
        sum(b.numel() for _, b in pairs),
        sum(int((a != b).sum()) for a, b in pairs),
        sum(int(b.sum()) for b in theirs),
    )


def excite_(model: nn.Module, seed: int) -> None:
    """Overwrite all weights with random ones under which neurons of every layer fire, in place.

    Fresh weights leave deep layers almost silent, and silent neurons cannot differ. Here weights are normal with
    standard deviation 2.1 / sqrt(fan-in), and batch norm shifts its output by 0.6 +- 0.3.
    """
    generator = torch.Generator().manual_seed(seed)
    for module in nn.Module.modules(model):
        weight, bias = getattr(module, "weight", None), getattr(module, "bias", None)
        if not isinstance(weight, Tensor):
            continue
        if isinstance(module, _BatchNorm):
            nn.init.normal_(weight, 1.0, 0.1, generator)
            nn.init.normal_(module.bias, 0.6, 0.3, generator)
        else:
            nn.init.normal_(weight, 0.0, 2.1 / math.sqrt(weight[0].numel()), generator)
            if isinstance(bias, Tensor):
                nn.init.normal_(bias, 0.0, 0.1, generator)


def fired(
    model: nn.Module,
    batch: Tensor,
    run: Callable[[nn.Module, Tensor], Any] | None = None,
    neurons: Neurons = NONE_NAMED,
) -> list[Tensor]:
    """What every neuron layer emits, as booleans, in the order of the calls; evaluation mode, states from rest.

    `run` hands the batch to a model that wants more than a plain call.
    """
    outputs: list[Tensor] = []
    handles = [
        module.register_forward_hook(lambda _, args, output: outputs.append(emitted(output).bool()))
        for module in nn.Module.modules(model)
        if module in neurons
    ]
    rest = RestState(model, neurons=neurons)
    try:
        with torch.inference_mode():
            model.eval()
            model(batch.clone()) if run is None else run(model, batch.clone())
    finally:
        for handle in handles:
            handle.remove()
        rest.restore()
    return outputs
