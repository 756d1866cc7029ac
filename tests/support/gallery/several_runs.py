"""Neurons that run more often than once per time step: windows, charging first, shared neurons, early exit."""

from typing import Any

import torch
from spikingjelly.activation_based import functional, layer, neuron
from torch import Tensor, nn

from tests.support.gallery.entry import STEPS, Entry, images, multi_step, once, stepwise, time_first
from tests.support.gallery.home_made import LIF, LoopLIF

# windows as further images


def windows_of(x: Tensor, size: int) -> Tensor:
    """`[T, B, C, H, W]` in windows, `[T, B * windows, C, size, size]`."""
    x = x.unflatten(-1, (-1, size)).unflatten(-3, (-1, size))  # [T, B, C, rows, size, columns, size]
    return x.permute(0, 1, 3, 5, 2, 4, 6).flatten(1, 3)


def together(x: Tensor, images: int, rows: int) -> Tensor:
    """The inverse."""
    x = x.unflatten(1, (images, rows, -1))  # [T, B, rows, columns, C, size, size]
    return x.permute(0, 1, 4, 2, 5, 3, 6).flatten(5, 6).flatten(3, 4)


class Windows(nn.Module):
    """A local block in windows of 2 x 2, neurons over `[T, B * windows, ...]`, as in SGLFormer."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.lif1 = layer.Conv2d(1, 4, 3, padding=1), neuron.LIFNode(v_threshold=0.5)
        self.local, self.lif2 = layer.Conv2d(4, 4, 2, stride=2), neuron.LIFNode(v_threshold=0.5)
        self.mix, self.lif3 = layer.Conv2d(4, 6, 1), neuron.LIFNode(v_threshold=0.5)
        self.head = layer.Linear(6, 3)
        functional.set_step_mode(self, "m")

    def forward(self, x: Tensor) -> Tensor:
        x = self.lif1(self.stem(x))
        local = self.lif2(self.local(windows_of(x, 2)))
        x = self.lif3(self.mix(together(local, x.shape[1], 3)))
        return self.head(x.mean((-1, -2)))


def windows_twin() -> nn.Module:
    return multi_step(
        layer.Conv2d(1, 4, 3, padding=1), neuron.LIFNode(v_threshold=0.5),
        layer.Conv2d(4, 4, 2, stride=2), neuron.LIFNode(v_threshold=0.5),
        layer.Conv2d(4, 6, 1), neuron.LIFNode(v_threshold=0.5),
        layer.AdaptiveAvgPool2d(1), layer.Flatten(), layer.Linear(6, 3),
    )  # fmt: skip


class WindowSteps(nn.Module):
    """The same block with unmarked home-made neurons, one step a call."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.lif1 = nn.Conv2d(1, 4, 3, padding=1), LIF()
        self.local, self.lif2 = nn.Conv2d(4, 4, 2, stride=2), LIF()
        self.mix, self.lif3, self.head = nn.Conv2d(4, 6, 1), LIF(), nn.Linear(54, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.lif1(self.stem(x))
        local = self.lif2(self.local(windows_of(x.unsqueeze(0), 2).squeeze(0)))
        x = self.lif3(self.mix(together(local.unsqueeze(0), len(x), 3).squeeze(0)))
        return self.head(x.flatten(1))


def windows_linear_twin() -> nn.Module:
    return multi_step(
        layer.Conv2d(1, 4, 3, padding=1), neuron.LIFNode(), layer.Conv2d(4, 4, 2, stride=2), neuron.LIFNode(),
        layer.Conv2d(4, 6, 1), neuron.LIFNode(), layer.Flatten(), layer.Linear(54, 3),
    )  # fmt: skip


# neurons that charge before they count


class Charged(nn.Module):
    """The neuron runs over its T steps four times, and what it gives in a fifth run counts."""

    def __init__(self) -> None:
        super().__init__()
        self.fire = neuron.IFNode(v_reset=None, step_mode="m")

    def forward(self, x: Tensor) -> Tensor:
        for _ in range(4):
            self.fire(x)
        return self.fire(x)


class ChargedStep(nn.Module):
    """The same in every step: four calls charge, the fifth one counts."""

    def __init__(self) -> None:
        super().__init__()
        self.fire = neuron.IFNode(v_reset=None)

    def forward(self, x: Tensor) -> Tensor:
        for _ in range(4):
            self.fire(x)
        return self.fire(x)


class ChargedStepNode(neuron.IFNode):
    """The same in one call of the neuron, over all steps."""

    def __init__(self) -> None:
        super().__init__(v_reset=None, step_mode="m")

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.repeat_interleave(5, dim=0))[4::5]


class ChargedNode(neuron.IFNode):
    """The same in one call of the neuron."""

    def __init__(self) -> None:
        super().__init__(v_reset=None, step_mode="m")

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.repeat(5, *[1] * (x.dim() - 1)))[-len(x) :]


def charged(kind: type[nn.Module], mode: str = "m") -> nn.Module:
    layers = layer.Conv2d(1, 4, 3, padding=1), layer.Flatten(), layer.Linear(64, 5)
    first, flat, second = (functional.set_step_mode(each, mode) or each for each in layers)
    return nn.Sequential(first, kind(), flat, second, kind(), layer.Linear(5, 3))


# one neuron behind several layers


