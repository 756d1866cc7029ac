"""How protocols count: pure functions from a Profile (and options) to the Operations of every entry that counts.

The result is by name: operators, and for some protocols column sums and masks. What a protocol leaves out by rule is
not in it. What each function says in words, and its source, is in protocols.py.
"""

from collections.abc import Callable, Mapping, Sequence

from msvit_energy.errors import EnergyError
from msvit_energy.pricing.merged_convolutions import merged
from msvit_energy.pricing.protocol import NOTHING, LayerOperations, Operations
from msvit_energy.pricing.scaled_inputs import with_real_numbers, with_scaled
from msvit_energy.profiles.amounts import Amount, Spread
from msvit_energy.profiles.operand import Operand
from msvit_energy.profiles.operators import Operator
from msvit_energy.profiles.profile import Profile


def counted_runs(operator: Operator, profile: Profile, first_layer: str) -> int:
    """How often an operator counts per image, by the option `first-layer`.

    "once": one run for what is fed with no spikes and with the same at every time step, such as an image. Whether code
    computes a constant stem once or T times is no property of the network. An entrance whose real-valued input nobody
    observed, as in a table of rates, is taken for one.
    "every-step": T runs for an entrance, unless neurons feed it. All else counts as often as it ran.
    """
    unchanged = encodes(operator) and not any(operand.varies for operand in operator.operands)
    if first_layer == "once" and (unchanged or constant(operator.operands)):
        return 1
    image = encodes(operator) or operator.driver.origin in ("input", "other")
    return profile.time_steps if operator.role == "entrance" and image else operator.runs_per_image


def constant(operands: Sequence[Operand]) -> bool:
    """Whether inputs are no spikes and were observed to be the same at all time steps."""
    return all(operand.varies is False and not operand.carries_spikes for operand in operands)


def encodes(operator: Operator) -> bool:
    """Whether an operator is an entrance with real-valued input; one that is fed with events is not."""
    return operator.role == "entrance" and operator.driver.kind == "analog"


def dense_macs(operator: Operator, runs: int) -> float:
    """All MACs of so many runs."""
    return operator.macs_per_image if runs == operator.runs_per_image else operator.macs_per_step * runs


def dense(operator: Operator, runs: int) -> Operations:
    """All MACs of so many runs, as multiply-accumulates."""
    return Operations(macs=Amount(dense_macs(operator, runs)))


RATES: dict[str, Callable[[Operand], Amount]] = {"mean": Operand.mean, "nonzero": Operand.nonzero_share}


def appendix_c(
    profile: Profile,
    *,
    first_layer: str = "once",
    rate: str = "mean",
    products: str = "smaller-rate",
    scaled: str = "accumulates",
) -> LayerOperations:
    """MSViT paper, Appendix C, equations 17 and 18."""
    profile = with_scaled(profile, scaled)
    running = _running_sums(profile, RATES[rate]) if products == "spikezip" else {}

    def of(operator: Operator) -> Amount:
        return running[operator.layer] if operator.layer in running else RATES[rate](operator.driver)

    return _by_layer(profile, first_layer, of)


def _running_sums(profile: Profile, rate: Callable[[Operand], Amount]) -> dict[str, Amount]:
    """SpikeZIP's rate of every product of attention, x + y + min(x, y) of its factors' rates.

    A factor that is the product of two others, by the calls inside one module, has the smaller of their rates.
    """
    found: dict[str, Amount] = {}
    before: tuple[str, Amount] | None = None  # the module of a product of spikes, its smaller rate
    for operator in profile.operators:
        module = operator.layer.rpartition(".")[0]
        factors = [rate(operand) for operand in operator.operands if operand.carries_spikes]
        if len(operator.operands) == 2 and len(factors) == 1 and before is not None and before[0] == module:
            factors.append(before[1])
        before = None
        if len(factors) == 2:
            smaller = min(factors, key=float)
            found[operator.layer] = factors[0] + factors[1] + smaller
            before = module, smaller
    return found


def appendix_c_mean(
    profile: Profile, *, first_layer: str = "once", rate: str = "mean", scaled: str = "accumulates"
) -> LayerOperations:
    """Appendix C with one rate for all operators."""
    profile = with_scaled(profile, scaled)
    layers = [
        operator.driver
        for operator in profile.operators
        if operator.role != "head" and len(operator.operands) == 1 and operator.driver.kind != "analog"
        and operator.role != "entrance"
    ]  # fmt: skip
    elements = sum(operand.elements for operand in layers)
    mean = sum((RATES[rate](operand) * (operand.elements / elements) for operand in layers), NOTHING)
    return _by_layer(profile, first_layer, lambda _: mean)


def spikformer(profile: Profile, *, first_layer: str = "once", scaled: str = "accumulates") -> LayerOperations:
    """Spikformer (ICLR 2023), equations 21 to 24: SOP = rate x T x MACs."""
    return _by_layer(with_scaled(profile, scaled), first_layer, lambda operator: operator.driver.mean())


def _by_layer(profile: Profile, first_layer: str, rate: Callable[[Operator], Amount]) -> LayerOperations:
    """Rate x MACs accumulates for all but the head, real-valued inputs at their dense MACs."""
    counted = {}
    for operator in profile.operators:
        if operator.role == "head":
            continue
        runs = counted_runs(operator, profile, first_layer)
        if operator.driver.kind == "analog":
            counted[operator.layer] = dense(operator, runs)
        else:
            counted[operator.layer] = Operations(acs=rate(operator) * dense_macs(operator, runs))
    return counted


