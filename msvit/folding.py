"""Batch norm folded into the synapses before it: fewer passes, other rounding."""

from collections.abc import Iterator
from copy import deepcopy
from typing import TypeVar

from torch import Tensor, nn
from torch.nn import functional
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.utils.fusion import fuse_conv_bn_eval, fuse_linear_bn_eval

from msvit.layers import SpikingUnits, Synapses

Model = TypeVar("Model", bound=nn.Module)


def fold_batch_norm(model: Model) -> tuple[Model, int]:
    """A copy of the model whose synapses do what the batch norm of their unit does in evaluation, and how many do.

    The copy has the same modules, parameters and keys, so that a profile lists the same work; it is in evaluation mode
    and not to be trained. The model itself is left as it is.
    """
    folded = deepcopy(model).eval()
    pairs = list(units(folded))
    for unit, synapses, norm in pairs:
        setattr(unit, synapses, folded_synapses(unit.get_submodule(synapses), unit.get_submodule(norm)))
        setattr(unit, norm, FoldedBatchNorm(unit.get_submodule(norm)))
    return folded.requires_grad_(False), len(pairs)


def units(model: nn.Module) -> Iterator[tuple[nn.Module, str, str]]:
    """The module that holds a unit, and the names of the unit's synapses and batch norm in it, for every unit that has
    both."""
    for module in model.modules():
        if not isinstance(module, SpikingUnits):
            continue
        for name, _ in module.named_children():
            stem, _, part = name.rpartition("_")
            if part in ("conv", "linear") and f"{stem}_bn" in module._modules:
                yield module, name, f"{stem}_bn"


class FoldedConv1d(nn.Conv1d):
    """With `shift` in place of the bias, which may be None."""

    shift: Tensor

    def forward(self, x: Tensor) -> Tensor:
        return self._conv_forward(x, self.weight, self.shift)


class FoldedConv2d(nn.Conv2d):
    """With `shift` in place of the bias, which may be None."""

    shift: Tensor

    def forward(self, x: Tensor) -> Tensor:
        return self._conv_forward(x, self.weight, self.shift)


class FoldedLinear(nn.Linear):
    """With `shift` in place of the bias, which may be None."""

    shift: Tensor

    def forward(self, x: Tensor) -> Tensor:
        return functional.linear(x, self.weight, self.shift)


class FoldedBatchNorm(_BatchNorm):
    """A batch norm that synapses have taken over: passes its input on. It keeps parameters and statistics."""

    def __init__(self, norm: nn.Module) -> None:
        assert isinstance(norm, _BatchNorm)
        super().__init__(norm.num_features, norm.eps, norm.momentum, norm.affine, norm.track_running_stats)
        self.weight, self.bias = norm.weight, norm.bias
        self.running_mean, self.running_var = norm.running_mean, norm.running_var
        self.num_batches_tracked = norm.num_batches_tracked
        self.eval()

    def forward(self, x: Tensor) -> Tensor:
        return x


def folded_synapses(synapses: nn.Module, norm: nn.Module) -> Synapses:
    """Synapses whose weights and `shift` include the batch norm; what bias they have stays as it was, unused."""
    biased = synapses.bias is not None
    folded: Synapses
    if isinstance(synapses, nn.Linear):
        fused: Synapses = fuse_linear_bn_eval(synapses, norm)  # type: ignore[arg-type]
        folded = FoldedLinear(synapses.in_features, synapses.out_features, biased, device="meta")
    else:
        assert isinstance(synapses, nn.Conv1d | nn.Conv2d)
        fused = fuse_conv_bn_eval(synapses, norm)  # type: ignore[arg-type]
        kind = FoldedConv1d if isinstance(synapses, nn.Conv1d) else FoldedConv2d
        geometry = (synapses.kernel_size, synapses.stride, synapses.padding, synapses.dilation, synapses.groups)
        folded = kind(synapses.in_channels, synapses.out_channels, *geometry, biased, device="meta")  # type: ignore[arg-type]
    folded.weight, folded.bias = fused.weight, synapses.bias
    assert fused.bias is not None
    folded.register_buffer("shift", fused.bias.detach(), persistent=False)
    return folded.eval()
