"""Profiles of folders of images: files that cannot be read, how images are prepared, labels that do not fit."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import msvit
from msvit.data import DATASETS, PreprocessingChanges
from msvit.errors import ModelError
from msvit_energy import Profile
from msvit_energy.errors import EnergyError
from msvit_energy.workflows.loading.model_loading import LoadedModel, load_model, without_memory
from msvit_energy.workflows.measuring.measurement import DataOptions, measure
from msvit_energy.workflows.precision import compare_number_formats
from msvit_energy.workflows.training.training_data import training_data
from tests.support.command_line import run

REASON = "not an image file, or a damaged one"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Ten classes of two grey images each."""
    random = np.random.default_rng(0)
    for label in range(10):
        (tmp_path / "images" / f"class{label}").mkdir(parents=True)
        for name in ("a.png", "b.png"):
            pixels = random.integers(0, 255, (14, 16)).astype(np.uint8)
            Image.fromarray(pixels).save(tmp_path / "images" / f"class{label}" / name)
    return tmp_path / "images"


def digits_model(folder: Path, **options: object) -> tuple[LoadedModel, DataOptions]:
    loaded = load_model(None, None, None, ema=False, time_steps=None, seed=0, device="cpu")
    return loaded, DataOptions(str(folder), **{"batch_size": 3} | options)  # type: ignore[arg-type]


def profiled(folder: Path, **options: object) -> Profile:
    loaded, data = digits_model(folder, **options)
    return measure(loaded, data.open(loaded), data)


def break_files(folder: Path) -> dict[str, str]:
    """Images 0, 4, 5 and 19 of 20 become unreadable: the first, two in one batch of three, and the last."""
    broken = ("class0/a.png", "class2/a.png", "class2/b.png", "class9/b.png")
    for name in broken:
        (folder / name).write_text("no image")
    return dict.fromkeys(broken, REASON)


@pytest.mark.parametrize("workers", [0, pytest.param(2, marks=pytest.mark.slow)])
def test_the_profile_is_that_of_the_images_that_can_be_read(workers: int, folder: Path) -> None:
    broken = break_files(folder)
    found = profiled(folder, workers=workers)
    for name in broken:
        (folder / name).unlink()
    (folder / "class2" / "x.txt").touch()
    expected = profiled(folder)
    assert replace(found, provenance=expected.provenance) == expected  # labels, accuracy and intervals included
    assert (found.images, found.labelled) == (16, 16)
    data = found.provenance.data
    assert data
    assert (data.indices, data.skipped) == ("1-3,6-18", broken)  # as the files are listed, the broken ones included
    assert found.warnings()[0] == (
        f"4 of 20 images could not be read and are in no number: class0/a.png ({REASON}), class2/a.png ({REASON}), "
        f"class2/b.png ({REASON}), class9/b.png ({REASON})"
    )
    assert "skipped" not in expected.provenance.as_mapping()["data"]


def test_what_programs_leave_is_no_class_and_images_beside_classes_are_announced(folder: Path, tmp_path: Path) -> None:
    expected = profiled(folder)
    (folder / ".ipynb_checkpoints").mkdir()
    for place in (folder / ".ipynb_checkpoints", folder):
        Image.new("L", (14, 16)).save(place / "more.png")
    found = profiled(folder)
    assert replace(found, provenance=expected.provenance) == expected
    assert found.warnings() == ["images beside the folders of classes, left out: 1", *expected.warnings()]
    loose = tmp_path / "loose"
    (loose / ".thumbnails").mkdir(parents=True)
    for place in (loose / ".thumbnails", loose):
        Image.new("L", (14, 16)).save(place / "one.png")
    alone = profiled(loose)
    assert (alone.images, alone.labelled) == (1, 0)
    assert not [warning for warning in alone.warnings() if "beside" in warning]


@pytest.mark.slow
def test_shards_of_a_damaged_folder_join_to_the_whole(folder: Path, tmp_path: Path) -> None:
    from msvit_energy.profiles.merge import merge

    broken = break_files(folder)
    parts = [profiled(folder, shard=f"{number}/2") for number in (0, 1)]
    assert [part.images for part in parts] == [8, 8]
    whole, joined = profiled(folder), merge(parts)
    assert joined.provenance.skipped == broken
    assert joined.provenance.data and whole.provenance.data
    assert joined.provenance.data.indices == whole.provenance.data.indices
    assert joined.moments.sums == whole.moments.sums
    whole.save(tmp_path / "profile.json")
    assert Profile.load(tmp_path / "profile.json") == whole


