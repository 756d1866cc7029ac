"""Models side by side: columns from profiles, published rows as printed, the Pareto front by brute force."""

import itertools
import json
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import torch

import msvit
import msvit_energy
from msvit_energy import Profile, price
from msvit_energy.profiles.provenance import DataOrigin, ModelOrigin, Provenance
from msvit_energy.reporting.comparison import Entry, comparison, front, measured, not_drawn, ordered
from msvit_energy.reporting.figures.style import save
from msvit_energy.reporting.figures.tradeoff import energy_accuracy
from msvit_energy.reporting.table import latex
from msvit_energy.workflows.comparison import baseline_entries, load_named, measured_rivals
from tests.support import parity
from tests.support.command_line import run


def printed_rows(text: str) -> list[Entry]:
    """Published rows."""
    return baseline_entries(text, (), price)


@pytest.fixture(scope="module")
def profile() -> Profile:
    small_model = msvit.create_model("msvit_digits").double().eval()
    parity.draw(small_model, {"seed": 0, "gain": 2.5, "input_shape": (1, 1, 12, 12), "input_kind": "image"})
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(6, 1, 12, 12, generator=generator).double()
    labels = torch.arange(6)
    origin = {"model": {"name": "msvit_digits"}, "data": {"name": "digits", "split": "test"}}
    return msvit_energy.profile(small_model, [(images, labels)], provenance=origin)


def entry(name: str, energy: float | None, accuracy: float | None, data: str = "d", doubt: str = "") -> Entry:
    return Entry(name, data, "measured, 1 images", energy_mj=energy, top1=accuracy, doubt=doubt)


@pytest.mark.slow
def test_profile_knows_its_parameters_and_keeps_them(profile: Profile, tmp_path: Path) -> None:
    assert profile.parameters == 164_346  # the model's docstring and README
    profile.save(tmp_path / "p.json")
    assert Profile.load(tmp_path / "p.json") == profile
    content = json.loads((tmp_path / "p.json").read_text())
    del content["parameters"]  # as files were written before
    (tmp_path / "old.json").write_text(json.dumps(content))
    assert Profile.load(tmp_path / "old.json") == replace(profile, parameters=None)


def test_row_of_a_profile(profile: Profile) -> None:
    report = price(profile)
    low, high = report.interval_mj or (0.0, 0.0)
    row = measured(profile, report, "mine")
    assert (row.name, row.data, row.source, row.time_steps) == ("mine", "digits test", "measured, 6 images", 4)
    assert row.params_m == pytest.approx(0.164346)
    assert row.gmacs_per_step == pytest.approx(8.5e-3, rel=1e-2)  # 8.50 M in the README
    assert row.sops_g == pytest.approx(sum(r.acs for r in report.rows) / 1e9)
    assert row.energy_mj == pytest.approx((low + high) / 2)
    assert row.energy_mj_half == pytest.approx((high - low) / 2)
    assert row.top1 == pytest.approx(100 * profile.correct / 6)
    assert row.rate == profile.firing_rate


def test_front_is_what_brute_force_finds() -> None:
    entries = [
        entry(f"{data}{energy}/{accuracy}", energy + shift, accuracy - shift, data)
        for data, shift in (("a", 0), ("b", 0.5))  # all of b would be beaten by a
        for energy, accuracy in [(1, 70), (2, 70), (2, 80), (3, 75), (4, 80), (5, 90), (5, 91), (9, 91), (7, 60)]
    ]
    dominated = {
        x.name
        for x, y in itertools.permutations(entries, 2)
        if x.data == y.data
        and (y.energy_mj, -y.top1) != (x.energy_mj, -x.top1)  # type: ignore[operator]
        and y.energy_mj <= x.energy_mj  # type: ignore[operator]
        and y.top1 >= x.top1  # type: ignore[operator]
    }
    assert {e.name for e in front(entries)} == {e.name for e in entries} - dominated
    assert [e.name for e in front(entries)] == ["a1/70", "a2/80", "a5/91", "b1/70", "b2/80", "b5/91"]


def test_energies_in_doubt_and_unknown_ones_are_not_on_the_front_and_beat_nobody() -> None:
    entries = [entry("wrong", 1, 99, doubt="slip"), entry("right", 2, 90), entry("silent", None, 95)]
    assert [e.name for e in front(entries)] == ["right"]


def test_equal_points_are_both_on_the_front() -> None:
    assert len(front([entry("x", 1, 80), entry("y", 1, 80)])) == 2


def test_energies_are_relative_to_the_first_row() -> None:
    entries = [entry("x", 4, 80), entry("y", 1, 70), entry("z", None, 60)]
    table = comparison(entries, "t")
    assert [record["relative"] for record in table.records] == [1, 0.25, None]
    cheapest = comparison(ordered(entries, "energy"), "t")
    assert [(record["name"], record["relative"]) for record in cheapest.records] == [("y", 1), ("x", 4), ("z", None)]
    assert [e.name for e in ordered(entries, "accuracy")] == ["x", "y", "z"]
    assert ordered(entries, "rate") == entries  # none has one: the order stays


