"""Other kinds of convolution and pooling, as bare calls and modules."""

from spikingjelly.activation_based import layer, neuron
from torch import Tensor, nn
from torch.nn import functional as F

from tests.support.gallery.entry import STEPS, Entry, images, multi_step, stepwise, time_first


class Separable(nn.Module):
    """A depthwise and a pointwise convolution, as in Spike-driven Transformer V2; one step a call."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.lif1 = nn.Conv2d(1, 4, 3, padding=1), neuron.LIFNode()
        self.depthwise = nn.Conv2d(4, 4, 3, padding=1, groups=4)
        self.lif2, self.pointwise = neuron.LIFNode(), nn.Conv2d(4, 6, 1)
        self.lif3, self.head = neuron.LIFNode(v_threshold=0.5), nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.lif2(self.depthwise(self.lif1(self.stem(x))))
        return self.head(self.lif3(self.pointwise(x)).mean((-1, -2)))


class SeparableTwin(nn.Module):
    """The pointwise convolution as a linear layer over channels, over `[T, B, ...]`."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = multi_step(layer.Conv2d(1, 4, 3, padding=1), neuron.LIFNode())
        self.depthwise = multi_step(layer.Conv2d(4, 4, 3, padding=1, groups=4), neuron.LIFNode())
        self.pointwise, self.lif = nn.Linear(4, 6), neuron.LIFNode(v_threshold=0.5, step_mode="m")
        self.head = nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.pointwise(self.depthwise(self.stem(x)).movedim(-3, -1))
        return self.head(self.lif(x).mean((-2, -3)))


class Grouped(nn.Module):
    """Grouped, strided and dilated, by bare F.conv2d over `[T*B, ...]`."""

    def __init__(self) -> None:
        super().__init__()
        self.T = STEPS
        self.stem_weight, self.weight = nn.Parameter(Tensor(4, 1, 3, 3)), nn.Parameter(Tensor(6, 2, 3, 3))
        self.head_weight = nn.Parameter(Tensor(3, 54))
        self.lif1, self.lif2 = neuron.LIFNode(step_mode="m"), neuron.LIFNode(step_mode="m")

    def forward(self, x: Tensor) -> Tensor:
        steps = len(x)
        x = F.conv2d(x.flatten(0, 1), self.stem_weight, padding=1)
        x = self.lif1(x.unflatten(0, (steps, -1))).flatten(0, 1)
        x = F.conv2d(x, self.weight, stride=2, padding=2, dilation=2, groups=2)
        x = self.lif2(x.unflatten(0, (steps, -1)))
        return F.linear(x.flatten(2), self.head_weight).mean(0)


def grouped_twin() -> nn.Module:
    return multi_step(
        layer.Conv2d(1, 4, 3, padding=1, bias=False),
        neuron.LIFNode(),
        layer.Conv2d(4, 6, 3, stride=2, padding=2, dilation=2, groups=2, bias=False),
        neuron.LIFNode(),
        layer.Flatten(),
        layer.Linear(54, 3, bias=False),
    )


class AutoEncoder(nn.Module):
    """A stride down and a transposed convolution up; a dict comes out, for every step."""

    def __init__(self) -> None:
        super().__init__()
        self.down, self.lif1 = nn.Conv2d(1, 4, 3, stride=2, padding=1), neuron.LIFNode()
        self.up, self.lif2 = nn.ConvTranspose2d(4, 2, 3, stride=2, padding=1, output_padding=1), neuron.LIFNode()
        self.out = nn.Conv2d(2, 1, 1)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        code = self.lif1(self.down(x))
        return {"reconstruction": self.out(self.lif2(self.up(code))), "code": code}


def auto_encoder_twin() -> nn.Module:
    return multi_step(
        layer.Conv2d(1, 4, 3, stride=2, padding=1),
        neuron.LIFNode(),
        layer.ConvTranspose2d(4, 2, 3, stride=2, padding=1, output_padding=1),
        neuron.LIFNode(),
        layer.Conv2d(2, 1, 1),
    )


class Pooled(nn.Module):
    """Max pooling, average pooling, and a bare average over the map, one step a call."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.lif1 = nn.Conv2d(1, 4, 3, padding=1), neuron.LIFNode()
        self.conv2, self.lif2 = nn.Conv2d(4, 4, 3, padding=1), neuron.LIFNode()
        self.conv3, self.lif3, self.head = nn.Conv2d(4, 6, 2), neuron.LIFNode(v_threshold=0.5), nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = F.max_pool2d(self.lif1(self.conv1(x)), 2)
        x = F.avg_pool2d(self.lif2(self.conv2(x)), 2)
        x = self.lif3(self.conv3(x))
        return self.head(F.adaptive_avg_pool2d(x, 1).flatten(1))


def pooled_twin() -> nn.Module:
    return multi_step(
        layer.Conv2d(1, 4, 3, padding=1), neuron.LIFNode(), layer.MaxPool2d(2),
        layer.Conv2d(4, 4, 3, padding=1), neuron.LIFNode(), layer.AvgPool2d(2),
        layer.Conv2d(4, 6, 2), neuron.LIFNode(v_threshold=0.5), layer.AdaptiveAvgPool2d(1),
        layer.Flatten(), layer.Linear(6, 3),
    )  # fmt: skip


class OneDimensional(nn.Module):
    """Keyword spotting: causal 1-d convolutions over a recording, one step a call."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.lif1 = nn.Conv1d(2, 4, 3), neuron.ParametricLIFNode()
        self.conv2, self.lif2 = nn.Conv1d(4, 4, 3), neuron.ParametricLIFNode()
        self.fc = nn.Linear(40, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.lif1(self.conv1(F.pad(x, (2, 0))))
        x = self.lif2(self.conv2(F.pad(x, (2, 0))))
        return self.fc(x.flatten(1))


class OneDimensionalTwin(OneDimensional):
    """With convolutions over a map of one row, over `[T, B, ...]`."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2 = layer.Conv1d(2, 4, 3, step_mode="m"), layer.Conv1d(4, 4, 3, step_mode="m")
        self.lif1, self.lif2 = (neuron.ParametricLIFNode(step_mode="m") for _ in range(2))

    def forward(self, x: Tensor) -> Tensor:
        x = self.lif1(self.conv1(F.pad(x, (2, 0))))
        x = self.lif2(self.conv2(F.pad(x, (2, 0))))
        return self.fc(x.flatten(2))


EVEN, LARGE, T_IS = images(1, 6, 6), images(1, 8, 8), {"time_steps": STEPS}

ENTRIES = (
    Entry(
        "separable", "depthwise and pointwise convolutions", Separable, SeparableTwin, EVEN, stepwise, passed=T_IS,
    ),
    Entry(
        "grouped", "bare F.conv2d with groups, stride and dilation", Grouped, grouped_twin, EVEN, time_first,
    ),
    Entry(
        "transposed", "a transposed convolution; the output is a dict", AutoEncoder, auto_encoder_twin, EVEN, stepwise,
        passed=T_IS,
    ),
    Entry(
        "pooling", "F.max_pool2d, F.avg_pool2d, F.adaptive_avg_pool2d", Pooled, pooled_twin, LARGE, stepwise,
        passed=T_IS,
    ),
    Entry(
        "one-dimensional", "Conv1d over recordings, learned time constants", OneDimensional, OneDimensionalTwin,
        images(2, 10), stepwise, passed=T_IS,
    ),
)  # fmt: skip
