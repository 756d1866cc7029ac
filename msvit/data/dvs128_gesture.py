"""DVS128 Gesture (Amir et al. 2017): gestures of people before an event camera."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from spikingjelly.datasets.dvs128_gesture import DVS128Gesture

from msvit.data.events import EventFrames
from msvit.data.spikingjelly_events import SENSOR, open_recordings, read_events
from msvit.errors import ModelError

LAYOUT = (
    "expected {root}/extract/DvsGesture/ with trials_to_train.txt, trials_to_test.txt, *.aedat and *_labels.csv, which "
    "DvsGesture.tar.gz of IBM's 'DVS128 Gesture Dataset' unpacks to, or {root}/events_np made from it by SpikingJelly"
)
GESTURES = (  # gesture_mapping.csv, 1 to 11
    "hand_clapping right_hand_wave left_hand_wave right_arm_clockwise right_arm_counter_clockwise left_arm_clockwise "
    "left_arm_counter_clockwise arm_roll air_drums air_guitar other_gestures"
).split()
FOLDERS = sorted(map(str, range(11)))  # in which SpikingJelly sorts the gestures, in the order of its labels
CLASSES = tuple(GESTURES[int(folder)] for folder in FOLDERS)


def open_dvs128_gesture(
    root: Path, split: str, transform: Callable[[Any], Any] | None = None, *, time_steps: int
) -> EventFrames:
    """1,464 gestures of 29 people, 1,176 of 23 of them for training (`trials_to_train.txt`), as `[T, 2, 128, 128]`.

    Labels are SpikingJelly's, as official checkpoints learned them: the numbers of the gestures sorted as text (0, 1,
    10, 2, ..., 9), so that label 2 is the eleventh gesture; `classes` names them in this order.
    """
    recorded = open_recordings(DVS128Gesture, root, _check, LAYOUT, FOLDERS, train=split == "train")
    return EventFrames(recorded.samples, read_events, CLASSES, SENSOR, time_steps, transform)


def _check(extracted: Path) -> None:
    """The two lists, and the recording and the labels of every trial in them."""
    folder = extracted / "DvsGesture"
    names = ["trials_to_train.txt", "trials_to_test.txt"]
    trials = [name for list_ in names if (folder / list_).is_file() for name in (folder / list_).read_text().split()]
    names += [name for trial in trials for name in (trial, f"{Path(trial).stem}_labels.csv")]
    if missing := [name for name in names if not (folder / name).is_file()]:
        raise ModelError(f"no {missing[0]} in {folder} ({len(missing)} files missing); unpack DvsGesture.tar.gz again")
