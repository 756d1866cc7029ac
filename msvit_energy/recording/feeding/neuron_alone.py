"""What a neuron of no known library does with time: it runs alone, fed with random numbers in place of its input."""

from collections.abc import Iterator, Sequence
from functools import cached_property

import torch
from torch import Tensor, nn

from msvit_energy.recording.feeding.mode_probes import Arguments
from msvit_energy.recording.neurons import emitted
from msvit_energy.recording.state.model_state import RestState
from msvit_energy.recording.state.repeatable import repeatable

SCALES = (1.0, 4.0, 0.25, 16.0, 64.0)  # of random numbers, as neurons may fire at none or at all of one size
CALLS = 4  # in a row, for a neuron that needs several to fire


class NeuronAlone:
    """A neuron outside its model, which comes back to its state of rest after every run, and the model at the end. What
    it cannot be run with is taken for nothing seen."""

    def __init__(self, neuron: nn.Module, given: Arguments, rest: RestState) -> None:
        self._neuron, self._given, self._rest = neuron, given, rest
        self._restore = rest.restoring(neuron)
        self._input = torch.empty(0)
        if given.args and isinstance(given.args[0], Tensor) and given.args[0].dim():
            self._input = given.args[0] if given.args[0].is_floating_point() else self._input

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the input; `[0]` if it is no tensor of real numbers."""
        return tuple(self._input.shape)

    @cached_property
    def mixed_axes(self) -> dict[int, bool]:
        """Of the first two axes and the last, those along which outputs depend on other inputs, and whether only on
        earlier ones."""
        found: dict[int, bool] = {}
        for first, second in random_pairs(self._input):
            before = self._run(first)
            mixed = {axis: self._mixes(axis, first, second, before) for axis in self._axes()}
            if found := {axis: causal for axis, causal in mixed.items() if causal is not None}:
                break
        self._rest.restore()
        return found

    def keeps_state(self) -> bool:
        """Whether the same input in several calls gives different outputs."""
        outputs: Sequence[Tensor] = ()
        for first, _ in random_pairs(self._input):
            outputs = self._run(*[first] * CALLS)
            if any(not torch.equal(outputs[0], other) for other in outputs[1:]):
                break
            outputs = ()
        self._rest.restore()
        return bool(outputs)

    def _axes(self) -> list[int]:
        axes = sorted({0, 1, self._input.dim() - 1})
        return [axis for axis in axes if axis < self._input.dim() and self._input.shape[axis] > 1]

    def _mixes(self, axis: int, first: Tensor, second: Tensor, before: Sequence[Tensor]) -> bool | None:
        """Whether outputs depend on earlier inputs only; None if on none but their own. `before` is what the first
        input gives."""
        last = first.shape[axis] - 1
        ahead, back = (self._reaches(axis, place, first, second, before) for place in (0, last))
        return not back if ahead or back else None

    def _reaches(self, axis: int, place: int, first: Tensor, second: Tensor, before: Sequence[Tensor]) -> bool:
        """Whether another input at one place of an axis changes outputs at others."""
        changed = first.clone()
        changed.select(axis, place).copy_(second.select(axis, place))
        outputs = [*before, *self._run(changed)]
        if len(outputs) < 2 or any(output.shape[: axis + 1] != first.shape[: axis + 1] for output in outputs):
            return False
        others = torch.tensor([each for each in range(first.shape[axis]) if each != place], device=first.device)
        same, other = (output.index_select(axis, others) for output in outputs)
        return not torch.equal(same, other)

    def _run(self, *inputs: Tensor) -> Sequence[Tensor]:
        """What it emits in calls in a row, from rest; nothing if it raises."""
        found: list[Tensor] = []
        try:
            with self._rest.mode(), repeatable(self._input.device):
                for values in inputs:
                    output = emitted(self._neuron(values.clone(), *self._given.args[1:], **self._given.kwargs))
                    found.append(output.clone())
        except Exception:  # it may need what the model does around it
            return ()
        finally:
            self._restore()
        return found


def random_pairs(values: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """Pairs of random tensors like one, uniform from 0 to several sizes, always the same; none for whole numbers."""
    if not values.is_floating_point() or not values.numel():
        return
    generator = torch.Generator().manual_seed(0)
    largest = float(values.abs().max().nan_to_num(0.0, 0.0))
    for size in dict.fromkeys((*(scale * largest for scale in SCALES if largest), *SCALES)):
        drawn = torch.rand(2, *values.shape, generator=generator, dtype=torch.float64).mul(size).to(values)
        yield drawn[0], drawn[1]
