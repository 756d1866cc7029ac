"""Profiles, tables, logs, prices, recipes and networks that lie about their sizes or never end: refused in one line,
within the memory that SECURITY.md promises."""

import gzip
import io
import json
import re
import zipfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import openpyxl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from msvit.errors import ModelError
from msvit.training.recipes import get_recipe
from msvit_energy import EnergyError, read_table
from msvit_energy.pricing.spikingformer_log import read_log
from msvit_energy.profiles.image_indices import as_text, read_ranges
from msvit_energy.profiles.json_format import profile_of
from msvit_energy.profiles.table_cells import exact, number
from msvit_energy.workflows.loading.model_loading import parse_arguments
from tests.support.isolated_reading import IsolatedReader, promised_mb

DATA = Path(__file__).parents[2] / "data"
RATES = Path(__file__).parents[3] / "msvit_energy" / "reporting" / "data" / "rates"
MIB = 2**20
HEADER = "layer,macs,rate,runs\n"
PRICES = "e_mac=1\ne_ac=1\nsource='x'\n"


@pytest.fixture(scope="module")
def isolated() -> Iterator[IsolatedReader]:
    with IsolatedReader() as reader:
        reader.read("profile", DATA / "plain.profile.json")  # what is imported at the first reading is not the file's
        yield reader


def profile(**fields: str) -> str:
    """The small profile with some fields in JSON as given."""
    content = json.loads((DATA / "plain.profile.json").read_text()) | {name: f"<{name}>" for name in fields}
    text = json.dumps(content)
    for name, value in fields.items():
        text = text.replace(f'"<{name}>"', value)
    return text


def fact(value: str) -> str:
    """The small profile with a fact of another program."""
    return profile(provenance=f'{{"x": {value}}}')


def neuron(sums: str) -> str:
    return profile(neurons=f'[{{"neuron": "a", "stage": "b", "elements": 1, "sums": {sums}}}]')


def many(item: str, times: int, end: str) -> str:
    return f"[{f'{item},' * times}{end}]"


def layers(numbers: Sequence[int]) -> str:
    """Layers of those numbers, as a measurement would write them."""
    layer = {"layer": "@", "stage": "s", "op": "conv2d", "role": "", "macs_per_image": 1, "runs_per_image": 1}
    operand = {"name": "@#0", "kind": "analog", "origin": "other", "neurons": [], "elements": 1, "sums": [1]}
    operand |= {"nonzeros": [], "maximum": 1.0, "fan_out": None, "events": None, "nonzero_events": None}
    text = json.dumps(layer | {"operands": [operand], "pairs": None})
    moments = '{"keys": [], "sums": [], "products": []}'
    written = {number: text.replace("@", str(number)) for number in set(numbers)}
    return profile(operators=f"[{','.join(written[number] for number in numbers)}]", moments=moments)


TOO_MUCH, ENDLESS = r"would fill \d+ MiB", "maximum recursion depth|Stack overflow"
PROFILES: dict[str, tuple[Callable[[], str], str]] = {
    "a text of 40 MB": (lambda: fact(f'"{"a" * 40 * MIB}"'), ""),
    "a wide text of 40 MB": (lambda: fact(f'"{"a" * 40 * MIB}\U0001f600"'), TOO_MUCH),
    "a million lists": (lambda: fact(many("[]", 10**6, "1")), ""),
    "10 million lists": (lambda: fact(many("[]", 10**7, "1")), TOO_MUCH),
    "10 million objects": (lambda: fact(many("{}", 10**7, "1")), TOO_MUCH),
    "2 million texts": (lambda: fact(many('"ab"', 2 * 10**6, "1")), TOO_MUCH),
    "2 million fractions": (lambda: neuron(many('"1/3"', 2 * 10**6, "1")), TOO_MUCH),
    "2 million numbers": (lambda: neuron(many("1000", 2 * 10**6, "1")), ""),
    "2 million real numbers": (lambda: fact(many("1.5", 2 * 10**6, "1")), ""),
    "10,000 layers": (lambda: layers(range(10_000)), ""),
    "10^6 layers": (lambda: layers([1] * 10**6), "too large|" + TOO_MUCH),
    "lists in lists": (lambda: "[" * 10**6, ENDLESS),
    "objects in objects": (lambda: '{"a":' * 10**5, ENDLESS),
    "lists in a fact": (lambda: fact("[" * 10**5 + "]" * 10**5), ENDLESS),
    "400 digits": (lambda: neuron(f"[{'9' * 400}]"), r"neurons\[0\]\.sums\[0\]: expected a sum"),
    "5000 digits": (lambda: neuron(f"[{'9' * 5000}]"), "is not a profile"),
    "a fraction of 5000 digits": (lambda: neuron(f'["1/{"9" * 5000}"]'), "is a damaged profile"),
}


