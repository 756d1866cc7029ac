"""Networks whose spikes have a sign or a constant factor, and what flows in them counted by brute force."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from spikingjelly.activation_based import functional, layer, neuron
from spikingjelly.activation_based.ann2snn import FXConverter
from spikingjelly.activation_based.ann2snn.recipes.local_threshold_balancing import LocalThresholdBalancingRecipe
from spikingjelly.activation_based.ann2snn.recipes.rate_coding import RateCodingRecipe
from torch import Tensor, nn

STEPS = 4


class QCFS(nn.Module):
    """The neuron of a network trained by quantised clip-floor-shift, running on spikes: `[T*B, ...]`, one learned
    threshold or one for each channel, by which spikes are scaled; the charge starts at half of it."""

    activation_op = "neuron"

    def __init__(self, threshold: float | Tensor) -> None:
        super().__init__()
        self.threshold = nn.Parameter(torch.as_tensor(threshold))

    def forward(self, x: Tensor) -> Tensor:
        steps = x.unflatten(0, (STEPS, -1))
        threshold = self.threshold.view(-1, *[1] * (x.dim() - 2)) if self.threshold.dim() else self.threshold
        charge, spikes = threshold / 2, []
        for step in steps:
            charge = charge + step
            spikes.append((charge >= threshold).to(x.dtype) * threshold)
            charge = charge - spikes[-1]
        return torch.stack(spikes).flatten(0, 1)


class Converted(nn.Module):
    """`[B, 1, 12, 12]` over T steps inside: QCFS neurons, average pooling before the second convolution."""

    time_steps = STEPS

    def __init__(self, *, by_channel: bool = False) -> None:
        super().__init__()
        torch.manual_seed(0)
        first, second, third = (0.3 + torch.rand(width if by_channel else ()) for width in (6, 8, 16))
        self.conv1, self.fire1, self.pool = nn.Conv2d(1, 6, 3, padding=1), QCFS(first), nn.AvgPool2d(2)
        self.conv2, self.fire2 = nn.Conv2d(6, 8, 3, padding=1), QCFS(second)
        self.fc1, self.fire3, self.fc2 = nn.Linear(8 * 36, 16), QCFS(third), nn.Linear(16, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = x.repeat(STEPS, 1, 1, 1)
        x = self.fire2(self.conv2(self.pool(self.fire1(self.conv1(x)))))
        return self.fc2(self.fire3(self.fc1(x.flatten(1)))).unflatten(0, (STEPS, -1)).mean(0)

    def units(self) -> dict[str, Tensor]:
        """The constant of which the inputs of layers are multiples."""
        first, second, third = (fire.threshold.detach() for fire in (self.fire1, self.fire2, self.fire3))
        wide = second.repeat_interleave(36) if second.dim() else second
        return {"conv2": first.view(-1, 1, 1) / 4, "fc1": wide, "fc2": third}


def converted_by_spikingjelly(*, by_channel: bool = False) -> nn.Module:
    """A convolutional network with average pooling, converted by SpikingJelly's own tool; called once per time step."""
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.AvgPool2d(2), nn.Conv2d(4, 6, 3, padding=1), nn.ReLU(),
        nn.AvgPool2d(2), nn.Conv2d(6, 6, 2), nn.ReLU(), nn.Flatten(), nn.Linear(24, 5),
    ).eval()  # fmt: skip
    images = [(torch.rand(8, 1, 14, 14), torch.zeros(8))]
    recipe = LocalThresholdBalancingRecipe(images) if by_channel else RateCodingRecipe(images)
    return FXConverter(recipe=recipe).convert(network)


def multi_step(*modules: nn.Module) -> nn.Module:
    """Modules of SpikingJelly, all over `[T, B, ...]`."""
    network = nn.Sequential(*modules)
    functional.set_step_mode(network, "m")
    return network


def few_spikes(weights: Sequence[float]) -> nn.Module:
    """Few-spike neurons: a spike of step t has the t-th of these weights."""
    table = neuron.FewSpikeTable(weights, weights, weights)
    torch.manual_seed(0)
    first, second = neuron.FewSpikeNode(table, step_mode="m"), neuron.FewSpikeNode(table, step_mode="m")
    return multi_step(layer.Linear(6, 8), first, layer.Linear(8, 8), second, layer.Linear(8, 3))


@dataclass(frozen=True)
class Flow:
    """What flowed into a layer, over all images and time steps: the sum of the magnitudes of whole numbers, how many
    are not 0, their greatest, whether there are negative ones, and the sum of what a layer of ones gives for them."""

    value: int
    nonzero: int
    maximum: int
    signed: bool
    events: int


Unit = float | Tensor | Callable[[Tensor], Tensor]


def flows(
    model: nn.Module, run: Callable[[nn.Module, Tensor], object], batches: Sequence[Tensor], units: Mapping[str, Unit]
) -> dict[str, Flow]:
    """What flows into layers, in units; ValueError for values that are no multiples of these."""
    inputs: dict[str, list[Tensor]] = {name: [] for name in units}
    model.eval()
    with _kept(model, inputs), torch.no_grad():
        for batch in batches:
            run(model, batch)
            functional.reset_net(model)
    modules = dict(model.named_modules())
    return {name: _flow(modules[name], inputs[name], unit) for name, unit in units.items()}


@contextmanager
def _kept(model: nn.Module, inputs: Mapping[str, list[Tensor]]) -> Iterator[None]:
    def keep(name: str) -> Callable[..., None]:
        return lambda module, args: inputs[name].append(args[0].detach().clone())

    handles = [module.register_forward_pre_hook(keep(n)) for n, module in model.named_modules() if n in inputs]
    yield
    for handle in handles:
        handle.remove()


def _flow(module: nn.Module, inputs: Sequence[Tensor], unit: Unit) -> Flow:
    whole = [_whole(values, unit) for values in inputs]
    magnitudes = [values.abs().double() for values in whole]
    return Flow(
        value=sum(int(values.sum()) for values in magnitudes),
        nonzero=sum(int((values > 0).sum()) for values in magnitudes),
        maximum=max(int(values.max()) for values in magnitudes),
        signed=any(bool((values < 0).any()) for values in whole),
        events=sum(int(_of_ones(module, values).sum()) for values in magnitudes),
    )


def _whole(values: Tensor, unit: Unit) -> Tensor:
    quotients = unit(values) if callable(unit) else values / unit
    if float((quotients - quotients.round()).abs().max()) > 1e-3:
        raise ValueError(f"no multiples of {unit}")
    return quotients.round()


def _of_ones(module: nn.Module, values: Tensor) -> Tensor:
    """What a layer without bias gives if all its weights are 1."""
    weight = torch.ones_like(module.weight, dtype=torch.float64)
    if isinstance(module, nn.Linear):
        return values @ weight.T
    return nn.functional.conv2d(values.flatten(0, -4), weight, None, module.stride, module.padding)
