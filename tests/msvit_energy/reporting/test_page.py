"""The report page without a browser: its data, its policy, its escaping, and the command that writes it."""

import base64
import hashlib
import json
import math
import re
import statistics
import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from msvit_energy import EnergyError, Profile, price
from msvit_energy.pricing.protocol import Operations
from msvit_energy.pricing.protocols import all_choices
from msvit_energy.pricing.technology import TECHNOLOGIES
from msvit_energy.profiles.amounts import Amount, Spread, Uncertainty
from msvit_energy.profiles.provenance import ModelOrigin, Provenance, RatesOrigin
from msvit_energy.reporting.comparison import labels
from msvit_energy.reporting.page import SCRIPTS, as_script, page
from msvit_energy.reporting.page_data import Variances, axis, different_images, memory_of, page_content, warnings
from tests.support.command_line import run
from tests.support.reported_profiles import LAYER, NEURON, ODD_PRICES, profiles, renamed, saved

FP32 = TECHNOLOGIES["45nm-fp32"]
HOSTILE = "</script><script>alert(1)</script><!-- \u2028 &"


class Parsed(HTMLParser):
    """Elements of a page: attributes, and the text of scripts and styles, as a browser separates them."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.attributes: list[tuple[str, str, str]] = []
        self.raw: list[tuple[str, dict[str, str | None], str]] = []
        self.text = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag in ("script", "style"):
            self.raw.append((tag, dict(attrs), ""))

    def handle_data(self, data: str) -> None:
        if self.cdata_elem in ("script", "style"):  # not a title, which some versions of Python count in
            tag, attributes, before = self.raw[-1]
            self.raw[-1] = (tag, attributes, before + data)
        else:
            self.text += data

    def content(self) -> Any:
        """The embedded data."""
        (found,) = (text for _, attributes, text in self.raw if attributes.get("id") == "content")
        return json.loads(found)


@pytest.fixture(scope="module")
def parsed() -> Parsed:
    return Parsed(page(profiles(), "appendix-c", FP32))


def half_width(form: list[float] | None, t: float | None, e_mac: float, e_ac: float) -> float | None:
    """What the page's script makes of the stored coefficients."""
    if form is None or t is None:
        return None
    terms = (e_mac * e_mac, e_ac * e_ac, 1, e_mac * e_ac, e_mac, e_ac)
    return t * math.sqrt(max(0.0, sum(a * b for a, b in zip(form, terms, strict=True))))


def agrees(found: float | None, spread: Uncertainty | None) -> bool:
    """Whether half of an interval is the one of a priced row, or both are unknown."""
    if found is None or spread is None:
        return found is spread is None
    return math.isclose(found, spread.half_width, rel_tol=1e-9, abs_tol=1e-9 * abs(spread.mean))


@pytest.mark.parametrize("prices", [(4.6, 0.9), ODD_PRICES, (0.0, 0.0), (0.0, 2.0), (7.0, 0.0)])
@pytest.mark.parametrize("name", ["four", "two", "single"])
def test_embedded_data_give_what_price_gives(name: str, prices: tuple[float, float], parsed: Parsed) -> None:
    profile = profiles()[name]
    (stored,) = (each for each in parsed.content()["profiles"] if each["label"] == name)
    e_mac, e_ac = prices
    assert stored["choices"].keys() | stored["unavailable"].keys() == set(all_choices())
    for choice, columns in stored["choices"].items():
        report = price(profile, choice, replace(FP32, name="odd", e_mac=e_mac, e_ac=e_ac))
        counts = columns | columns.get("by_memory", {}).get(memory_of(FP32), {})
        total = 0.0
        for place, macs, acs, other, counted, form, row in zip(
            *(stored["columns"][counts[key]] for key in ("rows", "macs", "acs", "other", "counted", "variances")),
            report.rows,
            strict=True,
        ):
            energy = e_mac * macs + e_ac * acs + other
            total += energy
            entry = stored["entries"][place]
            assert (entry["layer"], entry["stage"], counted) == (row.layer, row.stage, row.counted)
            assert energy == pytest.approx(row.energy_pj, rel=1e-14)
            assert agrees(half_width(form, counts["t"], e_mac, e_ac), row.spread)
        assert total == pytest.approx(report.total_pj, rel=1e-14)
        assert agrees(half_width(counts["variance"], counts["t"], e_mac, e_ac), report.spread)


