"""The spiking neuron of every model in this package (MSViT paper, Appendix A, equations 13 to 16)."""

from typing import Any

import torch
from spikingjelly.activation_based import neuron, surrogate
from torch import Tensor

ALPHA = 4.0  # slope of the surrogate gradient, the derivative of sigmoid(ALPHA * (h - v_threshold))


class LIF(neuron.LIFNode):
    """Leaky integrate-and-fire over a whole sequence, `[T, ...]` -> spikes in {0, 1} of the same shape.

    h[t] = v[t-1] + (x[t] - v[t-1]) / tau; spike when h >= v_threshold; then v = 0 (hard reset, detached from the
    gradient). tau 2, threshold 1, surrogate gradient: sigmoid with alpha 4, as in the official implementation.
    Every call starts from rest: one call is one complete sequence, so no state leaks from one batch to the next.

    On the CPU the loop over T runs in place, with spikes bit-equal to SpikingJelly's; elsewhere, and while a graph is
    traced, SpikingJelly's own kernels run.
    """

    def __init__(self, tau: float = 2.0, v_threshold: float = 1.0) -> None:
        super().__init__(
            tau=tau,
            v_threshold=v_threshold,
            v_reset=0.0,
            detach_reset=True,
            surrogate_function=surrogate.Sigmoid(alpha=ALPHA),
            step_mode="m",
        )

    def forward(self, x: Tensor) -> Tensor:
        tracing = torch.jit.is_tracing()  # type: ignore[attr-defined]
        if x.device.type in ("cpu", "meta") and x.dtype in (torch.float32, torch.float64) and not tracing:
            return lif(x, self.tau, self.v_threshold)
        self.reset()
        spikes = super().forward(x)
        self.reset()  # frees the last membrane, and in training the graph behind it
        return spikes


def lif(x: Tensor, tau: float, v_threshold: float) -> Tensor:
    """Spikes of a LIF layer started from rest, hard reset to 0: currents `[T, ...]` -> {0, 1}, differentiable."""
    if torch.is_grad_enabled() and x.requires_grad:
        return _LIF.apply(x, tau, v_threshold)
    return _charge_and_fire(x, tau, v_threshold)[1]


def _charge_and_fire(x: Tensor, tau: float, v_threshold: float, *, keep: bool = False) -> tuple[Tensor, Tensor]:
    """Membranes before the reset (all of them with `keep`, else scratch) and spikes.

    The order of roundings is SpikingJelly's, so that no spike differs.
    """
    spikes = torch.empty(x.shape, dtype=x.dtype, device=x.device)
    membranes = torch.empty(x.shape if keep else (1, *x.shape[1:]), dtype=x.dtype, device=x.device)
    v = torch.zeros(x.shape[1:], dtype=x.dtype, device=x.device)
    for t in range(x.shape[0]):
        h = membranes[t if keep else 0]
        torch.sub(x[t], v, out=h).div_(tau).add_(v)
        torch.ge(h, v_threshold, out=spikes[t])
        torch.addcmul(h, h, spikes[t], value=-1, out=v)  # h where no spike, exactly 0 where one
    return membranes, spikes


class _LIF(torch.autograd.Function):
    """Gradient of `lif` through time: d spike / d h is the surrogate's, d v / d h is 1 - spike."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, tau: float, v_threshold: float) -> Tensor:
        membranes, spikes = _charge_and_fire(x, tau, v_threshold, keep=True)
        ctx.save_for_backward(membranes, spikes)
        ctx.tau, ctx.v_threshold = tau, v_threshold
        return spikes

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        membranes, spikes = ctx.saved_tensors
        (from_spikes,) = gradients
        soft = membranes.sub(ctx.v_threshold).mul_(ALPHA).sigmoid_()
        gradient = torch.ops.aten.sigmoid_backward(from_spikes, soft)  # times ALPHA: what h receives from its spike
        from_later = torch.zeros_like(gradient[0])  # what v[t] receives from h[t+1]
        for t in reversed(range(gradient.shape[0])):
            from_later.addcmul_(from_later, spikes[t], value=-1)
            h = gradient[t].mul_(ALPHA).add_(from_later).div_(ctx.tau)
            torch.mul(h, ctx.tau - 1, out=from_later)  # d h[t+1] / d v[t] = 1 - 1 / tau
        return gradient, None, None
