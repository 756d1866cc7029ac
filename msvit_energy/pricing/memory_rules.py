"""How protocols that count memory do it: pure functions from a Profile to operations and memory accesses.

They need the sizes of each layer (LayerShape), which a measured profile and a model's geometry have. An access is one
word that is read or written; what it costs depends on the memory that it goes to, and is the technology's.
"""

from collections.abc import Mapping, Sequence
from math import ceil, log2

from msvit_energy.errors import EnergyError
from msvit_energy.pricing.counting_rules import counted_runs, dense_macs
from msvit_energy.pricing.protocol import LayerOperations, Memory, Operations
from msvit_energy.pricing.scaled_inputs import with_real_numbers
from msvit_energy.profiles.amounts import Amount
from msvit_energy.profiles.layer_shape import LayerShape
from msvit_energy.profiles.operand import Operand
from msvit_energy.profiles.operators import NeuronLayer, Operator
from msvit_energy.profiles.profile import Profile

MESSAGE_BITS = 32  # of a spike on its way: the address of a neuron
QUEUE = Memory(1000, MESSAGE_BITS)  # messages that wait before and behind a layer, as in Lemaire et al. 2022
OFF_CHIP = Memory(None)


def memory(
    profile: Profile, *, schedule: str = "event-driven", weights: str = "resident", neurons: str = "leaky"
) -> LayerOperations:
    """Operations, and every access to memory that they cause, per image. Of an operator with r the mean and z the share
    of non-zero values of its input, D its dense MACs, I its inputs and O its outputs, all runs together:

    - operations: r D accumulates; D multiply-accumulates of real-valued input;
    - event-driven: z I messages read from a queue; for each of the z D synapses that they reach, a weight is read and
      the potential behind it read and written;
    - dense, and whatever has real-valued input: I inputs read once, as few bits as they need; a weight read for each of
      the D MACs; results kept in a register, written once and read once by what follows: 2 O;
    - weights that are streamed come from off-chip memory once per image, since all T steps of a layer can run together.

    Of a layer of N neurons over T steps: T N multiply-accumulates, or accumulates if they only integrate; 2 T N
    accesses to potentials; a message written for each spike, or (dense) one bit for each neuron and step.

    No weight is kept for the next position of a map, so this is an upper bound for convolutions. Products of
    activations hold one operand in place of weights. Batch norm is folded; biases, pooling, masks and column sums are
    left out.
    """
    counted: LayerOperations = {}
    for operator in profile.operators:
        runs = counted_runs(operator, profile, "once")
        at_events = schedule == "event-driven" and operator.driver.kind != "analog"
        moved = _event_driven(operator, profile, runs) if at_events else _dense(operator, profile, runs)
        shape = shape_of(operator)
        if weights == "streamed" and shape.weights:
            moved[OFF_CHIP] = Amount(shape.weights)
        counted[operator.layer] = _computed(operator, runs, moved)
    readers = readers_of(profile)
    for layer in profile.neurons:
        states = layer.elements / profile.images
        updates = Amount(states * len(layer.sums))
        fired = (
            (QUEUE, spikes_out(layer, readers, profile))
            if schedule == "event-driven"
            else (Memory(ceil(states), 1), updates)
        )
        accesses = _accesses((Memory(ceil(states)), updates * 2), fired)
        arithmetic = {"macs" if neurons == "leaky" else "acs": updates}
        counted[name_of(layer, counted)] = Operations(**arithmetic, accesses=accesses)
    return counted


def _accesses(*words: tuple[Memory, Amount | float]) -> dict[Memory, Amount]:
    """Words by the memory that they are read from or written to; memories of one size are one."""
    found: dict[Memory, Amount] = {}
    for where, some in words:
        found[where] = found.get(where, Amount()) + some
    return found


def _computed(operator: Operator, runs: int, accesses: Mapping[Memory, Amount]) -> Operations:
    if operator.driver.kind == "analog":
        return Operations(macs=Amount(dense_macs(operator, runs)), accesses=accesses)
    return Operations(acs=operator.driver.mean() * dense_macs(operator, runs), accesses=accesses)


def _event_driven(operator: Operator, profile: Profile, runs: int) -> dict[Memory, Amount]:
    """Accesses of an operator that runs when spikes arrive."""
    shape, share = shape_of(operator), runs / operator.runs_per_image
    arriving = operator.driver.nonzero_share()
    reached = arriving * dense_macs(operator, runs)
    return _accesses(
        (QUEUE, arriving * (inputs_of(operator.driver, profile) * share)),
        (held_by(operator, profile), reached),
        (Memory(ceil(shape.outputs / operator.runs_per_image)), reached * 2),
    )


