"""One hash of all weights of a model, which differs for profiles of two networks."""

import hashlib

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy


def weights_hash(model: nn.Module) -> str | None:
    """SHA-256 over the state dict: names, number formats, shapes and bytes, in the order of the names, on any device.

    None for weights that are not there or whose bytes cannot be read (lazy, meta, sparse, quantized)."""
    digest = hashlib.sha256()
    for name, value in sorted(model.state_dict().items()):
        if not isinstance(value, Tensor):
            continue
        if is_lazy(value) or value.is_meta or value.is_quantized or value.layout != torch.strided:
            return None
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}\n".encode())
        digest.update(value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()
