"""The spiking neuron of every model in this package (MSViT paper, Appendix A, equations 13 to 16)."""

import math
from collections.abc import Callable
from functools import cache
from typing import Any

import torch
from spikingjelly.activation_based import neuron, surrogate
from torch import Tensor, nn

from msvit.errors import ModelError

ALPHA = 4.0  # slope of the surrogate gradient, the derivative of sigmoid(ALPHA * (h - v_threshold))
PART = 1 << 16  # neurons per thread whose state fits the cache


class LIF(neuron.LIFNode):
    """Leaky integrate-and-fire over a whole sequence, `[T, ...]` -> spikes in {0, 1} of the same shape.

    h[t] = v[t-1] + (x[t] - v[t-1]) / tau; spike when h >= v_threshold; then v = 0 (hard reset, detached from the
    gradient). tau 2, threshold 1, surrogate gradient: sigmoid with alpha 4, as in the official implementation.
    Every call starts from rest: one call is one complete sequence, so no state leaks from one batch to the next.

    On the CPU the loop over T runs here, part by part in the cache or as one compiled kernel (`compile_neurons`), with
    spikes bit-equal to SpikingJelly's; elsewhere, and while a graph is traced, SpikingJelly's own kernels run.
    """

    binary = True  # emits nothing but 0 and 1
    compiled = False

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
            with torch._C.DisableTorchFunction():  # thousands of calls that nobody needs to watch
                return lif(x, self.tau, self.v_threshold, compiled=self.compiled and x.is_cpu)
        self.reset()
        spikes = super().forward(x)
        self.reset()  # frees the last membrane, and in training the graph behind it
        return spikes


def compile_neurons(model: nn.Module) -> None:
    """Let the neurons run on the CPU as kernels that torch.compile makes, in some 15 s, from now on; ModelError where
    it cannot, for want of a C++ compiler."""
    trial = torch.ones(getattr(model, "time_steps", 4), 2, 8, requires_grad=True)
    try:
        with torch.enable_grad():
            lif(trial, 2.0, 1.0, compiled=True).sum().backward()
    except Exception as error:  # a compiler can fail in many ways
        raise ModelError(f"torch.compile does not work here: {str(error).strip().splitlines()[0]}") from error
    for module in model.modules():
        if isinstance(module, LIF):
            module.compiled = True


def lif(x: Tensor, tau: float, v_threshold: float, *, compiled: bool = False) -> Tensor:
    """Spikes of a LIF layer started from rest, hard reset to 0: currents `[T, ...]` -> {0, 1}, differentiable.

    The spikes lie in memory as the currents do.
    """
    strides = x.stride()
    order = [0, *sorted(range(1, x.dim()), key=lambda axis: -strides[axis])]
    ordered = x.permute(order)
    currents = ordered.reshape(len(x), -1)  # no copy where a step is dense in memory
    fire, receive = (_runner(steps, tau, v_threshold, compiled) for steps in (_fire, _receive))
    wanted = torch.is_grad_enabled() and x.requires_grad
    spikes: Tensor = _LIF.apply(currents, fire, receive) if wanted else fire(currents)
    return spikes.view(ordered.shape).permute([order.index(axis) for axis in range(x.dim())])


class _LIF(torch.autograd.Function):
    """Gradient of `lif` through time. Only the currents are kept; the backward pass fires again."""

    @staticmethod
    def forward(ctx: Any, currents: Tensor, fire: Callable[..., Tensor], receive: Callable[..., Tensor]) -> Tensor:
        ctx.save_for_backward(currents)
        ctx.receive = receive
        return fire(currents)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        return ctx.receive(*ctx.saved_tensors, *gradients), None, None


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

    The order of roundings is SpikingJelly's, so that no spike differs.
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


def _receive(
    currents: Tensor, from_spikes: Tensor, *, tau: float, v_threshold: float, out: Tensor | None = None
) -> Tensor:
    """What the currents receive from the spikes' gradient: d spike / d h = ALPHA soft (1 - soft),
    d h[t] / d x[t] = 1 / tau, d h[t + 1] / d h[t] = (1 - 1 / tau) (1 - spike[t]).
    """
    membranes, spikes = _charge(currents, tau, v_threshold)
    received: list[Tensor] = []
    later = torch.zeros_like(currents[0])
    for t in reversed(range(len(currents))):
        soft = membranes.pop().sub_(v_threshold).mul_(ALPHA).sigmoid_()
        from_spike = torch.ops.aten.sigmoid_backward(from_spikes[t], soft)
        received.append(later + from_spike.mul_(ALPHA / tau))
        if t:
            later = torch.addcmul(received[-1], received[-1], spikes[t - 1], value=-1).mul_(1 - 1 / tau)
    return torch.stack(received[::-1], out=out)
