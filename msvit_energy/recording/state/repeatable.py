"""Forwards that give the same again, and that change no random number which comes after them."""

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
    """torch's generators afterwards as before."""
    found = generators(device)
    states = [generator.get_state() for generator in found]
    try:
        yield
    finally:
        for generator, state in zip(found, states, strict=True):
            generator.set_state(state)


@contextmanager
def repeatable(device: torch.device) -> Iterator[None]:
    """The same random numbers every time, and the same kernels of cuDNN, so that the same image rounds in the same way;
    torch's generators afterwards as before."""
    with random_state_kept(device), same_kernels():
        for generator in generators(device):
            generator.manual_seed(0)
        yield


@contextmanager
def same_kernels() -> Iterator[None]:
    """cuDNN takes the same kernels every time."""
    own = torch.backends.cudnn
    with own.flags(enabled=own.enabled, benchmark=False, deterministic=True, allow_tf32=own.allow_tf32):
        yield


@contextmanager
def float32_as_it_is() -> Iterator[None]:
    """On a GPU no TF32, which cuDNN takes by default: it rounds float32 to 10 bits, so that other neurons fire."""
    convolutions, products = torch.backends.cudnn, torch.backends.cuda.matmul
    before = convolutions.allow_tf32, products.allow_tf32
    convolutions.allow_tf32 = products.allow_tf32 = False
    try:
        yield
    finally:
        convolutions.allow_tf32, products.allow_tf32 = before
