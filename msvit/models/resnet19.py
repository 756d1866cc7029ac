"""ResNet-19 (Zheng et al., AAAI 2021, tdBN) as TET trains it (Deng et al., ICLR 2022).

Basic blocks of widths 128, 256, 512 whose sum goes through a neuron, so that all convolutions but the first get spikes.

Source: Gus-Lab/temporal_efficient_training, commit f9bde41; tdBN's own code was not read. Its quirks: batch norm is the
usual one, without tdBN's factor. Each convolution and batch norm has several names, all in the state dict and with one
storage. The batch is in front of time. T is 1 until a script sets it; here 4. Other neurons than elsewhere: StrictLIF.
"""

from typing import Any

import torch
from torch import Tensor, nn

from msvit.classifier import SpikingClassifier
from msvit.errors import ModelError
from msvit.layers import over_time
from msvit.registry import register

PAPER = "Deng et al., ICLR 2022"


class _Spike(torch.autograd.Function):
    """1 where the membrane exceeds the threshold 1; surrogate gradient: a triangle, max(0, 1 - |h - 1|)."""

    @staticmethod
    def forward(ctx: Any, membrane: Tensor) -> Tensor:
        ctx.save_for_backward(membrane)
        return (membrane > 1).to(membrane.dtype)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        (membrane,) = ctx.saved_tensors
        return gradients[0] * (1 - (membrane - 1).abs()).clamp(min=0)


class StrictLIF(nn.Module):
    """h = v / 2 + x, a spike where h > 1, then v = 0; currents `[T, ...]` -> spikes in {0, 1} of the same shape.

    The input is not divided, and the gradient goes through the reset, too. Every call starts from rest.
    """

    activation_op = "neuron"
    binary = True  # emits nothing but 0 and 1
    step_mode = "m"

    def forward(self, x: Tensor) -> Tensor:
        membrane, spikes = torch.zeros_like(x[0]), []
        for current in x:
            charged = membrane / 2 + current
            spike: Tensor = _Spike.apply(charged)
            membrane = charged * (1 - spike)
            spikes.append(spike)
        return torch.stack(spikes)


class Renamed(nn.Module):
    """A module under a second official name, `module`."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module


class Norm(nn.Module):
    """Batch norm under its official names, `bn` and `seqbn.module`; the latter only in the spiking network, so that
    weights show which of the two they are of."""

    def __init__(self, dim: int, *, spiking: bool) -> None:
        super().__init__()
        self.bn = nn.BatchNorm2d(dim)
        if spiking:
            self.seqbn = Renamed(self.bn)


class Layer(nn.Module):
    """Synapses and perhaps batch norm, called over time: `[T, B, ...]` -> `[T, B, ...]`; officially `layer.module` and
    `bn`."""

    def __init__(self, synapses: nn.Module, norm: Norm | None = None) -> None:
        super().__init__()
        self.layer = Renamed(synapses)
        if norm is not None:
            self.bn = norm

    def forward(self, x: Tensor) -> Tensor:
        x = over_time(self.layer.module, x)
        return over_time(self.bn.bn, x) if "bn" in self._modules else x


def neuron(spiking: bool) -> nn.Module:
    """What stands in the places of neurons."""
    return StrictLIF() if spiking else nn.ReLU()


def conv3x3(dim_in: int, dim: int, stride: int = 1) -> nn.Conv2d:
    """The convolution of all places but the shortcuts."""
    return nn.Conv2d(dim_in, dim, 3, stride=stride, padding=1, bias=False)


class BasicBlock(nn.Module):
    """neuron(BN(conv3x3(neuron(BN(conv3x3(x))))) + shortcut), spikes in and out; the shortcut is x or BN(conv1x1(x)).

    The neurons are two, where the official code calls one twice, which keeps nothing between the calls.
    """

    def __init__(self, dim_in: int, dim: int, stride: int, *, spiking: bool) -> None:
        super().__init__()
        self.conv1, self.bn1 = conv3x3(dim_in, dim, stride), Norm(dim, spiking=spiking)
        self.conv2, self.bn2 = conv3x3(dim, dim), Norm(dim, spiking=spiking)
        if stride != 1 or dim_in != dim:
            synapses = nn.Conv2d(dim_in, dim, 1, stride=stride, bias=False)
            self.downsample = Layer(synapses, Norm(dim, spiking=spiking))
        self.conv1_s, self.conv2_s = Layer(self.conv1, self.bn1), Layer(self.conv2, self.bn2)
        self.spike, self.spike2 = neuron(spiking), neuron(spiking)

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv2_s(self.spike(self.conv1_s(x)))
        return self.spike2(y + (self.downsample(x) if "downsample" in self._modules else x))


class ResNet19(SpikingClassifier):
    """ResNet-19: images `[B, C, H, W]` or event frames `[B, T, C, H, W]` -> `[B, classes]`.

    Official logits are per step; `tet` keeps them so, `[T, B, classes]` (officially `[B, T, classes]`), else they are
    averaged. Without `spiking`, ReLU stands in place of the neurons and T must be 1; ModelError otherwise.
    """

    total_stride = 4

    def __init__(
        self,
        *,
        img_size: int | tuple[int, int] = 32,
        in_chans: int = 3,
        num_classes: int = 10,
        tet: bool = False,
        spiking: bool = True,
        time_steps: int = 4,
    ) -> None:
        super().__init__(img_size=img_size, in_chans=in_chans, num_classes=num_classes, time_steps=time_steps)
        if not spiking and time_steps != 1:
            raise ModelError(f"without neurons there is no time: time steps must be 1, not {time_steps}")
        self.tet = tet

        def stage(dim_in: int, dim: int, blocks: int, stride: int) -> nn.Sequential:
            first = BasicBlock(dim_in, dim, stride, spiking=spiking)
            return nn.Sequential(first, *(BasicBlock(dim, dim, 1, spiking=spiking) for _ in range(1, blocks)))

        self.conv1, self.bn1 = conv3x3(in_chans, 64), Norm(64, spiking=spiking)
        self.conv1_s = Layer(self.conv1, self.bn1)
        self.layer1, self.layer2, self.layer3 = stage(64, 128, 3, 1), stage(128, 256, 3, 2), stage(256, 512, 2, 2)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc1 = nn.Linear(512, 256)
        self.fc1_s = Layer(self.fc1)
        self.fc2 = nn.Linear(256, num_classes)
        self.fc2_s = Layer(self.fc2)
        self.spike, self.spike2 = neuron(spiking), neuron(spiking)

    def forward(self, x: Tensor) -> Tensor:
        x = self.spike(self.conv1_s(self.frames(x)))
        for stage in (self.layer1, self.layer2, self.layer3):
            x = stage(x)
        x = over_time(self.avgpool, x).flatten(2)  # [T, B, 512], means of spikes
        logits: Tensor = self.fc2_s(self.spike2(self.fc1_s(x)))  # [T, B, classes]
        return logits if self.tet else logits.mean(0)


@register(PAPER)
def resnet19_cifar(**kwargs: Any) -> ResNet19:
    """CIFAR; 12,630,858 parameters."""
    return ResNet19(**kwargs)


@register("this project")
def resnet19_cifar_ann(**kwargs: Any) -> ResNet19:
    """The artificial network of the same layers: ReLU in place of neurons, T = 1; 12,630,858 parameters.

    MSViT's Table 2 has an artificial ResNet-19 of 12.63 M, whose code is not public.
    """
    return ResNet19(**{"spiking": False, "time_steps": 1} | kwargs)
