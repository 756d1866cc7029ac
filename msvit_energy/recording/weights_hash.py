"""One hash of all weights of a model, which differs for profiles of two networks."""

import hashlib
from collections.abc import Hashable

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from msvit_energy.recording.state.weight_writes import checksum, mark


def weights_hash(model: nn.Module) -> str | None:
    """SHA-256 over the state dict: names, number formats, shapes and bytes, in the order of the names, on any device.

    None for weights that are not there or whose bytes cannot be read (lazy, meta, sparse, quantized)."""
    digest = hashlib.sha256()
    for name, value in sorted(model.state_dict().items()):
        if not isinstance(value, Tensor):
            continue
        if not _is_readable(value):
            return None
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}\n".encode())
        digest.update(value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()


def fingerprint(model: nn.Module) -> Hashable:
    """Another one where the hash may be another: of everything in the state dict that can be read, in a tenth of the
    time."""
    held = model.state_dict(keep_vars=True)
    values = {name: value for name, value in held.items() if isinstance(value, Tensor)}
    return tuple(
        (name, value.dtype, tuple(value.shape), mark(value), checksum(value)) if _is_readable(value) else (name, None)
        for name, value in values.items()
    )


def _is_readable(value: Tensor) -> bool:
    return not (is_lazy(value) or value.is_meta or value.is_quantized) and value.layout == torch.strided