class Shared(nn.Module):
    """One neuron for all layers, over `[B, T, ...]`, which keeps nothing between its calls, as in TET's ResNet."""

    def __init__(self) -> None:
        super().__init__()
        self.T = STEPS
        self.conv1, self.conv2, self.conv3 = nn.Conv2d(1, 4, 3, padding=1), nn.Conv2d(4, 4, 3, 1, 1), nn.Conv2d(4, 4, 3)
        self.spike, self.fc = LoopLIF(), nn.Linear(64, 5)

    def each_step(self, inner: nn.Module, x: Tensor) -> Tensor:
        return inner(x.flatten(0, 1)).unflatten(0, x.shape[:2])

    def forward(self, x: Tensor) -> Tensor:
        x = x.unsqueeze(1).repeat(1, self.T, 1, 1, 1)
        x = self.spike(self.each_step(self.conv1, x))
        x = x + self.spike(self.each_step(self.conv2, x))
        x = self.spike(self.each_step(self.conv3, x))
        return self.fc(x.flatten(2)).mean(1)


class SharedTwin(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2 = layer.Conv2d(1, 4, 3, padding=1), layer.Conv2d(4, 4, 3, padding=1)
        self.conv3, self.fc = layer.Conv2d(4, 4, 3), layer.Linear(64, 5)
        self.lif1, self.lif2, self.lif3 = neuron.LIFNode(), neuron.LIFNode(), neuron.LIFNode()
        functional.set_step_mode(self, "m")

    def forward(self, x: Tensor) -> Tensor:
        x = self.lif1(self.conv1(x))
        x = x + self.lif2(self.conv2(x))
        return self.fc(self.lif3(self.conv3(x)).flatten(2))


class MarkedShared(Shared):
    """The same, and the neuron is known to be one."""

    def __init__(self) -> None:
        super().__init__()
        self.spike.activation_op = "neuron"  # type: ignore[assignment]


class SharedInLoop(nn.Module):
    """One neuron with its state behind three layers: what is left of one layer's charge goes into the next one's."""

    def __init__(self) -> None:
        super().__init__()
        self.fc1, self.fc2, self.fc3, self.fc4 = nn.Linear(16, 8), nn.Linear(8, 8), nn.Linear(8, 8), nn.Linear(8, 3)
        self.lif = neuron.LIFNode()

    def forward(self, x: Tensor) -> Tensor:
        functional.reset_net(self)
        total: Tensor | float = 0.0
        for _ in range(STEPS):
            spikes = self.lif(self.fc1(x.flatten(1)))
            spikes = self.lif(self.fc2(spikes))
            total = total + self.fc4(self.lif(self.fc3(spikes)))
        return total / STEPS


class SharedInLoopTwin(SharedInLoop):
    """Over `[T, B, ...]`, with three neurons that hand a state on."""

    def __init__(self) -> None:
        super().__init__()
        self.lif1, self.lif2, self.lif3 = neuron.LIFNode(), neuron.LIFNode(), neuron.LIFNode()
        del self.lif

    def forward(self, x: Tensor) -> Tensor:
        fires, outputs = (self.lif1, self.lif2, self.lif3), []
        for each in x.flatten(2):
            spikes = each
            for number, (linear, fire) in enumerate(zip((self.fc1, self.fc2, self.fc3), fires, strict=True)):
                fire.v = fires[number - 1].v
                spikes = fire(linear(spikes))
            outputs.append(self.fc4(spikes))
        return torch.stack(outputs)


# early exit


class EarlyExit(nn.Module):
    """A loop over at most T steps, which stops when all images are decided."""

    def __init__(self, margin: float) -> None:
        super().__init__()
        self.T, self.margin = STEPS, margin
        self.fc1, self.lif = nn.Linear(16, 8), neuron.LIFNode()
        self.fc2 = nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        functional.reset_net(self)
        total: Any = 0.0
        for step in range(self.T):
            total = total + self.fc2(self.lif(self.fc1(x.flatten(1))))
            top = (total / (step + 1)).topk(2).values
            if bool((top[:, 0] - top[:, 1] > self.margin).all()):
                break
        return total


def early_exit_twin() -> nn.Module:
    return multi_step(layer.Flatten(), layer.Linear(16, 8), neuron.LIFNode(), layer.Linear(8, 3))


PICTURES, SMALL, T_IS = images(1, 6, 6), images(1, 4, 4), {"time_steps": STEPS}

ENTRIES = (
    Entry(
        "windows", "neurons over [T, B * windows, ...], as in SGLFormer", Windows, windows_twin, PICTURES, time_first,
        passed=T_IS,
    ),
    Entry(
        "charging", "neurons run over their steps 5 times, the last one counts", lambda: charged(Charged),
        lambda: charged(ChargedNode), SMALL, time_first, passed=T_IS,
    ),
    Entry(
        "charging stepwise", "neurons run 5 times in every step, the last one counts",
        lambda: charged(ChargedStep, "s"), lambda: charged(ChargedStepNode), SMALL, stepwise, passed=T_IS,
    ),
    Entry(
        "windows stepwise", "unmarked home-made neurons over [B * windows, ...], called once per step", WindowSteps,
        windows_linear_twin, PICTURES, stepwise, passed=T_IS,
    ),
    Entry(
        "shared in loop", "one neuron for three layers, step by step in a loop over a constant T", SharedInLoop,
        SharedInLoopTwin, SMALL, once,
    ),
    Entry(
        "shared neuron", "one stateless neuron behind all layers, as in TET", Shared, SharedTwin, PICTURES, once,
    ),
    Entry(
        "marked shared neuron", "the same, marked", MarkedShared, SharedTwin, PICTURES, once,
    ),
    Entry(
        "early exit", "a loop that may stop early, set so that it runs all steps", lambda: EarlyExit(100.0),
        early_exit_twin, SMALL, once,
    ),
)  # fmt: skip
