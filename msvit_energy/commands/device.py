"""Which device a command runs on. CUDA paths have never been run on a GPU by this project's own tests."""

from msvit_energy.errors import EnergyError


def choose(name: str) -> str:
    """`auto` is CUDA when it is there, else the CPU; a device that is absent or unknown raises EnergyError."""
    import torch

    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        kind = torch.device(name).type
    except RuntimeError as error:
        raise EnergyError(f"unknown device {name!r}; devices: auto, cpu, cuda, cuda:1, ...") from error
    if kind == "cuda" and not torch.cuda.is_available():
        raise EnergyError(f"device {name!r} is not available here; --device cpu is")
    return name
