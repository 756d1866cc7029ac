"""Building blocks shared by the model families. Activations run `[T, B, C, ...]`, time first."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext

from spikingjelly.activation_based.base import MemoryModule
from torch import Tensor, is_grad_enabled, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint

from msvit.neuron import LIF, StepNeuron

Synapses = nn.Conv1d | nn.Conv2d | nn.Linear
# part of a unit's official name, batch norm over its outputs
_KINDS = {
    nn.Conv1d: ("conv", nn.BatchNorm1d),
    nn.Conv2d: ("conv", nn.BatchNorm2d),
    nn.Linear: ("linear", nn.BatchNorm1d),
}


def over_time(module: nn.Module, x: Tensor) -> Tensor:
    """Apply a stateless module to `[T, B, ...]` as one batch of T*B.

    A static image reaches the first convolution as a view repeated over T (stride 0). In evaluation what is constant
    in time is computed once and repeated; in training it is not, so that batch-norm statistics stay the official ones.
    """
    steps = x.shape[0]
    if x.stride(0) == 0 and not module.training:
        return module(x[0]).unsqueeze(0).expand(steps, *[-1] * (x.dim() - 1))
    return module(x.flatten(0, 1)).unflatten(0, (steps, -1))


class OverTime(nn.Module):
    """Stateless modules in a row, run by `over_time`; `module` is the official name of one, or of their sequence."""

    def __init__(self, *modules: nn.Module) -> None:
        super().__init__()
        self.module = nn.Sequential(*modules) if len(modules) > 1 else modules[0]

    def forward(self, x: Tensor) -> Tensor:
        return over_time(self.module, x)


class SpikingUnits(nn.Module):
    """Base of modules made of synapses (convolution or linear), batch norm, (max pool), LIF units.

    The official state dicts name them flatly, `q_conv`, `q_bn`, `q_lif`, and those names are kept. With `recompute` a
    unit keeps its input alone in training and runs again in the backward pass.
    """

    recompute = False

    def add_unit(self, name: str, synapses: Synapses, *, pool: bool = False) -> None:
        """Register `name_conv` (or `name_linear`), `name_bn`, `name_maxpool` (on real numbers) and `name_lif`."""
        self._add_synapses(name, synapses)
        if pool:
            self.add_module(f"{name}_maxpool", max_pool())
        self.add_module(f"{name}_lif", LIF())

    def add_preactivated(self, name: str, synapses: Synapses, *, pool: bool = False, tau: float = 2.0) -> None:
        """The same the other way round: `name_lif`, `name_maxpool` (on spikes), `name_conv`, `name_bn`."""
        self.add_module(f"{name}_lif", LIF(tau=tau))
        if pool:
            self.add_module(f"{name}_maxpool", max_pool())
        self._add_synapses(name, synapses)

    def _add_synapses(self, name: str, synapses: Synapses) -> None:
        part, batch_norm = _KINDS[type(synapses)]
        width = synapses.out_features if isinstance(synapses, nn.Linear) else synapses.out_channels
        self.add_module(f"{name}_{part}", synapses)
        self.add_module(f"{name}_bn", batch_norm(width))

    def through(self, x: Tensor, *names: str) -> Tensor:
        """Pass `[T, B, C, ...]` through submodules by name, in order; linear layers work on the channel axis."""
        for name in names:
            module = self.get_submodule(name)
            if isinstance(module, MemoryModule | StepNeuron):  # LIF, or a neuron of SpikingJelly in its place
                x = module(x)
            elif isinstance(module, nn.Linear):
                x = over_time(module, x.transpose(2, 3)).transpose(2, 3)
            else:
                x = over_time(module, x)
        return x

    def currents(self, name: str, x: Tensor) -> Tensor:
        """What the unit's neurons receive: `[T, B, C_in, ...]` -> `[T, B, C_out, ...]`, real numbers."""
        parts = (f"{name}_{part}" for part in ("conv", "linear", "bn", "maxpool"))
        return self.unit_of(x, parts)

    def fire(self, name: str, currents: Tensor) -> Tensor:
        """The unit's neurons: `[T, ...]` -> spikes of the same shape."""
        return self.get_submodule(f"{name}_lif")(currents)

    def spikes(self, name: str, x: Tensor) -> Tensor:
        """The whole unit: `[T, B, C_in, ...]` -> `[T, B, C_out, ...]`, values in {0, 1}."""
        parts = (f"{name}_{part}" for part in ("conv", "linear", "bn", "maxpool", "lif"))
        return self.unit_of(x, parts)

    def preactivated(self, name: str, x: Tensor) -> Tensor:
        """A pre-activation unit: membranes `[T, B, C_in, ...]` -> `[T, B, C_out, ...]`, both real numbers."""
        parts = (f"{name}_{part}" for part in ("lif", "maxpool", "conv", "bn"))
        return self.unit_of(x, parts)

    def unit_of(self, x: Tensor, parts: Iterable[str]) -> Tensor:
        """Pass through those of the submodules that are there, one unit."""
        there = [part for part in parts if part in self._modules]
        if not (self.recompute and self.training and is_grad_enabled()):
            return self.through(x, *there)
        again = lambda: (nullcontext(), unmoved(self))  # noqa: E731
        return checkpoint(self.through, x, *there, use_reentrant=False, preserve_rng_state=False, context_fn=again)


