"""Networks of snnTorch: states inside (`init_hidden`) or passed along, and how its tutorials loop over time."""

import snntorch
import torch
from spikingjelly.activation_based import layer, neuron
from torch import Tensor, nn

from tests.support.gallery.entry import STEPS, Entry, images, multi_step, once, stepwise

THRESHOLD = 0.97  # which no sum of multiples of 1/8 meets: snnTorch fires above it, SpikingJelly from it on


def leaky(**kind: bool) -> snntorch.Leaky:
    """Without the delay, a reset is that of SpikingJelly."""
    return snntorch.Leaky(beta=0.5, threshold=THRESHOLD, reset_mechanism="zero", reset_delay=False, **kind)


def hidden() -> nn.Module:
    """States inside: a Sequential, called once per step."""
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1),
        leaky(init_hidden=True),
        nn.Flatten(),
        nn.Linear(64, 8),
        leaky(init_hidden=True),
        nn.Linear(8, 3),
        leaky(init_hidden=True, output=True),
    )


class Tutorial(nn.Module):
    """States passed along in a loop over `num_steps`, spikes and membranes recorded and stacked."""

    def __init__(self) -> None:
        super().__init__()
        self.num_steps = STEPS
        self.conv, self.lif1 = nn.Conv2d(1, 4, 3, padding=1), leaky()
        self.fc1, self.lif2 = nn.Linear(64, 8), leaky()
        self.fc2, self.lif3 = nn.Linear(8, 3), leaky()

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        mem1, mem2, mem3 = self.lif1.reset_mem(), self.lif2.reset_mem(), self.lif3.reset_mem()
        spikes, membranes = [], []
        for _ in range(self.num_steps):
            spk1, mem1 = self.lif1(self.conv(x), mem1)
            spk2, mem2 = self.lif2(self.fc1(spk1.flatten(1)), mem2)
            spk3, mem3 = self.lif3(self.fc2(spk2), mem3)
            spikes.append(spk3)
            membranes.append(mem3)
        return torch.stack(spikes), torch.stack(membranes)


class OverEvents(Tutorial):
    """The same over events `[T, B, ...]`, of which each step is read in turn."""

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        mem1, mem2, mem3 = self.lif1.reset_mem(), self.lif2.reset_mem(), self.lif3.reset_mem()
        spikes, membranes = [], []
        for step in range(x.shape[0]):
            spk1, mem1 = self.lif1(self.conv(x[step]), mem1)
            spk2, mem2 = self.lif2(self.fc1(spk1.flatten(1)), mem2)
            spk3, mem3 = self.lif3(self.fc2(spk2), mem3)
            spikes.append(spk3)
            membranes.append(mem3)
        return torch.stack(spikes), torch.stack(membranes)


def fire() -> neuron.LIFNode:
    return neuron.LIFNode(tau=2.0, decay_input=False, v_threshold=THRESHOLD)


def twin() -> nn.Module:
    return multi_step(
        layer.Conv2d(1, 4, 3, padding=1), fire(), layer.Flatten(), layer.Linear(64, 8), fire(), layer.Linear(8, 3),
        fire(),
    )  # fmt: skip


def of_events(model: nn.Module, batch: Tensor) -> object:
    return model(batch.transpose(0, 1))


SMALL, EVENTS = images(1, 4, 4), images(1, 4, 4, frames=STEPS)

ENTRIES = (
    Entry(
        "snnTorch init_hidden", "Leaky with states inside, called once per step", hidden, twin, SMALL, stepwise,
        passed={"time_steps": STEPS},
    ),
    Entry("snnTorch states", "states passed along in a loop over num_steps", Tutorial, twin, SMALL, once),
    Entry(
        "snnTorch events", "a loop over events [T, B, ...], batches [B, T, ...]", OverEvents, twin, EVENTS, of_events,
        passed={"frames": True}, frames=True,
    ),
)  # fmt: skip