def test_variance_of_an_energy_with_all_three_parts_is_that_of_the_images() -> None:
    samples = {"a": [1.0, 4.0, 2.0, 7.0], "b": [3.0, 1.0, 8.0, 2.0], "c": [5.0, 5.5, 9.0, 1.0]}
    parts = {key: Amount(statistics.fmean(values), {key: 1 / 4}) for key, values in samples.items()}
    form = Variances(Spread.of_samples(samples)).of(Operations(macs=parts["a"], acs=parts["b"], other_pj=parts["c"]))
    for e_mac, e_ac in ((4.6, 0.9), (0.3, 11.0), (0.0, 1.0)):
        energies = [e_mac * a + e_ac * b + c for a, b, c in zip(*samples.values(), strict=True)]
        wanted = math.sqrt(statistics.variance(energies) / 4)
        assert half_width(form, 1.0, e_mac, e_ac) == pytest.approx(wanted, rel=1e-12)


def test_facts_of_a_profile_are_the_profiles() -> None:
    profile = replace(profiles()["four"], parameters=164_346)
    (stored,) = page_content({"four": profile}, "exact", FP32)["profiles"]
    assert (stored["images"], stored["time_steps"], stored["labelled"], stored["parameters"]) == (6, 4, 6, 164_346)
    assert stored["rate"] == profile.firing_rate
    assert [layer["rates"] for layer in stored["neurons"]] == [layer.firing_rates for layer in profile.neurons]
    frame = profile.to_frame()
    operators = stored["entries"][: len(frame)]
    assert [entry["layer"] for entry in operators] == list(frame.layer)
    assert [entry["macs"] for entry in operators] == list(frame.macs_per_step)
    assert [entry["rate"] for entry in operators] == [record["input_rate"] for record in profile.records()]
    assert [entry["kind"] for entry in operators] == list(frame.kind)
    events = [entry["events"] for entry in operators if entry["events"] is not None]
    assert events == list(frame.events.dropna())


def test_a_protocol_without_counts_is_listed_with_the_reason(parsed: Parsed) -> None:
    four, two, _ = parsed.content()["profiles"]
    assert four["unavailable"] == {}
    assert list(two["unavailable"]) == ["lemaire-estimate"]
    assert two["unavailable"]["lemaire-estimate"].startswith("the profile has no estimate after Lemaire et al.")
    with pytest.raises(EnergyError, match=r"^two: the profile has no estimate after Lemaire et al\."):
        page({"two": profiles()["two"]}, "lemaire-estimate", FP32)


def test_policy_allows_what_is_in_the_page_by_its_hash_and_nothing_else(parsed: Parsed) -> None:
    (policy,) = (
        value for tag, name, value in parsed.attributes if (tag, name) == ("meta", "content") and "src" in value
    )
    directives = {part.split()[0]: part.split()[1:] for part in policy.split(";")}
    assert directives["default-src"] == directives["connect-src"] == ["'none'"]
    assert directives["img-src"] == ["data:", "blob:"]
    assert "unsafe" not in policy

    def hashes(wanted: str) -> set[str]:
        texts = [text for tag, attributes, text in parsed.raw if tag == wanted and "type" not in attributes]
        digests = (hashlib.sha256(text.encode()).digest() for text in texts)
        return {f"'sha256-{base64.b64encode(digest).decode()}'" for digest in digests}

    assert set(directives["script-src"]) == hashes("script")
    assert len(directives["script-src"]) == len(SCRIPTS)
    assert set(directives["style-src"]) == hashes("style")


def test_nothing_is_loaded_and_nothing_is_inline_in_attributes(parsed: Parsed) -> None:
    addresses = {value for _, name, value in parsed.attributes if name in ("src", "href", "action", "srcset", "data")}
    assert addresses == {"data:,", "#totals"}
    assert not [name for _, name, _ in parsed.attributes if name.startswith("on") or name == "style"]


def test_names_from_models_are_text(tmp_path: Path) -> None:
    profile = renamed(profiles()["four"], {LAYER: HOSTILE, NEURON: f"{HOSTILE}2", "stage2": "<b>"}, tmp_path)
    facts = {"model": {"name": HOSTILE, HOSTILE: HOSTILE}, "warnings": [HOSTILE]}
    html = page({HOSTILE: replace(profile, provenance=Provenance.of(facts))}, "appendix-c", FP32)
    parsed = Parsed(html)
    assert len([tag for tag, _, _ in parsed.raw if tag == "script"]) == len(SCRIPTS) + 1
    assert "<script>alert(1)" not in html
    (stored,) = parsed.content()["profiles"]
    assert HOSTILE in [entry["layer"] for entry in stored["entries"]]
    assert parsed.text.count(HOSTILE) >= 4  # title, heading, warning, provenance