@contextmanager
def unmoved(module: nn.Module) -> Iterator[None]:
    """Running statistics of batch norm that stay where they are: what runs again was counted at the first time."""
    norms = [norm for norm in module.modules() if isinstance(norm, _BatchNorm)]
    before = [(norm.momentum, norm.num_batches_tracked) for norm in norms]
    for norm in norms:
        norm.momentum = 0.0
        norm.num_batches_tracked = norm.num_batches_tracked.clone()  # type: ignore[union-attr]
    try:
        yield
    finally:
        for norm, (momentum, tracked) in zip(norms, before, strict=True):
            norm.momentum, norm.num_batches_tracked = momentum, tracked


def max_pool() -> nn.MaxPool2d:
    """The pool of all families: 3 x 3, stride 2."""
    return nn.MaxPool2d(kernel_size=3, stride=2, padding=1)


def pointwise(kind: str, dim_in: int, dim_out: int, *, bias: bool = True) -> Synapses:
    """Synapses from channel to channel of one token: "conv1d", "conv2d" or "linear", which differ in layout only."""
    if kind == "linear":
        layer = nn.Linear(dim_in, dim_out, bias=bias)
        nn.init.trunc_normal_(layer.weight, std=0.02)
        if bias:
            nn.init.zeros_(layer.bias)
        return layer
    convolution = nn.Conv1d if kind == "conv1d" else nn.Conv2d
    return convolution(dim_in, dim_out, 1, bias=bias)


class ChannelMixer(SpikingUnits):
    """Base of the MLPs: two units in a row, on maps `[T, B, C, H, W]`; `kind` as in `pointwise`.

    Point-wise synapses other than "conv2d" see the map as a line of tokens.
    """

    def __init__(self, names: tuple[str, str], kind: str) -> None:
        super().__init__()
        self.names, self.on_tokens = names, kind != "conv2d"

    def unit(self, name: str, x: Tensor) -> Tensor:
        """One of the two units."""
        raise NotImplementedError

    def forward(self, x: Tensor) -> Tensor:
        size = x.shape[3:]
        if self.on_tokens:
            x = x.flatten(3)
        for name in self.names:
            x = self.unit(name, x)
        return x.unflatten(3, size) if self.on_tokens else x


