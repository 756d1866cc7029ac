"""Small forwards that show how time and images reach the neurons of a model.

A probe runs over B images of T steps, numbers that are no size of the data. Neurons of known libraries show by their
kind and calls how many steps they ran for. Of all others only the values are compared: where two parts of a batch, two
images or two steps, do not know of each other, what changes with the one and what changes with the other add up.
"""

import math
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import Tensor, UntypedStorage, nn

from msvit_energy.meta_tensors import ShapesOnly, with_values
from msvit_energy.recording.feeding.input_modes import InputMode, run
from msvit_energy.recording.feeding.refusals import Refusal, RefusalError
from msvit_energy.recording.function_mode import FunctionObserver
from msvit_energy.recording.neurons import emitted, steps_run, takes_sequences
from msvit_energy.recording.spiking_functions import makes_spikes, reporting
from msvit_energy.recording.state.model_state import RestState
from msvit_energy.recording.state.repeatable import repeatable
from msvit_energy.recording.torch_functions import FUNCTIONS, described
from msvit_energy.recording.vmap import inside_vmap, with_hidden_axes

IMAGES, STEPS = 0, 1  # axes of a grid of frames, `[B, T, ...]`
ROUNDING = 1e-10  # of sums in float64, relative
PERIOD = 997  # after which the weights of places repeat
MANY = 256  # outputs, of which some change with whatever a layer remembers


class Sizes(NamedTuple):
    """B and T of a probe."""

    images: int
    steps: int


class Call(NamedTuple):
    """One call of a layer: the shape of what it emitted, whether it ran over a sequence (None: unknown) and of how many
    steps, the memory that it was fed with (None: no tensor) and where in it, how many operators had run before, and
    where values are compared their sum, the one weighted by their places, and that of magnitudes."""

    shape: tuple[int, ...]
    sequence: bool | None
    steps: int
    fed_from: UntypedStorage | None  # kept, so that no other has its address
    offset: int
    operators: int
    total: float = 0.0
    digest: float = 0.0
    magnitude: float = 0.0


class Arguments(NamedTuple):
    """What a neuron of no known library was called with first."""

    args: tuple[Any, ...]
    kwargs: dict[str, Any]


@dataclass
class Probe:
    """What one forward showed: calls of neurons, or of all layers where none is known, how often operators used each
    weight, and how many torch functions the model ran."""

    calls: dict[nn.Module, list[Call]] = field(default_factory=dict)
    arguments: dict[nn.Module, Arguments] = field(default_factory=dict)
    weight_uses: Counter[int] = field(default_factory=Counter)
    functions: int = 0
    started: bool = False

    def start(self, *_: Any) -> None:
        """The model starts to run: functions that arranged its input do not count."""
        self.functions = self.functions if self.started else 0
        self.started = True

    @property
    def outputs(self) -> list[list[tuple[tuple[int, ...], float]]]:
        """Shapes of what each layer gave, and digests where values are compared."""
        return [[(call.shape, call.digest) for call in calls] for calls in self.calls.values()]

    @property
    def charged(self) -> bool:
        """Whether there are several layers that all run again and again with the same tensor, which their outputs
        before cannot be steps of."""
        inputs = (
            {(call.fed_from and call.fed_from._cdata, call.offset) for call in calls} for calls in self.calls.values()
        )
        return len(self.calls) > 1 and all(len(each) == 1 for each in inputs)

    def once(self, calls: list[Call]) -> bool:
        """Whether a layer ran once, or once for each of several operators, which use each weight once and feed it from
        memory of their own."""
        apart = len({None if call.fed_from is None else call.fed_from._cdata for call in calls}) == len(calls)
        fed = all(call.operators >= number for number, call in enumerate(calls, 1))
        return len(calls) == 1 or (apart and fed and max(self.weight_uses.values(), default=0) == 1)


class Interplay(NamedTuple):
    """Whether outputs for one of two parts of a batch depend on the other (None: the model refused), and whether that
    would have been seen: all layers have many outputs, and another input changed them."""

    depends: bool | None
    visible: bool = False


