"""Which modules are running, and which of the operators that they call as bare functions are the same one.

Calls with the same weights, in whatever view, are the same operator: storage is identity, source lines and names of
helper functions are none. A call without weights (a product of activations) is known by its place in the forward of
its module. Where that forward holds a loop over T, the sequence of such calls has a period, and repeats are folded.
"""

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from msvit_energy.recording.model_parameters import parameters_of
from msvit_energy.recording.module_calls import has_own_weight
from msvit_energy.recording.operator_calls import Call
from msvit_energy.recording.spiking_functions import Site


class PlainCall(NamedTuple):
    """A call without weights: its provisional layer, what must be alike to be a repeat, how often a neuron had run
    before it, and whether it reads parts of each image, such as heads, from larger tensors."""

    layer: str
    signature: tuple[Any, ...]
    neuron_runs: int
    reads_parts: bool


@dataclass
class RunningModule:
    """One run of a module: how many operators of each kind it has called as bare functions, by which weights, and the
    calls without weights that handle a single time step."""

    name: str
    module: nn.Module
    is_operator: bool = False
    operators: Counter[str] = field(default_factory=Counter)
    by_weights: dict[tuple[Any, ...], str] = field(default_factory=dict)
    plain: list[PlainCall] = field(default_factory=list)
    last_weighted: str = ""
    last_plain: str = ""


class CallSites:
    """The stack of running modules; `called` are the names of all that ever ran. `neuron_runs` is counted from outside.

    `steps_per_call` is how many time steps one forward of the model runs over.
    """

    KEPT = ("called",)

    def __init__(self, model: nn.Module, steps_per_call: int) -> None:
        self.called: set[str] = set()
        self.neuron_runs = 0
        self._steps = steps_per_call
        self._model = model
        self._modules = frozenset(name for name, _ in model.named_modules())
        known = (tensor for tensor in (*parameters_of(model), *nn.Module.buffers(model)) if not is_lazy(tensor))
        self._weights = {_storage(tensor) for tensor in known}
        self._stack: list[RunningModule] = []
        self._runs: dict[str, list[RunningModule]] = {}  # of each module in the present batch

    def begin(self) -> None:
        """Start a batch; what is left of one that failed is forgotten."""
        self._stack.clear()
        self._runs.clear()
        self.neuron_runs = 0

    def enter(self, name: str, module: nn.Module, *, operator: bool) -> None:
        """A module starts to run, which is an `operator` by itself or not."""
        running = RunningModule(name, module, operator)
        if running.is_operator:
            self._note_operator(weighted=name)
        self._stack.append(running)
        self._runs.setdefault(name, []).append(running)
        self.called.add(name)

    def leave(self, module: nn.Module) -> None:
        """A module is done, and with it whatever it was running."""
        while self._stack and self._stack.pop().module is not module:
            pass

    @property
    def running(self) -> nn.Module:
        """The module that is running, the innermost one."""
        return self._stack[-1].module if self._stack else self._model

    @property
    def inside_operator(self) -> bool:
        """Whether the running module is an operator by itself."""
        return bool(self._stack) and self._stack[-1].is_operator

    def name(self, call: Call) -> str:
        """The layer of a bare call: the running module and the operator, numbered from the second one on."""
        running = self._stack[-1] if self._stack else RunningModule("", self._model)
        weights = tuple(_view(tensor) for tensor in call.tensors if _storage(tensor) in self._weights)
        if weights:
            own = running.module.weight if has_own_weight(running.module) else None
            if isinstance(own, Tensor) and _view(own) in weights:
                return running.name
            self._note_operator(weighted=f"{running.name} {call.op} {weights}")
            place = (call.op, *weights)
            if place not in running.by_weights:
                running.by_weights[place] = self._new_name(running, call.op)
            return running.by_weights[place]
        self._note_operator(plain=call.op)
        return self._new_name(running, call.op)

    def _note_operator(self, *, weighted: str = "", plain: str = "") -> None:
        """An operator runs in all modules that are running."""
        for running in self._stack:
            running.last_weighted, running.last_plain = weighted or running.last_weighted, plain

    def site(self, spikes: Tensor) -> Site:
        """Where a function is called that returns `spikes`."""
        running = self._stack[-1] if self._stack else RunningModule("", self._model)
        return Site(running.name, running.last_weighted, running.last_plain, spikes.dim())

    def is_inside(self, modules: Collection[nn.Module]) -> bool:
        """Whether one of some modules is running."""
        return any(running.module in modules for running in self._stack)

    def is_weight(self, tensor: Tensor) -> bool:
        """Whether a tensor is a parameter or buffer, in whatever view."""
        return _storage(tensor) in self._weights

    def note_single_step(self, layer: str, call: Call) -> None:
        """Note that a bare call handles a single time step. Without weights its layer is provisional; `repeats` has the
        final one."""
        tensors = call.tensors
        if self._stack and self._steps > 1 and not any(_storage(tensor) in self._weights for tensor in tensors):
            signature = (call.op, call.macs, *(tuple(tensor.shape) for tensor in tensors))
            parts = any(map(_is_part, tensors))
            self._stack[-1].plain.append(PlainCall(layer, signature, self.neuron_runs, parts))

    def _new_name(self, running: RunningModule, op: str) -> str:
        """The next name that is no module's."""
        while True:
            running.operators[op] += 1
            number = running.operators[op]
            name = ".".join(filter(None, (running.name, op if number == 1 else f"{op}_{number}")))
            if name not in self._modules:
                return name

    def repeats(self) -> dict[str, str]:
        """Provisional layers of this batch that repeat another in a loop over T, and that other."""
        found: dict[str, str] = {}
        for runs in self._runs.values():
            if len(runs) % self._steps:  # else the loop is around the module
                for running in runs:
                    found |= _folded(running.plain, self._steps)
        return found


def _folded(calls: Sequence[PlainCall], steps: int) -> dict[str, str]:
    """Calls of one forward that come again with a period, `steps` times in all, and the first of each. A loop over
    heads, which may be as many as time steps, is none over T: it reads parts of each image without a neuron between."""
    period, rest = divmod(len(calls), steps)
    pairs = zip(calls, calls[period:], strict=False)
    if rest or not all(
        a.signature == b.signature and (a.neuron_runs < b.neuron_runs or not b.reads_parts) for a, b in pairs
    ):
        return {}
    return {call.layer: calls[i % period].layer for i, call in enumerate(calls) if i >= period}


def _storage(tensor: Tensor) -> int:
    return int(tensor.untyped_storage()._cdata)


def _view(tensor: Tensor) -> tuple[int, int, int]:
    """Which part of which memory a tensor shows, in whatever order of axes."""
    return _storage(tensor), int(tensor.storage_offset()), tensor.numel()


def _is_part(tensor: Tensor) -> bool:
    """Whether a tensor shows a part of each image of a larger one; one whole time step of it is no such part."""
    return tensor.dim() > 0 and tensor.stride(0) * tensor.shape[0] != tensor.numel()
