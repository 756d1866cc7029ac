"""Accounting protocols: conventions that turn a profile into counted operations.

Each has a function of counting_rules.py or memory_rules.py, its source, and its answers to the questions that matter,
which `msvit-energy protocols` prints. To add one, write the function and enter it in PROTOCOLS.
"""

from msvit_energy.errors import EnergyError, did_you_mean
from msvit_energy.pricing.counting_rules import (
    ann,
    appendix_c,
    appendix_c_mean,
    as_given,
    exact,
    sdt,
    spikformer,
    spikingformer_tool,
    spikingresformer,
    syops,
)
from msvit_energy.pricing.memory_protocols import MEMORY_PROTOCOLS
from msvit_energy.pricing.protocol import Protocol, ProtocolAnswers, ProtocolChoice
from msvit_energy.pricing.scaled_inputs import SCALED

FIRST_LAYER = {"first-layer": ("once", "every-step")}
CONSTANT = (  # what counted_runs does
    "Whatever is fed with no spikes and with the same at every time step, the second layer of a stem too, counts once, "
    "however often code repeats it (by the option: an entrance T times, all else as often as it ran)."
)

FOLDED = (  # what with_scaled does
    "So are those with a sign or a constant factor, by magnitude and without the constant, which folds into the "
    "weights: ternary spikes, n/4, k of n after average pooling, learned thresholds (option scaled=macs: multiply-"
    "accumulates at full density, as other real numbers)."
)
AS_REAL = "Those with a sign or a constant factor too, be they 0 and one other number."

RATE = {"rate": ("mean", "nonzero")}