@pytest.mark.slow
@pytest.mark.parametrize("case", PROFILES)
def test_profiles_of_any_size_are_read_or_refused_within_bounds(
    case: str, tmp_path: Path, isolated: IsolatedReader
) -> None:
    write, message = PROFILES[case]
    (tmp_path / "p.json").write_text(write(), encoding="utf-8")
    check(isolated, "profile", tmp_path / "p.json", message)


@pytest.mark.slow
def test_a_text_of_1_gb_is_refused_before_it_is_read(tmp_path: Path, isolated: IsolatedReader) -> None:
    with (tmp_path / "p.json").open("wb") as file:
        file.write(b'{"version": 2, "x": "')
        file.truncate(10**9)  # the rest is a hole, which takes no space on the disk
    check(isolated, "profile", tmp_path / "p.json", "too large for a profile: at most 256 MiB are read")


def check(isolated: IsolatedReader, kind: str, path: Path, message: str) -> None:
    """That a file is refused with that message, or read if that is empty, within bounds."""
    found = isolated.read(kind, path)
    assert found.error == ("EnergyError" if message else ""), found
    assert re.search(message, found.message), found
    assert found.message.isprintable() or not message
    assert found.peak_mb < promised_mb(path), found
    assert found.seconds < 20


def xlsx(**parts: str) -> bytes:
    """A small workbook in which some parts are other ones."""
    book, buffer, changed = openpyxl.Workbook(), io.BytesIO(), io.BytesIO()
    for row in (("layer", "macs", "rate", "runs"), ("a", 100, 0.5, 4)):
        book.active.append(row)
    book.save(buffer)
    with zipfile.ZipFile(buffer) as old, zipfile.ZipFile(changed, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            new.writestr(name, parts.get(Path(name).stem, "") or old.read(name))
    return changed.getvalue()


STRINGS = '<sst xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main">'
LAUGHS = "".join(f'<!ENTITY {chr(98 + i)} "{f"&{chr(97 + i)};" * 10}">' for i in range(8))
LOG = (RATES / "spikingformer_8_512.log.txt").read_text()
NESTED = "\n".join(
    f"{' ' * i}(a): B( 1 Ops, 1% oriMACs, 1 Ops, 1% ACs, 1 Ops, 1% MACs, 1% Spike Rate" for i in range(4000)
)
TEXTS: dict[str, tuple[str, Callable[[], str | bytes], str]] = {
    "t.csv, rows": ("table", lambda: rows(30_000), ""),
    "t.csv, more cells": ("table", lambda: rows(110_000), "at most 400000 cells"),
    "t.csv, short lines": ("table", lambda: HEADER + "a\n" * 500_000, "at most 400000 cells"),
    "t.csv, blank lines": ("table", lambda: b"\n" * 4 * MIB, "is empty"),
    "t.csv, one line": ("table", lambda: HEADER + "a" * 5 * MIB, "not a CSV file|4 MiB in a line"),
    "t.csv, an open quote": ("table", lambda: HEADER + '"' + "a\n" * 8 * MIB, "not a CSV file"),
    "t.csv, commas": ("table", lambda: b"," * 3 * MIB, "at most 400000 cells"),
    "t.csv, runs": ("table", lambda: b"layer,macs,rate,runs\na,1,.5,4000000000000\n", "more than 1000000 times"),
    "t.csv, digits": ("table", lambda: b"layer,macs,rate,runs\na,1,1e-999999999,4\n", "at most 400 digits"),
    "t.csv, zeros": ("table", lambda: b"layer,macs,rate,runs\na,0e999999999,1,4\n", "at most 400 digits"),
    "t.csv.gz, bomb": ("table", lambda: gzip.compress(bytes(100 * MIB), 1), "in a line"),
    "t.csv.gz, lines": ("table", lambda: gzip.compress(b"a,1,.5,1\n" * 2**24, 1), "at most 400000 cells"),
    "t.csv.gz, cut": ("table", lambda: gzip.compress(b"abc" * 1000)[:20], "not a CSV file"),
    "t.csv.gz, broken": ("table", lambda: gzip.compress(b"abc" * 1000)[:12] + b"xxxxxxxx", "not a CSV file"),
    "t.xlsx, bomb": ("table", lambda: xlsx(styles=" " * 50 * MIB), "at most 8 MiB"),
    "t.xlsx, texts": ("table", lambda: xlsx(theme1=STRINGS + "<a/>" * 10**6 + "</sst>"), ""),
    "t.xlsx, entities": ("table", lambda: xlsx(sheet1=f'<!DOCTYPE l [<!ENTITY a "a">{LAUGHS}]><a>&i;</a>'), "no|not"),
    "i.csv, commas": ("per-image", lambda: b"image" + b",a" * 10**5 + b"\n", "no layer in the table"),
    "r.csv, rows": ("rates", lambda: b"layer,input_rate\n" + b"a,1\n" * MIB, "1 MiB"),
    "r.csv, lines": ("rates", lambda: b"\n" * 2 * MIB, "1 MiB|has the columns"),
    "l.txt, lines": ("log", lambda: LOG + "a\n" * 3 * MIB, ""),
    "l.txt, wide": ("log", lambda: LOG + "\U0001f600\n" + "a\n" * 3 * MIB, ""),
    "l.txt, digits": ("log", lambda: LOG + ("1" * 19_000 + "\n") * 500, ""),
    "l.txt, fragments": ("log", lambda: LOG + ("1 Ops, 1% oriMACs, " * 1000 + "\n") * 500, ""),
    "l.txt, braces": ("log", lambda: LOG + "SSA info:{" * 10**6, ""),
    "l.txt, escapes": ("log", lambda: LOG + "\x1b[" * 5 * 10**6, ""),
    "l.txt, modules": ("log", lambda: LOG + NESTED, ""),
    "l.txt, lists": ("log", lambda: LOG.replace("[[", "[[" + "[" * 10**5), "no table of three rates"),
    "l.txt, large": ("log", lambda: b"a" * 17 * MIB, "at most 16 MiB"),
    "t.toml, lists": ("technology", lambda: PRICES + "a=" + "[" * 15_000, "is not TOML"),
    "t.toml, keys": ("technology", lambda: PRICES + "a." * 7_000 + "b=1", "unknown entries a|is not TOML"),
    "t.toml, digits": ("technology", lambda: PRICES.replace("1", "9" * 400, 1), "must be a price"),
    "t.toml, large": ("technology", lambda: b" " * MIB, "at most 16 KiB"),
    "r.json, lists": ("recipe", lambda: b"[" * 10**5, ENDLESS),
    "r.json, large": ("recipe", lambda: b" " * 2 * MIB, "at most 1 MiB"),
    "r.json, text": ("recipe", lambda: b'"\xff"', "does not say how to go on"),
}


def rows(count: int) -> bytes:
    return (HEADER + "".join(f"{i},{i + 1},0.{i},1\n" for i in range(count))).encode()


@pytest.mark.slow
@pytest.mark.parametrize("case", TEXTS)
def test_other_files_of_any_size_are_read_or_refused_within_bounds(
    case: str, tmp_path: Path, isolated: IsolatedReader
) -> None:
    kind, content, message = TEXTS[case]
    path = tmp_path / case.partition(",")[0]
    written = content()
    path.write_bytes(written if isinstance(written, bytes) else written.encode())
    check(isolated, kind, path, message)


def nir_file(path: Path, change: Callable[[Any], None]) -> None:
    import h5py
    import nir

    nodes = {
        "input": nir.Input(input_type=np.array([3])),
        "fc": nir.Affine(weight=np.ones((2, 3)), bias=np.zeros(2)),
        "if": nir.IF(r=np.ones(2), v_threshold=np.ones(2), v_reset=np.zeros(2)),
        "output": nir.Output(output_type=np.array([2])),
    }
    nir.write(path, nir.NIRGraph(nodes=nodes, edges=[("input", "fc"), ("fc", "if"), ("if", "output")]))
    with h5py.File(path, "a") as file:
        change(file["node"]["nodes"]["fc"])


def replaced(group: Any, value: Any, **how: Any) -> None:
    del group["weight"]
    if how:
        group.create_dataset("weight", **how)
    else:
        group["weight"] = value


def outside(group: Any) -> None:
    import h5py

    replaced(group, h5py.ExternalLink("/etc/passwd", "/x"))


NETWORKS: dict[str, tuple[Callable[[Any], object], str]] = {
    "sound": (lambda group: None, ""),
    "an array of 2^43 bytes": (lambda g: replaced(g, 0, shape=(2**20, 2**20), dtype="f8", chunks=(8, 8)), "has arrays"),
    "an array of another file": (
        lambda g: replaced(g, 0, shape=(2, 3), dtype="u1", external=[("/etc/passwd", 0, 6)]),
        "is an array in another file",
    ),
    "a link to another file": (outside, "leads to another place or file"),
    "a group in itself": (lambda group: group.__setitem__("again", group), "32 levels, or no end"),
    "a text for weights": (lambda group: replaced(group, "x"), "is no NIR file|does not run"),
    "no numbers": (lambda group: replaced(group, np.zeros((0, 3))), "is no NIR file|does not run"),
}


@pytest.mark.slow
@pytest.mark.parametrize("case", NETWORKS)
def test_networks_that_lie_are_refused(case: str, tmp_path: Path, isolated: IsolatedReader) -> None:
    change, message = NETWORKS[case]
    nir_file(tmp_path / "n.nir", change)
    isolated.read("nir", tmp_path / "none.nir")  # imports
    check(isolated, "nir", tmp_path / "n.nir", message)


@pytest.mark.slow
def test_a_network_of_40_mb_is_read_within_bounds(tmp_path: Path, isolated: IsolatedReader) -> None:
    weights = np.random.default_rng(0).normal(size=(2, 2_500_000))
    nir_file(tmp_path / "n.nir", lambda group: replaced(group, weights))
    found = isolated.read("nir", tmp_path / "n.nir")
    assert found.peak_mb < promised_mb(tmp_path / "n.nir"), found


def test_indices_of_a_million_million_images_are_a_range() -> None:
    assert as_text(read_ranges("0-999999999999,5")) == "0-999999999999"


@pytest.mark.parametrize(
    "text", ['{"depths": 3}', '{"depths": [1', "[" * 10**5, "9" * 5000, "[[1]]", "1", '{"a":' * 10**5]
)
def test_settings_that_are_no_arguments_are_refused(text: str) -> None:
    if text != '{"depths": 3}':
        with pytest.raises(ModelError, match="model_args must be a JSON object"):
            get_recipe("digits").changed({"model_args": text})
        with pytest.raises(EnergyError, match="--model-args must be a JSON object"):
            parse_arguments(text)


@given(st.text())
def test_any_text_is_a_number_or_refused(text: str) -> None:
    try:
        value = exact(text, "rate")
    except EnergyError as error:
        assert str(error).isprintable()
    else:
        assert float(value) == pytest.approx(number(text, "rate"), rel=1e-15)


@given(st.from_regex(r"[+-]?\d{0,3}\.?\d{0,3}(e[+-]?\d{1,12})?", fullmatch=True))
def test_numbers_are_exact_and_of_bounded_size(text: str) -> None:
    try:
        value = exact(text, "rate", signed=True)
    except EnergyError:
        return
    assert value.denominator < 10**500
    assert abs(value) <= 10**100


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=8,
)


