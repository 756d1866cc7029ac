"""What is fuzzed: every parser of files and texts that others write, its seeds, and how a mutation is made of one.

A parser takes bytes, and may raise nothing but the errors that a user can correct, in one line.
"""

import io
import json
import random
import re
import zipfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import numpy as np
import safetensors.torch
import torch
from rich.console import Console

from msvit.checkpoint import read_sidecar
from msvit.identify import identify
from msvit.training.recipes import get_recipe
from msvit.weight_files import read_weight_file
from msvit_energy import EnergyError, Profile, price, read_table
from msvit_energy.pricing.protocols import all_choices
from msvit_energy.pricing.published_rates import read_rates
from msvit_energy.pricing.spikingformer_log import read_log
from msvit_energy.pricing.technology import TECHNOLOGIES, get_technology, read_technology
from msvit_energy.profiles import image_counts
from msvit_energy.profiles.amounts import Moments
from msvit_energy.profiles.image_counts import ImageCounts
from msvit_energy.profiles.image_indices import read_ranges
from msvit_energy.profiles.merge import merge
from msvit_energy.reporting.layer_table import layer_table, protocol_table, stage_table
from msvit_energy.reporting.table import write
from msvit_energy.reporting.terminal import TerminalTable
from msvit_energy.workflows.loading.model_loading import parse_arguments, parse_size, without_memory
from msvit_energy.workflows.loading.nir_files import read_nir
from msvit_energy.workflows.share import parse_share
from msvit_energy.workflows.training.run import TrainingRequest, requested_recipe
from msvit_energy.workflows.training.stored_recipe import read_stored_recipe
from msvit_energy.workflows.user_errors import USER_ERRORS
from tests.support.mutations import mutate

ROOT = Path(__file__).parents[2]
MEMORY = Path("/dev/shm")  # files on disk would take most of the time
SCRATCH = Path(mkdtemp(prefix="fuzz-", dir=MEMORY if MEMORY.is_dir() else None))
RATES = ROOT / "msvit_energy" / "reporting" / "data" / "rates"
Mutator = Callable[[bytes, random.Random], bytes]


@dataclass(frozen=True)
class Parser:
    """`read` is given the bytes; `mutated` knows the form of a file, where bytes at random would only break it."""

    read: Callable[[bytes], object]
    seeds: Callable[[], Sequence[bytes]]
    mutated: Mutator | None = None


def check(parser: Parser, data: bytes) -> bool:
    """Whether the parser takes the bytes; an error that is not the project's own, or not in one line, is raised."""
    try:
        parser.read(data)
    except USER_ERRORS as error:
        message = str(error)
        assert message.isprintable(), f"not in one line: {message!r}"
        assert message, "no message"
        return False
    return True


def file(name: str, data: bytes) -> Path:
    """A file with that content, which the next one replaces."""
    path = SCRATCH / name
    path.write_bytes(data)
    return path


def use(profile: Profile) -> None:
    """What is done with a profile that was read."""
    technology = TECHNOLOGIES["45nm-fp32"]
    reports = []
    for choice in all_choices(tables=bool(profile.provenance.priced_as)):
        with suppress(EnergyError):  # a protocol may need counts that a profile says it does not have
            reports.append(price(profile, choice, technology))
    tables = [protocol_table(profile, reports)] if reports else []
    for report in reports[:1]:
        tables += [layer_table(profile, report), stage_table(profile, report)]
    for table in tables:
        write(table, SCRATCH, "table", ("csv", "md", "tex", "json"))
        Console(file=io.StringIO()).print(TerminalTable(table))
    profile.to_frame()
    profile.save(SCRATCH / "again.json")
    assert Profile.load(SCRATCH / "again.json") == profile
    with suppress(EnergyError):
        merge([profile, profile])


def json_mutated(data: bytes, draw: random.Random) -> bytes:
    """One to three of the damages of tests/support/mutations.py."""
    content = json.loads(data)
    for _ in range(draw.randint(1, 3)):
        mutate(content, draw)
    return json.dumps(content).encode()


CELLS = (
    *("0 -1 1.5 1e5 1e-400 1e400 0e999999999 nan inf 50% 150% 1,5 1_0 ٣ 9223372036854775808 1.2G 3x3 () =".split()),
    *("\x00", "\x1b[2J", "binary", "integer", "analog", "entrance", "head", "AC", "MAC"),
)


