"""MS-ResNet (Hu et al., TNNLS 2024, arXiv 2112.08954): residual networks on membranes.

Read from Ariande1/MS-ResNet, commit 7c5f006, models/MS_ResNet.py. A neuron stands before every convolution but those of
the stem and of the shortcuts, which get real numbers; sums are real and no neuron follows them. The neuron decays by
0.25, fires above (not at) 0.5, and does not divide its input. There is no pool behind the stem: each of the four stages
begins with stride 2. T = 6. Official convolutions run step by step, and batch norm is over batch, time and space at
once, which is batch norm over time and batch merged. Batch norms start at 0.5, the second ones of the blocks at 0.
"""

from typing import Any

from torch import Tensor, nn

from msvit.classifier import SpikingClassifier
from msvit.layers import SpikingUnits
from msvit.models.spikingresformer import Norm
from msvit.neuron import IF, rectangle
from msvit.registry import register

PAPER = "Hu et al., TNNLS 2024"
V_THRESHOLD = 0.5


def neuron() -> IF:
    """The neuron of all places."""
    return IF(decay=0.25, v_threshold=V_THRESHOLD, strict=True, surrogate=rectangle)


def norm(dim: int, weight: float = V_THRESHOLD) -> Norm:
    """Batch norm with its official first weight."""
    made = Norm(dim)
    nn.init.constant_(made.bn.weight, weight)
    return made


def conv3x3(width_in: int, width: int, stride: int = 1, *, bias: bool = False) -> nn.Conv2d:
    """The convolution of blocks and of the deep stem."""
    return nn.Conv2d(width_in, width, 3, stride=stride, padding=1, bias=bias)


class Block(SpikingUnits):
    """Twice neuron-conv3x3-BN, plus the shortcut: `[T, B, C_in, H, W]` -> `[T, B, C, H / stride, W / stride]`, real.

    The shortcut is the input, or a 1x1 convolution with batch norm, of stride 2 or (`pooled`) behind an average pool.
    """

    def __init__(self, width_in: int, width: int, stride: int, *, pooled: bool) -> None:
        super().__init__()
        self.residual_function = nn.Sequential(
            *(neuron(), conv3x3(width_in, width, stride), norm(width)),
            *(neuron(), conv3x3(width, width), norm(width, weight=0)),
        )
        self.shortcut = nn.Sequential()
        if stride != 1 or width_in != width:
            conv = nn.Conv2d(width_in, width, 1, stride=1 if pooled else stride, bias=False)
            # the official pool has no half windows at odd edges, and then fails
            pool = [nn.AvgPool2d(2, ceil_mode=True)] if pooled else []
            self.shortcut = nn.Sequential(*pool, conv, norm(width))

    def forward(self, x: Tensor) -> Tensor:
        y = self.through(x, *(f"residual_function.{place}" for place in range(6)))
        return y + (self.through(x, "shortcut") if len(self.shortcut) else x)


class MSResNet(SpikingUnits, SpikingClassifier):
    """MS-ResNet: images `[B, C, H, W]` or event frames `[B, T, C, H, W]` -> `[B, classes]`.

    `blocks` per stage. `deep` is the form of 104: a stem of three convolutions with bias and nothing between, pooled
    shortcuts, and in training dropout of 0.2 before the head.
    """

    total_stride = 32

    def __init__(
        self,
        *,
        img_size: int | tuple[int, int] = 224,
        in_chans: int = 3,
        num_classes: int = 1000,
        blocks: tuple[int, int, int, int] = (2, 2, 2, 2),
        deep: bool = False,
        time_steps: int = 6,
    ) -> None:
        super().__init__(img_size=img_size, in_chans=in_chans, num_classes=num_classes, time_steps=time_steps)
        if deep:
            stem = [conv3x3(in_chans, 64, 2, bias=True), conv3x3(64, 64, bias=True), conv3x3(64, 64, bias=True)]
        else:
            stem = [nn.Conv2d(in_chans, 64, 7, stride=2, padding=3, bias=False)]
        self.conv1 = nn.Sequential(*stem, norm(64))
        width_in = 64
        for place, depth in enumerate(blocks):
            width, stage = 64 << place, []
            for block in range(depth):
                stage.append(Block(width_in, width, 1 if block else 2, pooled=deep))
                width_in = width
            self.add_module(f"conv{place + 2}_x", nn.Sequential(*stage))
        self.mem_update = neuron()
        self.dropout = nn.Dropout(0.2 if deep else 0.0)
        self.fc = nn.Linear(width_in, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.through(self.frames(x), "conv1")
        for place in range(2, 6):
            x = self.get_submodule(f"conv{place}_x")(x)
        rates = self.mem_update(x).flatten(3).mean(3).mean(0)  # [B, C]
        return self.fc(self.dropout(rates))


@register(PAPER)
def ms_resnet18(**kwargs: Any) -> MSResNet:
    """ImageNet; 11,693,736 parameters."""
    return MSResNet(**kwargs)


@register(PAPER)
def ms_resnet34(**kwargs: Any) -> MSResNet:
    """ImageNet; 21,801,896 parameters."""
    return MSResNet(**{"blocks": (3, 4, 6, 3)} | kwargs)


@register(PAPER)
def ms_resnet104(**kwargs: Any) -> MSResNet:
    """ImageNet; 77,350,504 parameters."""
    defaults: dict[str, Any] = {"blocks": (3, 8, 32, 8), "deep": True}
    return MSResNet(**defaults | kwargs)