def _dense(operator: Operator, profile: Profile, runs: int, bits: int | None = None) -> dict[Memory, Amount]:
    """Accesses of an operator that visits every synapse; inputs have so many bits, or as many as they need."""
    shape, share = shape_of(operator), runs / operator.runs_per_image
    inputs, outputs = inputs_of(operator.driver, profile), shape.outputs
    wide = bits_of(operator.driver) if bits is None else bits
    return _accesses(
        (Memory(ceil(inputs / operator.runs_per_image), wide), inputs * share),
        (held_by(operator, profile), dense_macs(operator, runs)),
        (Memory(ceil(outputs / operator.runs_per_image)), 2 * outputs * share),
    )


def lemaire(profile: Profile, *, neurons: str = "leaky", prices: str = "spikingjelly") -> LayerOperations:
    """Lemaire et al. 2022 from counts, in its formulas as SpikingJelly corrects them (an input spike acts through C_out
    k^2 synapses, once). Per image, of a layer with `in` input spikes of 0 and 1, k taps and strides s:

    - accumulates: in C_out ceil(k / s)^2, and one for each output that has a bias;
    - memory: `in` words read from a queue, in C_out k^2 weights (and one bias for each output), and as many potentials
      read and written;
    - addresses: in C_out k^2 accumulates, and of a convolution 2 in multiply-accumulates.

    Any other input is that of a dense layer: all MACs with as many weights read, inputs read once (of a convolution
    once for each MAC), addresses by counting up inputs, outputs and C_out k^2 taps. Of N neurons over T steps: 2 T N
    accesses to potentials, T N multiply-accumulates unless they only integrate, and for each spike an accumulate and a
    message written.

    Products of activations, of which the paper has none, hold one operand in place of weights. Each run is by itself:
    buffers hold one time step, also where code runs all steps in one call.
    """
    del prices  # by Protocol.own_prices
    profile = with_real_numbers(profile)
    biases = {entry.layer: entry.elements_per_image for entry in profile.overheads if entry.op == "bias"}
    counted: LayerOperations = {}
    for operator in profile.operators:
        bias = biases.get(f"{operator.layer}.bias", 0)
        rule = _lemaire_events if operator.driver.kind == "binary" else _lemaire_dense
        counted[operator.layer] = rule(operator, profile, bias)
    readers = readers_of(profile)
    for layer in profile.neurons:
        states, written = layer.elements / profile.images, spikes_out(layer, readers, profile)
        updates = Amount(states * len(layer.sums))
        counted[name_of(layer, counted)] = Operations(
            macs=updates * float(neurons == "leaky"),
            acs=written,
            accesses=_accesses((Memory(ceil(states), MESSAGE_BITS), updates * 2), (QUEUE, written)),
        )
    return counted


def _lemaire_events(operator: Operator, profile: Profile, bias: int) -> Operations:
    shape, inputs = shape_of(operator), inputs_of(operator.driver, profile)
    spikes = operator.driver.mean() * inputs
    fan_out = operator.macs_per_image / inputs  # of a product
    synapses, targets = (shape.synapses, shape.targets) if shape.channels else (fan_out, fan_out)
    accesses = _accesses(
        (QUEUE, spikes),
        (_with_bias(operator, profile, bias), spikes * synapses + bias),
        (Memory(ceil(shape.outputs / operator.runs_per_image), MESSAGE_BITS), spikes * (2 * synapses)),
    )
    located = spikes * (2.0 if shape.taps else 0.0)
    return Operations(macs=located, acs=spikes * (targets + synapses) + bias, accesses=accesses)


def _lemaire_dense(operator: Operator, profile: Profile, bias: int) -> Operations:
    shape, inputs, macs = shape_of(operator), inputs_of(operator.driver, profile), operator.macs_per_image
    every_tap = shape.synapses * shape.groups * operator.runs_per_image if shape.taps else 0
    written = 0 if profile.neurons else shape.outputs  # which a network without spikes does
    accesses = _accesses(
        (Memory(ceil(inputs / operator.runs_per_image), MESSAGE_BITS), macs if shape.taps else inputs),
        (_with_bias(operator, profile, bias), macs + bias),
        (Memory(ceil(shape.outputs / operator.runs_per_image), MESSAGE_BITS), written),
    )
    return Operations(Amount(macs), Amount(bias + inputs + shape.outputs + every_tap), accesses)


