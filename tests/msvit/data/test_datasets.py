"""Image data sets by name: CIFAR in its published format, folders of JPEGs; what all data sets have in common."""

import hashlib
import pickle
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from timm.data import create_transform
from torch.utils.data import DataLoader
from torchvision.datasets import CIFAR10, CIFAR100

from msvit import ModelError
from msvit.data import DATASETS, cifar, dataset_spec, digits, evaluation_transform, open_data
from msvit.data.images import open_train_val
from msvit.errors import UnreadableFileError

fork_is_fine = pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")


def text(value: str) -> bytes:
    """A `str` as Python 2 pickled it."""
    return b"U" + bytes([len(value)]) + value.encode()


def texts(values: list[str]) -> bytes:
    return b"](" + b"".join(map(text, values)) + b"e"


def numbers(values: list[int]) -> bytes:
    return b"](" + b"".join(b"K" + bytes([value]) for value in values) + b"e"


def array(pixels: np.ndarray) -> bytes:
    """`[N, 3072]` uint8 as Python 2 and its NumPy pickled it."""
    dtype = b"cnumpy\ndtype\n" + text("u1") + b"K\x00K\x01\x87R"
    dtype += b"(K\x03" + text("|") + b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
    raw = b"T" + struct.pack("<I", pixels.size) + pixels.tobytes()
    empty = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85" + text("b") + b"\x87R"
    return empty + b"(K\x01K" + bytes([len(pixels)]) + b"M\x00\x0c\x86" + dtype + b"\x89" + raw + b"tb"


def write_batch(path: Path, entries: dict[str, bytes]) -> str:
    """A file of CIFAR, pickled by hand as the published ones are; returns its MD5 sum."""
    path.parent.mkdir(parents=True, exist_ok=True)
    content = b"\x80\x02}(" + b"".join(text(key) + value for key, value in entries.items()) + b"u."
    path.write_bytes(content)
    return hashlib.md5(content).hexdigest()


def images(first: int, count: int) -> np.ndarray:
    """Image i is uniform: red first + i, green 100, blue 200; but its pixel in row 0, column 1 has red 7."""
    planes = np.zeros((count, 3, 32, 32), np.uint8)
    planes[:, 0] = np.arange(first, first + count)[:, None, None]
    planes[:, 1], planes[:, 2], planes[:, 0, 0, 1] = 100, 200, 7
    return planes.reshape(count, 3072)


