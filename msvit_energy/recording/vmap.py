"""Layers inside of `torch.vmap`, whose tensors hide an axis and the memory they are in."""

import torch

from msvit_energy.errors import EnergyError


def refuse_vmap() -> None:
    """EnergyError inside of `torch.vmap`."""
    if torch._C._functorch.maybe_current_level() is not None:
        raise EnergyError(
            "the model calls layers inside of torch.vmap, where no tensor shows its images; call them on the whole "
            "batch, or in a loop"
        )
