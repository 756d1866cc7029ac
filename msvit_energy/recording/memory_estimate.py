"""Energy after Lemaire et al. 2022, by SpikingJelly's estimator. All contact with that estimator is here.

Its result depends on the batch size and on each layer's buffers, so it cannot be had from rates: it runs the model on
single images.
"""

import warnings
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from msvit_energy.profiles.memory_estimate import MemoryEstimate
from msvit_energy.recording.feeding.input_modes import InputMode, run
from msvit_energy.recording.state.model_state import RestState

PARTS = ("ops_pj", "addressing_pj", "inout_pj", "params_pj", "potential_pj")  # memory_pj is the sum of the last three


class Fed(nn.Module):
    """A model that takes one image as it is, whatever the model inside wants."""

    def __init__(self, model: nn.Module, mode: InputMode) -> None:
        super().__init__()
        self.model, self.mode = model, mode

    def forward(self, image: Tensor) -> Any:
        return run(self.model, image, self.mode)


def estimate(model: nn.Module, images: Iterable[Tensor], mode: InputMode, rest: RestState) -> MemoryEstimate:
    """Estimate the energy of each of `images`, `[1, ...]`, one by one, from the model's state of rest."""
    from spikingjelly.activation_based.op_counter import LemaireEnergyConfig, estimate_lemaire_energy

    fed = Fed(model, mode)
    config = LemaireEnergyConfig(strict=False)
    parts: dict[str, list[float]] = {part.removesuffix("_pj"): [] for part in PARTS}
    warned: dict[str, None] = {}
    name = ""
    for image in images:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore", RuntimeWarning)  # they are in the report, and from there in the profile
            report = estimate_lemaire_energy(fed, image, config=config)
        rest.restore()
        name = report.model_info.model_id
        warned |= dict.fromkeys(report.warnings)
        for part in PARTS:
            parts[part.removesuffix("_pj")].append(report.breakdown_pj[part])
    return MemoryEstimate(name, {part: tuple(values) for part, values in parts.items()}, tuple(warned))
