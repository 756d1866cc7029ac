"""Table 1 recomputed: against counts made independently of this code, and the report in the repository.

The slopes and offsets are those of E(r) = a r + b in mJ at 45 nm and T = 4, worked out from the official layers:
a = 0.9 T x MACs behind the first layer (head apart), b = 4.6 x MACs of the first layer.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch

import msvit
import msvit_energy
from msvit_energy import EnergyError, Profile, price
from msvit_energy.audit import line
from msvit_energy.commands import main
from msvit_energy.commands.table1 import FILES, NO_RATES, ROWS, chosen, described, profiles, skeleton_of
from msvit_energy.tables import latex_table
from msvit_energy.technology import get_technology

ROOT = Path(__file__).parent.parent
REPORT = ROOT / "reports" / "table1"
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
    skeleton, _ = skeleton_of(name, arguments)
    once = line(skeleton, "appendix-c", "45nm-fp32")
    assert (once.slope, once.offset) == pytest.approx((slope, offset), abs=1.1e-3)
    every = line(skeleton, "appendix-c:first-layer=every-step", "45nm-fp32")
    assert (every.slope, every.offset) == pytest.approx((slope, 4 * offset), abs=2.5e-3)


@pytest.fixture(scope="module")
def report() -> pd.DataFrame:
    return pd.read_csv(REPORT / "table1.csv").set_index("architecture")


def test_the_report_is_current(tmp_path: Path) -> None:
    script = Path(sys.executable).with_name("msvit-energy")
    subprocess.run([script, "table1", "--out", tmp_path / "new"], check=True, capture_output=True)
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
        "implied_rate,implied_rate_every_step,difference_percent,top1_published,verdict,note"
    )
    assert (REPORT / "table1.csv").read_text().splitlines()[0] == columns
    assert [row["architecture"] for row in json.loads((REPORT / "table1.json").read_text())] == list(report.index)


def test_readme_quotes_rows_of_the_report() -> None:
    written = (REPORT / "table1.md").read_text().splitlines()
    verdicts = ("reproduced |", "table error:", NO_RATES, "no public code")
    quoted = [row for row in (ROOT / "README.md").read_text().splitlines() if row.startswith("|") and any(
        verdict in row for verdict in verdicts
    )]  # fmt: skip
    assert len(quoted) >= 8
    assert set(quoted) <= set(written)


def test_a_measured_profile_takes_the_place_of_an_assumed_rate(tmp_path: Path) -> None:
    model = msvit.create_model("msvit_cifar")
    measured = msvit_energy.profile(model, [torch.randn(2, 3, 32, 32)], provenance={"model": {"name": "msvit_10_384"}})
    measured.save(tmp_path / "p.json")
    found = profiles([f"msvit_10_384={tmp_path / 'p.json'}"])
    assert found == {"msvit_10_384": Profile.load(tmp_path / "p.json")}
    said = described(measured, "appendix-c", FP32)
    low, high = price(measured).interval_mj or (0.0, 0.0)
    assert said["rate_source"] == f"measured on 2 images, 95 % interval {low:.4f} to {high:.4f} mJ"
    with pytest.raises(EnergyError, match=r"p.json is a profile of msvit_10_384, not of msvit_10_512"):
        profiles([f"msvit_10_512={tmp_path / 'p.json'}"])
    with pytest.raises(EnergyError, match=r"--profile is MODEL=profile.json, not 'resnet=p.json'; models: deit_base"):
        profiles(["resnet=p.json"])


def test_protocols_that_need_more_than_rates_are_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "spikingformer-tool" in chosen("all")
    monkeypatch.setattr(sys, "argv", ["msvit-energy", "table1", "--protocol", "exact"])
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == 2
    assert "protocol 'exact' needs more than rates; for Table 1: appendix-c, " in capsys.readouterr().err


def test_latex_is_escaped_and_ruled() -> None:
    assert latex_table(["a_b", "%"], [["50 %", "1"]], right=["%"]).splitlines() == [
        r"\begin{tabular}{lr}", r"\toprule", r"a\_b & \% \\", r"\midrule", r"50 \% & 1 \\", r"\bottomrule",
        r"\end{tabular}",
    ]  # fmt: skip
