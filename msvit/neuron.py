"""The spiking neuron of every model in this package: leaky integrate-and-fire (MSViT paper, Appendix A)."""

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
        tracing = torch.jit.is_tracing()  # type: ignore[attr-defined]
        if x.is_meta and not tracing and not (torch.is_grad_enabled() and x.requires_grad):
            return torch.empty_like(x)  # only shapes are asked for
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
