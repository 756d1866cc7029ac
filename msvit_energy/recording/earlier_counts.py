"""What a measurement has counted after some of its batches, kept so that another process can go on with it.

Only what adds up is kept. How the model runs (call sites, layouts, origins, heads) the first batch shows again, which
the other process runs once more; then the counts that were kept replace those of that batch. So the end is that of an
uninterrupted measurement, whatever the batches hold. Joined profiles cannot promise that: spikes with a sign in one
part and real numbers in another have no common count.
"""

from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Self

import numpy as np
from torch import Tensor

from msvit_energy.profiles.layer_shape import LayerShape
from msvit_energy.recording.counts.call_counter import Calls
from msvit_energy.recording.counts.lattice import Lattice
from msvit_energy.recording.counts.stream_counter import Counts, StreamCounter
from msvit_energy.recording.firing_maps import MapSums
from msvit_energy.recording.recorder import Recorder
from msvit_energy.recording.spike_lineage import Origin
from msvit_energy.recording.spiking_functions import Site
from msvit_energy.recording.state.repeatable import generators
from msvit_energy.recording.stream_key import StreamKey


@dataclass(frozen=True)
class EarlierCounts:
    """The counts of whole batches: `recorded` by a Recorder, `known` labels of which `right` were found, the images
    that are yet to be estimated one by one (`single`), and the generators of random numbers as the last batch left
    them.

    `first` is the size of the first batch, and a hash of what flowed in it.
    """

    images: int
    recorded: list[dict[str, Any]]
    known: int
    right: int
    single: list[Tensor]
    random: list[Tensor]
    first: tuple[int, str] | None

    @classmethod
    def of(cls, recorder: Recorder, *, known: int, right: int, single: list[Tensor]) -> Self:
        """Of what runs now; the counts are the recorder's own, which change with the next batch."""
        random = [generator.get_state() for generator in generators(recorder.device)]
        return cls(recorder.images, recorder.counts(), known, right, single, random, recorder.first_batch)

    def restore(self, recorder: Recorder) -> None:
        """Replace what a recorder counted in the first batch, and go on with the random numbers."""
        recorder.take_over(self.recorded)
        for generator, state in zip(generators(recorder.device), self.random, strict=True):
            generator.set_state(state)


_array = np.empty(0).__reduce__()[0]  # which numpy calls to make an array from its bytes
# the classes in these counts: a file of them is read as plain data and these alone
CLASSES: tuple[Any, ...] = (
    *(EarlierCounts, StreamKey, StreamCounter, Counts, Calls, LayerShape, Origin, Lattice, Site, MapSums, Fraction),
    *(frozenset, bytes, _array, np.ndarray, np.dtype, np.dtypes.Int64DType, np.dtypes.Float64DType),
)
