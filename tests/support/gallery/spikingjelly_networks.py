"""Networks of SpikingJelly: step modes, containers, converted, recurrent, encoders, signed and graded spikes."""

from functools import cache
from typing import Any

import torch
from spikingjelly.activation_based import encoding, functional, layer, neuron
from spikingjelly.activation_based.ann2snn import FXConverter
from spikingjelly.activation_based.ann2snn.recipes.rate_coding import RateCodingRecipe
from torch import Tensor, nn

from tests.support.gallery.entry import STEPS, Entry, images, multi_step, once, stepwise, time_first


def convolutional(fire: Any = neuron.LIFNode, **kind: Any) -> nn.Sequential:
    return nn.Sequential(
        layer.Conv2d(1, 4, 3, padding=1),
        fire(**kind),
        layer.AvgPool2d(2),
        layer.Conv2d(4, 6, 3, padding=1),
        fire(**kind),
        layer.Flatten(),
        layer.Linear(54, 5),
    )


def multi_step_twin() -> nn.Module:
    return multi_step(*convolutional())


def repeated_inside() -> nn.Module:
    """It repeats the image behind its first layer, and takes the mean over time."""

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.T = STEPS
            self.stem, self.rest = nn.Conv2d(1, 4, 3, padding=1), multi_step(*convolutional()[1:])

        def forward(self, x: Tensor) -> Tensor:
            x = self.stem(x).unsqueeze(0).repeat(self.T, 1, 1, 1, 1)
            return self.rest(x).mean(0)

    return Net()


# containers


def containers() -> nn.Module:
    """Stateless layers in SeqToANNContainer, single-step neurons in MultiStepContainer."""
    plain = convolutional()
    return nn.Sequential(
        layer.SeqToANNContainer(nn.Conv2d(1, 4, 3, padding=1)),
        layer.MultiStepContainer(neuron.LIFNode()),
        layer.SeqToANNContainer(nn.AvgPool2d(2), nn.Conv2d(4, 6, 3, padding=1)),
        layer.MultiStepContainer(neuron.LIFNode()),
        layer.SeqToANNContainer(plain[5], nn.Linear(54, 5)),
    )


# converted


def artificial(fire: type[nn.Module]) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(1, 4, 3), fire(), nn.Conv2d(4, 6, 3, padding=1), fire(), nn.Flatten(), nn.Linear(96, 5)
    )


def converted() -> nn.Module:
    """By SpikingJelly's ann2snn: neurons between two scales, which spikes are multiplied with."""
    torch.manual_seed(0)
    pictures = torch.cat(images(1, 6, 6))
    recipe = RateCodingRecipe([(pictures, torch.zeros(len(pictures)))])
    return FXConverter(recipe=recipe).convert(artificial(nn.ReLU).eval())


class Scaled(neuron.IFNode):
    """A neuron with the scales of the converted network."""

    def __init__(self, before: float, after: float) -> None:
        super().__init__(v_reset=None, step_mode="m")
        self.before, self.after = before, after

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x * self.before) * self.after


@cache
def scales() -> list[tuple[float, float]]:
    found = [float(each.scale) for each in converted().modules() if type(each).__name__ == "VoltageScaler"]
    return list(zip(found[::2], found[1::2], strict=True))


def units() -> dict[str, float]:
    """Of what flows into the layers: spikes are as high as the scale behind their neuron."""
    (_, first), (_, second) = scales()
    return {"2.weight": first, "5.weight": second}


def converted_twin() -> nn.Module:
    (first, second), network = scales(), artificial(nn.ReLU)
    conv1, _, conv2, _, _, _ = network
    return multi_step(
        layer.SeqToANNContainer(conv1), Scaled(*first), layer.SeqToANNContainer(conv2), Scaled(*second),
        layer.Flatten(), layer.Linear(96, 5),
    )  # fmt: skip


# recurrent


def recurrent() -> nn.Module:
    """Spikes go back into the same layer one step later, through a linear layer."""
    return nn.Sequential(
        layer.Flatten(),
        layer.Linear(16, 8),
        layer.LinearRecurrentContainer(neuron.LIFNode(), in_features=8, out_features=8),
        layer.Linear(8, 3),
    )


