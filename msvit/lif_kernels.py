"""`lif_step` over whole sequences, fast on the CPU: part by part in the cache or as one compiled kernel, with gradient.

Spikes are bit-equal to those of `lif_step` in a loop and to SpikingJelly's.
"""

import math
from collections.abc import Callable
from functools import cache
from typing import Any

import torch
from torch import Tensor

ALPHA = 4.0  # slope of the surrogate gradient, the derivative of sigmoid(ALPHA * (h - v_threshold))
PART = 1 << 16  # neurons per thread whose state fits the cache


def lif(x: Tensor, tau: float, v_threshold: float, *, compiled: bool = False) -> Tensor:
    """`lif_step` T times from rest: currents `[T, ...]` -> spikes in {0, 1} of the same shape, differentiable.

    The spikes lie in memory as the currents do.
    """
    strides = x.stride()
    order = [0, *sorted(range(1, x.dim()), key=lambda axis: -strides[axis])]
    ordered = x.permute(order)
    currents = ordered.reshape(len(x), -1)  # no copy where a step is dense in memory
    fire, backward = (_runner(steps, tau, v_threshold, compiled) for steps in (_fire, _backward))
    wanted = torch.is_grad_enabled() and x.requires_grad
    spikes: Tensor = _LIF.apply(currents, fire, backward) if wanted else fire(currents)
    return spikes.view(ordered.shape).permute([order.index(axis) for axis in range(x.dim())])


class _LIF(torch.autograd.Function):
    """Gradient of `lif` through time. Only the currents are kept; the backward pass fires again."""

    @staticmethod
    def forward(ctx: Any, currents: Tensor, fire: Callable[..., Tensor], backward: Callable[..., Tensor]) -> Tensor:
        ctx.save_for_backward(currents)
        ctx.steps = backward
        return fire(currents)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        return ctx.steps(*ctx.saved_tensors, *gradients), None, None


@cache
def _runner(steps: Callable[..., Tensor], tau: float, v_threshold: float, compiled: bool) -> Callable[..., Tensor]:
    """`steps` as a function of tensors `[T, n]`: one kernel, or part by part in the cache."""
    kernel = _kernel(steps) if compiled else steps
    # for kernels as tensors: numbers of the first call may stay in the code
    constants = {
        "tau": torch.tensor(tau, dtype=torch.float64),
        "v_threshold": torch.tensor(v_threshold, dtype=torch.float64),
    }

    def in_one(*given: Tensor) -> Tensor:
        return kernel(*map(_unrelated, given), **constants)

    def in_parts(*given: Tensor) -> Tensor:
        result = torch.empty(given[0].shape, dtype=given[0].dtype, device=given[0].device)
        size = max(1, result.shape[1]) if result.is_meta else PART * torch.get_num_threads()
        for start in range(0, result.shape[1], size):
            part = slice(start, start + size)
            kernel(*(tensor[:, part] for tensor in given), tau=tau, v_threshold=v_threshold, out=result[:, part])
        return result

    return in_one if compiled else in_parts


@cache
def _kernel(steps: Callable[..., Tensor]) -> Callable[..., Tensor]:
    return torch.compile(steps, dynamic=True, fullgraph=True)


def _unrelated(view: Tensor) -> Tensor:
    """The same memory, but no view of another tensor: for each kind of view a kernel would be compiled anew."""
    own = torch.empty(0, dtype=view.dtype, device=view.device)
    return own.set_(view.untyped_storage(), view.storage_offset(), view.shape, view.stride())


def _charge(
    currents: Tensor, tau: float, v_threshold: float, out: Tensor | None = None
) -> tuple[list[Tensor], list[Tensor]]:
    """Membranes before the reset, and spikes, step by step; the spikes in `out`, if that is given.

    The order of roundings is that of `lif_step` and of SpikingJelly, so that no spike differs.
    """
    # dividing by a power of two rounds nothing, so that it can go with the addition
    one_pass = not torch.compiler.is_compiling() and math.frexp(tau)[0] == 0.5
    membranes: list[Tensor] = []
    spikes: list[Tensor] = []
    for t in range(len(currents)):
        if t == 0:
            h = currents[0] / tau
        else:
            v = torch.addcmul(h, h, spikes[-1], value=-1)  # exactly 0 after a spike
            rise = currents[t] - v
            h = torch.add(v, rise, alpha=1 / tau) if one_pass else rise.div_(tau).add_(v)
        membranes.append(h)
        fired = torch.empty_like(h) if out is None else out[t]  # floats at once: bools are slow on the CPU
        spikes.append(torch.ge(h, v_threshold, out=fired))
    return membranes, spikes


def _fire(currents: Tensor, *, tau: float, v_threshold: float, out: Tensor | None = None) -> Tensor:
    """Spikes of currents `[T, n]`."""
    spikes = _charge(currents, tau, v_threshold, out)[1]
    return torch.stack(spikes) if out is None else out


def _backward(
    currents: Tensor, from_spikes: Tensor, *, tau: float, v_threshold: float, out: Tensor | None = None
) -> Tensor:
    """The currents' gradient from the spikes' gradient, both `[T, n]`: d spike / d h = ALPHA soft (1 - soft),
    d h[t] / d x[t] = 1 / tau, d h[t + 1] / d h[t] = (1 - 1 / tau) (1 - spike[t]).
    """
    membranes, spikes = _charge(currents, tau, v_threshold)
    gradients: list[Tensor] = []
    later = torch.zeros_like(currents[0])
    for t in reversed(range(len(currents))):
        soft = membranes.pop().sub_(v_threshold).mul_(ALPHA).sigmoid_()
        from_spike = torch.ops.aten.sigmoid_backward(from_spikes[t], soft)
        gradients.append(later + from_spike.mul_(ALPHA / tau))
        if t:
            later = torch.addcmul(gradients[-1], gradients[-1], spikes[t - 1], value=-1).mul_(1 - 1 / tau)
    return torch.stack(gradients[::-1], out=out)