@pytest.mark.parametrize("text", ["</script>", "<!--<script>", "\u2028\u2029", "]]>&amp;", "\ud800"])
def test_json_in_a_script_cannot_end_it_and_reads_back(text: str) -> None:
    written = as_script({text: [text]})
    assert json.loads(written) == {text: [text]}
    assert not set(written) & set("<>&\u2028\u2029\ud800")


def test_warnings_come_before_any_number_and_are_said_once() -> None:
    html = page(profiles(), "appendix-c", FP32)
    assert html.index("one image only") < html.index('id="result"') < html.index('id="cards"')
    assert ("single", "one image only") in warnings(profiles())
    shared = {name: replace(profiles()["four"], provenance=Provenance(warnings=("w", "w"))) for name in "ab"}
    assert warnings(shared) == [("", "w")]


def of_images(number: int, **data: str) -> Profile:
    facts = {"data": data} if data else {}
    return replace(profiles()["single"], images=number, provenance=Provenance.of(facts))


def test_profiles_of_different_images_are_warned_of() -> None:
    start = "the profiles are of different images, so their differences are also those of the images"
    pair = {"a": of_images(8, name="digits", split="test", indices="0-7"), "b": of_images(8, name="digits")}
    assert different_images(pair) == []  # what is not stated may be the same
    assert different_images({"a": pair["a"]}) == []
    others = pair | {"c": of_images(8, name="digits", split="test", indices="1,3,5,7,9,11,13,15")}
    assert different_images(others) == [
        f"{start} (a: 8 images of digits test, numbers 0-7; b: 8 images of digits; "
        "c: 8 images of digits test, numbers 1,3,5,7,...)"
    ]
    for other in (of_images(7), of_images(8, name="mnist"), of_images(8, split="train")):
        (warning,) = different_images({"a": pair["a"], "a again": pair["a"], "other": other})
        assert warning.startswith(f"{start} (a, a again: 8 images of digits test, numbers 0-7; other: ")
    given = replace(of_images(1), provenance=Provenance(rates=RatesOrigin(rate=0.1)))
    assert different_images({"a": pair["a"], "given": given}) == []  # it has none
    assert warnings({"a": pair["a"], "other": of_images(7)})[-1][0] == ""


def test_the_page_is_small() -> None:
    assert len(page({"four": profiles()["four"]}, "appendix-c", FP32).encode()) < 500_000


def test_provenance_is_readable(parsed: Parsed) -> None:
    words = " ".join(parsed.text.split())
    assert re.search(r"model name msvit_digits weights [0-9a-f]{64} data name noise input feed image ", words)
    assert "command msvit-energy 'a b'" in words
    sums = profiles()["four"].overhead_totals()["column_sum"]
    assert f"column sum {sums:,} " in words


def test_profiles_are_named_by_their_folder_or_file_as_short_as_is_unique() -> None:
    paths = [Path("/a/x/profile.json"), Path("/b/x/profile.json"), Path("/b/y/profile.json"), Path("/c/joined.json")]
    assert labels(paths) == ["a/x", "b/x", "y", "joined"]
    assert labels([Path("/a/x/profile.json"), Path("/a/x.json")]) == ["/a/x/profile.json", "/a/x.json"]
    with pytest.raises(EnergyError, match=r"^a.json is given twice"):
        labels([Path("a.json"), Path("./a.json")])


def test_what_several_profiles_are_a_series_over() -> None:
    four, two, single = profiles().values()
    assert axis({"four": four}) is None
    assert axis({"four": four, "two": two})["x"] == [4, 2]
    assert axis({"four": four, "single": single}) == {
        "name": "profile", "x": ["four", "single"], "lines": ["msvit_digits on noise"] * 2
    }  # fmt: skip
    trained = {str(epoch): replace(two, provenance=Provenance(epoch=epoch)) for epoch in (5, 10)}
    assert axis(trained)["name"] == "epoch"
    assert axis(trained)["x"] == [5, 10]
    other = replace(two, provenance=Provenance(model=ModelOrigin("other")))
    assert axis({"four": four, "other": other})["name"] == "profile"  # T differs, but so does the model


