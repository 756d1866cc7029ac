"""Accounting protocols: conventions that turn a profile into counted operations.

A protocol is a pure function from a Profile to one Operations per operator, in the profile's order. To add one, write
the function with a docstring that says what counts, and enter it in PROTOCOLS.
"""

from collections.abc import Callable
from dataclasses import dataclass

from msvit_energy.errors import EnergyError
from msvit_energy.records import Operator, Profile


@dataclass(frozen=True)
class Operations:
    """Multiply-accumulates and accumulates per image; `counted` is False for what a protocol leaves out by rule."""

    macs: float = 0.0
    acs: float = 0.0
    counted: bool = True


@dataclass(frozen=True)
class Protocol:
    """A named, cited way of counting."""

    name: str
    source: str
    count: Callable[[Profile], tuple[Operations, ...]]


def appendix_c(profile: Profile) -> tuple[Operations, ...]:
    """MSViT paper, Appendix C, equations 17 and 18.

    Entrance convolution with real-valued input: its MACs once, at E_MAC. Every other convolution and linear layer:
    input mean x T x MACs accumulates, integer-valued inputs at their mean. Products of activations: K^T V at the
    smaller of the two rates, the product with Q at the rate of Q. The head is not in equation 18 and so not in the sum;
    neither are batch norm, biases, column sums, masks, pooling and neuron updates.
    Two cases on which the paper is silent: an entrance fed with events (no floating-point input to encode) counts as
    accumulates, and a real-valued input elsewhere counts as MACs at every run, since no spike triggers it.
    """

    def count(operator: Operator) -> Operations:
        if operator.role == "head":
            return Operations(counted=False)
        if operator.driver.kind == "analog":
            runs = 1 if operator.role == "entrance" else operator.runs_per_image
            return Operations(macs=operator.macs_per_step * runs)
        return Operations(acs=operator.sops)

    return tuple(count(operator) for operator in profile.operators)


PROTOCOLS = {
    protocol.name: protocol
    for protocol in (Protocol("appendix-c", "MSViT, IJCAI 2025, arXiv 2505.14719, Appendix C", appendix_c),)
}


def get_protocol(name: str) -> Protocol:
    """The protocol of that name; EnergyError with the list for an unknown one."""
    if name not in PROTOCOLS:
        raise EnergyError(f"unknown protocol {name!r}; protocols: {', '.join(sorted(PROTOCOLS))}")
    return PROTOCOLS[name]
