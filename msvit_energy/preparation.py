"""What is worked out once for all measurements of a model: how it is fed, its shapes, its graph."""

from collections.abc import Collection, Hashable
from dataclasses import dataclass, field
from weakref import WeakKeyDictionary

from torch import nn

from msvit_energy.dense.graph import Graph
from msvit_energy.recording.feeding.mode_detection import FoundMode
from msvit_energy.recording.layouts.layout_probe import KnownShapes
from msvit_energy.recording.neurons import Named
from msvit_energy.recording.state.model_state import RestState
from msvit_energy.recording.weights_hash import fingerprint, weights_hash


@dataclass
class Prepared:
    """What is known of a model of one structure, by what it depends on beside that."""

    structure: tuple[Hashable, ...] = ()
    modes: dict[Hashable, FoundMode] = field(default_factory=dict)
    shapes: dict[Hashable, KnownShapes] = field(default_factory=dict)
    graphs: dict[Hashable, Graph] = field(default_factory=dict)
    has_functions: bool = False  # of autograd; whether these spike hangs on values
    forgets: dict[Hashable, Hashable] = field(default_factory=dict)  # as `passed` of StateCheck


class Preparation:
    """Hand the same one to each `profile` of a model that is measured again, such as after every epoch of a training:
    probes and traces then run once for each size of batches. Profiles are the same with and without.

    Weights may change in between. What is known is forgotten where anything else did: modules, their attributes such as
    T and modes, shapes, hooks. Not seen are changes of what a function or a class holds. Models are not kept alive.

    The check for states that leak from batch to batch is passed once by a model of one structure, for a single image on
    the CPU: it comes again where weights, or what its classes and functions hold, are others (`CodeState`), and every
    time where that cannot be seen.
    """

    def __init__(self) -> None:
        self._models: WeakKeyDictionary[nn.Module, Prepared] = WeakKeyDictionary()
        self._hashes: WeakKeyDictionary[nn.Module, tuple[Hashable, str | None]] = WeakKeyDictionary()

    def __len__(self) -> int:
        """Of how many models something is known."""
        return len(self._models)

    def of(self, model: nn.Module, rest: RestState, neurons: Collection[Named] = ()) -> Prepared:
        """What is known of a model at rest, some of whose modules were named as neurons, to be added to."""
        structure: tuple[Hashable, ...] = (*rest.structure(), frozenset(neurons))
        known = self._models.get(model)
        if known is None or known.structure != structure:
            known = self._models[model] = Prepared(structure)
        return known

    def weights_hash(self, model: nn.Module) -> str | None:
        """As the function, which reads all weights again if torch notes a write or a checksum is another."""
        now = fingerprint(model)
        before, known = self._hashes.get(model, (None, None))
        if now != before:
            known = weights_hash(model)
            self._hashes[model] = now, known
        return known
