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

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Self

import torch
from torch import Tensor, nn

from msvit_energy.recording.counts import integer_bounds
from msvit_energy.recording.counts.tensor_stats import SHARING
from msvit_energy.recording.firing_maps import FiringMaps
from msvit_energy.recording.function_mode import FunctionObserver, Listener
from msvit_energy.recording.neurons import is_neuron
from msvit_energy.recording.observer import Observer
from msvit_energy.recording.operator_calls import FUNCTIONS, has_own_weight, is_operator
from msvit_energy.recording.overheads import overhead_name
from msvit_energy.recording.recording import Recording
from msvit_energy.recording.state.model_state import RestState

Hook = Callable[[nn.Module, list[Tensor], Any], None]  # module, input tensors, output


class Recorder:
    """Hooks on a model for the length of a `with` block; on leaving they are gone and all neurons at rest. Run each
    batch inside `batch(...)`; `result()` is what was seen so far. Nothing is written onto the model's modules.

    `rest` is the model's state of rest, by default the present one; `steps_per_call` is 1 for a model that is called
    once per time step, by default T. `heads` are the layers that make the output, if not what the first batch shows.
    """

    def __init__(
        self,
        model: nn.Module,
        time_steps: int,
        rest: RestState | None = None,
        *,
        steps_per_call: int | None = None,
        maps: FiringMaps | None = None,
        heads: Collection[str] | None = None,
    ) -> None:
        self._model, self._maps = model, maps
        self._rest = rest or RestState(model)
        self._observer = Observer(model, time_steps, steps_per_call or time_steps, maps, heads)
        self._observer.streams.stats.distrust(self._rest.tensors)
        self._handles: list[Any] = []

    def __enter__(self) -> Self:
        if self._maps is not None:
            self._maps.choose([name for name, module in self._model.named_modules() if is_neuron(module)])
        for name, module in self._model.named_modules():
            self._handles.append(module.register_forward_pre_hook(self._entering(name)))
            for hook in self._hooks(name, module):
                self._handles.append(module.register_forward_hook(_unobserved(hook), with_kwargs=True))
            self._handles.append(module.register_forward_hook(self._leaving, always_call=True))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for handle in self._handles:
            handle.remove()
        self._rest.restore()

    @contextmanager
    def batch(self, inputs: Tensor, images: int) -> Iterator[None]:
        """Observe the forward (or the T forwards) of that many images, without gradients; neurons start from rest."""
        self._rest.restore()
        self._observer.begin(inputs, images)
        # outside inference mode tensors have a version that counts writes, and need to be read only once
        with self._rest.mode(), self._function_mode():
            yield
        self._observer.end()

    def result(self) -> Recording:
        """What was seen so far."""
        return self._observer.result()

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

    def _hooks(self, name: str, module: nn.Module) -> Iterator[Hook]:
        """What is reported when a module has run."""
        observer = self._observer
        if is_operator(module):
            yield lambda module, inputs, output: observer.operator(name, module, inputs, output)
        if is_operator(module) or has_own_weight(module):
            yield lambda module, inputs, output: observer.bias(name, module, output)
        if is_neuron(module):
            yield lambda module, inputs, output: observer.neuron(name, module, inputs, output)
        if (op := overhead_name(module)) is not None:
            yield lambda module, inputs, output: observer.overhead(name, op, inputs, output)
        if module is self._model:
            yield lambda module, inputs, output: observer.output(output)

    def _entering(self, name: str) -> Callable[[nn.Module, Any], None]:
        return lambda module, args: self._observer.call_sites.enter(name, module)

    def _leaving(self, module: nn.Module, args: Any, output: Any) -> None:
        self._observer.call_sites.leave(module)


def _unobserved(hook: Hook) -> Callable[..., None]:
    """The hook as torch calls it; the torch functions that it calls are no part of the forward."""

    def run(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> None:
        with torch._C.DisableTorchFunction():
            hook(module, [value for value in (*args, *kwargs.values()) if isinstance(value, Tensor)], output)

    return run