def test_one_image_has_no_interval_and_given_rates_no_images() -> None:
    single = profiles()["single"]
    given = replace(single, provenance=Provenance(rates=RatesOrigin(rate=0.1)))
    first, second = page_content({"single": single, "given": given}, "appendix-c", FP32)["profiles"]
    assert first["images"] == 1
    assert first["choices"]["appendix-c"]["variance"] is first["choices"]["appendix-c"]["t"] is None
    assert (second["images"], second["data"]) == (None, "given rates")


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Path]:
    monkeypatch.chdir(tmp_path)
    return saved(tmp_path / "runs")


def test_command_writes_one_file_into_a_new_folder(
    files: dict[str, Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [str(files["four"]), str(files["two"]), "--html", "new/folder/report.html"]
    assert run(monkeypatch, "report", *arguments, "--protocol", "exact", "--e-mac", "3.3") == 0
    assert capsys.readouterr().out == "new/folder/report.html\n"
    assert [path.name for path in Path("new/folder").iterdir()] == ["report.html"]
    content = Parsed(Path("new/folder/report.html").read_text()).content()
    assert content["start"] == {"protocol": "exact", "technology": "custom"}
    (custom,) = (each for each in content["technologies"] if each["name"] == "custom")
    assert (custom["e_mac"], custom["e_ac"]) == (3.3, 0.9)
    assert [each["label"] for each in content["profiles"]] == ["four", "two"]


def test_a_page_is_replaced_only_when_forced(
    files: dict[str, Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("report.html").write_text("precious")
    arguments = ["report", str(files["two"]), "--html", "report.html"]
    assert run(monkeypatch, *arguments) == 2
    assert capsys.readouterr().err == "error: report.html exists; --force replaces it\n"
    assert Path("report.html").read_text() == "precious"
    assert run(monkeypatch, *arguments, "--force") == 0
    assert Path("report.html").read_text().startswith("<!DOCTYPE html>")
    assert sorted(path.name for path in Path().iterdir()) == ["report.html", "runs"]


def test_a_page_that_cannot_be_written_leaves_the_old_one(
    files: dict[str, Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("report.html").write_text("precious")

    def full(path: Path, content: str, **_: str) -> int:
        path.write_bytes(content[:100].encode())
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    assert run(monkeypatch, "report", str(files["two"]), "--html", "report.html", "--force") == 2
    assert capsys.readouterr().err == "error: cannot write into .: No space left on device\n"
    assert Path("report.html").read_bytes() == b"precious"
    assert sorted(path.name for path in Path().iterdir()) == ["report.html", "runs"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["gone.json", "--html", "r.html"], "cannot read profile gone.json: No such file or directory"),
        (["runs/two/profile.json", "--html", "runs"], "runs is a folder; --html needs the name of a file"),
        (
            ["runs/two/profile.json", "--html", "runs/two/profile.json/r.html"],
            "cannot write into runs/two/profile.json: File exists",
        ),
        (["runs/two/profile.json", "runs/two/profile.json", "--html", "r.html"], "profile.json is given twice"),
        (["runs/two/profile.json", "--html", "r.html", "--protocol", "mine"], "unknown protocol 'mine'"),
        (
            ["runs/two/profile.json", "--html", "r.html", "--protocol", "lemaire-estimate"],
            "two: the profile has",
        ),
        (["runs/two/profile.json", "--html", "r.html", "--e-ac", "-1"], "e_ac must be a price in pJ, 0 or more"),
    ],
)
def test_a_bad_request_is_one_line_and_exit_code_2(
    arguments: list[str],
    message: str,
    files: dict[str, Path],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(monkeypatch, "report", *arguments) == 2
    printed = capsys.readouterr()
    assert printed.err.startswith("error: ")
    assert printed.err.count("\n") == 1
    assert message in printed.err
    assert (printed.out, Path("r.html").exists()) == ("", False)


def test_a_report_is_written_without_heavy_libraries(files: dict[str, Path]) -> None:
    code = (
        "import sys; from msvit_energy.commands import app\n"
        f"app(['report', {str(files['four'])!r}, '--html', 'r.html'], standalone_mode=False)\n"
        "print([name for name in ('torch', 'pandas', 'matplotlib', 'numpy') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "r.html\n[]\n"
