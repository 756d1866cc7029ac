"""Which operators the model's input reaches first, and which make its output.

Every tensor of a forward is followed by what it was made from since the last operator: names of operators, or the
model's input. Neurons let operators pass, but not the input: what they emit is spikes, which need no encoding.
"""

from typing import Any

from torch import Tensor

from msvit_energy.recording.spike_lineage import WRITES, may_have_tensors, tensors_in
from msvit_energy.recording.tensor_notes import TensorNotes
from msvit_energy.recording.torch_functions import FUNCTIONS

MODEL_INPUT = "<input>"  # no layer is called so
INPUT_ALONE = frozenset((MODEL_INPUT,))
NOTHING: frozenset[str] = frozenset()


class DataFlow:
    """Follows the first batch of a model. `heads` is None where the way to the output was lost."""

    def __init__(self, inputs: Tensor) -> None:
        self._made_from: TensorNotes[frozenset[str] | None] = TensorNotes()
        self._made_from[inputs] = INPUT_ALONE
        self._fed_with_input: dict[str, bool] = {}  # of every operator: whether each call was
        self.heads: frozenset[str] | None = None

    @property
    def entrances(self) -> frozenset[str]:
        """Operators that are fed with the model's input and nothing else, however it was reshaped or normalised."""
        return frozenset(layer for layer, fed in self._fed_with_input.items() if fed)

    def operator(self, layer: str, inputs: list[Tensor], output: Any) -> None:
        """An operator has run."""
        fed = any(self._made_from.get(tensor, NOTHING) == INPUT_ALONE for tensor in inputs)
        self._fed_with_input[layer] = fed and self._fed_with_input.get(layer, True)
        self._mark(output, frozenset((layer,)))

    def neuron(self, inputs: list[Tensor], output: Any) -> None:
        """A layer of neurons has run."""
        self._mark(output, self._union(inputs) - {MODEL_INPUT})

    def follow(self, function: Any, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> None:
        """A torch function has run: what its output was made from is what its inputs were."""
        writes = getattr(function, "__name__", "") in WRITES
        if function not in FUNCTIONS and (writes or may_have_tensors(output)):
            inputs = tensors_in((*args, *kwargs.values()))
            self._mark([output, *inputs[:1]] if writes else output, self._union(inputs))

    def output(self, logits: Tensor | None) -> None:
        """The model has given its output, None if that is no logits: then it has no head."""
        if logits is None:
            self.heads = self.heads or frozenset()
        elif (made_from := self._made_from.get(logits, None)) is not None:
            self.heads = (self.heads or frozenset()) | (made_from - {MODEL_INPUT})

    def _union(self, tensors: list[Tensor]) -> frozenset[str]:
        return NOTHING.union(*(self._made_from.get(tensor, NOTHING) or NOTHING for tensor in tensors))

    def _mark(self, tensors: Any, made_from: frozenset[str]) -> None:
        for tensor in tensors_in((tensors,)):
            self._made_from[tensor] = made_from