def test_energies_are_relative_to_the_first_row_on_its_own_data() -> None:
    entries = [entry("x", 4, 90), entry("y", 1, 85, data="other"), entry("z", 2, 80)]
    table = comparison(entries, "t")
    assert [record["relative"] for record in table.records] == [1, None, 0.5]
    assert "x first: of rows with the data of the first one" in table.notes


def test_latex_has_seven_columns_unless_others_are_chosen() -> None:
    table = comparison([entry("x", 4, 90), entry("y", 1, 85)], "t")
    text = latex(table)
    assert text.splitlines()[1].startswith("% 7 of 12 columns, for a table* of a two-column page")
    (head,) = [line for line in text.splitlines() if line.startswith("model")]
    assert [cell.strip(" {}\\") for cell in head.split("&")] == [
        "model", "M params", "T", "rate", "mJ", "top-1 \\%", "source",
    ]  # fmt: skip
    chosen = latex(table.with_columns("model,front,mJ,data,source,T,rate,G SOPs"))
    assert "% 7 of" not in chosen
    assert chosen.count("&") == 3 * 7


def test_who_is_missing_in_the_picture_is_said() -> None:
    entries = [entry("x", 0.004, 90), entry("rate only", 0.002, None), entry("printed", None, 85)]
    assert not_drawn(entries) == [
        "not drawn, no accuracy: rate only (2 uJ)",
        "not drawn, no energy: printed",
    ]
    words = [label.text for label in energy_accuracy(entries).artists[0].labels]  # type: ignore[attr-defined]
    assert set(not_drawn(entries)) <= set(words)


def test_published_rows_are_those_printed() -> None:
    by_method = {
        name: len(printed_rows(name)) for name in ("spikformer", "qkformer", "sdt", "sdt-v2", "table1", "table2:sdt")
    }
    assert by_method == {"spikformer": 2, "qkformer": 3, "sdt": 3, "sdt-v2": 3, "table1": 20, "table2:sdt": 4}
    (big,) = [row for row in printed_rows("msvit") if row.name == "MSViT-10-768"]
    assert (big.energy_mj, big.top1, big.params_m, big.time_steps) == (45.88, 85.06, 69.8, 4)
    assert big.data == "ImageNet-1k"
    doubted = [row.name for row in printed_rows("table1") if row.doubt]
    assert doubted == ["Swin Transformer Swin-T", "Swin Transformer Swin-S", "Spikformer 8-384", "Spikformer 8-768"]
    sdt, table1 = printed_rows("sdt"), printed_rows("table1")
    assert printed_rows("sdt,table1") == [*sdt, *(row for row in table1 if row not in sdt)]


