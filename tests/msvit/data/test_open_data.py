"""Data sets: the digits' split, folders of images, noise, and what does not fit."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.datasets import load_digits

from msvit import ModelError
from msvit.data import digits, open_data


def test_digits_split_is_every_fifth_of_each_class() -> None:
    target = load_digits().target
    expected = [sum(target == digit) // 5 for digit in range(10)]  # positions 4, 9, 14, ... of each digit
    train, test = digits.Digits("train"), digits.Digits("test")
    assert test.labels.bincount().tolist() == expected
    assert (len(train), len(test)) == (1442, 355)


def test_digits_are_the_enlarged_originals_and_the_parts_do_not_overlap() -> None:
    bunch = load_digits()
    first_tests = [int(np.flatnonzero(bunch.target == digit)[4]) for digit in range(10)]
    test, train = digits.Digits("test"), digits.Digits("train")
    for digit, index in enumerate(first_tests):
        # bilinear from 8 to 12 keeps the mean of the corner pixel: corners are copies
        corner = (bunch.images[index][0, 0] / 16 - digits.MEAN) / digits.STD
        found = test.images[test.labels == digit][0]
        assert found[0, 0, 0].item() == pytest.approx(corner, abs=1e-6)
    together = torch.cat([train.images, test.images]).flatten(1)
    assert len(together.unique(dim=0)) == len(together) == 1797


def test_digits_are_normalised_with_the_training_images() -> None:
    images = digits.Digits("train").images
    assert images.mean().item() == pytest.approx(0, abs=1e-3)
    assert images.std().item() == pytest.approx(1, abs=1e-3)


def picture(path: Path, value: int, size: tuple[int, int] = (20, 10)) -> None:
    """A uniform RGB image, width x height."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (value, value, value)).save(path)


def test_class_folders_give_labels_in_order_of_their_names(tmp_path: Path) -> None:
    picture(tmp_path / "b" / "1.png", 255)
    picture(tmp_path / "a" / "2.jpg", 0)
    (tmp_path / "a" / "notes.txt").write_text("not an image")
    source = open_data(str(tmp_path), (3, 8, 8))
    (dark, dark_label), (bright, bright_label) = source.dataset[0], source.dataset[1]
    assert (len(source), source.classes, dark_label, bright_label) == (2, 2, 0, 1)
    assert dark.shape == (3, 8, 8)
    assert dark[0, 0, 0].item() == pytest.approx(-0.485 / 0.229, abs=1e-5)
    assert bright[2, 7, 7].item() == pytest.approx((1 - 0.406) / 0.225, abs=1e-5)


def test_flat_folder_has_no_labels_and_grey_models_get_grey_images(tmp_path: Path) -> None:
    picture(tmp_path / "x.png", 100)
    source = open_data(str(tmp_path), (1, 12, 12))
    image, label = source.dataset[0]
    assert (image.shape, label, source.classes) == ((1, 12, 12), -1, 0)


def test_noise_is_seeded_and_says_so() -> None:
    source, again = open_data("noise", (2, 4, 4), images=3, seed=1), open_data("noise", (2, 4, 4), images=3, seed=1)
    assert torch.equal(source.dataset[2][0], again.dataset[2][0])
    assert "random noise" in source.warnings[0]


def test_subset_is_drawn_at_random_with_the_seed() -> None:
    one, two = (open_data("digits", digits.INPUT_SIZE, images=20, seed=seed) for seed in (0, 1))
    assert len(one) == len(two) == 20
    assert one.indices != two.indices
    assert list(one.indices) == sorted(one.indices)
    assert (one.split, one.drawn) == ("test", "20 of 355 drawn with seed 0")
    for (image, label), index in zip(one.dataset, one.indices, strict=True):
        whole_image, whole_label = digits.Digits("test")[index]
        assert torch.equal(image, whole_image)
        assert label == whole_label


def test_shards_of_a_shuffled_set_hold_every_image_once() -> None:
    parts = [
        open_data("digits", digits.INPUT_SIZE, images=50, seed=3, shuffle=True, shard=(number, 4))
        for number in range(4)
    ]
    whole = open_data("digits", digits.INPUT_SIZE, images=50, seed=3)
    assert sorted(index for part in parts for index in part.indices) == list(whole.indices)
    assert [len(part) for part in parts] == [13, 13, 12, 12]
    assert list(parts[0].indices) != sorted(parts[0].indices)
    assert parts[1].drawn == "50 of 355 drawn with seed 3, shard 1/4"
    for wrong in ((4, 4), (0, 0)):
        with pytest.raises(ModelError, match=rf"a shard is i/n with i from 0 to n - 1, not {wrong[0]}/{wrong[1]}"):
            open_data("digits", digits.INPUT_SIZE, shard=wrong)
    with pytest.raises(ModelError, match="shard 3/4 of 3 images is empty"):
        open_data("digits", digits.INPUT_SIZE, images=3, shard=(3, 4))


def test_what_does_not_fit_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"takes 3 x 32 x 32 images, digits has 1 x 12 x 12; data that fits: a folder"):
        open_data("digits", (3, 32, 32))
    with pytest.raises(ModelError, match=r"unknown data set 'imagenet'; data sets: digits, noise, or"):
        open_data("imagenet", (3, 224, 224))
    with pytest.raises(ModelError, match=r"no images in .*; expected .jpg"):
        open_data(str(tmp_path), (3, 8, 8))
    with pytest.raises(ModelError, match="at least 1, not 0"):
        open_data("digits", digits.INPUT_SIZE, images=0)
    with pytest.raises(ModelError, match=r"takes 2 channels; images have 1 \(grey\) or 3 \(RGB\)"):
        open_data(str(tmp_path), (2, 8, 8))
    (tmp_path / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nnothing")
    with pytest.raises(ModelError, match=r"cannot read image .*broken.png"):
        open_data(str(tmp_path), (3, 8, 8)).dataset[0]
