"""Building blocks shared by the model families. Activations run `[T, B, C, ...]`, time first."""

from torch import Tensor, nn

from msvit.neuron import LIF

_BATCH_NORM = {nn.Conv1d: nn.BatchNorm1d, nn.Conv2d: nn.BatchNorm2d}


def over_time(module: nn.Module, x: Tensor) -> Tensor:
    """Apply a stateless module to `[T, B, ...]` as one batch of T*B.

    A static image reaches the first convolution as a view repeated over T (stride 0). In evaluation what is constant
    in time is computed once and repeated; in training it is not, so that batch-norm statistics stay the official ones.
    """
    steps = x.shape[0]
    if x.stride(0) == 0 and not module.training:
        return module(x[0]).unsqueeze(0).expand(steps, *[-1] * (x.dim() - 1))
    return module(x.flatten(0, 1)).unflatten(0, (steps, -1))


class SpikingUnits(nn.Module):
    """Base of modules made of convolution, batch norm, (max pool), LIF units.

    The official state dicts name them flatly, `q_conv`, `q_bn`, `q_lif`, and those names are kept.
    """

    def add_unit(self, name: str, conv: nn.Conv1d | nn.Conv2d, *, pool: bool = False) -> None:
        """Register `name_conv`, `name_bn`, `name_maxpool` (3x3, stride 2, on real numbers) and `name_lif`."""
        self.add_module(f"{name}_conv", conv)
        self.add_module(f"{name}_bn", _BATCH_NORM[type(conv)](conv.out_channels))
        if pool:
            self.add_module(f"{name}_maxpool", nn.MaxPool2d(kernel_size=3, stride=2, padding=1))
        self.add_module(f"{name}_lif", LIF())

    def currents(self, name: str, x: Tensor) -> Tensor:
        """What the unit's neurons receive: `[T, B, C_in, ...]` -> `[T, B, C_out, ...]`, real numbers."""
        for part in ("conv", "bn", "maxpool"):
            module = self._modules.get(f"{name}_{part}")
            if module is not None:
                x = over_time(module, x)
        return x

    def fire(self, name: str, currents: Tensor) -> Tensor:
        """The unit's neurons: `[T, ...]` -> spikes of the same shape."""
        return self.get_submodule(f"{name}_lif")(currents)

    def spikes(self, name: str, x: Tensor) -> Tensor:
        """The whole unit: `[T, B, C_in, ...]` -> `[T, B, C_out, ...]`, values in {0, 1}."""
        return self.fire(name, self.currents(name, x))


class SpikingMLP(SpikingUnits):
    """Channel mixer: conv1x1 (times `ratio`) and conv1x1 back, each followed by batch norm and LIF.

    `[T, B, C, H, W]` -> spikes of the same shape. `names` are the official names of the two units.
    """

    def __init__(self, dim: int, ratio: int, names: tuple[str, str]) -> None:
        super().__init__()
        self.names = names
        self.add_unit(names[0], nn.Conv2d(dim, dim * ratio, kernel_size=1))
        self.add_unit(names[1], nn.Conv2d(dim * ratio, dim, kernel_size=1))

    def forward(self, x: Tensor) -> Tensor:
        for name in self.names:
            x = self.spikes(name, x)
        return x


def linear_head(dim: int, num_classes: int, *, bias: bool = True) -> nn.Linear:
    """The classifier, initialised as the official files do: truncated normal 0.02, bias 0."""
    head = nn.Linear(dim, num_classes, bias=bias)
    nn.init.trunc_normal_(head.weight, std=0.02)
    if bias:
        nn.init.zeros_(head.bias)
    return head
