"""Neuromorphic chips and processors: what one synaptic operation costs on them, by who published or read it.

A price per synaptic operation stands for a whole application that somebody measured: memory and routing are in it, and
so are the network, the voltage and the node, which are not those of a profile. Loihi 2 is not here, since no source
gives a figure.
"""

from dataclasses import dataclass

from msvit_energy.errors import EnergyError
from msvit_energy.pricing.protocol import NOTHING
from msvit_energy.profiles.amounts import Amount
from msvit_energy.profiles.profile import Profile

SENECA_TABLE = "Tang et al., Frontiers in Neuroscience 2023 (PMC10326429), Table 3: energy per SOp"
SANA_FE = "SANA-FE arch/loihi.yaml, after Davies et al., IEEE Micro 2018"
KERAS = "as keras-spiking's model_energy reads it"


@dataclass(frozen=True)
class Chip:
    """Prices in pJ: of a synaptic operation, and where the source has them of the update of a neuron in each time step
    and of a spike that a neuron emits. None is not in the source, and not counted."""

    name: str
    e_sop: float
    source: str
    e_neuron: float | None = None
    e_spike: float | None = None

    @property
    def counts(self) -> str:
        """What is priced, in words."""
        parts = [("neuron updates", self.e_neuron), ("spikes", self.e_spike)]
        return " and ".join(["synaptic operations", *(name for name, price in parts if price is not None)])


CHIPS = {
    chip.name: chip
    for chip in (
        Chip("Tianjic", 1.54, f"{SENECA_TABLE} (Deng et al. 2020)"),
        Chip("TrueNorth", 2.5, f"{SENECA_TABLE} (Akopyan et al. 2015)"),
        Chip("SENECA", 2.8, SENECA_TABLE),
        Chip("ReckOn", 5.3, f"{SENECA_TABLE} (Frenkel and Indiveri 2022)"),
        Chip("SpiNNaker2", 10, f"{SENECA_TABLE} (Höppner et al. 2021)"),
        Chip("ODIN", 12.7, f"{SENECA_TABLE} (Frenkel et al. 2018)"),
        Chip("NeuronFlow", 20, f"{SENECA_TABLE} (Moreira et al. 2020)"),
        Chip("Loihi", 23.6, f"{SENECA_TABLE} (Davies et al. 2018)"),
        Chip("uBrain", 26, f"{SENECA_TABLE} (Stuijt et al. 2021)"),
        Chip("SpiNNaker", 45, f"{SENECA_TABLE} (Stromatias et al. 2013)"),
        Chip(
            "Loihi (SANA-FE, convolution)",
            24.0,
            f"{SANA_FE}: synapse 24.0; neuron access 51.2 + update 21.6; spike 69.3 + axon out 111 (76.8 at "
            "0d49da8); hops (3.0 to 4.2) depend on the placement and are left out",
            e_neuron=72.8,
            e_spike=180.3,
        ),
        Chip(
            "Loihi (SANA-FE, dense)",
            35.5,
            f"{SANA_FE}: the same with synapse 35.5",
            e_neuron=72.8,
            e_spike=180.3,
        ),
        Chip(
            "Loihi (keras-spiking)", 27.1, f"Davies et al., IEEE Micro 2018, {KERAS}: 81 per neuron update", e_neuron=81
        ),
        Chip(
            "SpiNNaker2 (keras-spiking)",
            450,
            f"Höppner et al., ISCAS 2017 (a prototype), {KERAS}: 2190 per neuron update",
            e_neuron=2190,
        ),
    )
}
PROCESSORS = {
    chip.name: chip
    for chip in (
        Chip("GPU, Titan", 300, f"Degnan et al., IEEE TVLSI 2016, {KERAS}: 300 per operation of a dense network"),
        Chip("CPU, i7", 8600, f"Degnan et al., IEEE TVLSI 2016, {KERAS}: 8600 per operation of a dense network"),
    )
}


def on_chip(profile: Profile, chip: Chip) -> tuple[Amount, float]:
    """Energy per image of what runs as spikes, in pJ, and the multiply-accumulates of real-valued input that it leaves
    out, since no source prices them: synaptic operations counted one by one, where they were, else rate x MACs."""
    operations, left_out = NOTHING, 0.0
    for operator in profile.operators:
        if operator.driver.kind == "analog":
            left_out += operator.macs_per_image
            continue
        try:
            operations += operator.events(profile.images)
        except EnergyError:
            operations += operator.driver.mean() * operator.macs_per_image
    updates = sum(layer.elements * len(layer.sums) for layer in profile.neurons) / profile.images
    spikes = float(sum(sum(layer.sums) for layer in profile.neurons)) / profile.images
    return operations * chip.e_sop + updates * (chip.e_neuron or 0.0) + spikes * (chip.e_spike or 0.0), left_out


def on_processor(profile: Profile, processor: Chip) -> Amount:
    """Energy per image of a dense network of the same shape, in pJ: every MAC of one pass."""
    return Amount(profile.macs_per_step * processor.e_sop)
