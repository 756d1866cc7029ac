"""What ours is measured against: the same network with SpikingJelly's own neurons, every time step executed."""

from typing import Any

from spikingjelly.activation_based import neuron, surrogate

from msvit.lif_kernels import ALPHA
from msvit.neuron import LIF


def plain_neurons(model: Any) -> None:
    """Put SpikingJelly's LIFNode in the place of our neurons."""
    for module in list(model.modules()):
        for name, child in module.named_children():
            if isinstance(child, LIF):
                node = neuron.LIFNode(
                    tau=child.tau,
                    v_threshold=child.v_threshold,
                    v_reset=0.0,
                    detach_reset=True,
                    surrogate_function=surrogate.Sigmoid(alpha=ALPHA),
                    step_mode="m",
                )
                setattr(module, name, node)


def plain_frames(model: Any) -> None:
    """Feed T copies of an image, as the official code does; of a view repeated over T, what is constant runs once."""
    view = model.frames
    model.frames = lambda images: view(images).contiguous()
