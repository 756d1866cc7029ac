"""Convolutions that follow each other without a neuron, re-parameterised into one before they are counted.

A profile has no kernels. Of pointwise convolutions and one depthwise convolution, all of stride 1, the kernel follows
from the counts: a depthwise one makes as many outputs as the next has inputs, with k x k MACs each.
"""

import math
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise

from msvit_energy.errors import EnergyError
from msvit_energy.profiles.operators import Operator
from msvit_energy.profiles.profile import Profile


def merged(profile: Profile) -> Profile:
    """`profile` with one dense convolution in place of each chain, under the name and with the input of its first.

    A chain begins with a convolution or linear layer on spikes; each one after it whose input is real-valued, other
    than a head, belongs to it: what lies between is taken to be linear, such as batch norm. EnergyError for a chain
    whose merged kernel does not follow from the counts.
    """
    chains: list[list[Operator]] = []
    for operator in profile.operators:
        if chains and _continues(chains[-1][0], operator):
            chains[-1].append(operator)
        else:
            chains.append([operator])
    operators = tuple(_as_one(chain, profile.images) if len(chain) > 1 else chain[0] for chain in chains)
    return replace(profile, operators=operators)


def _continues(first: Operator, operator: Operator) -> bool:
    weighted = len(first.operands) == len(operator.operands) == 1
    return weighted and first.driver.carries_spikes and operator.driver.origin == "other" and not operator.role


def _as_one(chain: Sequence[Operator], images: int) -> Operator:
    """Each input element of the first reaches k x k positions of every channel that the last gives."""
    first, last = chain[0], chain[-1]
    kernels = [
        Fraction(operator.macs_per_image * images, after.driver.elements)
        for operator, after in pairwise(chain)
        if not _pointwise(operator, images)
    ]
    if len(kernels) > 1 or not _pointwise(last, images) or not all(map(_odd_square, kernels)):
        names = ", ".join(operator.layer for operator in chain)
        raise EnergyError(
            f"{names} follow each other without neurons, but are not one depthwise convolution and pointwise ones of "
            "stride 1 behind or around it: what they are as one is not in a profile"
        )
    outputs = last.macs_per_image * images // last.driver.elements
    macs = first.driver.elements * outputs * math.prod(kernels) / images
    return replace(first, macs_per_image=round(macs))


def _pointwise(operator: Operator, images: int) -> bool:
    """Whether every input element reaches each output channel once."""
    fan_out = operator.driver.fan_out
    return fan_out is not None and operator.driver.elements * fan_out == operator.macs_per_image * images


def _odd_square(kernel: Fraction) -> bool:
    """k x k of a depthwise convolution; a dense one has that times the number of its channels, which is even."""
    root = math.isqrt(int(kernel))
    return root**2 == kernel and root % 2 == 1
