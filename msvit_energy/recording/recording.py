"""What a Recorder saw, as frozen data: the input of everything that follows."""

import difflib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from msvit_energy.errors import EnergyError
from msvit_energy.profiles.amounts import Moments
from msvit_energy.profiles.operators import NeuronLayer, Operator, Overhead, Role


@dataclass(frozen=True)
class Recording:
    """What flowed through a model over `images` images; MACs are those of the hooks alone.

    `unplaced` are bare calls of operators whose tensors fit no image, with the MACs per image of the first batch;
    `called` are the names of the modules that ran. `assumed_order` are operators and neurons whose tensors have an axis
    in an assumed order (Coverage).
    """

    images: int
    time_steps: int
    operators: tuple[Operator, ...]
    neurons: tuple[NeuronLayer, ...]
    overheads: tuple[Overhead, ...]
    moments: Moments
    unplaced: Mapping[str, int]
    called: frozenset[str]
    assumed_order: tuple[str, ...]

    @property
    def overhead_modules(self) -> list[str]:
        """Modules that are listed as overhead, neurons apart."""
        return [entry.layer for entry in self.overheads if entry.op not in ("bias", "neuron_update")]


def with_roles(
    operators: Sequence[Operator], entrances: Collection[str], heads: Collection[str] | None
) -> tuple[Operator, ...]:
    """The operators with their roles. Where the way of the input was lost, the entrance is the first convolution, or
    without any the first operator that is fed with the model's input; where that of the output was lost (`heads` is
    None), the head is a linear layer that comes last."""
    first = list(entrances) or _first(operators)
    last = [operator.layer for operator in operators[-1:] if operator.op == "linear"] if heads is None else heads
    roles: dict[str, Role] = dict.fromkeys(last, "head")
    roles |= dict.fromkeys(first, "entrance")
    return tuple(replace(operator, role=roles.get(operator.layer, "")) for operator in operators)


def check_heads(heads: Iterable[str], operators: Iterable[str]) -> None:
    """EnergyError for a head that is none of the operators."""
    layers = list(operators)
    for head in heads:
        if head not in layers:
            near = difflib.get_close_matches(head, layers, n=3, cutoff=0.4) or layers[-3:]
            raise EnergyError(f"no operator is called {head!r}, so it is no head; operators: {', '.join(near)}, ...")


def _first(operators: Sequence[Operator]) -> list[str]:
    found = [operator.layer for operator in operators if operator.op.startswith("conv")] or [
        operator.layer for operator in operators if any(operand.origin == "input" for operand in operator.operands)
    ]
    return found[:1]
