"""How protocols count: pure functions from a Profile (and options) to the Operations of every entry that counts.

The result is by name: operators, and for some protocols column sums and masks. What a protocol leaves out by rule is
not in it. What each function says in words, and its source, is in protocols.py.
"""

from collections.abc import Callable

from msvit_energy.errors import EnergyError
from msvit_energy.pricing.protocol import NOTHING, LayerOperations, Operations
from msvit_energy.profiles.amounts import Amount, Spread
from msvit_energy.profiles.operators import Operator
from msvit_energy.profiles.profile import Profile


def dense(operator: Operator, *, runs: int | None = None) -> Operations:
    """All MACs of an operator, at every run or as often as `runs` says."""
    macs = operator.macs_per_image if runs is None else operator.macs_per_step * runs
    return Operations(macs=Amount(macs))


def entrance(operator: Operator, profile: Profile, first_layer: str) -> Operations:
    """What encodes real numbers: once, or at every time step, as it must be where they differ between time steps."""
    once = first_layer == "once" and not operator.driver.varies
    return dense(operator, runs=1 if once else profile.time_steps)


def encodes(operator: Operator) -> bool:
    """Whether an operator is an entrance with real-valued input; one that is fed with events is not."""
    return operator.role == "entrance" and operator.driver.kind == "analog"


def appendix_c(profile: Profile, *, first_layer: str = "once") -> LayerOperations:
    """MSViT paper, Appendix C, equations 17 and 18."""
    return _by_layer(profile, first_layer, lambda operator: operator.driver.mean())


def appendix_c_mean(profile: Profile, *, first_layer: str = "once") -> LayerOperations:
    """Appendix C with the one rate that MSViT's official code prints."""
    layers = [
        operator.driver
        for operator in profile.operators
        if operator.role != "head" and len(operator.operands) == 1 and operator.driver.kind != "analog"
        and operator.role != "entrance"
    ]  # fmt: skip
    elements = sum(operand.elements for operand in layers)
    mean = sum((operand.mean() * (operand.elements / elements) for operand in layers), NOTHING)
    return _by_layer(profile, first_layer, lambda _: mean)


def spikformer(profile: Profile, *, first_layer: str = "once") -> LayerOperations:
    """Spikformer (ICLR 2023), equations 21 to 24: SOP = rate x T x MACs."""
    return _by_layer(profile, first_layer, lambda operator: operator.driver.mean())


def _by_layer(profile: Profile, first_layer: str, rate: Callable[[Operator], Amount]) -> LayerOperations:
    """Rate x MACs accumulates for all but the head, real-valued inputs at their dense MACs."""
    counted = {}
    for operator in profile.operators:
        if operator.role == "head":
            continue
        if encodes(operator):
            counted[operator.layer] = entrance(operator, profile, first_layer)
        elif operator.driver.kind == "analog":
            counted[operator.layer] = dense(operator)
        else:
            counted[operator.layer] = Operations(acs=rate(operator) * operator.macs_per_image)
    return counted


def spikingformer_tool(profile: Profile) -> LayerOperations:
    """The convention of Spikingformer's published tool (energy_consumption_calculation at 4378623)."""
    every = operations_with_bias(profile)
    counted = {}
    for operator in profile.operators:
        if operator.driver.kind == "binary" or len(operator.operands) > 1:
            counted[operator.layer] = Operations(acs=operator.driver.mean() * every[operator.layer])
        else:
            counted[operator.layer] = Operations(macs=Amount(every[operator.layer]))
    return counted


def operations_with_bias(profile: Profile) -> dict[str, float]:
    """Dense operations per image of every operator as Spikingformer's tool counts them: MACs plus one for each output
    element that receives a bias, the first layer at every time step."""
    biases = {entry.layer: entry.elements_per_image for entry in profile.overheads if entry.op == "bias"}
    every = {}
    for operator in profile.operators:
        runs = profile.time_steps if operator.role == "entrance" else operator.runs_per_image
        per_run = operator.macs_per_step + biases.get(f"{operator.layer}.bias", 0) / operator.runs_per_image
        every[operator.layer] = per_run * runs
    return every


def sdt(profile: Profile) -> LayerOperations:
    """Spike-driven Transformer (NeurIPS 2023) and its group's spreadsheets: E_AC x T x R x FLOPs."""
    counted = {}
    for operator in profile.operators:
        if encodes(operator):
            counted[operator.layer] = dense(operator, runs=profile.time_steps)
        elif operator.driver.kind == "analog":
            counted[operator.layer] = dense(operator)
        else:
            counted[operator.layer] = Operations(acs=operator.driver.nonzero_share() * operator.macs_per_image)
    return counted | _column_sums(profile)


def _column_sums(profile: Profile) -> LayerOperations:
    """One accumulate for each non-zero element that is added."""
    return {
        entry.layer: Operations(acs=entry.flow().nonzero_share() * entry.elements_per_image)
        for entry in profile.overheads
        if entry.op == "column_sum"
    }


def exact(profile: Profile, *, integers: str = "accumulates") -> LayerOperations:
    """Synaptic events counted one by one, as SpikingJelly's SynOpCounter does."""
    counted: LayerOperations = {}
    for operator in profile.operators:
        kind = operator.driver.kind
        if kind == "analog":
            counted[operator.layer] = dense(operator)
        elif kind == "integer" and integers == "macs" and len(operator.operands) == 1:
            counted[operator.layer] = Operations(macs=operator.events(profile.images, nonzero=True))
        else:
            counted[operator.layer] = Operations(acs=operator.events(profile.images))
    for entry in profile.overheads:
        if entry.op in ("column_sum", "mask"):
            gated = entry.flow()
            counted[entry.layer] = Operations(acs=gated.mean() * (gated.elements / profile.images))
    return counted


def lemaire(profile: Profile) -> LayerOperations:
    """Lemaire et al. 2022 by SpikingJelly's estimator: operations, addressing and memory; prices are its own."""
    memory = profile.memory
    if memory is None:
        raise EnergyError(
            "the profile has no estimate after Lemaire et al.; it depends on more than rates: measure again with "
            "`profile --lemaire N`"
        )
    return {f"lemaire.{part}": Operations(other_pj=memory.mean(part)) for part in memory.parts_pj}


def estimated(profile: Profile) -> Spread:
    """The spread over the images that were estimated, which are fewer than those profiled."""
    assert profile.memory is not None
    return profile.memory.spread()


def ann(profile: Profile) -> LayerOperations:
    """A dense network of the same shape, without time: E_MAC x MACs (MSViT paper, Appendix C, equation 19)."""
    return {operator.layer: dense(operator, runs=1) for operator in profile.operators}