def spikingformer_tool(profile: Profile) -> LayerOperations:
    """The convention of Spikingformer's published tool (energy_consumption_calculation at 4378623)."""
    profile = with_real_numbers(profile)
    every = operations_with_bias(profile)
    return {
        operator.layer: _at_rate(operator, every)
        if len(operator.operands) == 1
        else Operations(acs=operator.driver.mean() * every[operator.layer])
        for operator in profile.operators
    }


def syops(profile: Profile) -> LayerOperations:
    """The convention of syops-counter (github.com/iCGY96/syops-counter at 4232f77), pooling apart."""
    profile = with_real_numbers(profile)
    every = operations_with_bias(profile)
    counted = {
        operator.layer: _at_rate(operator, every) for operator in profile.operators if len(operator.operands) == 1
    }
    for entry in profile.overheads:
        if entry.op == "batch_norm":
            counted[entry.layer] = Operations(macs=Amount(2 * entry.elements_per_image))
        elif entry.op == "neuron_update":
            counted[entry.layer] = Operations(acs=Amount(entry.elements_per_image))
    return counted


def _at_rate(operator: Operator, every: Mapping[str, float]) -> Operations:
    """Of `every` dense operation, accumulates at the rate of an input of 0 and 1; else all as multiply-accumulates."""
    if operator.driver.kind == "binary":
        return Operations(acs=operator.driver.mean() * every[operator.layer])
    return Operations(macs=Amount(every[operator.layer]))


def operations_with_bias(profile: Profile) -> dict[str, float]:
    """Dense operations per image of every operator as Spikingformer's tool counts them: MACs plus one for each output
    element that receives a bias (of a linear layer one for each feature and time step, whatever the number of tokens),
    the first layer at every time step."""
    biases = {entry.layer: entry.elements_per_image for entry in profile.overheads if entry.op == "bias"}
    every = {}
    for operator in profile.operators:
        runs = counted_runs(operator, profile, "every-step")
        bias = biases.get(f"{operator.layer}.bias", 0) / operator.runs_per_image
        if operator.op == "linear" and bias:
            bias = operator.macs_per_image * profile.images / operator.driver.elements
        every[operator.layer] = (operator.macs_per_step + bias) * runs
    return every


def sdt(
    profile: Profile, *, rate: str = "nonzero", convs: str = "as-run", scaled: str = "accumulates"
) -> LayerOperations:
    """Spike-driven Transformer (NeurIPS 2023) and its group's spreadsheets: E_AC x T x R x FLOPs."""
    profile = with_scaled(profile, scaled)
    counted = {}
    for operator in (merged(profile) if convs == "merged" else profile).operators:
        runs = counted_runs(operator, profile, "every-step")
        if operator.driver.kind == "analog":
            counted[operator.layer] = dense(operator, runs)
        else:
            counted[operator.layer] = Operations(acs=RATES[rate](operator.driver) * dense_macs(operator, runs))
    for entry in profile.overheads:
        if entry.op == "column_sum":  # one accumulate for each element that is added
            counted[entry.layer] = Operations(acs=RATES[rate](entry.flow()) * entry.elements_per_image)
    return counted


def exact(
    profile: Profile, *, integers: str = "accumulates", first_layer: str = "once", scaled: str = "accumulates"
) -> LayerOperations:
    """Synaptic events counted one by one, as SpikingJelly's SynOpCounter does, a constant stem once."""
    profile = with_scaled(profile, scaled)
    counted: LayerOperations = {}
    for operator in profile.operators:
        kind, runs = operator.driver.kind, counted_runs(operator, profile, first_layer)
        nonzero = kind == "integer" and integers == "macs" and len(operator.operands) == 1
        if kind == "analog":
            counted[operator.layer] = dense(operator, runs)
        else:
            events = operator.events(profile.images, nonzero=nonzero) * (runs / operator.runs_per_image)
            counted[operator.layer] = Operations(macs=events) if nonzero else Operations(acs=events)
    for entry in profile.overheads:
        if entry.op in ("column_sum", "mask"):
            gated = entry.flow()
            runs = 1 if first_layer == "once" and constant(entry.operands) else len(gated.sums)
            elements = gated.elements / profile.images / len(gated.sums) * runs
            counted[entry.layer] = Operations(acs=gated.mean() * elements)
    return counted


def spikingresformer(profile: Profile, *, scaled: str = "accumulates") -> LayerOperations:
    """SpikingResformer's official counter: every layer run with all weights 1, its output summed."""
    profile = with_scaled(profile, scaled)
    counted = {}
    for operator in profile.operators:
        runs = counted_runs(operator, profile, "once")
        if operator.driver.kind == "analog" and not operator.role:
            counted[operator.layer] = dense(operator, runs)
        elif not operator.role:
            reached = operator.driver.reached(profile.images)
            counted[operator.layer] = Operations(acs=reached * (runs / operator.runs_per_image))
    return counted


def lemaire_estimate(profile: Profile) -> LayerOperations:
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


def as_given(profile: Profile) -> LayerOperations:
    """A table's own convention: every row at the price that its authors applied."""
    prices = profile.provenance.priced_as
    missing = [operator.layer for operator in profile.operators if operator.layer not in prices]
    if missing:
        raise EnergyError(
            "as-given follows the column priced_as (AC or MAC) of a table; there is none for "
            f"{len(missing)} layers, such as {missing[0]}"
        )
    counted = {operator.layer: operator.driver.mean() * operator.macs_per_image for operator in profile.operators}
    return {
        layer: Operations(macs=count) if prices[layer] == "MAC" else Operations(acs=count)
        for layer, count in counted.items()
    }


def ann(profile: Profile) -> LayerOperations:
    """A dense network of the same shape, without time: E_MAC x MACs (MSViT paper, Appendix C, equation 19)."""
    return {operator.layer: dense(operator, 1) for operator in profile.operators}
