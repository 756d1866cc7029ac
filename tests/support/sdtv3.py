"""Spike-driven Transformer V3, base models: neurons without time that give n / 4, as their authors run them.

Names are those of the official state dict, so that reference vectors fit.
"""

from torch import Tensor, nn

MLP_RATIO = 4


class MultiSpike(nn.Module):
    """round(clamp(x, 0, 4)) / norm."""

    activation_op = "neuron"

    def __init__(self, norm: int = 4) -> None:
        super().__init__()
        self.norm = norm

    def forward(self, x: Tensor) -> Tensor:
        return x.clamp(0, 4).round() / self.norm


def conv_bn(inputs: int, outputs: int, kernel: int = 1, groups: int = 1) -> nn.Sequential:
    conv = nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, groups=groups, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(outputs))


class DownSampling(nn.Module):
    def __init__(self, inputs: int, outputs: int, kernel: int = 3, stride: int = 2, *, first: bool = False) -> None:
        super().__init__()
        self.encode_conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2)
        self.encode_bn = nn.BatchNorm2d(outputs)
        self.encode_spike = nn.Identity() if first else MultiSpike()

    def forward(self, x: Tensor) -> Tensor:
        return self.encode_bn(self.encode_conv(self.encode_spike(x)))


class SepConv(nn.Module):
    def __init__(self, dim: int, kernel: int) -> None:
        super().__init__()
        self.spike1, self.pwconv1 = MultiSpike(), conv_bn(dim, 2 * dim)
        self.spike2, self.dwconv = MultiSpike(), conv_bn(2 * dim, 2 * dim, kernel, groups=2 * dim)
        self.spike3, self.pwconv2 = MultiSpike(), conv_bn(2 * dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        x = self.dwconv(self.spike2(self.pwconv1(self.spike1(x))))
        return self.pwconv2(self.spike3(x))


class ConvBlock(nn.Module):
    def __init__(self, dim: int) -> None:
        super().__init__()
        self.Conv = SepConv(dim, 7)
        self.spike1, self.conv1 = MultiSpike(), nn.Conv2d(dim, MLP_RATIO * dim, 3, padding=1, bias=False)
        self.bn1, self.spike2 = nn.BatchNorm2d(MLP_RATIO * dim), MultiSpike()
        self.conv2, self.bn2 = nn.Conv2d(MLP_RATIO * dim, dim, 3, padding=1, bias=False), nn.BatchNorm2d(dim)

    def forward(self, x: Tensor) -> Tensor:
        x = self.Conv(x) + x
        return x + self.bn2(self.conv2(self.spike2(self.bn1(self.conv1(self.spike1(x))))))


class Attention(nn.Module):
    heads = 8

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.scale = (dim // self.heads) ** -0.5
        self.head_spike = MultiSpike()
        self.q_conv, self.k_conv, self.v_conv = (conv_bn(dim, width) for width in (dim, dim, 4 * dim))
        self.q_spike, self.k_spike, self.v_spike, self.attn_spike = (MultiSpike() for _ in range(4))
        self.proj_conv = conv_bn(4 * dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        batch, _, height, width = x.shape
        x = self.head_spike(x)
        branches = ((self.q_conv, self.q_spike), (self.k_conv, self.k_spike), (self.v_conv, self.v_spike))
        q, k, v = (
            spike(conv(x)).flatten(2).reshape(batch, self.heads, -1, height * width).transpose(2, 3)
            for conv, spike in branches
        )
        y = ((q @ k.transpose(-2, -1)) @ v) * (self.scale * 2)
        y = self.attn_spike(y.transpose(2, 3).reshape(batch, -1, height * width))
        return self.proj_conv(y.reshape(batch, -1, height, width))


class MLP(nn.Module):
    def __init__(self, dim: int) -> None:
        super().__init__()
        hidden = MLP_RATIO * dim
        self.fc1_spike, self.fc1_conv, self.fc1_bn = MultiSpike(), nn.Conv1d(dim, hidden, 1), nn.BatchNorm1d(hidden)
        self.fc2_spike, self.fc2_conv, self.fc2_bn = MultiSpike(), nn.Conv1d(hidden, dim, 1), nn.BatchNorm1d(dim)

    def forward(self, x: Tensor) -> Tensor:
        tokens = self.fc1_bn(self.fc1_conv(self.fc1_spike(x.flatten(2))))
        return self.fc2_bn(self.fc2_conv(self.fc2_spike(tokens))).reshape(x.shape)


class Block(nn.Module):
    def __init__(self, dim: int) -> None:
        super().__init__()
        self.conv, self.attn, self.mlp = SepConv(dim, 3), Attention(dim), MLP(dim)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.conv(x)
        x = x + self.attn(x)
        return x + self.mlp(x)


class SDTV3(nn.Module):
    """`[B, 3, 224, 224]` -> `[B, classes]`."""

    def __init__(self, widths: tuple[int, int, int, int] = (32, 64, 128, 192), classes: int = 1000) -> None:
        super().__init__()
        first, second, third, fourth = widths
        self.downsample1_1 = DownSampling(3, first // 2, 7, first=True)
        self.ConvBlock1_1 = nn.ModuleList([ConvBlock(first // 2)])
        self.downsample1_2 = DownSampling(first // 2, first)
        self.ConvBlock1_2 = nn.ModuleList([ConvBlock(first)])
        self.downsample2 = DownSampling(first, second)
        self.ConvBlock2_1 = nn.ModuleList([ConvBlock(second)])
        self.ConvBlock2_2 = nn.ModuleList([ConvBlock(second)])
        self.downsample3 = DownSampling(second, third)
        self.block3 = nn.ModuleList([Block(third) for _ in range(6)])
        self.downsample4 = DownSampling(third, fourth, stride=1)
        self.block4 = nn.ModuleList([Block(fourth) for _ in range(2)])
        self.spike, self.head = MultiSpike(1), nn.Linear(fourth, classes)

    def forward(self, x: Tensor) -> Tensor:
        stages = (self.downsample1_1, *self.ConvBlock1_1, self.downsample1_2, *self.ConvBlock1_2, self.downsample2)
        stages += (*self.ConvBlock2_1, *self.ConvBlock2_2, self.downsample3, *self.block3, self.downsample4)
        for stage in (*stages, *self.block4):
            x = stage(x)
        return self.head(self.spike(x.flatten(2).mean(2)))
