"""Image files as they come: damaged ones are named, unusual ones give the pixels that they show."""

import io
import os
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader, Subset

from msvit import ModelError
from msvit.data import images as image_files
from msvit.data import open_data
from msvit.data.images import ImageFolder, read_image
from msvit.data.readable import Readable, Unreadable, joined
from msvit.errors import UnreadableFileError

DRAWN = np.random.default_rng(0).integers(0, 255, (20, 30, 3)).astype(np.uint8)


def jpeg() -> bytes:
    content = io.BytesIO()
    Image.fromarray(DRAWN).save(content, "JPEG")
    return content.getvalue()


def enormous(path: Path) -> None:
    """A PNG file of 20,000 x 20,000 pixels, of which it has none."""
    size = (20_000).to_bytes(4) * 2
    head = b"IHDR" + size + b"\x08\x02\0\0\0"
    pixels = (0).to_bytes(4) + b"IDAT" + zlib.crc32(b"IDAT").to_bytes(4)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + (13).to_bytes(4) + head + zlib.crc32(head).to_bytes(4) + pixels)


def floats(path: Path) -> None:
    Image.fromarray(DRAWN[..., 0].astype(np.float32)).save(path, "TIFF")


def elongated(path: Path) -> None:
    Image.new("L", (1, 60_000)).save(path)


