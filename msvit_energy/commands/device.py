"""Which device a command runs on. CUDA paths have never been run on a GPU by this project's own tests."""

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
        raise EnergyError(f"unknown device {name!r}; devices: auto, cpu, cuda, cuda:1, ...") from error
    if kind == "cuda" and not torch.cuda.is_available():
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
