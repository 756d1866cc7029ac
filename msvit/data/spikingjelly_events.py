"""Recordings of event cameras (CIFAR10-DVS, DVS128 Gesture), converted by SpikingJelly.

Under the folder of the data set SpikingJelly keeps `extract/`, what the published archives unpack to, and `events_np/`,
one .npz of events for each sample. `events_np/` is made from `extract/` when it is not there: once, over minutes, and
whole or not at all. Nothing is downloaded, nothing asks. Frames are binned when they are read; they are the numbers
that SpikingJelly's `frames_number=T, split_by="number"` keeps on disk.
"""

import struct
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from spikingjelly.datasets.base import NeuromorphicDatasetFolder

from msvit.data.events import Events
from msvit.errors import ModelError

SENSOR = (128, 128)  # of both cameras


def read_events(path: str) -> Events:
    """The events of one sample in `events_np/`, without their times."""
    with Path(path).open("rb") as file, np.load(file) as events:
        return {key: events[key] for key in ("x", "y", "p")}


def open_recordings(
    kind: type[NeuromorphicDatasetFolder],
    root: Path,
    check: Callable[[Path], None],
    layout: str,
    folders: Sequence[str],
    **options: Any,
) -> NeuromorphicDatasetFolder:
    """SpikingJelly's data set of events, `events_np/` made where there is none; ModelError for whatever is wrong."""
    converted, extracted = root / "events_np", root / "extract"
    if not converted.exists() and not extracted.is_dir():
        raise ModelError(f"no recordings in {root}; {layout.format(root=root)}")
    try:
        if not converted.exists():
            check(extracted)
            _convert(kind, extracted, converted)
        recorded = kind(root=str(root), data_type="event", **options)
    except ModelError:
        raise
    except (OSError, RuntimeError, ValueError, IndexError, struct.error) as error:
        raise ModelError(f"cannot use the recordings in {root}: {' '.join(str(error).split())}") from error
    if list(recorded.classes) != list(folders):
        raise ModelError(f"{converted} has the folders {', '.join(recorded.classes)}, not {', '.join(folders)}")
    return recorded


def _convert(kind: type[NeuromorphicDatasetFolder], extracted: Path, converted: Path) -> None:
    """Under another name until it is whole: SpikingJelly takes a folder that exists for a finished one."""
    with tempfile.TemporaryDirectory(prefix="unfinished-", dir=converted.parent) as place:
        unfinished = Path(place) / converted.name
        unfinished.mkdir()
        kind.create_raw_from_extracted(extracted, unfinished)
        unfinished.rename(converted)
