"""Networks as the field writes them, each with a twin of SpikingJelly modules over `[T, B, ...]`."""

from tests.support.gallery import (
    attention,
    convolutions,
    data,
    home_made,
    norse_networks,
    several_runs,
    snntorch_networks,
    spikingjelly_networks,
)
from tests.support.gallery.entry import Entry

ENTRIES: tuple[Entry, ...] = (
    *home_made.ENTRIES,
    *spikingjelly_networks.ENTRIES,
    *snntorch_networks.ENTRIES,
    *norse_networks.ENTRIES,
    *attention.ENTRIES,
    *convolutions.ENTRIES,
    *data.ENTRIES,
    *several_runs.ENTRIES,
)