class Prober:
    """Runs probes of a model from its state of rest, to which it comes back. torch's generators are left as they were,
    and start every probe in the same state."""

    def __init__(self, model: nn.Module, rest: RestState) -> None:
        self._model, self.rest = model, rest
        self.neurons = [module for module in nn.Module.modules(model) if module in rest.neurons]
        leaves = [module for module in nn.Module.modules(model) if not any(True for _ in module.children())]
        self.watched = self.neurons or leaves
        self.unknown = {each for each in self.watched if not self.neurons or takes_sequences(each) is None}
        self.fired = False  # whether any unknown layer ever gave anything but 0

    def probe(self, feed: str, grid: Tensor) -> Probe | Refusal:
        """Run the model over a grid of frames `[B, T, ...]`; "image" takes the first of each image. With neurons of
        known libraries only, shapes are enough, where they go through the model."""
        if not self.unknown:
            with torch.inference_mode(False), ShapesOnly():
                seen = self._run(feed, grid.to("meta"))
            if isinstance(seen, Probe):
                return seen
        return self._run(feed, grid)

    def _run(self, feed: str, grid: Tensor) -> Probe | Refusal:
        mode = InputMode(feed, True, grid.shape[STEPS])
        batch = grid[:, 0] if feed == "image" else grid
        seen = Probe()
        handles = [module.register_forward_hook(self._noting(seen), with_kwargs=True) for module in self.watched]
        handles.append(self._model.register_forward_pre_hook(seen.start))
        try:
            with self.rest.mode(), repeatable(grid.device), self._watching(seen):
                run(self._model, batch.clone(), mode)
        except RefusalError as refused:
            return Refusal(refused.error, refused.shape, seen.functions)
        except Exception as error:  # what is observed may be of any kind
            return Refusal(error, tuple(mode.arranged(batch).shape), seen.functions)
        finally:
            for handle in handles:
                handle.remove()
            with with_values():
                self.rest.restore()
        return seen

    def _noting(self, seen: Probe) -> Any:
        def note(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> None:
            values = with_hidden_axes(emitted(output))
            if not isinstance(values, Tensor):
                return
            given = args[0] if args and isinstance(args[0], Tensor) else None
            fed_from, offset = (None, 0) if given is None else (given.untyped_storage(), int(given.storage_offset()))
            sequence = None if module in self.unknown else takes_sequences(module)
            sums = _sums(values) if module in self.unknown else ()
            steps = steps_run(module, values) if sequence else 1
            uses = seen.weight_uses.total()
            call = Call(tuple(values.shape), sequence, steps, fed_from, offset, uses, *sums)
            self.fired = self.fired or call.magnitude > 0
            seen.calls.setdefault(module, []).append(call)
            if module in self.unknown and self.neurons:
                seen.arguments.setdefault(module, Arguments(args, kwargs))

        return note

    def _watching(self, seen: Probe) -> FunctionObserver:
        def used(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> None:
            if inside_vmap():
                return
            with with_values():
                weights = [call.weight for call in described(func, args, kwargs)]
            seen.weight_uses.update(int(weight.untyped_storage()._cdata) for weight in weights if weight is not None)

        def ran(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> None:
            seen.functions += 1

        return FunctionObserver({func: [used] for func in FUNCTIONS}, [ran])

    def calls_spiking_functions(self, batch: Tensor) -> bool:
        """Whether one call with an image runs functions that spike, be it refused in the end."""
        found: list[bool | None] = []
        with reporting(lambda given, output: found.append(makes_spikes(given, output))):
            self.probe("image", batch[:1].unsqueeze(1))
        return any(found)

    def interplay(self, feed: str, axis: int, sizes: Sizes, first: Tensor, second: Tensor) -> Interplay:
        """Whether the unknown layers' outputs for one of two parts of a batch, images or steps, depend on the other.
        Each is one of two frames `[...]`, in all four ways. Where a call has one step, two of each are enough, unless
        the model refuses so few images."""
        if feed == "step":
            sizes = sizes._replace(steps=2)
            seen = self._interplay(feed, axis, sizes._replace(images=min(2, sizes.images)), first, second)
            if seen.depends is not None or sizes.images <= 2:
                return seen
        return self._interplay(feed, axis, sizes, first, second)

    def _interplay(self, feed: str, axis: int, sizes: Sizes, first: Tensor, second: Tensor) -> Interplay:
        found: list[list[Call]] = []
        for marks in ((0, 0), (1, 1), (0, 1), (1, 0)):
            grid = first.expand(*sizes, *first.shape).clone()
            for place, mark in enumerate(marks):
                grid.select(axis, place).copy_(second if mark else first)
            seen = self.probe(feed, grid)
            if isinstance(seen, Refusal):
                return Interplay(None)
            found.append([call for module in self.unknown for call in seen.calls.get(module, ())])
        if len({tuple(call.shape for call in calls) for calls in found}) > 1:
            return Interplay(True)
        depends = any(not _add_up(*calls) for calls in zip(*found, strict=True))
        same, changed = found[:2]
        answers = (one.digest != other.digest for one, other in zip(same, changed, strict=True))
        return Interplay(depends, all(answers) and all(math.prod(call.shape) >= MANY for call in same))


def _add_up(same: Call, changed: Call, one: Call, other: Call) -> bool:
    magnitude = same.magnitude + changed.magnitude + one.magnitude + other.magnitude
    return abs(same.digest + changed.digest - one.digest - other.digest) <= ROUNDING * magnitude


def _sums(values: Tensor) -> tuple[float, float, float]:
    """The sum of values, the one weighted by their places, and that of their magnitudes."""
    values = values.detach().cpu() if values.is_mps else values.detach()  # which has no float64
    values = torch.view_as_real(values) if values.is_complex() else values
    flat = (values if values.is_floating_point() else values.double()).flatten().nan_to_num()
    whole = len(flat) // PERIOD * PERIOD
    columns = flat[:whole].view(-1, PERIOD).sum(0, dtype=torch.float64)
    columns[: len(flat) - whole] += flat[whole:]
    weights = torch.arange(PERIOD, dtype=columns.dtype, device=columns.device).cos()
    return float(columns.sum()), float(columns @ weights), float(flat.abs().sum(dtype=torch.float64))
