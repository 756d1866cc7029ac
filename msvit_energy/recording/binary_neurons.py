"""Neurons that by their class emit nothing but 0 and 1, so that this need not be looked up in every batch."""

from torch import nn

SPIKINGJELLY = "spikingjelly.activation_based."
STEP_FUNCTIONS = frozenset(
    f"{SPIKINGJELLY}neuron.{name}"
    for name in (
        "integrate_and_fire.IFNode",
        "lif.LIFNode",
        "plif.ParametricLIFNode",
        "nonlinear_if.QIFNode",
        "nonlinear_if.EIFNode",
    )
)


def is_binary(neuron: nn.Module) -> bool:
    """Whether a neuron declares itself `binary`, or is one of SpikingJelly's that compare their membrane with a
    threshold, as it came from there."""
    declared = getattr(neuron, "binary", None)
    if declared is not None:
        return bool(declared)
    kind, step = type(neuron), getattr(neuron, "surrogate_function", None)
    return (
        f"{kind.__module__}.{kind.__qualname__}" in STEP_FUNCTIONS
        and "forward" not in vars(neuron)
        and type(step).__module__ == f"{SPIKINGJELLY}surrogate"
        and getattr(step, "spiking", False) is True
    )