def cells_mutated(data: bytes, draw: random.Random) -> bytes:
    """Cells that are exchanged, doubled, or of the values on which readers of numbers have failed."""
    lines = [line.split(",") for line in data.decode("utf-8", "replace").split("\n")]
    for _ in range(draw.randint(1, 4)):
        line = draw.choice(lines)
        place = draw.randrange(len(line))
        other = draw.choice(draw.choice(lines))
        line[place] = draw.choice([draw.choice(CELLS), other, line[place] * 2, line[place][:-1], "9" * 500, ""])
        if draw.random() < 0.1:
            lines.insert(draw.randrange(len(lines)), list(line))
    return "\n".join(map(",".join, lines)).encode("utf-8", "replace")


def archive(entries: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> bytes:
    """A ZIP file."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as written:
        for name, content in entries.items():
            written.writestr(name, content)
    return buffer.getvalue()


def entries(data: bytes) -> dict[str, bytes]:
    """What is in one."""
    with zipfile.ZipFile(io.BytesIO(data)) as opened:
        return {name: opened.read(name) for name in opened.namelist()}


def saved(content: Any, **how: Any) -> bytes:
    """As `torch.save` writes it."""
    buffer = io.BytesIO()
    torch.save(content, buffer, **how)
    return buffer.getvalue()


def contents() -> list[Any]:
    """Contents of checkpoints."""
    from argparse import Namespace

    weights = {"head.weight": torch.ones(3, 2), "head.bias": torch.zeros(3), "bn.num_batches_tracked": torch.tensor(1)}
    half = {"module.w": torch.ones(2, dtype=torch.float16).expand(3, 2), "p": torch.nn.Parameter(torch.ones(2).t())}
    training = {"model": weights, "args": Namespace(model="msvit_digits", T=4, img_size=[8, 8]), "epoch": 3}
    states = {"state_dict": weights, "state_dict_ema": half, "random": (3, (1, 2), None), "losses": [0.5, 1.0]}
    return [weights, half, training, states]


def pickles() -> list[bytes]:
    """The pickles of zipped checkpoints, whose tensors lie beside them."""
    return [next(v for k, v in entries(saved(content)).items() if k.endswith("data.pkl")) for content in contents()]


def read_pickle(data: bytes) -> None:
    """A pickle as that of a checkpoint."""
    beside = {f"archive/data/{i}": bytes(24) for i in range(3)}
    about = {"archive/version": b"3\n", "archive/byteorder": b"little"}
    read_checkpoint(archive({"archive/data.pkl": data} | about | beside))


def read_checkpoint(data: bytes) -> None:
    """Weights and what is found of them."""
    stored = read_weight_file(file("w.pt", data))
    assert stored.model_name is None or isinstance(stored.model_name, str)
    assert stored.time_steps is None or isinstance(stored.time_steps, int)
    assert stored.img_size is None or stored.img_size
    identify(stored.weights)


def read_safetensors(data: bytes) -> None:
    """Weights and what is found of them."""
    identify(read_weight_file(file("w.safetensors", data)).weights)


def read_image_counts(data: bytes) -> None:
    """What was counted of three images."""
    image_counts.load(file("p.per_image.safetensors", data), THREE_IMAGES)


def header_mutated(data: bytes, draw: random.Random) -> bytes:
    """Another header of a safetensors file."""
    size = int.from_bytes(data[:8], "little")
    header = json_mutated(data[8 : 8 + size], draw)
    return len(header).to_bytes(8, "little") + header + data[8 + size :]


def read_sidecar_and_build(data: bytes) -> None:
    """A sidecar and its model."""
    sidecar = read_sidecar(file("w.json", data))
    assert sidecar is not None
    if "digits" in sidecar.model.name:
        small(sidecar.model.args)
        without_memory(sidecar.model.name, sidecar.model.args)


def small(args: Any) -> None:
    """Leave alone what would only take long: the guard of checkpoints against large models is tested elsewhere."""
    if any(isinstance(n, int) and abs(n) > 64 for n in numbers(args)):
        raise EnergyError("large")


def numbers(value: Any) -> list[Any]:
    """All plain values in nested lists and objects."""
    if isinstance(value, dict):
        value = list(value.values())
    return [n for each in value for n in numbers(each)] if isinstance(value, list) else [value]


def read_settings(data: bytes) -> None:
    """`train --set`, one setting a line; those of a model build it."""
    settings = data.decode("utf-8", "surrogateescape").split("\n")
    recipe = requested_recipe(TrainingRequest("digits", SCRATCH, settings=settings))
    small(dict(recipe.model_args))
    without_memory(recipe.model, recipe.model_args)


def read_options(data: bytes) -> None:
    """Texts of options."""
    text = data.decode("utf-8", "surrogateescape")
    for parse in (parse_arguments, lambda text: parse_size(text, (3, 8, 8)), get_technology, read_ranges,
                  lambda text: parse_share(text, "--ci")):  # fmt: skip
        with suppress(*USER_ERRORS):
            if not text.endswith(".toml"):
                parse(text)


def read_xlsx(data: bytes) -> None:
    """A sheet in an otherwise sound workbook."""
    parts = workbook() | {"xl/worksheets/sheet1.xml": data}
    use(read_table(file("t.xlsx", archive(parts, zipfile.ZIP_DEFLATED))))


def workbook() -> dict[str, bytes]:
    """The parts of a workbook."""
    import openpyxl

    book = openpyxl.Workbook()
    for row in (("layer", "macs", "rate", "runs"), ("a", 100, 0.5, 4), ("b", 1e6, 0.25, 4)):
        book.active.append(row)
    buffer = io.BytesIO()
    book.save(buffer)
    return entries(buffer.getvalue())


def per_image(data: bytes) -> None:
    """Rates of images, to a table of two layers."""
    table = file("t.csv", b"layer,macs,rate,runs,kind\nconv,100,0.5,4,binary\nfc,10,1.5,4,integer\nin,7,0.3,1,analog\n")
    use(read_table(table, per_image=file("i.csv", data)))


def nir_file() -> bytes:
    """A network of an affine layer and spiking neurons."""
    import nir
    import numpy as np

    one = np.ones(2)
    nodes = {
        "input": nir.Input(input_type=np.array([3])),
        "fc": nir.Affine(weight=np.ones((2, 3)), bias=np.zeros(2)),
        "lif": nir.LIF(tau=one * 2e-4, r=one, v_leak=one * 0, v_reset=one * 0, v_threshold=one),
        "output": nir.Output(output_type=np.array([2])),
    }
    names = list(nodes)
    path = SCRATCH / "seed.nir"
    nir.write(path, nir.NIRGraph(nodes=nodes, edges=list(pairwise(names))))
    return path.read_bytes()


def nir_mutated(_: bytes, draw: random.Random) -> bytes:
    """A sound file with other values, shapes, names and links: HDF5 aborts the process that writes to a damaged one."""
    import h5py
    import numpy as np

    nir_file()
    path = SCRATCH / "seed.nir"
    with h5py.File(path, "a") as opened:
        found: list[str] = []
        opened.visit(found.append)
        for _ in range(draw.randint(1, 6)):
            name, other = draw.choice(found), draw.choice(found)
            with suppress(Exception):
                group, _, last = name.rpartition("/")
                parent = opened[group or "/"]
                value = draw.choice([np.nan, -1, 2**40, b"LIF", b"", "x", [], [[1.0]], np.ones((2, 3)), [0, 2**31]])
                kind = draw.choice(["drop", "value", "value", "copy", "link", "soft", "same"])
                if kind == "same" and isinstance(parent[last], h5py.Dataset):
                    value = np.asarray(parent[last][()]).ravel()[:1]
                if kind != "copy":
                    del parent[last]
                if kind in ("value", "same"):
                    parent[last] = value
                elif kind == "copy":
                    opened.copy(other, f"{group}/copy{draw.randrange(9)}")
                elif kind in ("link", "soft"):
                    parent[last] = opened[other] if kind == "link" else h5py.SoftLink(f"/{other}")
    return path.read_bytes()


THREE_IMAGES = Moments(("a#0 value", "a#0 nonzero"), (6, 3), ((14, 6), (3,)))


def three_images() -> bytes:
    counts = ImageCounts(THREE_IMAGES.keys, np.array([[1, 2, 3], [1, 1, 1]]), np.array([0, 2, 1]))
    image_counts.save(counts, path := SCRATCH / "three.safetensors")
    return path.read_bytes()


def recipe_file() -> bytes:
    from dataclasses import asdict

    return json.dumps(asdict(get_recipe("digits")) | {"seed": 0, "data_folder": None, "init": None}).encode()


def read_profile(data: bytes) -> None:
    use(Profile.load(file("p.json", data)))


def read_legacy(data: bytes) -> None:
    """A checkpoint as torch wrote it before 1.6."""
    read_checkpoint(data)


TABLE = b"""layer,macs_per_step,input_rate,runs,kind,role,nonzero_rate,inputs,outputs,weights,kernel,stride,groups
stem,110.592k,0.5,1,analog,entrance,,3072,4096,864,3x3,1,1
conv,589824,20%,4,binary,,0.2,4096,4096,9216,3x3,1,1
fc,1e4,1.5,4,integer,head,0.9,1000,10,10000,,,
"""
COUNTED = b"layer,accumulates,macs,rate,runs,priced_as\na,1000,,,4,AC\nb,,100,0.5,4,MAC\n"
TOML = (
    b"name = 'mine'\ne_mac = 4.6\ne_ac = 0.9\nsource = 'a paper'\nbits = 16\nsram = 'per-64-bits'\ndram = 'horowitz'\n"
)
SETTINGS = (
    b'epochs=2\nmodel_args={"depths": [1, 1, 1], "embed_dims": [8, 8, 8]}',
    b"base_lr=1e-3\nbest=both\nprofile_every=1\ncompile=true",
)


def shipped(*patterns: str) -> list[bytes]:
    """Files of this checkout."""
    return [path.read_bytes() for pattern in patterns for path in sorted(ROOT.glob(pattern))]


def logs() -> list[bytes]:
    """A shipped log as of a model of one block: what is large is mutated slowly."""
    lines = (RATES / "spikingformer_8_512.log.txt").read_text().split("\n")
    second, head = (
        next(i for i, line in enumerate(lines) if line.startswith(start)) for start in ("    (1)", "  (head)")
    )
    rows = [re.sub(r"\], .*", "]]", line) if line.startswith("[[") else line for line in lines]
    return [
        "\n".join(rows[:second] + rows[head:]).encode(),
        "\n".join(rows[second - 49 : second] + rows[head:]).encode(),
    ]


PARSERS = {
    "profile": Parser(read_profile, lambda: shipped("tests/data/plain.profile.json"), json_mutated),
    "table": Parser(lambda data: use(read_table(file("t.csv", data))), lambda: [TABLE, COUNTED], cells_mutated),
    "per-image": Parser(
        per_image, lambda: [b"image,conv,fc\na,0.5,1.5\nb,25%,2\n", b"image,in\n1,-.5\n"], cells_mutated
    ),
    "image-counts": Parser(read_image_counts, lambda: [three_images()], header_mutated),
    "xlsx": Parser(read_xlsx, lambda: [workbook()["xl/worksheets/sheet1.xml"]]),
    "rates": Parser(
        lambda data: read_rates(file("r.csv", data)),
        lambda: [
            b"layer,input_rate,nonzero_rate,kind\na,0.5,0.5,binary\nb,1.5,0.9,integer\n",
            b"name,type,dense_ops_per_image,ac_ops,mac_ops,spike_rate_percent\na,Conv2d,10,5,0,0\nl,LIFNode,0,0,0,20\n",
        ],
        cells_mutated,
    ),
    "log": Parser(lambda data: read_log(file("l.txt", data)).conflicts(), logs),
    "technology": Parser(lambda data: read_technology(file("t.toml", data)), lambda: [TOML]),
    "sidecar": Parser(read_sidecar_and_build, lambda: shipped("msvit/checkpoints/msvit_digits.json"), json_mutated),
    "recipe": Parser(lambda data: read_stored_recipe(file("recipe.json", data)), lambda: [recipe_file()], json_mutated),
    "settings": Parser(read_settings, lambda: SETTINGS),
    "options": Parser(read_options, lambda: [b'{"depth": [2]}', b"3x32x32", b"0-31,40", b"45nm-fp32:sram=step", b"1%"]),
    "pickle": Parser(read_pickle, pickles),
    "archive": Parser(read_checkpoint, lambda: [saved(content) for content in contents()]),
    "legacy": Parser(
        read_legacy, lambda: [saved(content, _use_new_zipfile_serialization=False) for content in contents()]
    ),
    "safetensors": Parser(read_safetensors, lambda: [safetensors.torch.save({"a": torch.ones(2, 3)})], header_mutated),
    "nir": Parser(lambda data: read_nir(file("n.nir", data)), lambda: [nir_file()], nir_mutated),
}
