"""Protocols that count accesses to memory, and the quantised rival: their sources and answers."""

from msvit_energy.pricing.counting_rules import estimated, lemaire_estimate
from msvit_energy.pricing.memory_rules import lemaire, memory, qnn
from msvit_energy.pricing.protocol import Protocol, ProtocolAnswers

LEMAIRE = "Lemaire et al. 2022, arXiv 2210.13107"
NEURONS = {"neurons": ("leaky", "integrate")}
OWN = {"spikingjelly": "45nm-int32:sram=per-32-bits", "paper": "lemaire"}

MEMORY_PROTOCOLS = (
    Protocol(
        "memory",
        "this package: operations of Appendix C, and the accesses to memory that they cause (memory_rules.py)",
        memory,
        ProtocolAnswers(
            operators=(
                "convolutions, linear layers and products of activations, and every layer of neurons. Option schedule="
                "dense visits all synapses, whatever fires; option weights=streamed has them come from off-chip memory "
                "once per image, else they are on the chip."
            ),
            rate="mean of each operator's input for operations, its share of non-zero values for accesses.",
            integer_inputs=(
                "accumulates at their mean value; one message and one access to each synapse, whatever the value. So "
                "are those with a sign or a constant factor."
            ),
            first_layer="multiply-accumulates once, as in Appendix C, with a weight read for each.",
            products="at the smaller of the two rates; the other operand is read as weights are.",
            beside_macs=(
                "neuron updates: a multiply-accumulate at each step, by the leak (option neurons=integrate: an "
                "accumulate; a profile does not tell which neurons leak), two accesses to the potential, and a message "
                "for each spike. Batch norm is folded; biases, pooling, masks and column "
                "sums are left out. No weight is kept for the next position of a map, so that this is an upper bound "
                "for convolutions. In intervals, spikes that no operator reads as they are count as certain."
            ),
            head="counted.",
        ),
        {"schedule": ("event-driven", "dense"), "weights": ("resident", "streamed")} | NEURONS,
    ),
    Protocol(
        "lemaire",
        f"{LEMAIRE}, in its formulas as SpikingJelly's op_counter.estimate_lemaire_energy corrects them",
        lemaire,
        ProtocolAnswers(
            operators=(
                "convolutions, linear layers, products of activations, and neurons. Priced with 32-bit integers at 45 "
                "nm and SpikingJelly's reading of memory (option prices=paper: the line that the paper fits to it; "
                "technology: those that are asked for)."
            ),
            rate="mean of each operator's input.",
            integer_inputs="multiply-accumulates of a dense layer. Those with a sign or a constant factor too.",
            first_layer="a dense layer, at every time step that is executed.",
            products=(
                "accumulates at the smaller of the two rates; the other operand is read as weights are. The paper has "
                "none, and SpikingJelly's estimator does not see them."
            ),
            beside_macs=(
                "neuron updates, biases, addresses, and memory accesses whose price grows with the buffer. Buffers are "
                "those of one time step, also where code runs all steps in one call, which the estimator takes for one "
                "layer with T times the output. In intervals, spikes that no operator reads as they are count as "
                "certain."
            ),
            head="counted as any other layer.",
        ),
        NEURONS | {"prices": ("spikingjelly", "paper", "technology")},
        own_prices=OWN,
    ),
    Protocol(
        "lemaire-estimate",
        f"{LEMAIRE}, by SpikingJelly's op_counter.estimate_lemaire_energy itself (`profile --lemaire N`)",
        lemaire_estimate,
        ProtocolAnswers(
            operators="convolutions, linear layers and neurons, as the estimator counts them at batch size 1.",
            rate="none; events are counted.",
            integer_inputs="multiply-accumulates.",
            first_layer="a dense layer, at every time step that is executed.",
            products="none; it sees layers with weights only, and its warnings, kept in the profile, say so.",
            beside_macs=(
                "neuron updates, addresses, and memory accesses whose price grows with the buffer; a layer that "
                "runs all time steps in one call is taken as one with T times the output."
            ),
            head="counted as any other layer.",
        ),
        spread=estimated,
    ),
    Protocol(
        "qnn",
        "arXiv 2409.08290: a dense network of ceil(log2(T + 1)) bits, which tell apart as many values as T spikes",
        qnn,
        ProtocolAnswers(
            operators=(
                "convolutions, linear layers and products of activations, each MAC once, at the price of an integer "
                "MAC of that width at 45 nm. Option memory=resident: also weights, as wide as those of the technology, "
                "inputs and results that are read and written; streamed: weights come from off-chip memory."
            ),
            rate="1, every input counts.",
            integer_inputs="integer multiply-accumulates.",
            first_layer="integer multiply-accumulates, once.",
            products="integer multiply-accumulates.",
            beside_macs="nothing.",
            head="counted.",
        ),
        {"memory": ("none", "resident", "streamed")},
    ),
)
