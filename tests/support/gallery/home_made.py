"""Neurons that their authors wrote themselves: as a class, a function, a closure, and with time in other places."""

from collections.abc import Callable

import torch
from spikingjelly.activation_based import layer, neuron
from torch import Tensor, nn
from torch.nn import functional as F

from tests.support.gallery.entry import STEPS, Entry, Fire, images, multi_step, once, stepwise

# a class that remembers, called once per step


class LIF(nn.Module):
    """v += (x - v) / 2, a spike from 1 on, which sets v to 0."""

    def __init__(self) -> None:
        super().__init__()
        self.v: Tensor | float = 0.0

    def forward(self, x: Tensor) -> Tensor:
        v = self.v + (x - self.v) / 2
        spikes = Fire.apply(v - 1.0)
        self.v = v * (1 - spikes)
        return spikes


class ClassNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.lif1 = nn.Conv2d(1, 4, 3, padding=1), LIF()
        self.conv2, self.lif2 = nn.Conv2d(4, 4, 3, stride=2, padding=1), LIF()
        self.fc = nn.Linear(36, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.lif1(self.conv1(x))
        x = self.lif2(self.conv2(x))
        return self.fc(x.flatten(1))


class MarkedLIF(LIF):
    """The attribute says that it is a neuron."""

    activation_op = "neuron"


class MarkedNet(ClassNet):
    def __init__(self) -> None:
        super().__init__()
        self.lif1, self.lif2 = MarkedLIF(), MarkedLIF()


def class_twin() -> nn.Module:
    return multi_step(
        layer.Conv2d(1, 4, 3, padding=1),
        neuron.LIFNode(),
        layer.Conv2d(4, 4, 3, stride=2, padding=1),
        neuron.LIFNode(),
        layer.Flatten(),
        layer.Linear(36, 5),
    )


# a function, with the states passed along in a loop over time


def lif_step(x: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
    v = v + (x - v) / 2
    spikes = Fire.apply(v - 1.0)
    return spikes, v * (1 - spikes)


class FunctionNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.T = STEPS
        self.fc1, self.fc2, self.fc3 = nn.Linear(16, 12), nn.Linear(12, 8), nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        v1, v2 = x.new_zeros(len(x), 12), x.new_zeros(len(x), 8)
        outputs = []
        for _ in range(self.T):
            spikes, v1 = lif_step(self.fc1(x.flatten(1)), v1)
            spikes, v2 = lif_step(self.fc2(spikes), v2)
            outputs.append(self.fc3(spikes))
        return torch.stack(outputs).mean(0)


def function_twin() -> nn.Module:
    layers = layer.Linear(16, 12), neuron.LIFNode(), layer.Linear(12, 8), neuron.LIFNode(), layer.Linear(8, 3)
    return multi_step(layer.Flatten(), *layers)


# a closure that remembers in a variable of the function around it, and bare calls


def make_lif() -> Callable[[Tensor, int], Tensor]:
    v: Tensor | float = 0.0

    def fire(x: Tensor, step: int) -> Tensor:
        nonlocal v
        v = x / 2 if step == 0 else v + (x - v) / 2
        spikes = (v >= 1.0).to(x.dtype)
        v = torch.where(spikes > 0, 0.0, v)
        return spikes

    return fire


class ClosureNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fire1, self.fire2 = make_lif(), make_lif()
        self.w1_weight, self.w2_weight = nn.Parameter(torch.empty(12, 16)), nn.Parameter(torch.empty(8, 12))
        self.w3_weight = nn.Parameter(torch.empty(3, 8))

    def forward(self, x: Tensor) -> Tensor:
        total: Tensor | float = 0.0
        for step in range(STEPS):
            spikes = self.fire1(F.linear(x.flatten(1), self.w1_weight), step)
            spikes = self.fire2(F.linear(spikes, self.w2_weight), step)
            total = total + spikes @ self.w3_weight.t()
        return total / STEPS


def closure_twin() -> nn.Module:
    sizes = (16, 12), (12, 8), (8, 3)
    first, second, third = (layer.Linear(*size, bias=False) for size in sizes)
    return multi_step(layer.Flatten(), first, neuron.LIFNode(), second, neuron.LIFNode(), third)


# batch first: neurons that loop over axis 1


class LoopLIF(nn.Module):
    """Over `[B, T, ...]`, as in TET and its successors."""

    def __init__(self, threshold: float = 1.0) -> None:
        super().__init__()
        self.threshold = threshold

    def forward(self, x: Tensor) -> Tensor:
        v: Tensor | float = 0.0
        spikes = []
        for t in range(x.shape[1]):
            v = v + (x[:, t] - v) / 2
            spikes.append(Fire.apply(v - self.threshold))
            v = v * (1 - spikes[-1])
        return torch.stack(spikes, dim=1)


class OverTime(nn.Module):
    """A layer on every step of `[B, T, ...]`."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: Tensor) -> Tensor:
        return self.inner(x.flatten(0, 1)).unflatten(0, x.shape[:2])


class BatchFirstNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2 = OverTime(nn.Conv2d(1, 4, 3, padding=1)), OverTime(nn.Conv2d(4, 4, 3, 2, 1))
        self.lif1, self.lif2, self.fc = LoopLIF(), LoopLIF(), OverTime(nn.Linear(36, 5))

    def forward(self, x: Tensor) -> Tensor:
        x = self.lif2(self.conv2(self.lif1(self.conv1(x))))
        return self.fc(x.flatten(2)).mean(1)


def batch_first(model: nn.Module, batch: Tensor) -> object:
    return model(batch.unsqueeze(1).repeat(1, STEPS, 1, 1, 1))


# time last, as in STBP and its successors


class TimeLastLIF(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        v, out = torch.zeros_like(x[..., 0]), torch.zeros_like(x)
        for t in range(x.shape[-1]):
            v = v + (x[..., t] - v) / 2
            out[..., t] = Fire.apply(v - 1.0)
            v = v * (1 - out[..., t])
        return out


class TdLayer(nn.Module):
    """A layer on every step of `[..., T]`."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: Tensor) -> Tensor:
        return torch.stack([self.inner(x[..., t]) for t in range(x.shape[-1])], dim=-1)


class TimeLastNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2 = TdLayer(nn.Conv2d(1, 4, 3, padding=1)), TdLayer(nn.Conv2d(4, 4, 3, 2, 1))
        self.spike, self.spike2, self.fc = TimeLastLIF(), TimeLastLIF(), TdLayer(nn.Linear(36, 5))

    def forward(self, x: Tensor) -> Tensor:
        x = self.spike2(self.conv2(self.spike(self.conv1(x))))
        return self.fc(x.flatten(1, 3)).mean(-1)


def time_last(model: nn.Module, batch: Tensor) -> object:
    return model(batch.unsqueeze(-1).repeat(1, 1, 1, 1, STEPS))


PICTURES, SMALL = images(1, 6, 6), images(1, 4, 4)
T_IS = {"time_steps": STEPS}

ENTRIES = (
    Entry("class", "home-made LIF, a class; one step a call", ClassNet, class_twin, PICTURES, stepwise, passed=T_IS),
    Entry(
        "marked class", 'the same, marked by activation_op = "neuron"', MarkedNet, class_twin, PICTURES, stepwise,
        passed=T_IS,
    ),
    Entry("function", "LIF as a function, loop over self.T inside", FunctionNet, function_twin, SMALL, once),
    Entry(
        "closure", "LIF as a closure, bare F.linear and @, T a constant", ClosureNet, closure_twin, SMALL, once,
        passed=T_IS,
    ),
    Entry(
        "batch first", "neurons loop over axis 1, layers over [B*T, ...]", BatchFirstNet, class_twin, PICTURES,
        batch_first, passed=T_IS,
    ),
    Entry(
        "time last", "STBP style, layers and neurons loop over [..., T]", TimeLastNet, class_twin, PICTURES,
        time_last, passed=T_IS,
    ),
)  # fmt: skip
