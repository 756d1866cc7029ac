"""Whether a model forgets: the first image gives the same spikes after a measurement as before."""

import math
import zlib
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from itertools import zip_longest
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from msvit_energy.errors import EnergyError
from msvit_energy.recording.feeding.input_modes import InputMode, run
from msvit_energy.recording.feeding.refusals import RefusalError
from msvit_energy.recording.neurons import emitted
from msvit_energy.recording.state.code_state import CodeState
from msvit_energy.recording.state.model_state import RestState
from msvit_energy.recording.state.repeatable import generators, random_state_kept, same_kernels
from msvit_energy.recording.state.weight_writes import words_of

COLUMNS = 64  # of a table of bits
ROUNDING = 1e-4  # by how much sums of real numbers may differ


class Emission(NamedTuple):
    """What a layer gave in one call: of a neuron a checksum of the bits, of any other layer the sum of magnitudes."""

    layer: str
    spikes: bool
    digest: float

    def agrees(self, other: "Emission | None") -> bool:
        """Whether both are the same, real numbers within rounding."""
        if other is None or (self.layer, self.spikes) != (other.layer, other.spikes):
            return False
        return self.digest == other.digest or (
            not self.spikes and math.isclose(self.digest, other.digest, rel_tol=ROUNDING)
        )


class StateCheck:
    """The first of some images `[B, ...]` goes through a model at rest in `run`, and again in `check`; all of them if
    the model refuses a single one (`alone` is False). torch's generators start from the same state both times, and are
    left as they were; `random` says whether the model drew from them. Without neurons all layers are watched.

    `passed` is kept for later checks of a model of one structure: for images of each size and mode, what its code held
    and its weights were when it passed.
    """

    def __init__(
        self,
        model: nn.Module,
        images: Tensor,
        mode: InputMode,
        rest: RestState,
        passed: dict[Hashable, Hashable] | None = None,
    ) -> None:
        self._model, self._images, self._mode, self._rest = model, images, mode, rest
        self._passed = {} if passed is None else passed
        self._code = None if passed is None or rest.has_reset else CodeState(rest.reached)
        self._code_before = self._code and self._code.now()
        self._random = [generator.get_state() for generator in generators(images.device)]
        self._before: list[Emission] = []
        self._after: list[Emission] | None = None
        self.alone, self.random = True, False

    def run(self) -> None:
        """The first run."""
        images, self._images = self._images, self._images[:1].clone()
        try:
            self._before = self._emissions()
        except Exception as error:  # perhaps for a state of another batch size
            if isinstance(error, EnergyError) and not isinstance(error, RefusalError):
                raise
            self.alone, self._images = False, images.clone()
            self._before = self._emissions()

    @contextmanager
    def first_run(self) -> Iterator[None]:
        """A `with` block whose forward, of the same single image, is the first run."""
        with self._watching() as self._before:
            yield
        self._note_random()

    @contextmanager
    def second_run(self) -> Iterator[None]:
        """A `with` block whose forward, of the same single image, is the second run if no other image follows."""
        with self._watching() as found:
            yield
        self._after = found

    def settle(self, images: int) -> None:
        """`check` after a measurement of so many images, but not where it was passed before, a single forward has run
        since, and nothing that could keep a state is another: neither weights nor what classes and functions hold. All
        else is put back."""
        place = (tuple(self._images.shape), self._images.dtype, self._mode)
        now = (self._code_before, self._rest.weights.sums)
        comparable = self._is_comparable()
        if comparable and self._rest.ran_once and self._passed.get(place) == now:
            return
        self.check(again=images > 1)
        if comparable and self.alone and self._is_comparable():
            self._passed[place] = now

    def _is_comparable(self) -> bool:
        """Whether all states of the model's code are seen, and are what they were in the beginning."""
        if self._code is None or self._code_before is None or self.random:
            return False
        return self._code.now() == self._code_before

    def check(self, *, again: bool = True) -> None:
        """EnergyError for a model that does not come back to the state of rest, or that wrote to its weights. It runs
        `again`, or only where the second run is not known yet."""
        self._rest.weights.check()
        second = self._emissions() if again or self._after is None else self._after
        for before, after in zip_longest(self._before, second):
            if before is None or not before.agrees(after):
                layer = (before or after).layer or "the model"
                reset = " in spite of reset=" if self._rest.has_reset else ""
                raise EnergyError(
                    f"{layer} gives another output for the first image after the measurement than before: a state "
                    f"leaks from batch to batch{reset}; pass reset=, a callable that puts the model to rest "
                    "(reset=lambda: net.reset()), to msvit_energy.profile"
                )

    def _emissions(self) -> list[Emission]:
        """What is emitted in one forward from rest, call by call."""
        device = self._images.device
        try:
            with self._watching() as found, random_state_kept(device), self._rest.mode(), same_kernels():
                for generator, state in zip(generators(device), self._random, strict=True):
                    generator.set_state(state)
                run(self._model, self._images.clone(), self._mode)
                self._note_random()
        finally:
            self._rest.restore()
        return found

    def _note_random(self) -> None:
        now = (generator.get_state() for generator in generators(self._images.device))
        self.random = not all(map(torch.equal, now, self._random))

    @contextmanager
    def _watching(self) -> Iterator[list[Emission]]:
        """What every neuron layer emits in a `with` block, call by call."""
        found: list[Emission] = []
        named, neurons = list(self._model.named_modules()), self._rest.neurons
        watched = [(name, module) for name, module in named if module in neurons]
        watched = watched or [(name, module) for name, module in named if not any(True for _ in module.children())]
        handles = [module.register_forward_hook(_noting(found, name, module in neurons)) for name, module in watched]
        try:
            yield found
        finally:
            for handle in handles:
                handle.remove()


def _noting(found: list[Emission], name: str, spikes: bool) -> Callable[..., None]:
    def note(module: nn.Module, args: Any, output: Any) -> None:
        values = emitted(output)
        if isinstance(values, Tensor) and not values.is_meta:
            with torch._C.DisableTorchFunction():  # this is no part of the forward
                found.append(Emission(name, spikes, _bits(values) if spikes else _magnitude(values)))

    return note


def _bits(values: Tensor) -> int:
    """A checksum of the sums of rows and of columns of a table of all bits, as whole numbers of 64 bits: a tenth of the
    time of one that reads byte by byte."""
    line = words_of(values.detach().cpu() if values.is_mps else values.detach())
    table = line[: len(line) // COLUMNS * COLUMNS].view(-1, COLUMNS)
    parts = (table.sum(1), table.sum(0), line[table.numel() :])
    return zlib.crc32(torch.cat(parts).cpu().numpy().data)


def _magnitude(values: Tensor) -> float:
    values = values.detach().cpu() if values.is_mps else values.detach()  # which has no float64
    return float(values.abs().sum(dtype=None if values.is_complex() else torch.float64))
