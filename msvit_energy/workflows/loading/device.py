"""Which device a command runs on. Nothing but the CPU has ever been run by this project's own tests."""

import os

from msvit_energy.errors import EnergyError


def choose(name: str) -> str:
    """`auto` is CUDA when it is there, else the CPU; a device that is absent or unknown raises EnergyError."""
    import torch

    if name == "auto":
        return own_gpu() if torch.cuda.is_available() else "cpu"
    try:
        kind = torch.device(name).type
    except RuntimeError as error:
        raise EnergyError(f"unknown device {name!r}; devices: auto, cpu, cuda, cuda:1, mps, ...") from error
    absent = {"cuda": not torch.cuda.is_available(), "mps": not torch.backends.mps.is_available()}
    if absent.get(kind, False):
        raise EnergyError(f"device {name!r} is not available here; --device cpu is")
    return own_gpu() if name == "cuda" else name


def own_gpu() -> str:
    """The GPU of this process among those that torchrun started on this machine."""
    import torch

    number = os.environ.get("LOCAL_RANK")
    if number is None:
        return "cuda"
    torch.cuda.set_device(int(number))
    return f"cuda:{number}"
