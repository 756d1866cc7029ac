"""SEW-ResNet (Fang et al., NeurIPS 2021, arXiv 2102.04159): residual networks whose sums are of spikes.

Read from fangwei123456/Spike-Element-Wise-ResNet, commit cfc547c, imagenet/sew_resnet.py. Neurons integrate and fire
without leak, and do not divide their input. Every branch and every shortcut with synapses ends in a neuron; what
`connect_f` makes of the two goes on without one. ADD gives integers, 0 to 1 + the blocks of the stage so far; AND and
IAND stay binary. Stem convolution and batch norm run once for an image, in training too, and their result is repeated
over T; the max pool works on spikes. The head reads the mean over space and time. SpikingJelly's `sew_resnet` has the
same numbers under other names, but IAND of its bottlenecks is the other way round. The official option
`zero_init_residual`, off in the authors' logs, is not here.
"""

from typing import Any, ClassVar

from torch import Tensor, nn

from msvit.attention import SpikeMask
from msvit.classifier import SpikingClassifier
from msvit.errors import ModelError
from msvit.layers import OverTime, max_pool, over_time
from msvit.neuron import IF
from msvit.registry import register

PAPER = "Fang et al., NeurIPS 2021"
CONNECT = ("ADD", "AND", "IAND")


def conv_bn(width_in: int, width: int, kernel: int, stride: int = 1) -> OverTime:
    """Convolution without bias, batch norm, on `[T, B, C, H, W]`."""
    conv = nn.Conv2d(width_in, width, kernel, stride=stride, padding=kernel // 2, bias=False)
    return OverTime(conv, nn.BatchNorm2d(width))


class Block(nn.Module):
    """Element-wise function of a branch and the shortcut, spikes (or sums of spikes) `[T, B, C, H, W]` in and out.

    The branch is a row of conv-BN-neuron, `convs` as (channels in, channels out, kernel, stride).
    """

    def __init__(self, convs: list[tuple[int, int, int, int]], connect_f: str) -> None:
        super().__init__()
        self.depth, self.connect_f = len(convs), connect_f
        for place, conv in enumerate(convs, start=1):
            self.add_module(f"conv{place}", conv_bn(*conv))
            self.add_module(f"sn{place}", IF())
        width_in, width, stride = convs[0][0], convs[-1][1], max(conv[3] for conv in convs)
        self.downsample = nn.Sequential()
        if stride != 1 or width_in != width:
            self.downsample = nn.Sequential(conv_bn(width_in, width, 1, stride), IF())
        if connect_f != "ADD":
            self.mask = SpikeMask()

    def forward(self, x: Tensor) -> Tensor:
        y = x
        for place in range(1, self.depth + 1):
            y = self.get_submodule(f"sn{place}")(self.get_submodule(f"conv{place}")(y))
        shortcut: Tensor = self.downsample(x)
        if self.connect_f == "ADD":
            return y + shortcut
        both: Tensor = self.mask(y, shortcut)
        return both if self.connect_f == "AND" else shortcut - both


def basic(width_in: int, width: int, stride: int, connect_f: str) -> Block:
    """Two 3x3 convolutions."""
    return Block([(width_in, width, 3, stride), (width, width, 3, 1)], connect_f)


def bottleneck(width_in: int, width: int, stride: int, connect_f: str) -> Block:
    """1x1, 3x3 and 1x1, to four times the width."""
    return Block([(width_in, width, 1, 1), (width, width, 3, stride), (width, 4 * width, 1, 1)], connect_f)


class SEWResNet(SpikingClassifier):
    """SEW-ResNet: images `[B, C, H, W]` or event frames `[B, T, C, H, W]` -> `[B, classes]`.

    `blocks` per stage; `connect_f` is ADD (branch + shortcut), AND (branch x shortcut) or IAND ((1 - branch) x
    shortcut), ModelError for anything else.
    """

    total_stride = 32
    other_names: ClassVar = (  # SpikingJelly's
        (r"^(layer\d\.\d+\.conv\d)\.weight$", r"\1.module.0.weight"),
        (r"^(layer\d\.\d+)\.bn(\d)\.", r"\1.conv\2.module.1."),
        (r"^(layer\d\.\d+\.downsample)\.([01])\.", r"\1.0.module.\2."),
    )

    def __init__(
        self,
        *,
        img_size: int | tuple[int, int] = 224,
        in_chans: int = 3,
        num_classes: int = 1000,
        blocks: tuple[int, int, int, int] = (2, 2, 2, 2),
        bottlenecks: bool = False,
        connect_f: str = "ADD",
        time_steps: int = 4,
    ) -> None:
        super().__init__(img_size=img_size, in_chans=in_chans, num_classes=num_classes, time_steps=time_steps)
        if connect_f not in CONNECT:
            raise ModelError(f"unknown connect_f {connect_f!r}; element-wise functions: {', '.join(CONNECT)}")
        self.conv1 = nn.Conv2d(in_chans, 64, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.sn1 = IF()
        self.maxpool = OverTime(max_pool())
        make, expansion = (bottleneck, 4) if bottlenecks else (basic, 1)
        width_in = 64
        for place, depth in enumerate(blocks):
            width, stage = 64 << place, []
            for block in range(depth):
                stage.append(make(width_in, width, 2 if place and not block else 1, connect_f))
                width_in = width * expansion
            self.add_module(f"layer{place + 1}", nn.Sequential(*stage))
        self.avgpool = OverTime(nn.AdaptiveAvgPool2d(1))
        self.fc = nn.Linear(width_in, num_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: Tensor) -> Tensor:
        x = self.maxpool(self.sn1(self.stem(x)))
        for place in range(1, 5):
            x = self.get_submodule(f"layer{place}")(x)
        return self.fc(self.avgpool(x).flatten(2).mean(0))

    def stem(self, x: Tensor) -> Tensor:
        """Convolution and batch norm: an image once, frames each; `[T, B, 64, H / 2, W / 2]`."""
        frames = self.frames(x)
        if x.dim() == 4:
            once: Tensor = self.bn1(self.conv1(x))
            return once.expand(self.time_steps, *once.shape)
        return over_time(self.bn1, over_time(self.conv1, frames))


def bottleneck_model(args: dict[str, Any]) -> SEWResNet:
    """The deeper ones."""
    return SEWResNet(**{"bottlenecks": True} | args)


@register(PAPER)
def sew_resnet18(**kwargs: Any) -> SEWResNet:
    """ImageNet; 11,689,512 parameters."""
    return SEWResNet(**kwargs)


@register(PAPER)
def sew_resnet34(**kwargs: Any) -> SEWResNet:
    """ImageNet; 21,797,672 parameters."""
    return SEWResNet(**{"blocks": (3, 4, 6, 3)} | kwargs)


@register(PAPER)
def sew_resnet50(**kwargs: Any) -> SEWResNet:
    """ImageNet, bottlenecks; 25,557,032 parameters."""
    return bottleneck_model({"blocks": (3, 4, 6, 3)} | kwargs)


@register(PAPER)
def sew_resnet101(**kwargs: Any) -> SEWResNet:
    """ImageNet, bottlenecks; 44,549,160 parameters."""
    return bottleneck_model({"blocks": (3, 4, 23, 3)} | kwargs)


@register(PAPER)
def sew_resnet152(**kwargs: Any) -> SEWResNet:
    """ImageNet, bottlenecks; 60,192,808 parameters."""
    return bottleneck_model({"blocks": (3, 8, 36, 3)} | kwargs)
