"""Which lattice each stream of spikes is on: found in its first values that are no whole numbers, then checked."""

import math
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

    def __init__(self, cache: TensorStatsCache) -> None:
        self.origins = Origins()
        self.first_batch = True
        self._cache = cache
        self._known: dict[StreamKey, Lattice] = {}
        self._off: set[StreamKey] = set()
        self._fired: set[StreamKey] = set()

    def on_lattice(self, key: StreamKey, values: Tensor, bounds: Tensor, source: str) -> OnLattice | None:
        """`values` as whole numbers without signs, if they are on a lattice, and are not plain whole numbers; `bounds`
        are those of their TensorStats, `source` what they are by origin."""
        if source not in SOURCES or key in self._off:
            return None
        waits = values.is_cpu or self.first_batch or key not in self._fired
        known = self._known.get(key)
        if known is None:
            if not waits or not self._to_search(key, bounds, divide=source == "scaled"):
                return None
            known = self._find(values, divide=source == "scaled")
        if known is not None:
            found = self._magnitudes(values, known)
            if not waits or found.bounds[2]:
                self._known[key] = known
                return OnLattice(known, found)
            known = find(values, known, ())
            if known is not None:
                self._known[key] = known
                return OnLattice(known, self._magnitudes(values, known))
        self._off.add(key)
        return None

    def _to_search(self, key: StreamKey, bounds: Tensor, *, divide: bool) -> bool:
        low, high, whole = bounds.tolist()
        if low == high == 0 or not (math.isfinite(low) and math.isfinite(high)):
            return False
        self._fired.add(key)
        return divide or not whole

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
