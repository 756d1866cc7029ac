"""Inputs with a sign or a constant factor, and real-valued ones: how much they are, and what they would cost otherwise.

The constant of whole numbers times one constant folds into the weights, so that n costs what n spikes cost; some count
them as the real numbers that they are.
"""

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction

from msvit_energy.profiles.operand import Operand
from msvit_energy.profiles.operators import Operator
from msvit_energy.profiles.profile import Profile

SCALED = {"scaled": ("accumulates", "macs")}  # option of protocols, and its values


def with_scaled(profile: Profile, scaled: str) -> Profile:
    """`profile` as the option says: "accumulates" as it is, "macs" with real numbers in place of scaled inputs."""
    return profile if scaled == "accumulates" else with_real_numbers(profile)


def with_real_numbers(profile: Profile) -> Profile:
    """`profile` with real numbers in place of inputs with a sign or a constant factor. Their means are of magnitudes,
    and without the constants of single channels and time steps, which a profile does not have."""
    if not any(operand.scaled for entry in profile.entries for operand in entry.operands):
        return profile
    operators = [
        replace(entry, operands=tuple(map(real, entry.operands)), pairs=None if _any_scaled(entry) else entry.pairs)
        for entry in profile.operators
    ]
    overheads = [replace(entry, operands=tuple(map(real, entry.operands))) for entry in profile.overheads]
    return replace(profile, operators=tuple(operators), overheads=tuple(overheads))


def real(operand: Operand) -> Operand:
    """A scaled input as real numbers; any other as it is."""
    if not operand.scaled:
        return operand
    return replace(
        operand,
        kind="analog",
        sums=tuple(Fraction(total) * operand.step for total in operand.sums),
        maximum=float(operand.maximum * operand.step),
        events=None,
        step=1,
        step_by="",
        signed=False,
    )


def _any_scaled(operator: Operator) -> bool:
    return any(operand.scaled for operand in operator.operands)


def is_integer(operator: Operator) -> bool:
    """Whether the driving input is plain whole numbers above 1."""
    return operator.driver.kind == "integer" and not operator.driver.scaled


def is_scaled(operator: Operator) -> bool:
    """Whether the driving input is whole numbers with a sign or a constant factor."""
    return operator.driver.scaled


def is_real(operator: Operator) -> bool:
    """Whether an operator inside of the network is fed with real numbers, entrances and heads apart."""
    return operator.driver.kind == "analog" and not operator.role


def share(profile: Profile, among: Callable[[Operator], bool]) -> float:
    """The share of the dense MACs in some operators."""
    macs = sum(operator.macs_per_step for operator in profile.operators if among(operator))
    return macs / profile.macs_per_step if macs else 0.0