@given(name=st.sampled_from(sorted(json.loads((DATA / "plain.profile.json").read_text()))), value=JSON)
def test_any_field_of_a_profile_is_right_or_refused(name: str, value: Any) -> None:
    content = json.loads((DATA / "plain.profile.json").read_text()) | {name: value}
    del content["version"]
    try:
        profile_of(content)
    except EnergyError as error:
        assert str(error).isprintable()


@pytest.mark.slow
@given(st.lists(st.lists(st.text(max_size=8) | st.sampled_from(["1", "0.5", "nan", "1e-500", "50%"]), max_size=5)))
def test_any_table_is_read_or_refused(tmp_path_factory: pytest.TempPathFactory, lines: list[list[str]]) -> None:
    path = tmp_path_factory.getbasetemp() / "any.csv"
    path.write_text(HEADER + "\n".join(map(",".join, lines)), encoding="utf-8", errors="replace")
    try:
        read_table(path)
    except EnergyError as error:
        assert str(error).isprintable()


@pytest.mark.slow
@given(st.text(max_size=200), st.integers(0, len(LOG)))
def test_any_text_in_a_log_is_passed_over_or_refused(
    tmp_path_factory: pytest.TempPathFactory, text: str, place: int
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.log"
    path.write_text(LOG[:place] + text + LOG[place:], encoding="utf-8", errors="replace")
    try:
        read_log(path).conflicts()
    except EnergyError as error:
        assert str(error).isprintable()