PROTOCOLS = {
    protocol.name: protocol
    for protocol in (
        Protocol(
            "appendix-c",
            "MSViT, IJCAI 2025, arXiv 2505.14719, Appendix C",
            appendix_c,
            ProtocolAnswers(
                operators="convolutions, linear layers and products of activations.",
                rate=(
                    "mean of each operator's input, times T (option nonzero: its share of non-zero values; the "
                    "appendix does not define the rate further). Of ternary spikes both are the share of non-zero ones."
                ),
                integer_inputs=f"accumulates at their mean value. {FOLDED}",
                first_layer=(
                    "multiply-accumulates once (option: at every time step); at every time step if its input differs "
                    "between them. Fed with events, on which the paper is silent: accumulates, as everywhere. "
                    f"{CONSTANT}"
                ),
                products=(
                    "K^T V at the smaller of the two rates, the product with Q at the rate of Q. Option spikezip, for "
                    "attention converted as by SpikeZIP-TF (arXiv 2406.03470): with rates q, k and v, Q K^T at q + k + "
                    "min(q, k) and the product with V at v + min(q, k, v) + min(q, k), likewise in any other order of "
                    "the three; its layer norm and neurons are not counted, and products of spikes with other real "
                    "numbers are as without it."
                ),
                beside_macs=(
                    "nothing; batch norm, biases, column sums, masks, pooling and neuron updates are left out. A real-"
                    "valued input elsewhere, on which the paper is silent, is multiply-accumulates, since no spike "
                    "triggers it."
                ),
                head="left out, since it is not in equation 18.",
            ),
            FIRST_LAYER | RATE | {"products": ("smaller-rate", "spikezip")} | SCALED,
        ),
        Protocol(
            "appendix-c-mean",
            "the same, with the rate of github.com/Nanhu-AI-Lab/MSViT, compute_non_zero_rate",
            appendix_c_mean,
            ProtocolAnswers(
                operators="convolutions, linear layers and products of activations.",
                rate=(
                    "one for all: the sum of all inputs of convolutions and linear layers by the number of their "
                    "elements, times T (option nonzero: the share of their non-zero values, as QKFormer's function of "
                    "the same name has it). In one place the official file passes another tensor: the shortcut of the "
                    "second embedding counts what the main branch gives, not its own input. That is not done here, so "
                    "that the rate is not the one that is printed there."
                ),
                integer_inputs=f"accumulates at that mean, to which they contribute their values. {FOLDED}",
                first_layer=(
                    f"multiply-accumulates once (option: at every time step); its input is not in the mean. {CONSTANT}"
                ),
                products="at the same rate; their operands are not in the mean.",
                beside_macs="nothing. A real-valued input elsewhere is multiply-accumulates and not in the mean.",
                head="left out, and not in the mean.",
            ),
            FIRST_LAYER | RATE | SCALED,
        ),
        Protocol(
            "spikformer",
            "Spikformer, ICLR 2023, arXiv 2209.15425",
            spikformer,
            ProtocolAnswers(
                operators="convolutions, linear layers and spiking self-attention.",
                rate="mean of each operator's input, times T.",
                integer_inputs=f"accumulates at their mean value. {FOLDED}",
                first_layer=(
                    "multiply-accumulates once (option: at every time step; the paper's own table has one 0.347 G for "
                    f"every width, which is four steps of the 512-wide model). {CONSTANT}"
                ),
                products="K^T V first, at the smaller of the two rates, then the product with Q at the rate of Q.",
                beside_macs="nothing; batch norm is left out.",
                head="not stated; left out.",
            ),
            FIRST_LAYER | SCALED,
        ),
        Protocol(
            "spikingformer-tool",
            "github.com/zhouchenlin2096/Spikingformer at 4378623, energy_consumption_calculation",
            spikingformer_tool,
            ProtocolAnswers(
                operators="convolutions, linear layers, the head, and the two products of each attention.",
                rate="mean of each operator's input, times T; 1 for whatever is not pure 0 and 1.",
                integer_inputs=f"multiply-accumulates at full density. {AS_REAL}",
                first_layer="multiply-accumulates at every time step.",
                products="T x heads x N x d_head^2 x (min(rate of K, rate of V) + rate of Q), accumulates.",
                beside_macs=(
                    "a bias is one operation per output element (of a linear layer, which may run on tokens, one per "
                    "output feature and time step), of the kind and at the rate of its layer; batch norm, pooling and "
                    "neuron updates are left out."
                ),
                head="multiply-accumulates, at the runs it makes.",
            ),
        ),
        Protocol(
            "syops",
            "github.com/iCGY96/syops-counter at 4232f77",
            syops,
            ProtocolAnswers(
                operators=(
                    "convolutions, linear layers and the head. It sees modules only; here bare calls of the same "
                    "functions are counted too."
                ),
                rate="mean of each operator's input, times T; 1 for whatever is not pure 0 and 1.",
                integer_inputs=f"multiply-accumulates at full density. {AS_REAL}",
                first_layer="multiply-accumulates at every time step.",
                products="none, since they are no modules.",
                beside_macs=(
                    "batch norm is two multiply-accumulates per element, a neuron update one accumulate, both as often "
                    "as they ran; a bias is as by spikingformer-tool. Pooling, which it counts at the rate of what is "
                    "pooled, is left out here: a profile does not have that rate."
                ),
                head="multiply-accumulates, or accumulates where its input is spikes, at the runs it makes.",
            ),
        ),
        Protocol(
            "sdt",
            "Spike-driven Transformer, NeurIPS 2023, arXiv 2307.01694, supplement",
            sdt,
            ProtocolAnswers(
                operators=(
                    "convolutions and linear layers. Option convs=merged, after version 2 (SpikeYOLO issues 25, 28 and "
                    "44): those that follow each other without a neuron are one dense convolution on the spikes that "
                    "go into the first, by the order of the calls; refused where a profile does not tell its kernel."
                ),
                rate="share of non-zero inputs, times T (option: their mean).",
                integer_inputs=(
                    "do not occur in versions 1 and 2 by design; here accumulates at the non-zero share. In version 3 "
                    "(arXiv 2411.16061, I-LIF) a value n, or n/D, is n spikes over D virtual time steps, hence n "
                    f"accumulates: rate=mean. {FOLDED}"
                ),
                first_layer="multiply-accumulates at every time step.",
                products=("version 1 has none; others count at the non-zero share of the driving operand."),
                beside_macs=(
                    "mask attention is additions, one for each non-zero element that a column sum adds (N x D at its "
                    "non-zero share); masks themselves and batch norm, which is folded, are free."
                ),
                head="counted at every run, as accumulates where its input is spikes.",
            ),
            {"rate": ("nonzero", "mean"), "convs": ("as-run", "merged")} | SCALED,
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
                    "a value n is n accumulates at each synapse (option: one multiply-accumulate per non-zero value). "
                    f"{FOLDED}"
                ),
                first_layer=(
                    "real-valued inputs are the operator's dense multiply-accumulates, at every time step if they "
                    f"differ between them. {CONSTANT}"
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
            {"integers": ("accumulates", "macs")} | FIRST_LAYER | SCALED,
        ),
        Protocol(
            "spikingresformer",
            "SpikingResformer, CVPR 2024; github.com/xyshi2000/SpikingResformer at 3f75127, utils/utils.py, main.py",
            spikingresformer,
            ProtocolAnswers(
                operators="convolutions, linear layers and products, each with all weights 1 and its output summed.",
                rate="none; each spike counts once for every synapse that it reaches, so borders are as they are.",
                integer_inputs=f"counted with their value. {FOLDED}",
                first_layer="left out; the code skips it.",
                products="the operand that carries spikes is kept, the other is all ones.",
                beside_macs=(
                    "nothing. A real-valued input elsewhere, which that family has only in products, is "
                    "multiply-accumulates."
                ),
                head="left out; the code skips it.",
            ),
            SCALED,
        ),
        *MEMORY_PROTOCOLS,
        Protocol(
            "as-given",
            "the table that is priced, by its column priced_as",
            as_given,
            ProtocolAnswers(
                operators="all rows of the table.",
                rate="as the table has it, times runs.",
                integer_inputs="as the table says, AC or MAC.",
                first_layer="as the table says.",
                products="as the table says; accumulates that it counts stand for operations times rate.",
                beside_macs="nothing.",
                head="as the table says.",
            ),
            of_tables=True,
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
        near = did_you_mean(name, PROTOCOLS)
        raise EnergyError(f"unknown protocol {name!r}; {near}protocols: {', '.join(sorted(PROTOCOLS))}")
    protocol = PROTOCOLS[name]
    options = {}
    for part in filter(None, chosen.split(",")):
        option, _, value = part.partition("=")
        if value not in protocol.options.get(option, ()):
            right = ", ".join(f"{key}={'|'.join(values)}" for key, values in protocol.options.items()) or "none"
            raise EnergyError(f"protocol {name} has no option {part!r}; its options: {right}")
        options[option] = value
    return ProtocolChoice(protocol, options)


def all_choices(*, tables: bool = False) -> list[str]:
    """Every protocol, and every single option that is not the default; with `tables` those of tables of layers too."""
    texts = []
    for name, protocol in PROTOCOLS.items():
        if tables or not protocol.of_tables:
            texts.append(name)
            texts += [f"{name}:{option}={value}" for option, values in protocol.options.items() for value in values[1:]]
    return texts
