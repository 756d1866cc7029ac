"""CIFAR10-DVS and DVS128 Gesture: recordings of event cameras, converted by SpikingJelly.

Under the folder of the data set SpikingJelly keeps `extract/`, what the published archives unpack to, and `events_np/`,
one .npz of events for each sample. `events_np/` is made from `extract/` when it is not there: once, over minutes, and
whole or not at all. Nothing is downloaded, nothing asks. Frames are binned when they are read; they are the numbers
that SpikingJelly's `frames_number=T, split_by="number"` keeps on disk.
"""

import math
import struct
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from spikingjelly.datasets.base import NeuromorphicDatasetFolder
from spikingjelly.datasets.cifar10_dvs import CIFAR10DVS, CIFAR10DVS_CLASS_NAMES
from spikingjelly.datasets.dvs128_gesture import DVS128Gesture

from msvit.data.events import EventFrames, Events
from msvit.errors import ModelError

SENSOR = (128, 128)  # of both cameras
CIFAR10_DVS = (
    "expected {root}/extract/airplane/*.aedat and so on for ten classes, which the ten archives of 'CIFAR10-DVS' at "
    "figshare unpack to, or {root}/events_np made from it by SpikingJelly"
)
GESTURE = (
    "expected {root}/extract/DvsGesture/ with trials_to_train.txt, trials_to_test.txt, *.aedat and *_labels.csv, which "
    "DvsGesture.tar.gz of IBM's 'DVS128 Gesture Dataset' unpacks to, or {root}/events_np made from it by SpikingJelly"
)
GESTURES = (  # gesture_mapping.csv, 1 to 11
    "hand_clapping right_hand_wave left_hand_wave right_arm_clockwise right_arm_counter_clockwise left_arm_clockwise "
    "left_arm_counter_clockwise arm_roll air_drums air_guitar other_gestures"
).split()
FOLDERS = sorted(map(str, range(11)))  # in which SpikingJelly sorts the gestures, in the order of its labels
GESTURE_CLASSES = tuple(GESTURES[int(folder)] for folder in FOLDERS)


def open_cifar10_dvs(
    root: Path, split: str, transform: Callable[[Any], Any] | None = None, *, time_steps: int
) -> EventFrames:
    """10,000 recordings of CIFAR10 images on a screen, 1,000 a class, as frames `[T, 2, 128, 128]`.

    There is no published split. As in the training files of Spikformer, SDT and QKFormer
    (`split_to_train_test_set(0.9, ...)`, not shuffled), of each class the first 90 % are for training and the rest for
    testing, in the order of the file names as text: the test recordings are 909, 91, 910, ..., 99, 990, ..., 999.
    """
    recorded = _opened(CIFAR10DVS, root, _check_cifar10_dvs, CIFAR10_DVS, CIFAR10DVS_CLASS_NAMES)
    samples = [sample for label in range(10) for sample in _part(recorded.samples, label, split)]
    return EventFrames(samples, read_events, CIFAR10DVS_CLASS_NAMES, SENSOR, time_steps, transform)


def open_dvs128_gesture(
    root: Path, split: str, transform: Callable[[Any], Any] | None = None, *, time_steps: int
) -> EventFrames:
    """1,464 gestures of 29 people, 1,176 of 23 of them for training (`trials_to_train.txt`), as `[T, 2, 128, 128]`.

    Labels are SpikingJelly's, as official checkpoints learned them: the numbers of the gestures sorted as text (0, 1,
    10, 2, ..., 9), so that label 2 is the eleventh gesture; `classes` names them in this order.
    """
    recorded = _opened(DVS128Gesture, root, _check_gesture, GESTURE, FOLDERS, train=split == "train")
    return EventFrames(recorded.samples, read_events, GESTURE_CLASSES, SENSOR, time_steps, transform)


def read_events(path: str) -> Events:
    """The events of one sample in `events_np/`, without their times."""
    with Path(path).open("rb") as file, np.load(file) as events:
        return {key: events[key] for key in ("x", "y", "p")}


def _opened(
    kind: type[NeuromorphicDatasetFolder],
    root: Path,
    check: Callable[[Path], None],
    layout: str,
    folders: Sequence[str],
    **options: Any,
) -> NeuromorphicDatasetFolder:
    """SpikingJelly's data set of events, `events_np/` made where there is none; ModelError for whatever is amiss."""
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


def _check_cifar10_dvs(extracted: Path) -> None:
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


def _check_gesture(extracted: Path) -> None:
    """The two lists, and the recording and the labels of every trial in them."""
    folder = extracted / "DvsGesture"
    names = ["trials_to_train.txt", "trials_to_test.txt"]
    trials = [name for list_ in names if (folder / list_).is_file() for name in (folder / list_).read_text().split()]
    names += [name for trial in trials for name in (trial, f"{Path(trial).stem}_labels.csv")]
    if missing := [name for name in names if not (folder / name).is_file()]:
        raise ModelError(f"no {missing[0]} in {folder} ({len(missing)} files missing); unpack DvsGesture.tar.gz again")


def _part(samples: Sequence[tuple[str, int]], label: int, split: str) -> list[tuple[str, int]]:
    """The first 90 % of a class, or the rest."""
    own = [sample for sample in samples if sample[1] == label]
    first = math.ceil(len(own) * 0.9)
    return own[:first] if split == "train" else own[first:]