@pytest.mark.slow
def test_a_measurement_that_ends_early_names_what_it_reached(folder: Path) -> None:
    break_files(folder)
    loaded, data = digits_model(folder)
    found = measure(loaded, data.open(loaded), data, enough=lambda profile: profile.images >= 3)
    assert found.provenance.data
    # two batches of three, of which images 0, 4 and 5 are broken
    assert (found.images, found.provenance.data.indices) == (3, "1-3")
    assert list(found.provenance.skipped) == ["class0/a.png", "class2/a.png", "class2/b.png"]


@pytest.mark.slow
def test_the_terminal_the_files_and_strict(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    break_files(folder)
    for label in (6, 7):
        (folder / f"class{label}" / "a.png").write_text("no image")
    out = str(tmp_path / "out")
    assert run(monkeypatch, "profile", "--data", str(folder), "--out", out) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert "warning: 6 of 20 images could not be read and are in no number: class0/a.png" in printed
    assert f"class6/a.png ({REASON}) and 2 more" in printed
    assert len(json.loads(Path(out, "profile.json").read_text())["provenance"]["data"]["skipped"]) == 6
    assert run(monkeypatch, "energy", f"{out}/profile.json", "--json") == 0
    assert "6 of 20 images could not be read" in json.loads(capsys.readouterr().out)[0]["warnings"][0]
    assert run(monkeypatch, "profile", "--data", str(folder), "--strict", "--out", str(tmp_path / "no")) == 2
    assert capsys.readouterr().err.endswith(f"error: cannot read image {folder}/class0/a.png: {REASON}\n")
    assert not (tmp_path / "no").exists()
    assert run(monkeypatch, "profile", "--data", str(folder), "--fast") == 0
    assert "--fast rounds otherwise: on the first 14 images" in " ".join(capsys.readouterr().out.split())


def test_a_folder_of_damaged_files_alone_is_one_line(folder: Path) -> None:
    for path in folder.rglob("*.png"):
        path.write_text("no image")
    with pytest.raises(EnergyError, match=rf"^none of 20 images can be read; class0/a.png: {REASON}$"):
        profiled(folder)


@pytest.mark.slow
def test_precision_leaves_out_what_cannot_be_read(folder: Path) -> None:
    break_files(folder)
    for path in folder.glob("class[3-8]/*.png"):
        path.unlink()
    found = compare_number_formats(*digits_model(folder), excite=False)
    assert found.warnings[-1].startswith("4 of 8 images could not be read")


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Two images of one colour, (51, 102, 255), in no class folders."""
    for name in ("a.png", "b.png"):
        Image.new("RGB", (40, 32), (51, 102, 255)).save(tmp_path / name)
    return tmp_path


def first_pixel(loaded: LoadedModel, data: DataOptions) -> list[float]:
    image: torch.Tensor = data.open(loaded).dataset[0][0]
    return [value.item() for value in image[:, 0, 0]]


def registered(name: str, **arguments: object) -> LoadedModel:
    model = msvit.create_model(name, **arguments)  # type: ignore[arg-type]
    return LoadedModel(model, model.input_size, {}, made_for=training_data(model, {}))


@pytest.mark.parametrize(
    ("name", "classes", "mean", "std"),
    [
        ("msvit_cifar", 10, (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)),
        ("msvit_cifar", 100, (0.5071, 0.4867, 0.4408), (0.2675, 0.2565, 0.2761)),
        ("ms_resnet18", 1000, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
        ("msvit_digits", 10, (0.3051,), (0.3226,)),
    ],
)
def test_folders_are_prepared_as_the_data_that_the_model_is_for(
    name: str, classes: int, mean: tuple[float, ...], std: tuple[float, ...], photos: Path
) -> None:
    loaded = registered(name, num_classes=classes)
    # ITU-R 601: 0.299 R + 0.587 G + 0.114 B of 51, 102, 255 is 104.2
    shown = (0.2, 0.4, 1.0) if len(mean) == 3 else (104 / 255,)
    expected = [(value - m) / s for value, m, s in zip(shown, mean, std, strict=True)]
    assert first_pixel(loaded, DataOptions(str(photos))) == pytest.approx(expected, abs=1e-5)
    assert DataOptions(str(photos)).open(loaded).warnings == ()


def test_the_recipe_of_a_checkpoint_says_more_than_its_size() -> None:
    model = without_memory("msvit_cifar", {})
    assert training_data(model, {"data": "cifar100"}) is DATASETS["cifar100"]
    assert training_data(model, {"data": "cifar10-dvs"}) is None
    assert training_data(without_memory("msvit_cifar", {"num_classes": 7}), {}) is None
    vit = training_data(without_memory("vit_base_patch16_384", {}), {})
    assert vit  # timm's configuration: augreg's weights are for [-1, 1], resized without a margin
    assert (vit.mean, vit.std, vit.preprocessing((3, 384, 384)).resize) == ((0.5,) * 3, (0.5,) * 3, 384)


def test_changes_replace_a_part_and_are_warned_of(photos: Path) -> None:
    loaded = registered("msvit_cifar")
    changes = PreprocessingChanges(mean=(0.0,), std=(0.5, 0.25, 0.5), crop=0.8)
    source = DataOptions(str(photos), changes=changes).open(loaded)
    assert [value.item() for value in source.dataset[0][0][:, 9, 9]] == pytest.approx([0.4, 1.6, 2.0], abs=1e-5)
    words = "bicubic resize to 40, centre crop, mean (0.0, 0.0, 0.0), std (0.5, 0.25, 0.5)"
    assert source.preprocessing == words
    assert source.notes == (f"{words} (cifar10, with changes)",)
    assert source.warnings == (
        "the images are not prepared as those of cifar10, which the model is for: bicubic resize to 32, centre crop, "
        "mean (0.4914, 0.4822, 0.4465), std (0.247, 0.2435, 0.2616)",
    )
    same = PreprocessingChanges(mean=(0.4914, 0.4822, 0.4465), resize=32)
    assert DataOptions(str(photos), changes=same).open(loaded).warnings == ()


def test_a_model_that_says_nothing_of_its_images_is_doubted_until_they_are_given(photos: Path) -> None:
    loaded = LoadedModel(torch.nn.Flatten(), (3, 32, 32), {})
    (doubt,) = DataOptions(str(photos)).open(loaded).warnings
    assert doubt.startswith("nothing says how the model's own images were prepared; these are as those of ImageNet")
    given = PreprocessingChanges(mean=(0.5,), std=(0.5,))
    assert DataOptions(str(photos), changes=given).open(loaded).warnings == ()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--mean 0.5,0.5", "--mean has 2 numbers (0.5,0.5), the model takes 3 channels"),
        ("--mean x", "--mean is a number, or one for each channel, such as 0.49,0.48,0.45, not 'x'"),
        ("--mean nan", "--mean must be finite, not nan"),
        ("--std 0.5,0,0.5", "--std must be above 0, not 0.5,0,0.5"),
        ("--resize 31", "--resize 31 is smaller than the model's input, 32 x 32"),
        ("--resize 0", "--resize must be at least 1 pixel, not 0"),
        ("--crop 1.5", "--crop is the share of the resized side that is kept, above 0 and up to 1, not 1.5"),
        ("--crop 0.9 --resize 40", "--resize and --crop both say how large images become before the crop"),
    ],
)
def test_changes_that_do_not_fit_are_refused(
    options: str, message: str, photos: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ("profile", "--model", "msvit_cifar", "--data", str(photos), *options.split())
    assert run(monkeypatch, *command) == 2
    assert f"error: {message}" in capsys.readouterr().err


def test_data_that_come_as_they_are_take_no_changes() -> None:
    loaded = registered("msvit_digits")
    for name in ("digits", "noise"):
        with pytest.raises(ModelError, match=f"--mean, --std, --resize and --crop are for images, and {name} has none"):
            DataOptions(name, changes=PreprocessingChanges(mean=(0.5,))).open(loaded)


def test_labels_and_images_that_are_not_there_are_said(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for label in range(4, 10):
        for path in (folder / f"class{label}").iterdir():
            path.unlink()
        (folder / f"class{label}").rmdir()
    assert run(monkeypatch, "profile", "--data", str(folder), "--images", "10000") == 0
    shown = capsys.readouterr()
    assert "warning: 4 folders, 10 outputs: labels ignored" in shown.out
    assert "top-1" not in shown.out
    assert f"{folder}: 10000 images were asked for, 8 there are" in shown.err
    assert f"{folder}: bicubic resize to 12, centre crop, mean (0.3051,), std (0.3226,) (digits)" in shown.err