class RecurrentByHand(nn.Module):
    """The same with the feedback written out, over `[T, B, ...]`."""

    def __init__(self) -> None:
        super().__init__()
        self.fc1, self.back, self.lif = nn.Linear(16, 8), nn.Linear(16, 8), neuron.LIFNode()
        self.fc2 = nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        spikes, outputs = x.new_zeros(x.shape[1], 8), []
        for current in self.fc1(x.flatten(2)):
            spikes = self.lif(self.back(torch.cat((current, spikes), dim=-1)))
            outputs.append(spikes)
        return self.fc2(torch.stack(outputs))


# an encoder inside


class Encoded(nn.Module):
    """Latency coding inside: a pixel fires once, the earlier the brighter it is."""

    def __init__(self) -> None:
        super().__init__()
        self.T = STEPS
        self.encoder = encoding.LatencyEncoder(STEPS)
        self.net = nn.Sequential(*convolutional())

    def forward(self, x: Tensor) -> Tensor:
        total: Tensor | float = 0.0
        for _ in range(self.T):
            total = total + self.net(self.encoder(x))
        return total / self.T


def latency(batch: Tensor) -> Tensor:
    """The frames `[B, T, ...]` of latency coding: step (T - 1) (1 - x), rounded."""
    first = ((STEPS - 1.0) * (1.0 - batch)).round().long()
    return nn.functional.one_hot(first, STEPS).movedim(-1, 1).to(batch)


# signed and graded spikes


def ternary() -> nn.Module:
    return convolutional(neuron.TernaryLIFNode, v_threshold=0.5)


class Graded(nn.Module):
    """I-LIF with up to 4 spikes at once, over 4, as in SpikeYOLO and Spike-driven Transformer V3."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.lif1 = layer.Conv2d(1, 4, 3, padding=1), neuron.ILIFNode()
        self.conv2, self.lif2 = layer.Conv2d(4, 6, 3, padding=1), neuron.ILIFNode()
        self.fc = layer.Linear(216, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.lif1(self.conv1(x)) / 4
        x = self.lif2(self.conv2(x)) / 4
        return self.fc(x.flatten(-3))


def graded_twin() -> nn.Module:
    model = Graded()
    functional.set_step_mode(model, "m")
    return model


def ternary_twin() -> nn.Module:
    return multi_step(*ternary().children())


PICTURES, SMALL = images(1, 6, 6), images(1, 4, 4)
T_IS = {"time_steps": STEPS}


ENTRIES = (
    Entry(
        "SpikingJelly s", "step_mode = s, called once per step", convolutional, multi_step_twin, PICTURES, stepwise,
        passed=T_IS,
    ),
    Entry(
        "SpikingJelly m", "step_mode = m, called with [T, B, ...]", multi_step_twin, containers, PICTURES,
        time_first, passed=T_IS,
    ),
    Entry(
        "repeated inside", "repeats the image behind its first layer, T = self.T", repeated_inside, multi_step_twin,
        PICTURES, once,
    ),
    Entry(
        "containers", "SeqToANNContainer and MultiStepContainer", containers, multi_step_twin, PICTURES, time_first,
        passed=T_IS,
    ),
    Entry(
        "converted", "by ann2snn from ReLU; spikes times a scale", converted, converted_twin, PICTURES, stepwise,
        passed=T_IS, weights=False, units=units,
    ),
    Entry(
        "recurrent", "LinearRecurrentContainer, called once per step", recurrent, RecurrentByHand, SMALL, stepwise,
        passed=T_IS,
    ),
    Entry(
        "encoder inside", "LatencyEncoder in the loop over self.T", Encoded, multi_step_twin, PICTURES, once,
        twin_batches=tuple(latency(batch) for batch in PICTURES), frames=True,
    ),
    Entry("ternary", "spikes of -1, 0 and 1", ternary, ternary_twin, PICTURES, stepwise, passed=T_IS),
    Entry(
        "ILIF n/4", "up to 4 spikes at once, over 4", Graded, graded_twin, PICTURES, stepwise, passed=T_IS,
    ),
)  # fmt: skip