def tiny_cifar10(root: Path) -> type[CIFAR10]:
    """Two images in each of six batches, in the published layout; torchvision's class with the MD5 sums of these."""
    folder = root / "cifar-10-batches-py"
    names = [*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"]
    parts = [{"data": array(images(10 * i, 2)), "labels": numbers([i, 9])} for i in range(6)]
    sums = [write_batch(folder / name, part) for name, part in zip(names, parts, strict=True)]
    meta = write_batch(folder / "batches.meta", {"label_names": texts([f"name{i}" for i in range(10)])})
    pairs = [list(pair) for pair in zip(names, sums, strict=True)]
    own = {"train_list": pairs[:5], "test_list": pairs[5:], "meta": CIFAR10.meta | {"md5": meta}}
    return type("TinyCifar10", (CIFAR10,), own)


def test_cifar10_is_read_from_its_published_format(tmp_path: Path) -> None:
    kind = tiny_cifar10(tmp_path)
    train, test = (cifar.open_cifar(kind, tmp_path, split) for split in ("train", "test"))
    assert (len(train), len(test), train.classes[9]) == (10, 2, "name9")
    image, label = train[2]  # the first of the second batch
    assert (image.size, image.mode, label) == ((32, 32), "RGB", 1)
    assert image.getpixel((0, 0)) == (10, 100, 200)
    assert image.getpixel((1, 0)) == (7, 100, 200)  # column 1 of row 0
    assert [label for _, label in train] == [0, 9, 1, 9, 2, 9, 3, 9, 4, 9]
    assert test[1][0].getpixel((5, 5)) == (51, 100, 200)
    inside = cifar.open_cifar(kind, tmp_path / "cifar-10-batches-py", "test")
    assert inside[1][0].tobytes() == test[1][0].tobytes()


def test_cifar100_has_the_fine_labels(tmp_path: Path) -> None:
    folder = tmp_path / "cifar-100-python"
    part = {"data": array(images(0, 2)), "coarse_labels": numbers([1, 2]), "fine_labels": numbers([77, 99])}
    sums = {name: write_batch(folder / name, part) for name in ("train", "test")}
    meta = write_batch(folder / "meta", {"fine_label_names": texts([f"name{i}" for i in range(100)])})
    own: dict[str, Any] = {f"{name}_list": [[name, sums[name]]] for name in sums}
    kind = type("TinyCifar100", (CIFAR100,), own | {"meta": CIFAR100.meta | {"md5": meta}})
    opened = cifar.open_cifar(kind, tmp_path, "test")
    assert [label for _, label in opened] == [77, 99]
    assert len(opened.classes) == DATASETS["cifar100"].classes == 100


def test_missing_and_damaged_files_of_cifar_are_named(tmp_path: Path) -> None:
    with pytest.raises(
        ModelError, match=r"no data_batch_1, .*expected data_batch_1, .*batches.meta: unpack cifar-10-py"
    ):
        DATASETS["cifar10"].open(tmp_path, "train")
    with pytest.raises(ModelError, match=r"no train, test, meta in .*cifar-100-python;"):
        DATASETS["cifar100"].open(tmp_path, "test")
    kind = tiny_cifar10(tmp_path)
    with pytest.raises(ModelError, match=r"damaged .*: data_batch_1, .*batches.meta; unpack .* again"):
        DATASETS["cifar10"].open(tmp_path, "train")  # other sums than the published ones
    for name in ("data_batch_3", "batches.meta"):
        path = tmp_path / "cifar-10-batches-py" / name
        whole = path.read_bytes()
        path.write_bytes(whole[:-1] + b"\x00")
        with pytest.raises(ModelError, match=rf"published\): {name}; unpack"):
            cifar.open_cifar(kind, tmp_path, "train")
        path.write_bytes(whole)
    (tmp_path / "cifar-10-batches-py" / "test_batch").unlink()
    with pytest.raises(ModelError, match=r"no test_batch in "):
        cifar.open_cifar(kind, tmp_path, "train")


def jpeg(path: Path, mode: str, colour: Any, size: tuple[int, int] = (40, 20), **options: Any) -> None:
    """A uniform JPEG, width x height."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, colour).save(path, quality=95, **options)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """train/ and val/ with cat and dog, among them a grey and a CMYK JPEG and one with an EXIF rotation."""
    exif = Image.Exif()
    exif[0x0112] = 6  # rotate by 90 degrees to see it upright
    jpeg(tmp_path / "train" / "dog" / "1.jpg", "L", 90)
    jpeg(tmp_path / "train" / "dog" / "2.JPEG", "CMYK", (0, 255, 255, 0))  # red
    jpeg(tmp_path / "train" / "cat" / "3.jpg", "RGB", (0, 0, 255), exif=exif)
    jpeg(tmp_path / "val" / "cat" / "4.jpg", "RGB", (255, 255, 255))
    jpeg(tmp_path / "val" / "dog" / "5.jpg", "RGB", (0, 0, 0))
    return tmp_path


def test_jpegs_of_all_kinds_come_as_rgb_and_as_they_are_stored(folder: Path) -> None:
    train = DATASETS["folder"].open(folder, "train")
    assert (len(train), train.classes) == (3, ("cat", "dog"))
    (blue, cat), (grey, dog), (red, _) = train[0], train[1], train[2]
    assert (cat, dog) == (0, 1)
    assert blue.size == (40, 20)  # EXIF is not applied, as in torchvision and timm
    assert {image.mode for image in (blue, grey, red)} == {"RGB"}
    assert np.abs(np.array(grey).astype(int) - 90).max() <= 2
    for image, channel in ((red, 0), (blue, 2)):
        pixel = image.getpixel((3, 3))
        assert pixel[channel] > 240
        assert sum(pixel) - pixel[channel] < 30


def test_val_is_the_test_split_and_its_preprocessing_is_the_official_one(folder: Path) -> None:
    source = open_data(f"folder:{folder}", (3, 224, 224))
    (white, cat), (black, dog) = source.dataset[0], source.dataset[1]
    assert (source.split, source.classes, len(source), cat, dog) == ("val", 2, 2, 0, 1)
    assert source.name == str(folder)
    assert source.preprocessing.startswith("bicubic resize to 256, centre crop, mean (0.485")
    assert white.shape == (3, 224, 224)
    assert white[1, 0, 0].item() == pytest.approx((1 - 0.456) / 0.224, abs=1e-5)
    assert black[2, 9, 9].item() == pytest.approx(-0.406 / 0.225, abs=1e-5)
    assert open_data(f"folder:{folder}", (3, 288, 288)).preprocessing.startswith("bicubic resize to 288, ")
    assert source.notes == (
        "bicubic resize to 256, centre crop, mean (0.485, 0.456, 0.406), std (0.229, 0.224, 0.225) (ImageNet)",
    )
    assert open_data(f"folder:{folder}", (1, 8, 8)).notes[0] == "RGB images as grey: the model takes 1 channel"


def test_a_folder_in_the_home_directory_is_found(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(folder.parent))
    assert len(open_data(f"folder:~/{folder.name}", (3, 8, 8))) == 2


def test_the_crop_keeps_the_middle_of_the_resized_image(tmp_path: Path) -> None:
    stripes = np.zeros((256, 256, 3), np.uint8)
    stripes[:, 16:240] = 255  # exactly what a crop of 224 keeps of 256
    transform = evaluation_transform("folder", (3, 224, 224))
    image = transform(Image.fromarray(stripes))
    assert image[0].min().item() == pytest.approx((1 - 0.485) / 0.229, abs=1e-5)


def test_grey_models_get_grey_images_with_averaged_normalisation() -> None:
    transform = evaluation_transform("cifar10", (1, 32, 32))
    image = transform(Image.new("RGB", (32, 32), (90, 90, 90)))
    mean, std = (0.4914 + 0.4822 + 0.4465) / 3, (0.2470 + 0.2435 + 0.2616) / 3
    assert image.shape == (1, 32, 32)
    assert image[0, 4, 4].item() == pytest.approx((90 / 255 - mean) / std, abs=1e-5)


def test_train_and_val_must_have_the_same_classes(folder: Path) -> None:
    jpeg(folder / "train" / "bird" / "1.jpg", "RGB", (1, 2, 3))
    for name in "abcde":
        (folder / "val" / name).mkdir()
    expected = r"different classes; only in train: bird; only in val: a, b, c and 2 more"
    for split in ("train", "test"):
        with pytest.raises(ModelError, match=expected):
            DATASETS["folder"].open(folder, split)


def test_a_folder_without_parts_or_classes_is_explained(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"no folder .*train; expected .*/train/CLASS/\*.jpg and .*/val/CLASS/\*.jpg"):
        open_train_val(tmp_path, "test")
    for part in ("train", "val"):
        jpeg(tmp_path / part / "1.jpg", "RGB", (1, 2, 3))
    with pytest.raises(ModelError, match=r"no class folders in .*train; expected .*train/CLASS"):
        open_train_val(tmp_path, "train")


def break_image(folder: Path) -> Path:
    """Cut one JPEG of train/dog after its first half."""
    path = folder / "train" / "dog" / "1.jpg"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    return path


@fork_is_fine
def test_a_broken_image_is_named_in_one_line_by_workers_too(folder: Path) -> None:
    path = break_image(folder)
    train = DATASETS["folder"].open(folder, "train", evaluation_transform("folder", (3, 8, 8)))
    with pytest.raises(UnreadableFileError, match=r"^cannot read image .*1.jpg: ") as alone:
        train[1]
    with pytest.raises(UnreadableFileError) as in_worker:
        list(DataLoader(train, num_workers=1))
    assert str(in_worker.value) == str(alone.value)
    assert str(path) in str(alone.value)
    assert "\n" not in str(alone.value)


@fork_is_fine
def test_timm_augments_and_workers_batch_them(folder: Path, tmp_path: Path) -> None:
    transform = create_transform((3, 32, 32), is_training=True, auto_augment="rand-m9-n1-mstd0.4-inc1", re_prob=0.25)
    tiny = cifar.open_cifar(tiny_cifar10(tmp_path), tmp_path, "train", transform)
    tiny.__class__ = CIFAR10  # by name: where workers are not forks, they import it
    for opened in (DATASETS["folder"].open(folder, "train", transform), tiny):
        batch, labels = next(iter(DataLoader(opened, 3, num_workers=2)))
        assert batch.shape == (3, 3, 32, 32)
        assert labels.dtype == torch.int64


def test_cifar_is_profiled_with_its_own_normalisation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cifar, "CIFAR10", tiny_cifar10(tmp_path))
    source = open_data(f"cifar10:{tmp_path}", (3, 32, 32), images=1)
    whole = open_data(f"cifar10:{tmp_path}", (3, 32, 32))
    assert (len(source), len(whole), whole.classes, whole.name, whole.split) == (1, 2, 10, "cifar10", "test")
    assert whole.preprocessing == "mean (0.4914, 0.4822, 0.4465), std (0.247, 0.2435, 0.2616)"
    image, label = whole.dataset[0]  # red 50, but 7 in row 0, column 1
    assert label == 5
    assert image[0, 0, :2].tolist() == pytest.approx([(v / 255 - 0.4914) / 0.2470 for v in (50, 7)], abs=1e-5)
    assert image[2, 31, 31].item() == pytest.approx((200 / 255 - 0.4465) / 0.2616, abs=1e-5)
    larger = open_data(f"cifar10:{tmp_path}", (3, 64, 64))
    assert larger.dataset[0][0].shape == (3, 64, 64)
    assert larger.preprocessing.startswith("bicubic resize to 64, ")


def test_the_catalogue_says_what_it_opens() -> None:
    names = ["digits", "digits-dvs", "cifar10", "cifar100", "cifar10-dvs", "dvs128-gesture", "folder"]
    assert list(DATASETS) == names == [dataset_spec(name).name for name in names]
    opened = DATASETS["digits"].open(None, "train", evaluation_transform("digits", (1, 12, 12)))
    assert isinstance(opened, digits.Digits)
    assert torch.equal(opened[5][0], digits.Digits("train")[5][0])
    for kind in DATASETS.values():
        assert pickle.loads(pickle.dumps(kind)) == kind
        assert (kind.mean is None) == (kind.kind == "events")
        assert (kind.classes == 0) == (kind.name == "folder")


def test_wrong_arguments_are_named(tmp_path: Path) -> None:
    cifar10, own = DATASETS["cifar10"], DATASETS["digits"]
    with pytest.raises(ModelError, match="unknown data set 'mnist'; data sets: digits, digits-dvs, cifar10, "):
        dataset_spec("mnist")
    with pytest.raises(ModelError, match="split must be 'train' or 'test', not 'val'"):
        cifar10.open(tmp_path, "val")
    with pytest.raises(ModelError, match="cifar10 needs the folder that it is in"):
        cifar10.open(None, "test")
    with pytest.raises(ModelError, match=r"cifar10: no folder '.*/nowhere'"):
        cifar10.open(tmp_path / "nowhere", "test")
    with pytest.raises(ModelError, match="digits is part of the installation and takes no folder"):
        own.open(tmp_path, "test")
    with pytest.raises(ModelError, match="the model takes 3 x 32 x 32 images, digits has 1 x 12 x 12"):
        own.evaluation_transform((3, 32, 32))
    with pytest.raises(ModelError, match=r"takes 2 channels; images have 1 \(grey\) or 3 \(RGB\)"):
        cifar10.evaluation_transform((2, 32, 32))
    with pytest.raises(ModelError, match="cifar10 needs the folder that it is in: cifar10:DIR"):
        open_data("cifar10", (3, 32, 32))
    with pytest.raises(ModelError, match="digits is part of the installation"):
        open_data("digits:here", (1, 12, 12))
    with pytest.raises(ModelError, match=r"an existing folder of images; digits-dvs, cifar10:DIR, .*folder:DIR"):
        open_data("mnist:here", (1, 12, 12))
