"""`profile --fast`: what makes a forward faster and rounds otherwise, and how many spikes that changes."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import islice
from typing import Any

import torch
from torch import Tensor, nn

from msvit.data import Samples
from msvit.data.readable import Readable, Unreadable
from msvit.folding import fold_batch_norm
from msvit_energy.errors import EnergyError
from msvit_energy.precision import fired, flips
from msvit_energy.recording.feeding import input_modes
from msvit_energy.recording.feeding.mode_detection import find_mode
from msvit_energy.recording.model_parameters import parameters_of
from msvit_energy.recording.neurons import named_neurons
from msvit_energy.recording.state.model_state import RestState
from msvit_energy.workflows.loading.model_loading import LoadedModel


def speed_up(
    loaded: LoadedModel, source: Samples, batch_size: int, how: Mapping[str, Any], neurons: Sequence[str] = ()
) -> LoadedModel:
    """A copy of the model with batch norm folded into synapses and weights in channels_last; its provenance and
    warnings say so, with the share of neuron outputs that differ on the first batch. `how` are time_steps, feed and
    frames, and `neurons` patterns of names, as for profile."""
    model = loaded.model.eval()
    anchor = next(parameters_of(model))
    samples = Readable(source.dataset)
    read = (sample for i in range(len(source)) if not isinstance(sample := samples[i], Unreadable))
    first = [torch.as_tensor(sample[0]) for sample in islice(read, batch_size)]
    if not first:
        raise EnergyError(f"none of {len(source)} images can be read")
    images, count = torch.stack(first).to(anchor), len(first)
    mode = find_mode(model, images, RestState(model, neurons=named_neurons(model, neurons)), **how).mode

    def run(network: nn.Module, inputs: Tensor) -> None:
        input_modes.run(network, inputs, mode)

    fast, folded = fold_batch_norm(model)
    fast.to(memory_format=torch.channels_last)
    found = [fired(network, images, run, named_neurons(network, neurons)) for network in (fast, model)]
    outputs, differing, _ = flips(*found)
    share = differing / outputs if outputs else 0.0
    done = {"folded_batch_norms": folded, "channels_last": True, "images": count, "flipped_share": share}
    note = (
        f"--fast rounds otherwise: on the first {count} images {differing:,} of {outputs:,} neuron outputs differ "
        f"({share:.2%})"
    )
    provenance, warnings = loaded.provenance | {"fast": done}, [*loaded.warnings, note]
    return replace(loaded, model=fast, provenance=provenance, warnings=warnings)
