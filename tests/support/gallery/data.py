"""Batches as loaders give them, and event frames in every layout."""

from types import SimpleNamespace
from typing import Any

import torch
from spikingjelly.activation_based import functional, layer, neuron
from torch import Tensor, nn

from tests.support.gallery.entry import STEPS, Entry, images, multi_step, once, stepwise
from tests.support.gallery.home_made import BatchFirstNet, TimeLastNet, class_twin


def network() -> nn.Sequential:
    return nn.Sequential(
        layer.Conv2d(1, 4, 3, padding=1),
        neuron.LIFNode(),
        layer.Conv2d(4, 4, 3, stride=2, padding=1),
        neuron.LIFNode(),
        layer.Flatten(),
        layer.Linear(36, 5),
    )


class HuggingFace(nn.Module):
    """The output is an object with `.logits`; T is in the loop only."""

    def __init__(self) -> None:
        super().__init__()
        self.net = network()

    def forward(self, pixel_values: Tensor) -> SimpleNamespace:
        functional.reset_net(self.net)
        outputs = [self.net(pixel_values) for _ in range(STEPS)]
        return SimpleNamespace(logits=torch.stack(outputs).mean(0), loss=None)


def of_dicts(model: nn.Module, batch: dict[str, Tensor]) -> object:
    return model(batch["pixel_values"])


def of_pairs(model: nn.Module, batch: tuple[Tensor, ...]) -> object:
    return stepwise(model, batch[0])


def frame_by_frame(model: nn.Module, batch: Tensor) -> object:
    return [model(batch[:, t]) for t in range(batch.shape[1])]


def with_time_last(model: nn.Module, batch: Tensor) -> object:
    return model(batch.movedim(1, -1))


def residual(**kind: Any) -> nn.Module:
    """SEW ResNet's block: spikes are added to spikes, behind batch norm."""

    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.stem, self.bn1, self.lif1 = layer.Conv2d(1, 4, 3, padding=1), layer.BatchNorm2d(4), neuron.IFNode()
            self.conv, self.bn2, self.lif2 = layer.Conv2d(4, 4, 3, padding=1), layer.BatchNorm2d(4), neuron.IFNode()
            self.last, self.lif3, self.fc = layer.Conv2d(4, 4, 3, 2, 1), neuron.IFNode(), layer.Linear(36, 5)
            for norm in (self.bn1, self.bn2):
                norm.running_mean, norm.running_var = torch.arange(4.0) / 8, torch.arange(4.0) + 0.5

        def forward(self, x: Tensor) -> Tensor:
            x = self.lif1(self.bn1(self.stem(x)))
            x = x + self.lif2(self.bn2(self.conv(x)))
            return self.fc(self.lif3(self.last(x)).flatten(-3))

    return multi_step(Block())[0] if kind else Block()


class Functional(nn.Module):
    """Plain layers over `[T, B, ...]` by SpikingJelly's functions."""

    def __init__(self) -> None:
        super().__init__()
        self.T = STEPS
        self.conv1, self.conv2, self.fc = nn.Conv2d(1, 4, 3, padding=1), nn.Conv2d(4, 4, 3, 2, 1), nn.Linear(36, 5)
        self.lif1, self.lif2 = neuron.LIFNode(), neuron.LIFNode()

    def forward(self, x: Tensor) -> Tensor:
        x = x.unsqueeze(0).repeat(self.T, 1, 1, 1, 1)
        x = functional.multi_step_forward(functional.seq_to_ann_forward(x, self.conv1), self.lif1)
        x = functional.multi_step_forward(functional.seq_to_ann_forward(x, self.conv2), self.lif2)
        return functional.seq_to_ann_forward(x.flatten(2), self.fc).mean(0)


PICTURES, EVENTS = images(1, 6, 6), images(1, 6, 6, frames=STEPS)
DICTS = tuple({"pixel_values": batch, "labels": torch.zeros(len(batch), dtype=torch.long)} for batch in PICTURES)
PAIRS = tuple((batch, torch.zeros(len(batch), dtype=torch.long)) for batch in PICTURES)
T_IS, FRAMES = {"time_steps": STEPS}, {"frames": True}

ENTRIES = (
    Entry(
        "dict batches", "batches as dicts, output with .logits, T in the loop only", HuggingFace, class_twin, DICTS,
        of_dicts,
    ),
    Entry("labelled batches", "batches (images, labels)", network, class_twin, PAIRS, of_pairs, passed=T_IS),
    Entry(
        "events stepwise", "events [B, T, ...], a call for each frame", network, class_twin, EVENTS, frame_by_frame,
        passed=FRAMES, frames=True,
    ),
    Entry(
        "events batch first", "events [B, T, ...], neurons loop over axis 1", BatchFirstNet, class_twin, EVENTS, once,
        passed=FRAMES, frames=True,
    ),
    Entry(
        "events time last", "events [B, T, ...], the model wants [B, ..., T]", TimeLastNet, class_twin, EVENTS,
        with_time_last, passed=FRAMES, frames=True,
    ),
    Entry(
        "residual", "batch norm, sums of spikes, as in SEW ResNet", residual, lambda: residual(twin=True), PICTURES,
        stepwise, passed=T_IS,
    ),
    Entry(
        "functional", "functional.seq_to_ann_forward and multi_step_forward", Functional, class_twin, PICTURES, once,
    ),
)  # fmt: skip
