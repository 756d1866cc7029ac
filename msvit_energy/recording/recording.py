"""What a Recorder saw, as frozen data: the input of everything that follows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from msvit_energy.profiles.amounts import Moments
from msvit_energy.profiles.operators import NeuronLayer, Operator, Overhead, Role


@dataclass(frozen=True)
class Recording:
    """What flowed through a model over `images` images; MACs are those of the hooks alone.

    `unplaced` are bare calls of operators whose tensors fit no image, with the MACs per image of the first batch;
    `called` are the names of the modules that ran.
    """

    images: int
    time_steps: int
    operators: tuple[Operator, ...]
    neurons: tuple[NeuronLayer, ...]
    overheads: tuple[Overhead, ...]
    moments: Moments
    unplaced: Mapping[str, int]
    called: frozenset[str]

    @property
    def overhead_modules(self) -> list[str]:
        """Modules that are listed as overhead, neurons apart."""
        return [entry.layer for entry in self.overheads if entry.op not in ("bias", "neuron_update")]


def with_roles(operators: Sequence[Operator]) -> tuple[Operator, ...]:
    """The operators, two of them with a role: the entrance is the first convolution, or without any the first operator
    that is fed with the model's input; the head is a linear layer that comes last."""
    first = [operator.layer for operator in operators if operator.op.startswith("conv")] or [
        operator.layer for operator in operators if any(operand.origin == "input" for operand in operator.operands)
    ]
    roles: dict[str, Role] = {operator.layer: "head" for operator in operators[-1:] if operator.op == "linear"}
    roles |= dict.fromkeys(first[:1], "entrance")
    return tuple(replace(operator, role=roles.get(operator.layer, "")) for operator in operators)