DAMAGED: dict[str, tuple[Callable[[Path], object], str]] = {
    "truncated.jpg": (lambda path: path.write_bytes(jpeg()[:-300]), "image file is truncated"),
    "empty.jpg": (lambda path: path.write_bytes(b""), "not an image file, or a damaged one"),
    "text.jpg": (lambda path: path.write_text("no image\n"), "not an image file, or a damaged one"),
    "vanished.jpg": (lambda path: path.symlink_to("nowhere"), "No such file or directory"),
    "folder.jpg": (lambda path: path.mkdir(), "Is a directory"),
    "enormous.png": (enormous, r"Image size \(400000000 pixels\) exceeds limit"),
    "elongated.png": (elongated, "1 x 60000 pixels, of which resizing makes 256 x 15360000"),
    "floats.tif": (floats, "values of 32 bits, of which nothing says what is white"),
    "script.jpg": (lambda path: path.write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n"), "PostScript"),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_what_cannot_be_read_is_named_with_its_reason(name: str, tmp_path: Path) -> None:
    make, reason = DAMAGED[name]
    (tmp_path / "cat").mkdir()
    make(tmp_path / "cat" / name)
    source = open_data(str(tmp_path), (3, 224, 224))
    with pytest.raises(UnreadableFileError, match=rf"^cannot read image .*cat/{name}: .*{reason}") as found:
        source.dataset[0]
    assert found.value.file == f"cat/{name}"
    assert str(tmp_path) not in found.value.reason


@pytest.mark.skipif(os.name == "posix" and os.geteuid() == 0, reason="nothing is closed to root")
def test_a_file_without_permission_is_named(tmp_path: Path) -> None:
    (tmp_path / "closed.jpg").write_bytes(jpeg())
    (tmp_path / "closed.jpg").chmod(0)
    with pytest.raises(UnreadableFileError, match=r"closed.jpg: Permission denied$"):
        ImageFolder(tmp_path)[0]


def test_a_folder_that_cannot_be_listed_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def closed(folder: Path) -> None:
        raise PermissionError(13, "Permission denied", str(folder))

    monkeypatch.setattr(Path, "iterdir", closed)
    with pytest.raises(ModelError, match=rf"^cannot list {tmp_path}: Permission denied$"):
        ImageFolder(tmp_path)


def test_whatever_pillow_raises_on_a_damaged_file_is_caught(tmp_path: Path) -> None:
    random = np.random.default_rng(1)
    for kind in ("JPEG", "PNG", "TIFF", "WEBP", "BMP", "PPM"):
        content = io.BytesIO()
        Image.fromarray(DRAWN).save(content, kind)
        for number in range(30):
            changed = np.frombuffer(content.getvalue(), np.uint8)[: random.integers(len(content.getvalue()))].copy()
            places = random.integers(0, max(1, min(200, len(changed))), 3)
            if len(changed):
                changed[places] = random.integers(0, 255, 3)
            (tmp_path / f"{kind}{number}.png").write_bytes(changed.tobytes())
    samples, found = Readable(ImageFolder(tmp_path)), 0
    for position in range(len(samples)):
        found += isinstance(samples[position], Unreadable)
    assert found > 100  # of 180; the others lost nothing that shows


def save(image: Image.Image, path: Path, **how: object) -> np.ndarray:
    """What a model of three channels gets of a file."""
    image.save(path, **how)
    return np.asarray(read_image(str(path), "RGB"))


def test_16_bits_of_grey_keep_their_scale(tmp_path: Path) -> None:
    values = np.array([[0, 128, 129, 257], [1000, 32_768, 65_278, 65_535]], np.uint16)
    expected = [[0, 0, 1, 1], [4, 128, 254, 255]]  # values / 257, rounded; Pillow's own are 255 from 255 on
    for name in ("x.png", "x.tif", "x.pgm"):
        assert save(Image.fromarray(values), tmp_path / name)[..., 1].tolist() == expected, name
        assert np.asarray(read_image(str(tmp_path / name), "L")).tolist() == expected, name
    (tmp_path / "be.tif").write_bytes(big_endian(values))
    assert np.asarray(read_image(str(tmp_path / "be.tif"), "L")).tolist() == expected


def big_endian(values: np.ndarray) -> bytes:
    """A TIFF file of 16 bits, most significant first, written by hand."""
    height, width = values.shape
    entries = [(256, 3, width << 16), (257, 3, height << 16), (258, 3, 16 << 16), (259, 3, 1 << 16), (262, 3, 1 << 16)]
    entries += [(273, 4, 8), (277, 3, 1 << 16), (278, 3, height << 16), (279, 4, 2 * values.size)]
    table = b"".join(
        tag.to_bytes(2) + kind.to_bytes(2) + (1).to_bytes(4) + value.to_bytes(4) for tag, kind, value in entries
    )
    start = 8 + 2 * values.size
    head = b"MM\0*" + start.to_bytes(4) + values.astype(">u2").tobytes()
    return head + len(entries).to_bytes(2) + table + (0).to_bytes(4)


def test_transparency_is_dropped_and_the_colours_under_it_stay(tmp_path: Path) -> None:
    image = Image.fromarray(DRAWN).quantize(16)
    seen = np.asarray(image.convert("RGB"))
    found = save(image, tmp_path / "palette.png", transparency=bytes(range(0, 256, 16)))  # a warning is an error here
    assert found.tolist() == seen.tolist()
    alpha = np.full((20, 30, 1), 7, np.uint8)
    with_alpha = Image.fromarray(np.concatenate((DRAWN, alpha), -1))
    assert save(with_alpha, tmp_path / "rgba.png").tolist() == DRAWN.tolist()


def test_ink_becomes_light(tmp_path: Path) -> None:
    ink = Image.new("CMYK", (16, 16), (255, 0, 0, 0))  # cyan reflects green and blue
    assert save(ink, tmp_path / "cmyk.tif")[3, 3].tolist() == [0, 255, 255]
    red, green, blue = save(ink, tmp_path / "cmyk.jpg", quality=95)[3, 3].tolist()
    assert red < 5
    assert min(green, blue) > 250


def test_of_an_animation_the_first_frame_is_taken(tmp_path: Path) -> None:
    first, second = Image.new("RGB", (9, 9), (255, 0, 0)), Image.new("RGB", (9, 9), (0, 255, 0))
    for name in ("x.png", "x.webp"):
        how: dict[str, object] = {"save_all": True, "append_images": [second], "lossless": True}
        assert save(first, tmp_path / name, **how)[4, 4].tolist() == [255, 0, 0], name


def test_the_orientation_of_a_camera_is_not_applied(tmp_path: Path) -> None:
    turned = Image.Exif()
    turned[0x0112] = 6  # a quarter to the right
    found = save(Image.fromarray(DRAWN), tmp_path / "x.png", exif=turned)
    assert found.tolist() == DRAWN.tolist()  # 30 wide, 20 high, as torchvision's ImageFolder gives it


def test_an_image_of_one_pixel_fills_the_input(tmp_path: Path) -> None:
    Image.new("RGB", (1, 1), (51, 102, 255)).save(tmp_path / "x.png")
    image = open_data(str(tmp_path), (3, 224, 224)).dataset[0][0]
    assert image.shape == (3, 224, 224)
    assert image[0].unique().tolist() == pytest.approx([(0.2 - 0.485) / 0.229], abs=1e-5)


def _corner(image: Image.Image) -> torch.Tensor:
    return torch.tensor(image.getpixel((0, 0)))


@pytest.mark.parametrize("workers", [0, pytest.param(2, marks=pytest.mark.slow)])
def test_batches_lose_what_cannot_be_read_and_say_what(workers: int, tmp_path: Path) -> None:
    for number in range(7):
        Image.new("RGB", (8, 8), (number,) * 3).save(tmp_path / f"{number}.png")
    for number in (1, 4, 5):
        (tmp_path / f"{number}.png").write_text("no image")
    some = Subset(ImageFolder(tmp_path, _corner), [6, 5, 4, 3, 2, 1, 0])
    loader = DataLoader(Readable(some), 2, num_workers=workers, collate_fn=joined)
    batches = [(None if batch is None else batch[0][:, 0].tolist(), missing) for batch, missing in loader]
    assert [values for values, _ in batches] == [[6], [3], [2], [0]]
    reason = "not an image file, or a damaged one"
    assert [each for _, missing in batches for each in missing] == [
        Unreadable(1, "5.png", reason),
        Unreadable(2, "4.png", reason),
        Unreadable(5, "1.png", reason),
    ]
    assert joined([Unreadable(3, "x", "y")]) == (None, [Unreadable(3, "x", "y")])


def test_a_broken_first_image_does_not_hide_that_the_folder_is_grey(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_text("no image")
    Image.new("L", (8, 8), 9).save(tmp_path / "b.png")
    assert image_files.colours_changed(ImageFolder(tmp_path), 3) == "grey images as RGB"
