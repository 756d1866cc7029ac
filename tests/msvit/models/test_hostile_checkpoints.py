"""Checkpoints that would run code, lie about their sizes or never end: refused in one line, within the memory that
SECURITY.md promises."""

import argparse
import io
import json
import pickle
import re
import struct
import tarfile
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from torch import nn
from torch._utils import _rebuild_tensor_v2

import msvit
from msvit.checkpoint import SHIPPED
from msvit.pickle_limits import check_pickle
from tests.support.isolated_reading import IsolatedReader, promised_mb

MIB = 2**20


@pytest.fixture(scope="module")
def isolated() -> Iterator[IsolatedReader]:
    with IsolatedReader() as reader:
        yield reader


class Payload:
    """Unpickling this would make a file."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path("ran").touch, ())


class Rebuilt:
    """A tensor of any size and stride on a storage of 8 bytes."""

    def __init__(self, size: tuple[int, ...], stride: tuple[int, ...], offset: int = 0) -> None:
        self.arguments = (torch.zeros(2)._typed_storage(), offset, size, stride, False, OrderedDict())

    def __reduce__(self) -> tuple[Any, ...]:
        return (_rebuild_tensor_v2, self.arguments)


def archive(path: Path, entries: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> None:
    with zipfile.ZipFile(path, "w", method) as written:
        for name, content in entries.items():
            written.writestr(name, content)


def entries_of(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as opened:
        return {name: opened.read(name) for name in opened.namelist()}


def zipped_pickle(path: Path, content: bytes) -> None:
    """A pickle where torch.save puts its own."""
    archive(path, {"archive/data.pkl": content, "archive/version": b"3\n", "archive/byteorder": b"little"})


def poisoned_namespace(path: Path) -> None:
    poisoned = argparse.Namespace(model="msvit_digits", payload=Payload())
    torch.save({"model": {"w": torch.zeros(1)}, "args": poisoned}, path)


def nested_archive(path: Path) -> None:
    torch.save({"w": Payload()}, path)
    archive(path, {"archive/data.pkl": path.read_bytes()})


def legacy_pickle(path: Path) -> None:
    torch.save({"w": Payload()}, path, _use_new_zipfile_serialization=False)


def plain_pickle(path: Path) -> None:
    path.write_bytes(pickle.dumps({"w": Payload()}))


def legacy_tar(path: Path) -> None:
    with tarfile.open(path, "w") as tar:
        for name in ("sys_info", "pickle", "storages", "tensors"):
            content = pickle.dumps(Payload(), protocol=2)
            about = tarfile.TarInfo(name)
            about.size = len(content)
            tar.addfile(about, io.BytesIO(content))


def torch_package(path: Path) -> None:
    with torch.package.PackageExporter(str(path)) as exporter:
        exporter.save_source_string("evil", "from pathlib import Path\nPath('ran').touch()\n")
        exporter.save_pickle("model", "model.pkl", [1, 2])


def torch_script(path: Path) -> None:
    class Runs(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x + 1

    torch.jit.save(torch.jit.trace(Runs(), torch.zeros(1)), path)


def two_pickles(path: Path) -> None:
    """Which of two entries of one name a reader takes is its own choice."""
    torch.save({"w": torch.zeros(1)}, path)
    name = next(name for name in entries_of(path) if name.endswith("data.pkl"))
    with zipfile.ZipFile(path, "a") as written, pytest.warns(UserWarning, match="Duplicate name"):
        written.writestr(name, pickle.dumps({"w": Payload()}, protocol=2))


CODE = {
    "poisoned namespace": (poisoned_namespace, "it would run"),
    "nested archive": (nested_archive, "is damaged"),
    "legacy pickle": (legacy_pickle, "it would run"),
    "plain pickle": (plain_pickle, "is damaged"),
    "legacy tar": (legacy_tar, "is damaged"),
    "torch.package": (torch_package, "is damaged"),
    "TorchScript": (torch_script, "is a TorchScript archive, which holds code"),
    "two pickles": (two_pickles, "two entries of its archive have one name"),
}


@pytest.mark.filterwarnings("ignore:.*torch.jit")
@pytest.mark.parametrize("suffix", [".pth", ".pt", ".ckpt"])
@pytest.mark.parametrize("case", CODE)
def test_files_that_would_run_code_do_not(
    case: str, suffix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write, message = CODE[case]
    path = tmp_path / f"w{suffix}"
    write(path)
    with pytest.raises(msvit.ModelError, match=message) as refused:
        msvit.load_checkpoint(path, model="msvit_digits")
    assert not Path("ran").exists()
    assert str(refused.value).isprintable()


def test_a_namespace_whose_own_functions_are_replaced_is_read_as_data(tmp_path: Path) -> None:
    weights = msvit.create_model("msvit_digits").state_dict()
    arguments = argparse.Namespace(model="msvit_digits", T=2, _get_kwargs=1, __repr__=None, get=[])
    vars(arguments).update({"__class__": 3, "__dict__": "x", "items": None, 5: "no name"})
    torch.save({"model": weights, "args": arguments}, tmp_path / "w.pth")
    assert msvit.load_checkpoint(tmp_path / "w.pth").time_steps == 2


def header(path: Path, text: bytes, size: int | None = None, rest: bytes = b"") -> None:
    """A safetensors file with that header, which says it is of that size."""
    path.write_bytes(struct.pack("<Q", len(text) if size is None else size) + text + rest)


def safetensors_shape(path: Path) -> None:
    header(path, json.dumps({"w": {"dtype": "F32", "shape": [2**60], "data_offsets": [0, 8]}}).encode(), rest=bytes(8))


def zip_bomb(path: Path) -> None:
    pickled = pickle.dumps({"w": "a" * 100 * MIB}, protocol=2)
    archive(path, {"archive/data.pkl": pickled, "archive/version": b"3\n"}, zipfile.ZIP_DEFLATED)


def stored_bomb(path: Path) -> None:
    """Entries of an archive that lie about their size."""
    torch.save({"w": torch.zeros(10)}, path)
    content = path.read_bytes()
    place = content.rindex(b"PK\1\2")
    path.write_bytes(content[: place + 24] + struct.pack("<I", 2**31) + content[place + 28 :])


def many_entries(path: Path) -> None:
    one = struct.pack("<4s4H4L5H2L", b"PK\1\2", 20, 20, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0) + b"a"
    listed = one * 400_000
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 65535, 65535, len(listed), 4, 0)
    path.write_bytes(b"PK\3\4" + listed + end)


def aliases(path: Path) -> None:
    whole = torch.zeros(10 * MIB)
    torch.save({f"w{i}": whole for i in range(500)}, path)


def saved(content: Any) -> Callable[[Path], None]:
    return lambda path: torch.save(content, path)


def pickled(*parts: bytes) -> Callable[[Path], None]:
    """A pickle of protocol 2."""
    return lambda path: zipped_pickle(path, b"\x80\x02" + b"".join(parts) + b".")


def deep_state(path: Path) -> None:
    inner: dict[str, Any] = {}
    content = {"state_dict": inner}
    for _ in range(300):
        inner["state_dict"] = {}
        inner = inner["state_dict"]
    torch.save(content, path)


def cyclic(path: Path) -> None:
    content: dict[str, Any] = {"epoch": [1]}
    content["epoch"].append(content)
    content["model"] = content
    torch.save(content, path)


# a tuple of two of the one before it, each kept as number 0 of the memo: 2^60 parts, as a key of a dictionary
DOUBLED = b"}" + b"K\x01q\x00" + b"h\x00\x86q\x00" * 60 + b"K\x01s"
LIES = {
    "safetensors header beyond the file": (lambda path: header(path, b"{}", 2**62), "header has"),
    "safetensors header of 40 MB": (lambda path: header(path, b" " * 40 * MIB), "header has"),
    "safetensors shape beyond the file": (safetensors_shape, "is damaged"),
    "safetensors offsets": (lambda path: header(path, b'{"w":{"dtype":"F32","shape":[1],"data_offsets":[9,3]}}'), ""),
    "zip bomb": (zip_bomb, "is compressed, which torch.save never does"),
    "archive larger than the file": (stored_bomb, "together larger than the file"),
    "archive of very many entries": (many_entries, "list of entries"),
    "2^60 elements on 8 bytes": (saved({"w": Rebuilt((2**60,), (1,))}), "is damaged"),
    "10 GB on 8 bytes": (saved({"w": Rebuilt((10 * 2**28,), (1,))}), "is damaged"),
    "2^60 times one element": (saved({"w": Rebuilt((2**60,), (0,))}), "but the file has 8 bytes of it"),
    "strides beyond the storage": (saved({"w": Rebuilt((2, 2), (10**9, 1))}), "is damaged"),
    "an offset beyond the storage": (saved({"w": Rebuilt((2,), (1,), 10**12)}), "is damaged"),
    "one storage under 500 names": (aliases, "more than 100 times as large as the file"),
    "no plain tensor": (saved({"w": torch.zeros(2).to_sparse()}), "w is no plain tensor: torch.sparse_coo"),
    "no memory": (saved({"w": torch.zeros(2, device="meta")}), "w is no plain tensor: torch.strided, meta"),
    "lists without end": (pickled(b"]" * 3 * MIB), "more than 500000 containers"),
    "marks without end": (pickled(b"(" * 3 * MIB), "more than 500000 containers"),
    "dictionaries by call": (pickled(b"ccollections\nOrderedDict\nq\x00" + b"h\x00)R" * MIB), "other objects"),
    "a large pickle": (pickled(b"N" * 17 * MIB), "pickle is larger than 16 MiB"),
    "a long text": (pickled(b"X" + struct.pack("<I", 2**31 - 1)), "is damaged"),
    "2^60 parts of a tuple": (pickled(DOUBLED), "tuple of more than"),
    "tuples in tuples": (pickled(b"}" + b")" + b"\x85" * 400_000 + b"K\x01s"), "tuple of more than"),
    "lists in lists": (pickled(b"]" * 400_000 + b"a" * 399_999), "holds a list"),
    "dictionaries in dictionaries": (deep_state, "is not a state dict"),
    "a dictionary in itself": (cyclic, "is not a state dict"),
}


@pytest.mark.slow
@pytest.mark.parametrize("case", LIES)
def test_files_that_lie_or_never_end_are_refused_within_bounds(
    case: str, tmp_path: Path, isolated: IsolatedReader
) -> None:
    write, message = LIES[case]
    path = tmp_path / ("w.safetensors" if "safetensors" in case else "w.pth")
    write(path)
    found = isolated.read("weights", path)
    assert found.error == "ModelError", found
    assert message in found.message
    assert found.message.isprintable()
    assert found.peak_mb < promised_mb(path)
    assert found.seconds < 20


@pytest.mark.slow
@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_a_sound_file_takes_no_more_than_promised(suffix: str, tmp_path: Path, isolated: IsolatedReader) -> None:
    """60 MB of one layer beyond the model: read whole, then refused for what it is."""
    weights = msvit.create_model("msvit_digits").state_dict() | {"extra": torch.ones(15_000_000)}
    path = tmp_path / f"w{suffix}"
    if suffix == ".pth":
        torch.save(weights, path)
    else:
        path = msvit.save_checkpoint(path, msvit.create_model("msvit_digits"))
        safetensors.torch.save_file(weights, path)
    found = isolated.read("weights", path)
    assert "unknown extra" in found.message
    assert 40 < found.peak_mb < promised_mb(path)


SIDECARS = {
    "depth": ({"depths": [10**9, 1, 1]}, r"more than \d+ weights, which are not in the file"),
    "width": ({"embed_dims": [10**6, 10**6, 10**6]}, "does not fit msvit_digits"),
    "overflow": ({"embed_dims": [2**62, 2**62, 2**62]}, "cannot be built with embed_dims"),
    "type": ({"depths": 3}, "cannot be built with depths=3"),
    "text": ({"embed_dims": "abc"}, "cannot be built with embed_dims='abc'"),
    "classes": ({"num_classes": 2**62}, "cannot be built with num_classes"),
    "time steps": ({"time_steps": -1}, "time steps must be at least 1"),
}


@pytest.mark.slow
@pytest.mark.parametrize("case", SIDECARS)
def test_models_that_a_sidecar_lies_about_are_not_built(case: str, tmp_path: Path, isolated: IsolatedReader) -> None:
    args, message = SIDECARS[case]
    path = tmp_path / "w.safetensors"
    path.write_bytes(SHIPPED.read_bytes())
    path.with_suffix(".json").write_text(json.dumps({"format": 1, "model": {"name": "msvit_digits", "args": args}}))
    found = isolated.read("checkpoint", path)
    assert found.error == "ModelError", found
    assert re.search(message, found.message), found
    assert found.message.isprintable()
    assert found.peak_mb < promised_mb(path)


@pytest.mark.parametrize(
    "text", ["[" * 10**5, '{"a":' * 10**5, '{"format": ' + "9" * 5000 + "}", " " * 2 * MIB, "\ud800", '"' + "a" * 10**6]
)
def test_sidecars_without_end_are_refused(text: str, tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    path.write_bytes(SHIPPED.read_bytes())
    path.with_suffix(".json").write_text(text, errors="surrogatepass")
    with pytest.raises(msvit.ModelError, match="is not a checkpoint sidecar") as refused:
        msvit.load_checkpoint(path)
    assert str(refused.value).isprintable()


def test_names_of_weights_cannot_act_in_messages(tmp_path: Path) -> None:
    more = {"\x1b[2J\n\u202e<b>": torch.zeros(1), "a" * 10**5: torch.zeros(1)}
    torch.save(msvit.create_model("msvit_digits").state_dict() | more, tmp_path / "w.pth")
    with pytest.raises(msvit.ModelError, match=r"unknown \\x1b\[2J\\n\\u202e<b>") as refused:
        msvit.load_checkpoint(tmp_path / "w.pth", model="msvit_digits")
    assert str(refused.value).isprintable()
    assert len(str(refused.value)) < 4100


def test_the_size_of_a_tuple_counts_each_part_as_often_as_it_occurs() -> None:
    inner = tuple(range(1000))
    check_pickle(io.BytesIO(pickle.dumps((inner,) * 900, protocol=2)))
    with pytest.raises(msvit.ModelError, match="more than 1000000 parts"):
        check_pickle(io.BytesIO(pickle.dumps((inner,) * 1001, protocol=2)))
