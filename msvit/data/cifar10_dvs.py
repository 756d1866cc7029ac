"""CIFAR10-DVS (Li et al. 2017): images of CIFAR10 on a screen before an event camera."""

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from spikingjelly.datasets.cifar10_dvs import CIFAR10DVS, CIFAR10DVS_CLASS_NAMES

from msvit.data.events import EventFrames
from msvit.data.spikingjelly_events import SENSOR, open_recordings, read_events
from msvit.errors import ModelError

LAYOUT = (
    "expected {root}/extract/airplane/*.aedat and so on for ten classes, which the ten archives of 'CIFAR10-DVS' at "
    "figshare unpack to, or {root}/events_np made from it by SpikingJelly"
)


def open_cifar10_dvs(
    root: Path, split: str, transform: Callable[[Any], Any] | None = None, *, time_steps: int
) -> EventFrames:
    """10,000 recordings of CIFAR10 images on a screen, 1,000 a class, as frames `[T, 2, 128, 128]`.

    There is no published split. As in the training files of Spikformer, SDT and QKFormer
    (`split_to_train_test_set(0.9, ...)`, not shuffled), of each class the first 90 % are for training and the rest for
    testing, in the order of the file names as text: the test recordings are 909, 91, 910, ..., 99, 990, ..., 999.
    """
    recorded = open_recordings(CIFAR10DVS, root, _check, LAYOUT, CIFAR10DVS_CLASS_NAMES)
    samples = [sample for label in range(10) for sample in _part(recorded.samples, label, split)]
    return EventFrames(samples, read_events, CIFAR10DVS_CLASS_NAMES, SENSOR, time_steps, transform)


def _part(samples: Sequence[tuple[str, int]], label: int, split: str) -> list[tuple[str, int]]:
    """The first 90 % of a class, or the rest."""
    own = [sample for sample in samples if sample[1] == label]
    first = math.ceil(len(own) * 0.9)
    return own[:first] if split == "train" else own[first:]


def _check(extracted: Path) -> None:
    """The ten class folders and nothing else, in them whole recordings and nothing else."""
    found = {path.name for path in extracted.iterdir()}
    if found != set(CIFAR10DVS_CLASS_NAMES):
        missing, other = set(CIFAR10DVS_CLASS_NAMES) - found, found - set(CIFAR10DVS_CLASS_NAMES)
        what = f"lacks {', '.join(sorted(missing))}" if missing else f"also has {', '.join(sorted(other))}"
        raise ModelError(f"{extracted} {what}; expected the ten class folders of CIFAR10-DVS and nothing else")
    for name in CIFAR10DVS_CLASS_NAMES:
        for path in sorted((extracted / name).iterdir()):
            if path.suffix != ".aedat":
                raise ModelError(f"{path} is no recording; expected .aedat files and nothing else in {path.parent}")
            _check_aedat2(path)


def _check_aedat2(path: Path) -> None:
    """After the header lines, which begin with #, come 8 bytes for each event."""
    with path.open("rb") as file:
        header = 0
        while (line := file.readline()).startswith(b"#"):
            header += len(line)
    if not header or (path.stat().st_size - header) % 8:
        raise ModelError(f"{path} is damaged: it is no AEDAT 2.0 header and a whole number of events of 8 bytes")
