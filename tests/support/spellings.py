"""One spiking attention block written in many ways, which all compute the same: the same spikes, MACs and energy.

Weights and inputs are multiples of 1/8, so sums are exact in any order. `x` is `[B, N, D]`; layers are embedding,
query, key, value and head; a step's output is the head of the sum over tokens, the model's the mean over time.
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import torch
from spikingjelly.activation_based import neuron
from torch import Tensor, nn
from torch.nn import functional as F

from msvit_energy import EnergyError, Profile, price
from msvit_energy.pricing.protocols import PROTOCOLS
from tests.support.foreign_models import numbers


@dataclass(frozen=True)
class Sizes:
    """T, heads, N tokens and D = heads x width."""

    steps: int
    heads: int
    tokens: int
    width: int
    seed: int = 0

    @property
    def features(self) -> int:
        return self.heads * self.width

    def images(self, count: int) -> Tensor:
        return numbers(count, self.tokens, self.features, seed=self.seed).abs()


class Integrate(nn.Module):
    """A home-made layer of integrate-and-fire neurons: over an axis of time, or (None) one step at a call."""

    activation_op = "neuron"

    def __init__(self, axis: int | None) -> None:
        super().__init__()
        self.axis = axis
        self.v: Any = 0.0

    def forward(self, x: Tensor) -> Tensor:
        if self.axis is None:
            return self.step(x)
        self.v = 0.0
        return torch.stack([self.step(each) for each in x.unbind(self.axis)], self.axis)

    def step(self, x: Tensor) -> Tensor:
        self.v = self.v + x
        spikes = (self.v >= 1.0).to(x.dtype)
        self.v = self.v - spikes
        return spikes


class Block(nn.Module):
    """The block, with `forward` as a function. `linear` says how layers are called: as modules or bare functions."""

    def __init__(
        self, sizes: Sizes, forward: Callable[["Block", Tensor], Tensor], axis: int | None, linear: str, library: bool
    ) -> None:
        super().__init__()
        width, self.sizes, self.spelled, self.axis, self.linear = sizes.features, sizes, forward, axis, linear
        outputs = (width, width, width, width, 3)
        weights = [numbers(n, width, seed=sizes.seed + i) / 2 + 0.25 for i, n in enumerate(outputs)]
        if linear == "module":
            self.layers = nn.ModuleList(nn.Linear(width, n, bias=False) for n in outputs)
            for layer, weight in zip(self.layers, weights, strict=True):
                layer.weight.data = weight
        else:
            self.weights = nn.ParameterList(nn.Parameter(weight) for weight in weights)
        mode = "s" if axis is None else "m"
        self.fire = nn.ModuleList(
            neuron.IFNode(v_reset=None, step_mode=mode) if library else Integrate(axis) for _ in range(5)
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.spelled(self, x)

    @property
    def steps(self) -> int:
        return getattr(self, "time_steps", self.sizes.steps)

    def rest(self) -> None:
        for each in self.fire:
            each.v = 0.0

    def spikes(self, number: int, x: Tensor) -> Tensor:
        fire = self.fire[number]
        if isinstance(fire, Integrate) or self.axis is None:
            return fire(x)
        return fire(x.movedim(self.axis, 0)).movedim(0, self.axis)

    def apply_layer(self, number: int, x: Tensor) -> Tensor:
        if self.linear == "module":
            return self.layers[number](x)
        if self.linear == "F.linear":
            return F.linear(x, self.weights[number])
        if self.linear == "helper":
            return multiply(x, self.weights[number].t())
        return x @ self.weights[number].t()


def multiply(a: Tensor, b: Tensor) -> Tensor:
    return a @ b


def split_heads(x: Tensor, heads: int) -> Tensor:
    return x.unflatten(-1, (heads, -1)).transpose(-2, -3)


def join_heads(x: Tensor) -> Tensor:
    return x.transpose(-2, -3).flatten(-2)


def unchanged(x: Tensor) -> Tensor:
    return x


def block(
    s: Block,
    x: Tensor,
    layer: Callable[[int, Tensor], Tensor] | None = None,
    folded: Callable[[Tensor], Tensor] = unchanged,
    unfolded: Callable[[Tensor], Tensor] = unchanged,
    tokens: int = -2,
) -> Tensor:
    """Logits `[..., classes]` of `[..., N, D]`, tokens on that axis. Layers go through `layer`; heads `[..., h, N, d]`
    are multiplied in another form."""
    layer = layer or s.apply_layer
    y = s.spikes(0, layer(0, x))
    q, k, v = (folded(split_heads(s.spikes(i, layer(i, y)).movedim(tokens, -2), s.sizes.heads)) for i in (1, 2, 3))
    multiplied = multiply if s.linear == "helper" else torch.matmul
    attention = unfolded(multiplied(multiplied(q, k.mT), v))
    spikes = s.spikes(4, join_heads(attention).movedim(-2, tokens))
    return layer(4, spikes.sum(tokens))


def over_time(s: Block, x: Tensor) -> Tensor:
    return x.unsqueeze(0).repeat(s.steps, 1, 1, 1)


def over_time_second(s: Block, x: Tensor) -> Tensor:
    return x.unsqueeze(1).repeat(1, s.steps, 1, 1)


def time_first(s: Block, x: Tensor) -> Tensor:
    return block(s, over_time(s, x)).mean(0)


def time_merged(s: Block, x: Tensor) -> Tensor:
    def layer(i: int, y: Tensor) -> Tensor:
        return s.apply_layer(i, y.flatten(0, 1)).unflatten(0, (s.steps, -1))

    return block(s, over_time(s, x), layer).mean(0)


def batch_first(s: Block, x: Tensor) -> Tensor:
    return block(s, over_time_second(s, x)).mean(1)


def batch_merged(s: Block, x: Tensor) -> Tensor:
    def layer(i: int, y: Tensor) -> Tensor:
        return s.apply_layer(i, y.flatten(0, 1)).unflatten(0, (-1, s.steps))

    return block(s, over_time_second(s, x), layer).mean(1)


def tokens_first(s: Block, x: Tensor) -> Tensor:
    """`[T, N, B, D]`, as of attention that is not batch-first."""
    return block(s, over_time(s, x.transpose(0, 1)), tokens=1).mean(0)


def tokens_first_merged(s: Block, x: Tensor) -> Tensor:
    """`[N, T*B, D]` in the layers."""

    def layer(i: int, y: Tensor) -> Tensor:
        if y.dim() == 3:
            return s.apply_layer(i, y)
        return s.apply_layer(i, y.transpose(0, 1).flatten(1, 2)).unflatten(1, (s.steps, -1)).transpose(0, 1)

    return block(s, over_time(s, x.transpose(0, 1)), layer, tokens=1).mean(0)


def heads_folded(s: Block, x: Tensor) -> Tensor:
    """`[T*B*heads, N, d]` in the products."""
    shape = (s.steps, -1, s.sizes.heads)
    return block(s, over_time(s, x), None, lambda y: y.flatten(0, 2), lambda y: y.unflatten(0, shape)).mean(0)


def heads_folded_batch_first(s: Block, x: Tensor) -> Tensor:
    """`[B*T*heads, N, d]` in the products."""
    shape = (-1, s.steps, s.sizes.heads)
    return block(s, over_time_second(s, x), None, lambda y: y.flatten(0, 2), lambda y: y.unflatten(0, shape)).mean(1)


def heads_in_front(s: Block, x: Tensor) -> Tensor:
    """`[heads*T*B, N, d]` in the products."""
    shape = (s.sizes.heads, s.steps, -1)
    folded, unfolded = (lambda y: y.movedim(2, 0).flatten(0, 2)), (lambda y: y.unflatten(0, shape).movedim(0, 2))
    return block(s, over_time(s, x), None, folded, unfolded).mean(0)


def windows(s: Block, x: Tensor) -> Tensor:
    """Each token goes through the layers by itself, over all time steps at once."""

    def layer(i: int, y: Tensor) -> Tensor:
        if y.dim() == 3:
            return s.apply_layer(i, y)
        return torch.stack([s.apply_layer(i, y[:, :, token]) for token in range(s.sizes.tokens)], 2)

    return block(s, over_time(s, x), layer).mean(0)


def windows_step_by_step(s: Block, x: Tensor) -> Tensor:
    """Each token goes through the layers by itself, step after step."""

    def layer(i: int, y: Tensor) -> Tensor:
        if y.dim() == 3:
            return torch.stack([s.apply_layer(i, y[step]) for step in range(s.steps)])
        tokens = [[s.apply_layer(i, y[step, :, n]) for step in range(s.steps)] for n in range(s.sizes.tokens)]
        return torch.stack([torch.stack(token) for token in tokens], 2)

    return block(s, over_time(s, x), layer).mean(0)


def time_among_tokens(s: Block, x: Tensor) -> Tensor:
    """`[B, T*N, D]` in the layers."""

    def layer(i: int, y: Tensor) -> Tensor:
        if y.dim() == 3:
            return s.apply_layer(i, y)
        flat = s.apply_layer(i, y.transpose(0, 1).flatten(1, 2))
        return flat.unflatten(1, (s.steps, -1)).transpose(0, 1)

    return block(s, over_time(s, x), layer).mean(0)


def loop(s: Block, x: Tensor) -> Tensor:
    s.rest()
    return sum((block(s, x) for _ in range(s.steps)), torch.zeros(())) / s.steps


def loop_heads_folded(s: Block, x: Tensor) -> Tensor:
    """A loop over time with `[B*heads, N, d]` in the products."""
    s.rest()
    shape = (-1, s.sizes.heads)
    steps = [block(s, x, None, lambda y: y.flatten(0, 1), lambda y: y.unflatten(0, shape)) for _ in range(s.steps)]
    return torch.stack(steps).mean(0)


# how it is written -> the axis on which its neurons have time, None for a loop
SPELLINGS: dict[str, tuple[Callable[[Block, Tensor], Tensor], int | None]] = {
    "time first": (time_first, 0),
    "time first, merged": (time_merged, 0),
    "batch first": (batch_first, 1),
    "batch first, merged": (batch_merged, 1),
    "tokens first": (tokens_first, 0),
    "tokens first, merged": (tokens_first_merged, 0),
    "heads folded": (heads_folded, 0),
    "heads folded, batch first": (heads_folded_batch_first, 1),
    "heads in front": (heads_in_front, 0),
    "windows": (windows, 0),
    "windows, step by step": (windows_step_by_step, 0),
    "time among tokens": (time_among_tokens, 0),
    "loop": (loop, None),
    "loop, heads folded": (loop_heads_folded, None),
}
# of a model that is handed T from outside: the feed it wants
FED: dict[str, tuple[Callable[[Block, Tensor], Tensor], int | None]] = {
    "step": (block, None),
    "time-first": (lambda s, x: block(s, x).mean(0), 0),
    "batch-first": (lambda s, x: block(s, x).mean(1), 1),
}
# those that look like another layout where T cannot be changed, and sizes coincide
UNDETECTABLE = {"heads in front", "windows, step by step", "time among tokens"}
LINEAR = ("module", "F.linear", "matmul", "helper")


def spelled(sizes: Sizes, name: str, linear: str = "module", *, library: bool = False, fixed: bool = False) -> Block:
    """The block with neurons of SpikingJelly or home-made ones, whose T can be set or is fixed."""
    function, axis = SPELLINGS[name] if name in SPELLINGS else FED[name]
    block = Block(sizes, function, axis, linear, library)
    if name in SPELLINGS and not fixed:
        block.time_steps = sizes.steps
    return block


def facts(profile: Profile) -> list[Any]:
    """All that was counted, without the names of layers and operators."""
    operators = [
        (each.role, each.macs_per_image, each.runs_per_image, each.pairs, [replace(x, name="") for x in each.operands])
        for each in profile.operators
    ]
    neurons = [(layer.neuron, layer.elements, layer.sums) for layer in profile.neurons]
    return [profile.images, profile.time_steps, operators, neurons]


def energies(profile: Profile) -> dict[str, float]:
    """Total, MACs per step and interval by protocol; protocols that want more than a profile has are left out."""
    found = {}
    for name in PROTOCOLS:
        with suppress(EnergyError):
            report = price(profile, name)
            found |= {f"{name} pJ": report.total_pj, f"{name} MACs per step": report.macs_per_step}
            low, high = report.interval_mj or (0.0, 0.0)
            found |= {f"{name} low": low, f"{name} high": high}
    return found
