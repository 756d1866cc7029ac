"""Table 1 recomputed: against counts made independently of this code, and the report in the repository.

The slopes and offsets are those of E(r) = a r + b in mJ at 45 nm and T = 4, worked out from the official layers:
a = 0.9 T x MACs behind the first layer (head apart), b = 4.6 x MACs of the first layer.
"""

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch

import msvit
import msvit_energy
from msvit_energy import EnergyError, Profile, price
from msvit_energy.pricing.implied_rate import line
from msvit_energy.pricing.technology import get_technology
from msvit_energy.workflows.loading.shipped_geometry import geometry_of
from msvit_energy.workflows.paper_tables import table1, table1_appendix
from msvit_energy.workflows.paper_tables.table1 import (
    NO_RATES,
    assigned,
    described,
    linear_protocols,
    load_assigned,
)
from msvit_energy.workflows.paper_tables.table1_rows import ROWS, Row
from tests.support.command_line import run
from tests.support.documentation import page_text

ROOT = Path(__file__).parents[3]
REPORT = ROOT / "reports" / "table1"
FILES = [f"{name}.{kind}" for name in ("table1", "table1_appendix") for kind in ("csv", "md", "tex", "json")]
FP32 = get_technology("45nm-fp32")


@pytest.mark.parametrize(
    ("name", "arguments", "slope", "offset"),
    [
        ("spikformer_8_384", {"num_heads": 8}, 16.751, 0.299),
        ("spikformer_8_768", {"num_heads": 12}, 66.728, 0.598),
        ("sdt_8_384", {}, 16.543, 0.299),
        ("sdt_8_512", {}, 29.410, 0.399),
        ("sdt_8_768", {}, 66.173, 0.598),
        ("sdtv2_15m", {}, 23.088, 0.271),
        ("sdtv2_31m", {}, 50.141, 0.407),
        ("sdtv2_55m", {}, 88.913, 0.543),
        ("qkformer_10_384", {}, 21.000, 0.299),
        ("qkformer_10_512", {}, 37.225, 0.399),
        ("qkformer_10_768", {}, 83.513, 0.598),
        ("msvit_10_384", {}, 36.815, 0.598),
        ("msvit_10_512", {}, 65.340, 0.798),
        ("msvit_10_768", {}, 146.773, 1.197),
    ],
)
def test_energy_is_the_line_worked_out_from_the_layers(
    name: str, arguments: dict[str, Any], slope: float, offset: float
) -> None:
    skeleton = geometry_of(name, arguments).profile
    once = line(skeleton, "appendix-c", "45nm-fp32")
    assert (once.slope, once.offset) == pytest.approx((slope, offset), abs=1.1e-3)
    every = line(skeleton, "appendix-c:first-layer=every-step", "45nm-fp32")
    assert (every.slope, every.offset) == pytest.approx((slope, 4 * offset), abs=2.5e-3)


@pytest.fixture(scope="module")
def report() -> pd.DataFrame:
    return pd.read_csv(REPORT / "table1.csv").set_index("architecture")