def _with_bias(operator: Operator, profile: Profile, bias: int) -> Memory:
    """Where an operator's weights and biases are, words of 32 bits."""
    shape, words = shape_of(operator), held_by(operator, profile).words or 0
    return Memory(words + (shape.channels * shape.groups if bias else 0), MESSAGE_BITS)


def qnn(profile: Profile, *, memory: str = "none") -> LayerOperations:
    """A dense network of the same shape, without time, in numbers of b = ceil(log2(T + 1)) bits, which tell apart as
    many values as T spikes (arXiv 2409.08290; `rival_bits`): every MAC once, at the price of an integer MAC of that
    width. By the option also D weights read, I inputs of b bits read, O results written and read, as `memory` does of a
    dense schedule, and streamed weights from off-chip memory. Weights and results are as wide as those of the
    technology, since T says nothing of them."""
    bits = rival_bits(profile)
    price = integer_mac_pj(bits)
    counted = {}
    for operator in profile.operators:
        accesses = {} if memory == "none" else _dense(operator, profile, 1, bits)
        if memory == "streamed" and shape_of(operator).weights:
            accesses[OFF_CHIP] = Amount(shape_of(operator).weights)
        counted[operator.layer] = Operations(accesses=accesses, other_pj=Amount(operator.macs_per_step * price))
    return counted


def rival_bits(profile: Profile) -> int:
    """Bits that tell apart as many values as T outputs of a neuron: ceil(log2(T + 1)) for spikes, ceil(log2(D T + 1))
    where a neuron gives up to D of them at once."""
    outputs = (operand for operator in profile.operators for operand in operator.operands if operand.origin == "spikes")
    most = max((operand.maximum for operand in outputs if operand.kind != "analog"), default=1.0)
    return ceil(log2(max(1.0, most) * profile.time_steps + 1))


def integer_mac_pj(bits: int) -> float:
    """Price of an integer multiply-accumulate of a width at 45 nm: Horowitz' 0.2 pJ and 0.03 pJ for a multiplication
    and an addition of 8 bits, the one by the square of the width, the other in proportion. (That gives 3.2 and 0.12 pJ
    for 32 bits, where Horowitz has 3.1 and 0.1.)"""
    return 0.2 * (bits / 8) ** 2 + 0.03 * (bits / 8)


def shape_of(operator: Operator) -> LayerShape:
    """The sizes of an operator; EnergyError where a profile lacks them."""
    if operator.shape is None:
        raise EnergyError(
            f"{operator.layer}: memory depends on its weights and outputs, which are unknown; measure again, or give a "
            "table the columns inputs, outputs, weights and, of convolutions, kernel and stride"
        )
    return operator.shape


def inputs_of(operand: Operand, profile: Profile) -> float:
    """Values that flow in per image, all runs together."""
    return operand.elements / profile.images


def held_by(operator: Operator, profile: Profile) -> Memory:
    """The memory that is read at every synapse: the weights, or of a product the operand that does not drive it."""
    shape, driver = shape_of(operator), operator.driver
    if shape.weights:
        return Memory(shape.weights)
    other = next((operand for operand in operator.operands if operand.name != driver.name), driver)
    return Memory(ceil(inputs_of(other, profile) / len(other.sums)))


def bits_of(operand: Operand) -> int:
    """Bits of an input that is stored as it is: 1 of spikes, more of their sums, 0 (those of the technology) of real
    numbers."""
    if operand.kind == "analog":
        return 0
    return max(1, ceil(log2(operand.maximum + 1))) + operand.signed


def spikes_out(layer: NeuronLayer, readers: Mapping[str, Sequence[Operand]], profile: Profile) -> Amount:
    """Spikes of a layer of neurons per image. What varies over images is known where an operator reads them as they
    are; else their number counts as certain in intervals."""
    total = float(sum(layer.sums)) / profile.images
    for operand in readers.get(layer.neuron, ()):
        if operand.sums == layer.sums and operand.kind != "analog":
            return Amount(total, {operand.key("value")[0]: 1 / profile.images})
    return Amount(total)


def readers_of(profile: Profile) -> dict[str, list[Operand]]:
    """Operands that come from one layer of neurons, by that layer, in the order of the operators."""
    readers: dict[str, list[Operand]] = {}
    for operator in profile.operators:
        for operand in operator.operands:
            if len(operand.neurons) == 1:
                readers.setdefault(operand.neurons[0], []).append(operand)
    return readers


def name_of(layer: NeuronLayer, counted: Mapping[str, Operations]) -> str:
    """A layer of neurons as an entry beside operators, which may have the same name."""
    return layer.neuron if layer.neuron not in counted else f"{layer.neuron} (neurons)"
