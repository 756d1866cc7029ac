"""Event data: recordings written byte by byte, the digits' simulated camera, binning, pooling, augmentation."""

import pickle
import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from spikingjelly import configure
from spikingjelly.datasets.cifar10_dvs import CIFAR10DVS, CIFAR10DVS_CLASS_NAMES
from spikingjelly.datasets.utils import split_to_train_test_set
from torch import Tensor
from torch.utils.data import DataLoader
from torchvision.transforms.v2 import functional as resizing

from msvit import ModelError
from msvit.data import DATASETS, digits, digits_dvs, evaluation_transform, open_data
from msvit.data.events import MeanPool, augment_events, cutout, neuromorphic_augmentation, to_frames
from msvit.errors import UnreadableFileError

T = 3
SHOWN = {number: (80 * (11 - number), 80 * (11 - number) + 70) for number in range(11, 0, -1)}  # gesture, when
fork_is_fine = pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
Event = tuple[int, int, int, int]  # x, y as the camera numbers them, polarity bit, time


def drawn(count: int, seed: int, ticks: int = 1000) -> list[Event]:
    """Random events in the order of time, on a 128 x 128 sensor; few places, so that some are hit several times."""
    rng = np.random.default_rng(seed)
    places = rng.integers(0, 128, (8, 2))
    times = np.sort(rng.integers(0, ticks, count))
    which, bits = rng.integers(0, 8, count), rng.integers(0, 2, count)
    return [(*map(int, places[w]), int(bit), int(t)) for w, bit, t in zip(which, bits, times, strict=True)]


