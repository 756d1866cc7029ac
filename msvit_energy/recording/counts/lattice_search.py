"""Which lattice each stream of spikes is on: found in its first values that are no whole numbers, then checked."""

import math
from fractions import Fraction
from typing import NamedTuple

from torch import Tensor

from msvit_energy.recording.counts.lattice import Lattice, Magnitudes, find, magnitudes
from msvit_energy.recording.counts.tensor_stats import TensorStatsCache
from msvit_energy.recording.spike_lineage import Origins
from msvit_energy.recording.stream_key import StreamKey

# origins of what may be on a lattice: an image of 256 grey levels is on one too, and is no spikes
SOURCES = frozenset({"spikes", "sum", "product", "scaled", "pooled"})


class OnLattice(NamedTuple):
    """A lattice and the whole numbers that a tensor is on it."""

    lattice: Lattice
    magnitudes: Magnitudes


class LatticeSearch:
    """Lattices of all streams. `origins` know the constants that the network multiplies by.

    On the CPU every tensor is looked at. Elsewhere those of the first batch are waited for, and of a stream that has
    been silent; what is no whole number later, and is on no known lattice, is on none.
    """

    KEPT = ("_known", "_off", "_fired")

    def __init__(self, cache: TensorStatsCache) -> None:
        self.origins = Origins()
        self.first_batch = True
        self._cache = cache
        self._known: dict[StreamKey, Lattice] = {}
        self._off: set[StreamKey] = set()
        self._fired: set[StreamKey] = set()

    def on_known(self, key: StreamKey, values: Tensor) -> OnLattice | None:
        """`values` as whole numbers without signs on the lattice of the stream, or on a finer one; None where none is
        known, and if they are on none."""
        known = self._known.get(key)
        if known is None or key in self._off:
            return None
        found = OnLattice(known, self._magnitudes(values, known))
        if self._waits(key, values) and not found.magnitudes.bounds[2]:
            finer = find(values, known, ())
            if finer is None:
                self._off.add(key)
                return None
            self._known[key] = finer
            return OnLattice(finer, self._magnitudes(values, finer))
        return found

    def unit(self, key: StreamKey) -> Fraction | None:
        """The step of a stream, if that is a power of two and all that its lattice has."""
        known = self._known.get(key)
        return known.step if known is not None and known.is_binary and key not in self._off else None

    def search(self, key: StreamKey, values: Tensor, bounds: Tensor, source: str) -> OnLattice | None:
        """The same on a lattice that is found now, where none is known, if values are not plain whole numbers; `bounds`
        are those of their TensorStats, `source` what they are by origin."""
        if source not in SOURCES or key in self._off or key in self._known or not self._waits(key, values):
            return None
        low, high, whole = bounds.tolist()
        if low == high == 0 or not (math.isfinite(low) and math.isfinite(high)):
            return None
        self._fired.add(key)
        if whole and source != "scaled":
            return None
        found = self._find(values, divide=source == "scaled")
        if found is None:
            self._off.add(key)
            return None
        self._known[key] = found
        return OnLattice(found, self._magnitudes(values, found))

    def _waits(self, key: StreamKey, values: Tensor) -> bool:
        return values.is_cpu or self.first_batch or key not in self._fired

    def _find(self, values: Tensor, *, divide: bool) -> Lattice | None:
        def found() -> tuple[Lattice | None]:
            return (find(values, None, self.origins.factors, divide=divide),)

        (lattice,) = self._cache.once(values, found, ("lattice", divide))
        return lattice

    def _magnitudes(self, values: Tensor, lattice: Lattice) -> Magnitudes:
        found: Magnitudes = self._cache.once(values, lambda: magnitudes(values, lattice), lattice, latest=True)
        if values.is_cpu:
            self._cache.note_whole(found.values, float(found.bounds[1]))
        return found
