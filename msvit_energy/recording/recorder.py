"""Forward hooks and a function mode that observe what flows through a model.

What is seen:
- every convolution (1d, 2d, 3d, transposed) and linear layer: its input;
- every product of activations that is a module of its own, declared by `activation_op` ("matmul", "mask" or
  "column_sum"): both inputs. A matmul is an operator with MACs, the others are overhead;
- the same operators as bare function calls inside a forward (`@`, einsum, F.conv2d, ...; operator_calls.py has the
  list), named after the module that calls them;
- every neuron layer: its output per time step;
- batch norm, pooling and biases: how many elements they touch.
The first forward is also followed function by function to learn where every input comes from (spike_lineage.py).
"""

import hashlib
from collections.abc import Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from types import TracebackType
from typing import Any, Self

import torch
from torch import Tensor, nn

from msvit_energy.profiles.image_counts import ImageCounts
from msvit_energy.recording.counts import integer_bounds
from msvit_energy.recording.counts.tensor_stats import SHARING
from msvit_energy.recording.feeding.input_modes import InputMode
from msvit_energy.recording.firing_maps import FiringMaps
from msvit_energy.recording.function_mode import FunctionObserver, Listener
from msvit_energy.recording.hooks import listening
from msvit_energy.recording.layouts.layout_search import Layouts
from msvit_energy.recording.observer import Observer
from msvit_energy.recording.recording import Recording
from msvit_energy.recording.spiking_functions import NO_SITES
from msvit_energy.recording.state.model_state import RestState
from msvit_energy.recording.torch_functions import FUNCTIONS


class Recorder:
    """Hooks on a model for the length of a `with` block; on leaving they are gone and all neurons at rest. Run each
    batch inside `batch(...)`; `result()` is what was seen so far.

    `mode` is how the model is fed, `rest` its state of rest, by default the present one. `heads` are the layers that
    make the output, if not what the first batch shows. With `per_image` the counts of single images are kept.
    """

    def __init__(
        self,
        model: nn.Module,
        mode: InputMode,
        rest: RestState | None = None,
        *,
        maps: FiringMaps | None = None,
        heads: Collection[str] | None = None,
        per_image: bool = False,
    ) -> None:
        self._model, self._maps = model, maps
        self._rest = rest or RestState(model)
        functions = self._rest.neurons.functions or NO_SITES
        self._observer = Observer(model, mode, maps, heads, functions, per_image=per_image)
        self._observer.streams.stats.distrust(self._rest.tensors)
        self._hooks = ExitStack()
        self.device = torch.device("cpu")  # of the inputs
        self.first_batch: tuple[int, str] | None = None  # its number of images, and a hash of what flowed

    def __enter__(self) -> Self:
        neurons = self._rest.neurons
        if self._maps is not None:
            self._maps.choose([name for name, module in self._model.named_modules() if module in neurons])
        self._hooks.enter_context(listening(self._model, self._observer, self._rest.neurons))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._hooks.close()
        self._rest.restore()

    @contextmanager
    def unhooked(self) -> Iterator[None]:
        """Forwards of a `with` block are not observed."""
        self._hooks.close()
        yield
        self._hooks.enter_context(listening(self._model, self._observer, self._rest.neurons))

    def place_by(self, layouts: Layouts) -> None:
        """Take the layouts of all streams from these, in batches to come."""
        self._observer.layouts = layouts

    @contextmanager
    def batch(self, inputs: Tensor, images: int) -> Iterator[None]:
        """Observe the forward (or the T forwards) of that many images, without gradients; neurons start from rest."""
        self._rest.restore()
        self._observer.begin(inputs, images)
        # outside inference mode tensors have a version that counts writes, and need to be read only once
        with self._rest.mode(), self._function_mode():
            yield
        self._observer.end()
        self.device = inputs.device
        self.first_batch = self.first_batch or (images, self._hash())

    def result(self) -> Recording:
        """What was seen so far."""
        return self._observer.result()

    def image_counts(self, keys: Sequence[str]) -> ImageCounts | None:
        """Counts of single images so far, by the names that a profile has for them; None if they are not kept."""
        return self._observer.streams.moments.image_counts(keys)

    @property
    def images(self) -> int:
        """How many images were seen so far."""
        return self._observer.images

    def counts(self) -> list[dict[str, Any]]:
        """What was counted so far, as another recorder of the same model can take it over; the maps last."""
        maps = {} if self._maps is None else self._maps.sums()
        return [*({name: getattr(part, name) for name in part.KEPT} for part in self._observer.parts), maps]

    def take_over(self, counts: Sequence[dict[str, Any]]) -> None:
        """Replace what was counted by the `counts` of a recorder in an earlier process. One batch has to have run, in
        which the model showed all else."""
        *own, maps = counts
        for part, kept in zip(self._observer.parts, own, strict=True):
            for name in part.KEPT:
                setattr(part, name, kept[name])
        if self._maps is not None:
            self._maps.take_over(maps)

    def _hash(self) -> str:
        """Of what flowed so far: another one if a single spike is."""
        counters = self._observer.streams.counters
        flowed = [(key, counter.sums, counter.nonzeros) for key, counter in counters.items()]
        return hashlib.sha256(repr(flowed).encode()).hexdigest()

    def _function_mode(self) -> FunctionObserver:
        """Observe bare calls of operators, what makes whole numbers, and what shares memory; in the first batch also
        origins."""
        observer = self._observer
        listeners: dict[Any, list[Listener]] = {func: [observer.bare_call] for func in FUNCTIONS}
        for func in integer_bounds.FUNCTIONS:
            listeners.setdefault(func, []).append(observer.streams.stats.note_output)
        for func in SHARING:
            listeners.setdefault(func, []).append(observer.streams.stats.note_shared)
        followed = [each.follow for each in (observer.origins, observer.flow) if each is not None]
        return FunctionObserver(listeners, followed)
