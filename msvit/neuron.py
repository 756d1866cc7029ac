"""Spiking neurons: leaky integrate-and-fire (MSViT paper, Appendix A), that of most models, and those of the others.

Currents `[T, ...]` become spikes of the same shape, and every call starts from rest.
"""

import math
from collections.abc import Callable
from typing import Any

import torch
from spikingjelly.activation_based import neuron, surrogate
from torch import Tensor, nn

from msvit.errors import ModelError
from msvit.lif_kernels import ALPHA, lif


def lif_step(membrane: Tensor, current: Tensor, tau: float, v_threshold: float) -> tuple[Tensor, Tensor]:
    """One time step of neurons `[...]`: membrane V[t-1] and input current X[t] -> (spike S[t] in {0, 1}, V[t]).

    H[t] = V[t-1] + (X[t] - V[t-1]) / tau         (equation 13, V_reset = 0)
    S[t] = 1 where H[t] >= v_threshold, else 0    (14, 16)
    V[t] = H[t] (1 - S[t])                        (15, hard reset)
    """
    charged = membrane + (current - membrane) / tau
    spike = (charged >= v_threshold).to(charged.dtype)
    return spike, charged * (1 - spike)


class LIF(neuron.LIFNode):
    """`lif_step` over a whole sequence of currents, `[T, ...]` -> spikes in {0, 1} of the same shape.

    tau 2, threshold 1, surrogate gradient: sigmoid with alpha 4, as in the official implementation; the reset is
    detached from the gradient. Every call starts from rest: one call is one complete sequence, so no state leaks from
    one batch to the next.

    On the CPU the loop over T is that of `lif_kernels.py`, which `compile_neurons` makes faster; elsewhere, and while a
    graph is traced, SpikingJelly's own kernels run.
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
        if only_shape(x):
            return torch.empty_like(x)
        if x.device.type in ("cpu", "meta") and x.dtype in (torch.float32, torch.float64) and not is_traced():
            with torch._C.DisableTorchFunction():  # thousands of calls that nobody needs to watch
                return lif(x, self.tau, self.v_threshold, compiled=self.compiled and x.is_cpu)
        self.reset()
        spikes = super().forward(x)
        self.reset()  # frees the last membrane, and in training the graph behind it
        return spikes


def is_traced() -> bool:
    """Whether a graph is traced."""
    return bool(torch.jit.is_tracing())  # type: ignore[attr-defined]


def only_shape(x: Tensor) -> bool:
    """Whether nothing but the shape of a neuron's output is asked for."""
    return x.is_meta and not is_traced() and not (torch.is_grad_enabled() and x.requires_grad)


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


class StepNeuron(nn.Module):
    """Base of the neurons that are not SpikingJelly's: currents `[T, ...]` -> spikes of the same shape."""

    activation_op = "neuron"
    step_mode = "m"  # one call runs over all T, as SpikingJelly has it

    def fire(self, x: Tensor) -> Tensor:
        """The spikes."""
        raise NotImplementedError

    def forward(self, x: Tensor) -> Tensor:
        if only_shape(x):
            return torch.empty_like(x)
        if is_traced():
            return self.fire(x)
        with torch._C.DisableTorchFunction():  # calls that nobody needs to watch
            return self.fire(x)


Surrogate = Callable[[Tensor], Tensor]  # slope of a spike by the distance h - v_threshold


def arctan(distance: Tensor) -> Tensor:
    """SpikingJelly's surrogate gradient ATan with alpha 2."""
    return 1 / (1 + (math.pi * distance).square())


def rectangle(distance: Tensor) -> Tensor:
    """Surrogate gradient: 1 where the membrane is nearer to the threshold than 1/2."""
    return (distance.abs() < 0.5).to(distance.dtype)


def triangle(distance: Tensor) -> Tensor:
    """Surrogate gradient: 1 at the threshold, falling to 0 at a distance of 1."""
    return (1 - distance.abs()).clamp(min=0)


class _Spike(torch.autograd.Function):
    """1 where the membrane reaches the threshold (strict: exceeds it), with a surrogate gradient."""

    @staticmethod
    def forward(ctx: Any, membrane: Tensor, v_threshold: float, strict: bool, surrogate: Surrogate) -> Tensor:
        ctx.save_for_backward(membrane)
        ctx.v_threshold, ctx.surrogate = v_threshold, surrogate
        fired = membrane > v_threshold if strict else membrane >= v_threshold
        return fired.to(membrane.dtype)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None, None]:
        (membrane,) = ctx.saved_tensors
        return gradients[0] * ctx.surrogate(membrane - ctx.v_threshold), None, None, None


class IF(StepNeuron):
    """Integrate-and-fire: currents `[T, ...]` -> spikes in {0, 1} of the same shape.

    H[t] = decay V[t-1] + X[t], the current is not divided; S[t] = 1 where H[t] >= v_threshold (`strict`: >), else 0;
    V[t] = H[t] (1 - S[t]), detached from the gradient unless `detach_reset` is off. No leak by default.
    """

    binary = True  # emits nothing but 0 and 1

    def __init__(
        self,
        *,
        decay: float = 1.0,
        v_threshold: float = 1.0,
        strict: bool = False,
        surrogate: Surrogate = arctan,
        detach_reset: bool = True,
    ) -> None:
        super().__init__()
        self.decay, self.v_threshold, self.strict, self.surrogate = decay, v_threshold, strict, surrogate
        self.detach_reset = detach_reset

    def fire(self, x: Tensor) -> Tensor:
        spikes: list[Tensor] = []
        membrane = torch.zeros_like(x[0])
        for current in x:
            charged = torch.add(current, membrane, alpha=self.decay)
            spikes.append(_Spike.apply(charged, self.v_threshold, self.strict, self.surrogate))
            membrane = charged * (1 - (spikes[-1].detach() if self.detach_reset else spikes[-1]))
        return torch.stack(spikes)


LEVELS = 4  # greatest number of spikes of a MultiSpike, D


class _Count(torch.autograd.Function):
    """Nearest whole number from 0 to LEVELS; the gradient passes within these bounds (`half_up`: strictly within)."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, half_up: bool) -> Tensor:
        ctx.save_for_backward(x)
        ctx.half_up = half_up
        bounded = x.clamp(0, LEVELS)
        return (bounded + 0.5).floor() if half_up else bounded.round()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (x,) = ctx.saved_tensors
        within = (x > 0) & (x < LEVELS) if ctx.half_up else (x >= 0) & (x <= LEVELS)
        return gradients[0] * within, None


class MultiSpike(StepNeuron):
    """I-LIF of Spike-driven Transformer V3, as its authors run it: n / norm, with n = 0 to 4 nearest to the current.

    There is no membrane: time steps do not see each other. n stands for as many spikes within 4 virtual time steps.
    A current half way between two n gives the even one, or, with `half_up`, the greater.
    """

    def __init__(self, *, norm: int = LEVELS, half_up: bool = False) -> None:
        super().__init__()
        self.norm, self.half_up = norm, half_up

    def fire(self, x: Tensor) -> Tensor:
        count: Tensor = _Count.apply(x, self.half_up)
        return count / self.norm