def test_rows_of_ones_own_table(tmp_path: Path) -> None:
    (tmp_path / "b.csv").write_text("method,dataset,energy_mj,top1\nOurs,CIFAR10,1.5,95\nTheirs,CIFAR10,,94\n")
    rows = printed_rows(str(tmp_path / "b.csv"))
    assert [(row.name, row.data, row.energy_mj, row.top1) for row in rows] == [
        ("Ours", "CIFAR10", 1.5, 95.0),
        ("Theirs", "CIFAR10", None, 94.0),
    ]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--baselines", "resnet"], "no 'resnet' in table1; its methods: deit, vit, swin, spikformer, "),
        (["--baselines", "table9:sdt"], "no table 'table9' in --baselines; tables: table1, table2, table3"),
        (["--baselines", "bad.csv"], "bad.csv, line 2: could not convert string to float: 'much'"),
        (["--baselines", "none.csv"], "cannot read none.csv: No such file"),
        (["--baselines", "wide.csv"], "wide.csv, line 2: more cells than columns"),
        (["--baselines", "other.csv"], "other.csv: no column 'mJ' is known; columns: method, architecture, dataset, "),
        (
            ["--baselines", "near.csv"],
            "near.csv: no column 'energy' is known; did you mean energy_mj? columns: method, ",
        ),
        (["--columns", "model,energi"], "no column 'energi'; did you mean energy_mj? columns: label, data, "),
        (["--sort", "beauty"], "--sort is one of energy, accuracy, parameters, sops, rate, not 'beauty'"),
        (["p.json"], "p.json is given twice"),
        (["--protocol", "joule"], "unknown protocol 'joule'"),
    ],
)
def test_mistakes_get_one_line(
    arguments: list[str],
    message: str,
    profile: Profile,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    profile.save("p.json")
    Path("bad.csv").write_text("method,energy_mj\nx,much\n")
    Path("wide.csv").write_text("method\nx,1\n")
    Path("other.csv").write_text("method,mJ\nx,1\n")
    Path("near.csv").write_text("method,energy\nx,1\n")
    assert run(monkeypatch, "compare", "p.json", *arguments, "--out", "o") == 2
    assert message in capsys.readouterr().err
    assert not Path("o").exists()


def test_command_writes_every_format_and_the_picture(
    profile: Profile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("a", "b"):
        Path(name).mkdir()
        provenance = replace(profile.provenance, warnings=(f"{name} is new", "and odd") if name == "b" else ())
        replace(profile, provenance=provenance).save(f"{name}/profile.json")
    arguments = ["compare", "a/profile.json", "b/profile.json", "--baselines", "qkformer", "--out", "o"]
    assert run(monkeypatch, *arguments) == 0
    printed = capsys.readouterr().out
    table = pd.read_csv("o/compare.csv")
    assert table.name.tolist()[:2] == ["msvit_digits (a)", "msvit_digits (b)"]
    assert table.energy_mj[0] == price(profile).total_mj
    assert table.relative[:2].tolist() == [1, 1]
    assert table.relative[2:].isna().all()  # published on other data
    warnings = [["b is new", "and odd"] if name.endswith("(b)") else [] for name in table.name]
    assert [row["warnings"] for row in json.loads(Path("o/compare.json").read_text())] == warnings
    assert table.warnings.fillna("").tolist() == [" | ".join(row) for row in warnings]
    assert "38.91" in printed
    assert "published energies are as printed" in printed
    assert {path.name for path in Path("o").iterdir()} == {
        f"compare.{suffix}" for suffix in ("csv", "md", "tex", "json", "png", "svg", "pdf")
    }
    assert run(monkeypatch, *arguments) == 2
    assert "o already holds compare.csv, " in capsys.readouterr().err


def test_names_tell_equal_models_apart(profile: Profile, tmp_path: Path) -> None:
    other = replace(profile, provenance=Provenance(model=ModelOrigin("other")))
    for folder in ("a/x", "b/x"):
        (tmp_path / folder).mkdir(parents=True)
        profile.save(tmp_path / folder / "profile.json")
    other.save(tmp_path / "c.json")
    paths = [tmp_path / "a/x/profile.json", tmp_path / "b/x/profile.json", tmp_path / "c.json"]
    assert list(load_named(paths)) == ["msvit_digits (a/x)", "msvit_digits (b/x)", "other"]


@pytest.mark.slow
def test_scatter_draws_every_known_point_and_is_the_same_twice(tmp_path: Path) -> None:
    entries = [*printed_rows("table1"), entry("mine", 0.004, 98.0, data="digits"), entry("none", None, 99.0)]
    figure = energy_accuracy(entries)
    assert len(figure.axes) == 2  # one for each data set
    drawn = [text.get_text() for axes in figure.axes for text in axes.texts]
    assert sorted(text for text in drawn if text) == sorted(e.label for e in entries if e.energy_mj is not None)
    for number in (1, 2):
        save(energy_accuracy(entries), tmp_path / f"{number}.svg")
    assert (tmp_path / "1.svg").read_bytes() == (tmp_path / "2.svg").read_bytes()


def test_rivals_that_were_measured_on_the_same_data_stand_beside_ones_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    own = next(profile for profile in measured_rivals({"digits"}) if profile.provenance.model_name == "sdt_digits")
    own.save(tmp_path / "profile.json")
    options = ("--baselines", "measured", "--protocol", "exact", "--out", str(tmp_path / "out"))
    assert run(monkeypatch, "compare", str(tmp_path / "profile.json"), *options) == 0
    table = pd.read_csv(tmp_path / "out" / "compare.csv").set_index("name")
    assert table.energy_mj["sdt_digits"] == table.energy_mj["sdt_digits (measured)"] == price(own, "exact").total_mj
    assert len(table) == 12
    assert set(table.data) == {"digits test"}


def test_measured_rivals_of_other_data_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], profile: Profile
) -> None:
    data = replace(profile.provenance.data or DataOrigin(), name="cifar10")
    replace(profile, provenance=replace(profile.provenance, data=data)).save(tmp_path / "p.json")
    assert run(monkeypatch, "compare", str(tmp_path / "p.json"), "--baselines", "measured") == 2
    assert "--baselines measured: rivals were measured on digits and digits-dvs, not cifar10" in capsys.readouterr().err


def test_on_paper_the_picture_is_as_wide_as_a_column_and_its_foot_is_printed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], profile: Profile
) -> None:
    profile.save(tmp_path / "p.json")
    options = ("--baselines", "sdt,table2:msvit", "--paper", "--out", str(tmp_path / "out"))
    assert run(monkeypatch, "compare", str(tmp_path / "p.json"), *options) == 0
    assert "not drawn, no energy: " in capsys.readouterr().err
    content = (tmp_path / "out" / "compare.svg").read_text()
    assert 'width="252pt"' in content
    assert "Energy and accuracy" not in content
    assert "not drawn" not in content
