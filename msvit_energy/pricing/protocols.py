"""Accounting protocols: conventions that turn a profile into counted operations.

A protocol is a pure function from a Profile (and its options) to the Operations of every entry that it counts, by
name: operators, and for some protocols column sums and masks. What it leaves out by rule is not in the result. To add
one, write the function and enter it in PROTOCOLS with its source and its answers to the questions that matter, which
`msvit-energy protocols` prints.
"""

from collections.abc import Callable

from msvit_energy.errors import EnergyError
from msvit_energy.pricing.protocol import (
    NOTHING,
    LayerOperations,
    Operations,
    Protocol,
    ProtocolAnswers,
    ProtocolChoice,
)
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


def _estimated(profile: Profile) -> Spread:
    """The spread over the images that were estimated, which are fewer than those profiled."""
    assert profile.memory is not None
    return profile.memory.spread()


def ann(profile: Profile) -> LayerOperations:
    """A dense network of the same shape, without time: E_MAC x MACs (MSViT paper, Appendix C, equation 19)."""
    return {operator.layer: dense(operator, runs=1) for operator in profile.operators}


FIRST_LAYER = {"first-layer": ("once", "every-step")}

PROTOCOLS = {
    protocol.name: protocol
    for protocol in (
        Protocol(
            "appendix-c",
            "MSViT, IJCAI 2025, arXiv 2505.14719, Appendix C",
            appendix_c,
            ProtocolAnswers(
                operators="convolutions, linear layers and products of activations.",
                rate="mean of each operator's input, times T.",
                integer_inputs="accumulates at their mean value.",
                first_layer=(
                    "multiply-accumulates once (option: at every time step); at every time step if its input differs "
                    "between them. Fed with events, on which the paper is silent: accumulates, as everywhere."
                ),
                products="K^T V at the smaller of the two rates, the product with Q at the rate of Q.",
                beside_macs=(
                    "nothing; batch norm, biases, column sums, masks, pooling and neuron updates are left out. A real-"
                    "valued input elsewhere, on which the paper is silent, is multiply-accumulates at every run, since "
                    "no spike triggers it."
                ),
                head="left out, since it is not in equation 18.",
            ),
            FIRST_LAYER,
        ),
        Protocol(
            "appendix-c-mean",
            "the same, with the rate of github.com/Nanhu-AI-Lab/MSViT, compute_non_zero_rate",
            appendix_c_mean,
            ProtocolAnswers(
                operators="convolutions, linear layers and products of activations.",
                rate=(
                    "one for all: the sum of all inputs of convolutions and linear layers by the number of their "
                    "elements, times T."
                ),
                integer_inputs="accumulates at that mean, to which they contribute their values.",
                first_layer="multiply-accumulates once (option: at every time step); its input is not in the mean.",
                products="at the same rate; their operands are not in the mean.",
                beside_macs="nothing. A real-valued input elsewhere is multiply-accumulates and not in the mean.",
                head="left out, and not in the mean.",
            ),
            FIRST_LAYER,
        ),
        Protocol(
            "spikformer",
            "Spikformer, ICLR 2023, arXiv 2209.15425",
            spikformer,
            ProtocolAnswers(
                operators="convolutions, linear layers and spiking self-attention.",
                rate="mean of each operator's input, times T.",
                integer_inputs="accumulates at their mean value.",
                first_layer=(
                    "multiply-accumulates once (option: at every time step; the paper's own table has one 0.347 G for "
                    "every width, which is four steps of the 512-wide model)."
                ),
                products="K^T V first, at the smaller of the two rates, then the product with Q at the rate of Q.",
                beside_macs="nothing; batch norm is left out.",
                head="not stated; left out.",
            ),
            FIRST_LAYER,
        ),
        Protocol(
            "spikingformer-tool",
            "github.com/zhouchenlin2096/Spikingformer at 4378623, energy_consumption_calculation",
            spikingformer_tool,
            ProtocolAnswers(
                operators="convolutions, linear layers, the head, and the two products of each attention.",
                rate="mean of each operator's input, times T; 1 for whatever is not pure 0 and 1.",
                integer_inputs="multiply-accumulates at full density.",
                first_layer="multiply-accumulates at every time step.",
                products="T x heads x N x d_head^2 x (min(rate of K, rate of V) + rate of Q), accumulates.",
                beside_macs=(
                    "a bias is one operation per output element, of the kind and at the rate of its layer; batch norm, "
                    "pooling and neuron updates are left out."
                ),
                head="multiply-accumulates, at the runs it makes.",
            ),
        ),
        Protocol(
            "sdt",
            "Spike-driven Transformer, NeurIPS 2023, arXiv 2307.01694, supplement",
            sdt,
            ProtocolAnswers(
                operators="convolutions and linear layers.",
                rate="share of non-zero inputs, times T.",
                integer_inputs="do not occur in that family by design; here accumulates at the non-zero share.",
                first_layer="multiply-accumulates at every time step.",
                products=(
                    "the family has none; those of other families count at the non-zero share of the driving operand."
                ),
                beside_macs=(
                    "mask attention is additions, one for each non-zero element that a column sum adds (N x D at its "
                    "non-zero share); masks themselves and batch norm, which is folded, are free."
                ),
                head="counted at every run, as accumulates where its input is spikes.",
            ),
        ),
        Protocol(
            "exact",
            "synaptic operations as SpikingJelly's op_counter.SynOpCounter counts them",
            exact,
            ProtocolAnswers(
                operators="all that ran.",
                rate=(
                    "none; each spike counts once for every synapse that it reaches, so borders and strides count as "
                    "they are."
                ),
                integer_inputs=(
                    "a value n is n accumulates at each synapse (option: one multiply-accumulate per non-zero value)."
                ),
                first_layer=(
                    "real-valued inputs are the operator's dense multiply-accumulates, as often as it was executed."
                ),
                products=(
                    "of two spike tensors, the pairs of spikes that meet; of spikes with anything else, one accumulate "
                    "for each element that a spike selects."
                ),
                beside_macs=(
                    "a column sum is one accumulate for each unit of its inputs, a mask one for each spike that it "
                    "lets pass or stops; biases, batch norm, pooling and neuron updates are left out."
                ),
                head="counted as any other layer.",
            ),
            {"integers": ("accumulates", "macs")},
        ),
        Protocol(
            "lemaire",
            "Lemaire et al. 2022, arXiv 2210.13107, by SpikingJelly's op_counter.estimate_lemaire_energy",
            lemaire,
            ProtocolAnswers(
                operators="convolutions, linear layers and neurons, as the estimator counts them at batch size 1.",
                rate="none; events are counted.",
                integer_inputs="multiply-accumulates.",
                first_layer="a dense layer, at every time step that is executed.",
                products=(
                    "none; the estimator sees layers with weights only, and its warnings, kept in the profile, say so."
                ),
                beside_macs=(
                    "neuron updates, addresses, and memory accesses whose price grows with the buffer; a layer that "
                    "runs all time steps in one call is taken as one with T times the output."
                ),
                head="counted as any other layer.",
            ),
            spread=_estimated,
        ),
        Protocol(
            "ann",
            "MSViT, IJCAI 2025, arXiv 2505.14719, equation 19",
            ann,
            ProtocolAnswers(
                operators="convolutions, linear layers and products of activations.",
                rate="1, every input counts.",
                integer_inputs="multiply-accumulates.",
                first_layer="multiply-accumulates once.",
                products="multiply-accumulates.",
                beside_macs="nothing.",
                head="counted.",
            ),
        ),
    )
}


def get_protocol(text: str) -> ProtocolChoice:
    """The protocol that `text` names, with its options; EnergyError with the right ones for anything unknown."""
    name, _, chosen = text.partition(":")
    if name not in PROTOCOLS:
        raise EnergyError(f"unknown protocol {name!r}; protocols: {', '.join(sorted(PROTOCOLS))}")
    protocol = PROTOCOLS[name]
    options = {}
    for part in filter(None, chosen.split(",")):
        option, _, value = part.partition("=")
        if value not in protocol.options.get(option, ()):
            right = ", ".join(f"{key}={'|'.join(values)}" for key, values in protocol.options.items()) or "none"
            raise EnergyError(f"protocol {name} has no option {part!r}; its options: {right}")
        options[option] = value
    return ProtocolChoice(protocol, options)


def all_choices() -> list[str]:
    """Every protocol, and every single option that is not the default."""
    texts = []
    for name, protocol in PROTOCOLS.items():
        texts.append(name)
        texts += [f"{name}:{option}={value}" for option, values in protocol.options.items() for value in values[1:]]
    return texts
