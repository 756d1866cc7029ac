"""torch's random generators, left as they were by forwards that are no part of a measurement."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Generator


def generators(device: torch.device) -> list[Generator]:
    """The generators that random functions take by default, on the CPU and on a device."""
    found = [torch.default_generator]
    if device.type == "cuda":
        index = torch.cuda.current_device() if device.index is None else device.index
        found.append(torch.cuda.default_generators[index])
    if device.type == "mps":
        found.append(torch.mps._get_default_mps_generator())
    return found


@contextmanager
def random_state_kept(device: torch.device) -> Iterator[None]:
    """The generators' states afterwards as before."""
    found = generators(device)
    states = [generator.get_state() for generator in found]
    try:
        yield
    finally:
        for generator, state in zip(found, states, strict=True):
            generator.set_state(state)