def binned(cells: list[tuple[int, int, int]], steps: int) -> Tensor:
    """(channel, row, column) of each event -> frames, one event at a time; the last frame takes what is left over."""
    frames = torch.zeros(steps, 2, 128, 128)
    for number, (channel, row, column) in enumerate(cells):
        frames[min(number // (len(cells) // steps), steps - 1), channel, row, column] += 1
    return frames


def write_aedat2(path: Path, events: list[Event]) -> None:
    """Header lines with '#', then big-endian words: address (bit 0 polarity, bits 1-7 x, bits 8-14 y), time."""
    path.parent.mkdir(parents=True, exist_ok=True)
    header = b"#!AER-DAT2.0\r\n# This is a raw AE data file\r\n"
    words = [struct.pack(">II", y << 8 | x << 1 | bit, t) for x, y, bit, t in events]
    path.write_bytes(header + b"".join(words))


@pytest.fixture(scope="module")
def cifar10_dvs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten classes of 11 recordings, 0 to 10, as the archives unpack; recording i of class c has seed 100 c + i."""
    root = tmp_path_factory.mktemp("cifar10-dvs")
    for label, name in enumerate(CIFAR10DVS_CLASS_NAMES):
        for number in range(11):
            events = drawn(50 + number, 100 * label + number)
            write_aedat2(root / "extract" / name / f"cifar10_{name}_{number}.aedat", events)
    return root


def seen_by_cifar10_dvs(events: list[Event]) -> Tensor:
    """SpikingJelly turns and mirrors the sensor: row 127 - x, column 127 - y; polarity bit 0 is ON, channel 1."""
    return binned([(1 - bit, 127 - x, 127 - y) for x, y, bit, _ in events], T)


@pytest.mark.slow
def test_cifar10_dvs_frames_are_those_of_its_bytes(cifar10_dvs: Path) -> None:
    train, test = (DATASETS["cifar10-dvs"].open(cifar10_dvs, split, None, T) for split in ("train", "test"))
    assert (len(train), len(test), train.classes) == (100, 10, CIFAR10DVS_CLASS_NAMES)
    for label, (frames, found) in enumerate(test):
        assert (found, frames.dtype) == (label, torch.float32)
        # of 11 names, 90 % rounded up are for training; as text, 9 is the last
        assert torch.equal(frames, seen_by_cifar10_dvs(drawn(59, 100 * label + 9)))
    order = [0, 1, 10, 2, 3, 4, 5, 6, 7, 8]
    for position, number in enumerate(order):
        assert torch.equal(train[10 + position][0], seen_by_cifar10_dvs(drawn(50 + number, 100 + number)))
    assert frames.max() > 1  # places are hit several times in a frame
    assert {path.name for path in cifar10_dvs.iterdir()} == {"extract", "events_np"}


@pytest.mark.slow
def test_cifar10_dvs_is_what_official_training_files_use(
    cifar10_dvs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SpikingJelly's frames on disk, cut by its split_to_train_test_set(0.9, ...)."""
    # its threads parse headers of npy files; that parser fails in threads now and then before Python 3.11.8 (gh-106905)
    monkeypatch.setattr(configure, "max_threads_number_for_datasets_preprocess", 1)
    DATASETS["cifar10-dvs"].open(cifar10_dvs, "test", None, T)
    (tmp_path / "events_np").symlink_to(cifar10_dvs / "events_np")
    theirs = CIFAR10DVS(str(tmp_path), data_type="frame", frames_number=T, split_by="number")
    for split, part in zip(("train", "test"), split_to_train_test_set(0.9, theirs, 10), strict=True):
        ours = DATASETS["cifar10-dvs"].open(cifar10_dvs, split, None, T)
        assert len(ours) == len(part)
        for (frames, label), (expected, same) in zip(ours, part, strict=True):
            assert label == same
            assert np.array_equal(frames.numpy(), expected)


def test_what_is_wrong_with_recordings_is_said_and_nothing_is_left_behind(tmp_path: Path) -> None:
    kind, root = DATASETS["cifar10-dvs"], tmp_path / "data"
    root.mkdir()
    with pytest.raises(ModelError, match=r"no recordings in .*data; expected .*data/extract/airplane.*at figshare"):
        kind.open(root, "train", None, T)
    for name in CIFAR10DVS_CLASS_NAMES:
        write_aedat2(root / "extract" / name / "cifar10_0.aedat", drawn(5, 0))
    damaged = root / "extract" / "dog" / "cifar10_1.aedat"
    for content in (b"#!AER-DAT2.0\r\n" + bytes(12), b"12345678"):  # not whole events; no header
        damaged.write_bytes(content)
        with pytest.raises(ModelError, match=r"dog/cifar10_1.aedat is damaged: .* AEDAT 2.0"):
            kind.open(root, "train", None, T)
    damaged.rename(damaged.with_suffix(".txt"))
    with pytest.raises(ModelError, match=r"cifar10_1.txt is no recording"):
        kind.open(root, "train", None, T)
    damaged.with_suffix(".txt").unlink()
    (root / "extract" / "__MACOSX").mkdir()
    with pytest.raises(ModelError, match=r"extract also has __MACOSX; expected the ten class folders"):
        kind.open(root, "train", None, T)
    (root / "extract" / "__MACOSX").rmdir()
    (root / "extract" / "cat").rename(tmp_path / "cat")
    with pytest.raises(ModelError, match=r"extract lacks cat; expected"):
        kind.open(root, "train", None, T)
    assert [path.name for path in root.iterdir()] == ["extract"]
    (tmp_path / "cat").rename(root / "extract" / "cat")
    assert len(kind.open(root, "train", None, T)) == 10
    sample = root / "events_np" / "dog" / "cifar10_0.npz"
    whole = sample.read_bytes()
    inside = whole.index(b"x.npy") + 25  # where the compressed x begin
    for content in (b"", whole[:50], whole[:inside] + b"\xff" * 20 + whole[inside + 20 :]):
        sample.write_bytes(content)
        with pytest.raises(UnreadableFileError, match=r"cannot read events .*dog/cifar10_0.npz: "):
            kind.open(root, "train", None, T)[5]
    (root / "events_np.building").touch()  # a conversion by SpikingJelly itself was interrupted
    with pytest.raises(ModelError, match=r"cannot use the recordings in .*events_np.building.*before retrying"):
        kind.open(root, "train", None, T)
    (root / "events_np.building").unlink()
    (root / "events_np" / "train").mkdir()  # as SpikingJelly's other split leaves there
    with pytest.raises(ModelError, match=r"cannot use the recordings in .*data: .*train"):
        kind.open(root, "train", None, T)


def write_aedat3(path: Path, packets: list[list[Event]]) -> None:
    """Text header, then packets of little-endian polarity events: bit 1 polarity, bits 2-16 y, bits 17-31 x; time."""
    parts = [b"#!AER-DAT3.1\r\n#Source 0: DVS128\r\n#!END-HEADER\r\n"]
    special = struct.pack("<HHIIIIII", 0, 1, 8, 4, 0, 1, 1, 1) + struct.pack("<II", 0xFFFFFFFF, 7)
    for events in packets:
        count = len(events)
        parts.append(special)  # of another type, to be passed over
        parts.append(struct.pack("<HHIIIIII", 1, 1, 8, 4, 0, count, count, count))
        parts += [struct.pack("<II", x << 17 | y << 2 | bit << 1 | 1, t) for x, y, bit, t in events]
    path.write_bytes(b"".join(parts))


@pytest.fixture
def gesture(tmp_path: Path) -> Path:
    """Two people to train, one to test, each showing gestures 11 to 1, and 8 once more."""
    folder = tmp_path / "extract" / "DvsGesture"
    folder.mkdir(parents=True)
    lists = {"train": ["user01_lab", "user02_lab"], "test": ["user24_led"]}
    for split, names in lists.items():
        (folder / f"trials_to_{split}.txt").write_text("".join(f"{name}.aedat\n" for name in names) + "\n")
        for name in names:
            events = drawn(400, int(name[4:6]))
            write_aedat3(folder / f"{name}.aedat", [events[:150], events[150:]])
            rows = [f"{number},{start},{end}" for number, (start, end) in SHOWN.items()]
            rows = ["class,startTime_usec,endTime_usec", *rows, "8,900,1000"]
            (folder / f"{name}_labels.csv").write_text("\n".join(rows) + "\n")
    return tmp_path


def test_gestures_are_cut_by_the_labels_and_split_by_people(gesture: Path) -> None:
    train, test = (DATASETS["dvs128-gesture"].open(gesture, split, None, T) for split in ("train", "test"))
    assert (len(train), len(test), len(train.classes)) == (24, 12, DATASETS["dvs128-gesture"].classes)
    labels = [label for _, label in test]
    assert sorted([*range(11), test.classes.index("arm_roll")]) == labels  # the eighth gesture was shown twice
    # SpikingJelly sorts 0, 1, 10, 2, ..., 9, so that the eleventh gesture has label 2
    for number, label, name in ((1, 0, "hand_clapping"), (11, 2, "other_gestures"), (10, 10, "air_guitar")):
        start, end = SHOWN[number]
        inside = [(bit, y, x) for x, y, bit, t in drawn(400, 24) if start <= t < end]
        assert torch.equal(test[labels.index(label)][0], binned(inside, T))
        assert test.classes[label] == name
    assert [label for _, label in train] == sorted(labels * 2)


def test_missing_parts_of_gestures_are_named(gesture: Path, tmp_path: Path) -> None:
    kind, folder = DATASETS["dvs128-gesture"], gesture / "extract" / "DvsGesture"
    labels = folder / "user02_lab_labels.csv"
    content = labels.read_text()
    labels.unlink()
    with pytest.raises(ModelError, match=r"no user02_lab_labels.csv in .*DvsGesture \(1 files missing\)"):
        kind.open(gesture, "train", None, T)
    labels.write_text(content)
    cut = folder / "user01_lab.aedat"
    cut.write_bytes(cut.read_bytes()[:-3])
    with pytest.raises(ModelError, match=r"cannot use the recordings in .*: .*requires a buffer of 4 bytes"):
        kind.open(gesture, "train", None, T)
    (folder / "trials_to_test.txt").unlink()
    with pytest.raises(ModelError, match=r"no trials_to_test.txt in "):
        kind.open(gesture, "test", None, T)
    with pytest.raises(ModelError, match=r"no recordings in .*lab; .*of IBM's 'DVS128 Gesture Dataset'"):
        (tmp_path / "lab").mkdir()
        kind.open(tmp_path / "lab", "test", None, T)


def test_more_frames_than_events_leave_frames_empty() -> None:
    events = {key: np.array(value) for key, value in {"t": [1, 2], "x": [0, 3], "y": [1, 0], "p": [0, 1]}.items()}
    frames = to_frames(events, 4, 2, 4)
    assert frames[:3].sum() == 0
    assert frames[3].nonzero().tolist() == [[0, 1, 0], [1, 0, 3]]


def levels(*rows: list[int]) -> Iterator[np.ndarray]:
    """One sample of one row of pixels, its levels after each step."""
    return (np.array(row).reshape(1, 1, -1) for row in rows)


def test_rising_pixels_emit_on_and_falling_ones_off_events() -> None:
    # a bright edge enters from the left and leaves again
    streams = digits_dvs.emit(levels([0, 0, 0], [20, 4, 0], [20, 10, 0], [0, 6, 0], [0, 4, 5]), 5)
    events = streams.of(0)
    found = list(zip(events["t"] // digits_dvs.STEP_MICROSECONDS, events["x"], events["p"], strict=True))
    assert found == [
        *[(1, 0, 1)] * 4,
        *[(2, 1, 1)] * 2,  # 4 was below the threshold and is not forgotten
        *[(3, 0, 0)] * 4,
        (4, 1, 0),  # 10 to 4, in two steps
        (4, 2, 1),
    ]


def test_opposite_motion_of_a_ramp_swaps_the_polarities() -> None:
    ramp = 2 * np.arange(12).reshape(1, 3, 4)  # rises by 2 a pixel to the right, by 8 downwards
    for step in (2, 8):  # one pixel to the right, or downwards
        one, other = (digits_dvs.emit([ramp - sign * step * k for k in range(5)], 1).of(0) for sign in (1, -1))
        assert np.array_equal(one["p"], 1 - other["p"])
        assert all(np.array_equal(one[key], other[key]) for key in ("t", "x", "y"))
        assert len(one["p"]) == 4 * 12 * step
        assert not one["p"].any()


def emitted(images: np.ndarray, sign: int = 1) -> digits_dvs.Streams:
    """Events of digits whose path is mirrored where `sign` is -1."""
    levels = [digits_dvs.brightness(digits_dvs.seen(images, sign * x, y)) for x, y in digits_dvs.path()]
    return digits_dvs.emit(levels, digits_dvs.UNITS)


def test_mirrored_digits_on_mirrored_paths_give_mirrored_events() -> None:
    pixels = digits.originals()[0][:20, 0].double().numpy()
    there, mirrored = (
        digits_dvs.emit(
            [digits_dvs.brightness(digits_dvs.seen(images, sign * x, y)) for x, y in digits_dvs.path()], 256
        )
        for images, sign in ((pixels, 1), (pixels[..., ::-1], -1))
    )
    for sample in range(20):
        one, other = (to_frames(streams.of(sample), 1, 32, 32) for streams in (there, mirrored))
        assert torch.equal(one, other.flip(-1))


def test_the_camera_sees_the_digit_three_times_as_large_and_moved() -> None:
    image = np.zeros((1, 8, 8))
    image[0, 2, 5] = 1.0
    centred, moved = digits_dvs.seen(image, 0, 0)[0], digits_dvs.seen(image, 2, -1)[0]
    # cell i covers sensor pixels 4 + 3i to 6 + 3i; its centre has its value
    assert np.unravel_index(centred.argmax(), (32, 32)) == (4 + 3 * 2 + 1, 4 + 3 * 5 + 1)
    assert centred.max() == pytest.approx(1)
    assert centred[11, 21] == pytest.approx(2 / 3)
    assert centred.sum() == pytest.approx(9)
    assert np.allclose(np.roll(centred, (-1, 2), (0, 1)), moved)
    assert list(digits_dvs.path())[::30] == [(-3, -3), (0, 3), (3, -3), (-3, -3)]


@pytest.fixture(scope="module")
def recorded() -> digits_dvs.Streams:
    return digits_dvs.recorded()[0]


@pytest.mark.slow
def test_no_event_of_the_digits_is_lost_or_made_up(recorded: digits_dvs.Streams) -> None:
    train, test = (DATASETS["digits-dvs"].open(None, split, None, 4) for split in ("train", "test"))
    assert (len(train), len(test), train.classes) == (1442, 355, digits.CLASSES)
    assert [label for _, label in test] == digits.Digits("test").labels.tolist()
    total = sum(int(frames.sum()) for part in (train, test) for frames, _ in part)
    assert total == len(recorded.t) == len(recorded.p)
    assert total / 1797 == pytest.approx(4583, abs=1)  # as the docstring says
    frames, _ = test[7]
    assert frames.shape == (4, 2, 32, 32)
    per_frame = frames.sum((1, 2, 3))
    assert per_frame[:3].unique().numel() == 1
    assert 0 <= per_frame[3] - per_frame[0] < 4


@pytest.mark.slow
def test_a_digit_before_the_camera_is_the_same_every_time_and_whatever_else_is_recorded(
    recorded: digits_dvs.Streams,
) -> None:
    pixels = digits.originals()[0][100:150, 0].double().numpy()
    again = emitted(pixels)
    for sample in range(50):
        one, other = recorded.of(100 + sample), again.of(sample)
        assert all(np.array_equal(one[key], other[key]) for key in ("t", "x", "y", "p"))
        assert (np.diff(one["t"]) >= 0).all()
        assert 250_000 < one["t"][-1] <= 300_000
    assert digits_dvs.recorded()[0] is recorded


@fork_is_fine
def test_workers_give_the_same_frames(cifar10_dvs: Path, gesture: Path) -> None:
    for name, root in (("cifar10-dvs", cifar10_dvs), ("dvs128-gesture", gesture), ("digits-dvs", None)):
        opened = DATASETS[name].open(root, "test", None, T)
        alone = torch.stack([opened[index][0] for index in range(3)])
        batch, _ = next(iter(DataLoader(opened, 3, num_workers=2)))
        assert torch.equal(batch, alone)
        assert torch.equal(pickle.loads(pickle.dumps(opened))[1][0], alone[1])


def test_pooling_is_what_sdt_does_to_cifar10_dvs() -> None:
    frames = torch.from_numpy(np.random.default_rng(0).integers(0, 9, (T, 2, 128, 128))).float()
    pooled = evaluation_transform("cifar10-dvs", (2, 64, 64))(frames)
    assert torch.allclose(pooled, resizing.resize(frames, [64, 64], antialias=False))
    assert pooled[1, 0, 3, 5] == frames[1, 0, 6:8, 10:12].mean()
    assert torch.equal(evaluation_transform("cifar10-dvs", (2, 128, 128))(frames), frames)
    assert MeanPool(4)(frames).sum() * 16 == frames.sum()


@pytest.mark.parametrize("size", [(2, 48, 48), (2, 42, 42), (2, 256, 256), (3, 128, 128), (2, 64, 128)])
def test_sizes_that_frames_cannot_have_are_refused(size: tuple[int, int, int]) -> None:
    with pytest.raises(ModelError, match=r"frames, cifar10-dvs has 2 x 128 x 128; .* such as to 2 x 64 x 64"):
        evaluation_transform("cifar10-dvs", size)


def test_event_data_is_profiled_at_the_models_time_steps(cifar10_dvs: Path) -> None:
    source = open_data(f"cifar10-dvs:{cifar10_dvs}", (2, 64, 64), time_steps=T, shard=(1, 2))
    assert (len(source), source.classes, source.split, source.name) == (5, 10, "test", "cifar10-dvs")
    assert source.preprocessing == "3 frames of equally many events, OFF and ON counted apart, mean of 2 x 2 pixels"
    assert source.dataset[0][0].shape == (T, 2, 64, 64)
    own = open_data("digits-dvs", (2, 32, 32), time_steps=5)
    assert (own.dataset[0][0].shape, len(own), own.classes) == ((5, 2, 32, 32), 355, 10)
    assert own.preprocessing == "5 frames of equally many events, OFF and ON counted apart"
    for steps in (None, 0):
        with pytest.raises(ModelError, match=rf"digits-dvs is event data .* at least 1, not {steps}"):
            open_data("digits-dvs", (2, 32, 32), time_steps=steps)


def blot() -> Tensor:
    """The same counts in each of T frames, an asymmetric blot in the middle of 48 x 48."""
    frame = torch.zeros(2, 48, 48)
    frame[0, 15:33, 20:26], frame[1, 18:21, 15:33] = 3, 5
    return frame.expand(4, 2, 48, 48).clone()


@pytest.mark.slow
@pytest.mark.parametrize("augment", [augment_events(), neuromorphic_augmentation()])
def test_augmentation_is_the_same_in_all_frames_and_invents_no_counts(augment: object) -> None:
    assert callable(augment)
    torch.manual_seed(0)
    results = [augment(blot()) for _ in range(200)]
    for frames in results:
        assert frames.shape == (4, 2, 48, 48)
        assert (frames == frames[:1]).all()
        assert set(frames[:, 0].unique().tolist()) <= {0.0, 3.0}
        assert set(frames[:, 1].unique().tolist()) <= {0.0, 5.0}
    assert len({tuple(frames[0].flatten().tolist()) for frames in results}) > 50
    torch.manual_seed(0)
    assert torch.equal(augment(blot()), results[0])


def places(frames: Tensor) -> list[int]:
    """First and last row and column with events."""
    rows, columns = frames.sum((0, 1)).nonzero().unbind(1)
    return [int(bound) for axis in (rows, columns) for bound in (axis.min(), axis.max())]


def test_each_augmentation_does_what_its_name_says() -> None:
    torch.manual_seed(1)
    nothing, shear, along_x, along_y, turn, cut = augment_events().transforms[1].transforms  # type: ignore[attr-defined]
    roll = neuromorphic_augmentation().transforms[1].transforms[0]  # type: ignore[attr-defined]
    frames = blot()
    assert torch.equal(nothing(frames), frames)
    shifts = (
        {places(along_x(frames))[2] - 15 for _ in range(200)},
        {places(along_y(frames))[0] - 15 for _ in range(200)},
    )
    assert shifts == (set(range(-5, 6)), set(range(-5, 6)))
    for _ in range(20):
        assert along_x(frames).sum() == along_y(frames).sum() == roll(frames).sum() == frames.sum()
        top, bottom, left, right = places(roll(frames))
        assert (bottom - top, right - left) == (17, 17)
        assert max(abs(top - 15), abs(left - 15)) <= 5
        assert torch.equal(shear(frames).sum((1, 3)), frames.sum((1, 3)))  # rows keep their events
    assert places(turn(frames)) != places(frames)
    for flip, expected in ((0.0, frames), (1.0, frames.flip(-1))):
        flipping = augment_events(flip).transforms[0]  # type: ignore[attr-defined]
        assert all(torch.equal(flipping(frames), expected) for _ in range(10))
    edge = torch.zeros(1, 2, 48, 48)
    edge[..., 46:] = 1
    assert {float(along_x(edge).sum()) for _ in range(100)} == {0.0, 96.0, 192.0}  # what leaves does not come back
    assert float(cut(torch.ones(1, 2, 48, 48)).sum()) < 2 * 48 * 48


def test_cutout_clears_one_square() -> None:
    torch.manual_seed(2)
    for _ in range(20):
        kept = cutout()(torch.ones(4, 2, 48, 48))
        gone = (kept == 0).all(dim=0).all(dim=0)
        assert kept.unique().tolist() == [0.0, 1.0]
        assert (kept.sum((0, 1)) == 8 * ~gone).all()
        rows, columns = gone.any(1).sum(), gone.any(0).sum()
        assert abs(int(rows) - int(columns)) <= 1
        assert int(gone.sum()) == int(rows * columns) <= 0.11 * 48 * 48 + 48
