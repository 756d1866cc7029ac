"""Batch norm folded into the synapses before it: fewer passes, other rounding."""

from collections.abc import Iterator

from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval, fuse_linear_bn_eval

from msvit.layers import SpikingUnits


def fold_batch_norm_(model: nn.Module) -> int:
    """Let every unit's synapses do what its batch norm does in evaluation; returns how many.

    Modules, parameters and state dict stay as they are, only their forwards change, so that a profile lists the same
    work. Not to be trained afterwards.
    """
    pairs = list(units(model))
    for synapses, norm in pairs:
        fuse = fuse_linear_bn_eval if isinstance(synapses, nn.Linear) else fuse_conv_bn_eval
        synapses.forward = fuse(synapses, norm).requires_grad_(False).forward  # type: ignore[arg-type, type-var]
        norm.forward = nn.Identity().forward
    return len(pairs)


def units(model: nn.Module) -> Iterator[tuple[nn.Module, nn.Module]]:
    """The synapses and the batch norm of every unit that has both."""
    for module in model.modules():
        if not isinstance(module, SpikingUnits):
            continue
        for name, child in module.named_children():
            stem, _, part = name.rpartition("_")
            if part in ("conv", "linear") and (norm := module._modules.get(f"{stem}_bn")) is not None:
                yield child, norm
