"""Max-ResNet-18 (Fang et al., NeurIPS 2025, arXiv 2505.18608): a spiking ResNet that pools real numbers.

Membrane shortcuts: residuals add real numbers, and a neuron stands in front of every 3x3 convolution but the first and
of the head. Two stages halve the map by a max pool behind a batch norm, not by a stride. Quirks: three stages, not four
(widths 128, 256, 512; the 18 counts no shortcuts); the 1x1 convolution of a shortcut has no neuron and multiplies the
real stream, which is no accumulate; the classifier runs at every time step and its outputs are averaged. Initial
weights are PyTorch's.
"""

from typing import Any

from torch import Tensor, nn

from msvit.classifier import SpikingClassifier
from msvit.layers import SpikingUnits, max_pool
from msvit.neuron import LIF
from msvit.registry import register

PAPER = "Fang et al., NeurIPS 2025"
STAGES = ((128, 3, False), (256, 3, True), (512, 2, True))  # width, blocks, whether the first of them halves the map


class Block(SpikingUnits):
    """LIF-conv3x3-BN-(max pool)-LIF-conv3x3-BN, plus the input: `[T, B, C_in, H, W]` -> `[T, B, C, H / s, W / s]`.

    Both are real numbers. With `pool`, s = 2. Where width or size change, the input passes a 1x1 convolution.
    """

    def __init__(self, width_in: int, width: int, *, pool: bool) -> None:
        super().__init__()
        self.spike1 = LIF()
        self.conv1 = conv3x3(width_in, width)
        self.bn1 = nn.BatchNorm2d(width)
        if pool:
            self.maxpool1 = max_pool()
        self.spike2 = LIF()
        self.conv2 = conv3x3(width, width)
        self.bn2 = nn.BatchNorm2d(width)
        if pool or width_in != width:
            shortcut = nn.Conv2d(width_in, width, 1, stride=2 if pool else 1, bias=False)
            # official names count from 1
            self.downsample = nn.Sequential(nn.Identity(), shortcut, nn.BatchNorm2d(width))

    def forward(self, x: Tensor) -> Tensor:
        y = self.unit_of(x, ("spike1", "conv1", "bn1", "maxpool1"))
        y = self.unit_of(y, ("spike2", "conv2", "bn2"))
        return y + self.unit_of(x, ("downsample",))


def conv3x3(width_in: int, width: int) -> nn.Conv2d:
    return nn.Conv2d(width_in, width, 3, padding=1, bias=False)


class MaxResNet(SpikingUnits, SpikingClassifier):
    """Max-ResNet: images `[B, C, H, W]` or event frames `[B, T, C, H, W]` -> `[B, classes]`."""

    total_stride = 4

    def __init__(
        self,
        *,
        img_size: int | tuple[int, int] = 32,
        in_chans: int = 3,
        num_classes: int = 10,
        time_steps: int = 4,
    ) -> None:
        super().__init__(img_size=img_size, in_chans=in_chans, num_classes=num_classes, time_steps=time_steps)
        width_in = 64
        self.conv1 = conv3x3(in_chans, width_in)
        self.bn1 = nn.BatchNorm2d(width_in)
        for number, (width, blocks, pool) in enumerate(STAGES, start=1):
            first, rest = Block(width_in, width, pool=pool), (Block(width, width, pool=False) for _ in range(1, blocks))
            self.add_module(f"layer{number}", nn.Sequential(first, *rest))
            width_in = width
        self.spike = LIF()
        self.fc1 = nn.Linear(width_in, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.through(self.frames(x), "conv1", "bn1")  # [T, B, 64, H, W]
        for number in range(1, len(STAGES) + 1):
            x = self.get_submodule(f"layer{number}")(x)
        spikes = self.spike(x)  # [T, B, 512, H / 4, W / 4]
        logits = self.fc1(spikes.flatten(3).mean(3))  # [T, B, classes]
        return logits.mean(0)


@register(PAPER)
def max_resnet18_cifar(**kwargs: Any) -> MaxResNet:
    """CIFAR, T = 4; 12,502,090 parameters (12,548,260 with 100 classes)."""
    return MaxResNet(**kwargs)