class SpikingMLP(ChannelMixer):
    """Channel mixer: point-wise synapses to `ratio` times the width and back, each followed by batch norm and LIF.

    `[T, B, C, H, W]` -> spikes of the same shape. `names` are the official names of the two units.
    """

    def __init__(self, dim: int, ratio: int, names: tuple[str, str], *, kind: str = "conv2d") -> None:
        super().__init__(names, kind)
        self.add_unit(names[0], pointwise(kind, dim, dim * ratio))
        self.add_unit(names[1], pointwise(kind, dim * ratio, dim))

    def unit(self, name: str, x: Tensor) -> Tensor:
        return self.spikes(name, x)


class PreActivationMLP(ChannelMixer):
    """Channel mixer of the membrane-shortcut families: LIF-conv1x1-BN twice, real numbers in and out.

    `[T, B, C, H, W]` -> the same shape; `names` are the official names of the two units.
    """

    def __init__(self, dim: int, ratio: int, names: tuple[str, str], *, kind: str = "conv2d", tau: float = 2.0) -> None:
        super().__init__(names, kind)
        self.add_preactivated(names[0], pointwise(kind, dim, dim * ratio), tau=tau)
        self.add_preactivated(names[1], pointwise(kind, dim * ratio, dim), tau=tau)

    def unit(self, name: str, x: Tensor) -> Tensor:
        return self.preactivated(name, x)


class ResidualBlock(nn.Module):
    """x + attention(x), then x + MLP(x) (MSViT paper, equations 1 and 2), on `[T, B, C, H, W]`.

    `name` is the attention's official name; `first` names a branch that stands before it, x + first(x). With `norm_dim`
    the block has the LayerNorms `norm1` and `norm2` of the official state dict, which nothing reads. `drop_path` is the
    probability of stochastic depth (Huang et al. 2016) in training: for one sample, at all its time steps, attention or
    MLP are left out; the others are scaled up to the same mean.
    """

    def __init__(
        self,
        attention: nn.Module,
        mlp: nn.Module,
        *,
        name: str = "attn",
        norm_dim: int | None = None,
        first: tuple[str, nn.Module] | None = None,
    ) -> None:
        super().__init__()
        self.attention_name = name
        self.first_name = "" if first is None else first[0]
        self.drop_path = 0.0
        if first is not None:
            self.add_module(*first)
        if norm_dim is not None:
            self.norm1 = nn.LayerNorm(norm_dim)
        self.add_module(name, attention)
        if norm_dim is not None:
            self.norm2 = nn.LayerNorm(norm_dim)
        self.mlp = mlp

    def forward(self, x: Tensor) -> Tensor:
        if self.first_name:
            x = x + self.get_submodule(self.first_name)(x)
        x = x + self.dropped(self.get_submodule(self.attention_name)(x))
        return x + self.dropped(self.mlp(x))

    def dropped(self, branch: Tensor) -> Tensor:
        """`[T, B, ...]` with stochastic depth."""
        if not (self.training and self.drop_path):
            return branch
        kept = 1 - self.drop_path
        mask = branch.new_empty(1, branch.shape[1], *[1] * (branch.dim() - 2)).bernoulli_(kept)
        return branch * (mask / kept)


def linear_head(dim: int, num_classes: int) -> nn.Linear:
    """The classifier, initialised as the official files do: truncated normal 0.02, bias 0."""
    head = nn.Linear(dim, num_classes)
    nn.init.trunc_normal_(head.weight, std=0.02)
    nn.init.zeros_(head.bias)
    return head


def set_recompute(model: nn.Module, wanted: bool) -> None:
    """Let embeddings and blocks compute what the backward pass needs again instead of keeping it."""
    for module in model.modules():
        if isinstance(module, SpikingUnits):
            module.recompute = wanted


def set_drop_path(model: nn.Module, rate: float) -> None:
    """Stochastic depth that rises linearly from 0 in the first block to `rate` in the last."""
    blocks = [module for module in model.modules() if isinstance(module, ResidualBlock)]
    for position, block in enumerate(blocks):
        block.drop_path = rate * position / max(1, len(blocks) - 1)
