"""A model's operators without running it: a profile from shapes alone, on the meta device."""

import torch
from torch import nn

from msvit_energy.profiler import profile_of
from msvit_energy.profiles.coverage import Coverage
from msvit_energy.profiles.profile import Profile
from msvit_energy.recording.concurrency import TURNS
from msvit_energy.recording.feeding.input_modes import InputMode, run
from msvit_energy.recording.recorder import Recorder


def geometry(model: nn.Module, input_size: tuple[int, ...], time_steps: int) -> Profile:
    """What one image `[*input_size]` does in `model`, which is on the meta device: a profile with all counts 0.

    MACs are the hooks' own, not cross-checked with fvcore.
    """
    model.eval()
    if hasattr(model, "time_steps"):
        model.time_steps = time_steps  # type: ignore[assignment]
    image = torch.empty(1, *input_size, device="meta")
    mode = InputMode("image", False, time_steps)
    with TURNS.alone(model), torch.no_grad(), Recorder(model, mode) as recorder:
        with recorder.batch(image, 1):
            run(model, image, mode)
        recording = recorder.result()
    counted = {operator.layer: operator.macs_per_image for operator in recording.operators}
    return profile_of(model, recording, coverage=Coverage(counted))