@pytest.mark.slow
def test_the_report_is_current(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run(monkeypatch, "table1", "--out", str(tmp_path / "new")) == 0
    for name in FILES:
        assert (tmp_path / "new" / name).read_text() == (REPORT / name).read_text()


@pytest.mark.parametrize(
    ("architecture", "energy", "difference", "verdict"),
    [
        ("DeiT-B", 80.79, 0.36, "reproduced"),
        ("ViT-12-768", 255.23, 0.15, "reproduced"),
        ("Swin-T", 20.66, -70.8, "table error: printed is Swin-B at 224, 70.98 mJ"),
        ("Swin-S", 40.21, -81.4, "table error: printed is Swin-B at 384, 216.58 mJ"),
        ("QK-10-768", 24.40, -37.3, NO_RATES),
        ("MSViT-10-384", 11.86, -28.8, NO_RATES),
        ("MSViT-10-512", 20.79, -16.0, NO_RATES),
        ("MSViT-10-768", 46.11, 0.50, "reproduced"),
    ],
)
def test_rows_say_what_was_worked_out_for_them(
    architecture: str, energy: float, difference: float, verdict: str, report: pd.DataFrame
) -> None:
    row = report.loc[architecture]
    assert row.energy_mj == pytest.approx(energy, abs=6e-3)
    assert row.difference_percent == pytest.approx(difference, abs=0.06)
    assert row.verdict == verdict


def test_implied_rates_are_those_worked_out(report: pd.DataFrame) -> None:
    worked_out = {
        "8-384": (0.339, 0.285), "8-768": (0.291, 0.264), "SDT 8-384": (0.218, 0.163), "SDT8-512": (0.139, 0.099),
        "SDT8-768": (0.083, 0.056), "SDT v2-10-384": (0.712, 0.676), "SDT v2-10-512": (0.646, 0.622),
        "SDT v2-10-768": (0.583, 0.565), "QK-10-384": (0.706, 0.664), "QK-10-512": (0.580, 0.548),
        "QK-10-768": (0.459, 0.437), "MSViT-10-384": (0.436, 0.387), "MSViT-10-512": (0.366, 0.330),
        "MSViT-10-768": (0.304, 0.280),
    }  # fmt: skip
    implied = report[["implied_rate", "implied_rate_every_step"]].dropna()
    assert set(implied.index) == set(worked_out)
    for name, rates in worked_out.items():
        assert tuple(implied.loc[name]) == pytest.approx(rates, abs=6e-4), name


def test_the_table_has_every_printed_row_and_the_promised_columns(report: pd.DataFrame) -> None:
    assert len(report) == len(ROWS) == 20
    assert report.loc["MSViT-10-512"].params_m == pytest.approx(31.232616)
    assert list(report.verdict[["V2-8-384", "V2-8-512"]]) == ["no public code"] * 2
    columns = (
        "method,architecture,params_m_published,params_m,gmacs_per_step,energy_mj_published,energy_mj,rate,rate_source,"
        "implied_rate,implied_rate_every_step,difference_percent,top1_published,verdict,accuracy_note,note"
    )
    assert (REPORT / "table1.csv").read_text().splitlines()[0] == columns
    assert [row["architecture"] for row in json.loads((REPORT / "table1.json").read_text())] == list(report.index)


def test_the_page_quotes_rows_of_the_report() -> None:
    written = (REPORT / "table1.md").read_text().splitlines()
    verdicts = ("reproduced |", "table error:", NO_RATES, "no public code")
    quoted = [row for row in page_text("explanation/table1.md").splitlines() if row.startswith("|") and any(
        verdict in row for verdict in verdicts
    )]  # fmt: skip
    assert len(quoted) >= 8
    assert set(quoted) <= set(written)


@pytest.mark.slow
def test_a_measured_profile_takes_the_place_of_an_assumed_rate(tmp_path: Path) -> None:
    model = msvit.create_model("msvit_cifar")
    measured = msvit_energy.profile(model, [torch.randn(2, 3, 32, 32)], provenance={"model": {"name": "msvit_10_384"}})
    measured.save(tmp_path / "p.json")
    found = load_assigned(assigned([f"msvit_10_384={tmp_path / 'p.json'}"], "--profile"))
    assert found == {"msvit_10_384": Profile.load(tmp_path / "p.json")}
    cells = described(measured, "appendix-c", FP32)
    low, high = price(measured).interval_mj or (0.0, 0.0)
    assert cells["rate_source"] == f"measured on 2 images, 95 % interval {low:.4f} to {high:.4f} mJ"
    assert cells["energy_mj_half"] == pytest.approx((high - low) / 2)
    assert cells["warnings"] == measured.warnings()
    with pytest.raises(EnergyError, match=r"p.json is a profile of msvit_10_384, not of msvit_10_512"):
        load_assigned(assigned([f"msvit_10_512={tmp_path / 'p.json'}"], "--profile"))


@pytest.fixture
def one_row(monkeypatch: pytest.MonkeyPatch) -> None:
    """A table with one row, whose model is the shipped one, and an appendix with one without a model."""
    printed = {"method": "MSViT", "architecture": "digits", "params_m": 0.16, "energy_mj": 0.0045, "top1": 99.0}
    monkeypatch.setattr(table1, "ROWS", (Row("msvit_digits", rate=0.1, source="somebody"),))
    monkeypatch.setattr(table1, "published_table", lambda name: [printed])
    more = {"model": "none", "rates": None, "source": "nowhere", "note": None}
    monkeypatch.setattr(table1_appendix, "published_table", lambda name: [printed | more])


@pytest.mark.slow
@pytest.mark.usefixtures("one_row")
def test_a_checkpoint_is_measured_in_place_of_an_assumed_rate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    given = f"msvit_digits={msvit.checkpoint.SHIPPED}"
    assert run(monkeypatch, "table1", "--ckpt", given, "--data", "digits", "--images", "40", "--out", "o") == 0
    assert run(monkeypatch, "profile", "--images", "40", "--out", "p") == 0
    alone = Profile.load("p/profile.json")
    kept = Profile.load("o/msvit_digits.profile.json")
    assert kept.operators == alone.operators
    (row,) = json.loads(Path("o/table1.json").read_text())
    report = price(alone)
    assert report.spread is not None
    assert row["energy_mj"] == report.total_mj
    assert row["energy_mj_half"] == report.spread.half_width / 1e9
    assert row["rate_source"].startswith("measured on 40 images, 95 % interval ")
    assert f"± {row['energy_mj_half']:.5f}" in Path("o/table1.md").read_text()
    assert (row["verdict"] == "reproduced") == (abs(row["difference_percent"]) <= 1)
    assert run(monkeypatch, "table1", "--profile", "msvit_digits=p/profile.json", "--out", "o2") == 0
    assert json.loads(Path("o2/table1.json").read_text()) == [row]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--profile", "resnet=p.json"], "--profile is MODEL=FILE, not 'resnet=p.json'; models: deit_base_patch16_224"),
        (["--ckpt", "msvit_10_384"], "--ckpt is MODEL=FILE, not 'msvit_10_384'; models: deit_base_patch16_224, "),
        (["--ckpt", "msvit_10_384=w.pth"], "--ckpt needs --data"),
        (["--data", "digits"], "--data goes with --ckpt MODEL=weights.pth"),
        (["--profile", "msvit_10_384=p.json", "--ckpt", "msvit_10_384=w.pth", "--data", "noise"],
         "msvit_10_384: give either --profile or --ckpt"),
        (["--ckpt", "msvit_10_384=none.pth", "--data", "noise"], "none.pth"),
        (["--ckpt", "msvit_10_384=none.pth", "--data", "noise", "--batch-size", "0"], "batch size must be at least 1"),
    ],
)  # fmt: skip
def test_mistakes_get_one_line(
    arguments: list[str], message: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "table1", *arguments) == 2
    assert message in capsys.readouterr().err


def test_protocols_that_need_more_than_rates_are_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "spikingformer-tool" in linear_protocols("all")
    assert run(monkeypatch, "table1", "--protocol", "exact") == 2
    assert "protocol 'exact' is not of operations at a rate; for Table 1: appendix-c, " in capsys.readouterr().err
