"""The reports in the repository are what the commands print today."""

import json
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

import msvit

ROOT = Path(__file__).parent.parent
REPORTS = ROOT / "reports"


def test_table3_report_is_current(tmp_path: Path) -> None:
    script = Path(sys.executable).with_name("msvit-energy")
    subprocess.run([script, "table3", "--out", tmp_path / "new"], check=True, capture_output=True)
    for name in ("table3.csv", "table3.md"):
        assert (tmp_path / "new" / name).read_text() == (REPORTS / "table3" / name).read_text()


def test_table3_meets_the_printed_counts_where_the_official_blocks_allow_it() -> None:
    table = pd.read_csv(REPORTS / "table3" / "table3.csv")
    printed = [7.74, 7.45, 7.52, 7.37, 9.04, 7.89, 8.48, 7.59]
    assert table.params_m_published.tolist() == printed
    assert table.met.tolist() == ["yes"] * 4 + ["no"] * 3 + ["yes"]
    close = (table.params_m - table.params_m_published).abs() < 0.01
    assert close.tolist() == (table.met == "yes").tolist()
    assert table.tried.notna().tolist() == (table.met == "no").tolist()
    # by hand: one 1-tap unit with batch norm in each of two blocks is 2 * (384 * 384 + 2 * 384) = 296,448
    assert f"{7.593412 + 0.296448:.3f}" in table.tried[5]


def test_training_log_is_that_of_the_shipped_checkpoint() -> None:
    sidecar = json.loads(msvit.checkpoint.SHIPPED.with_suffix(".json").read_text())
    history = pd.read_csv(REPORTS / "digits" / "history.csv")
    log = (REPORTS / "digits" / "train.log").read_text()
    assert log.startswith("$ msvit-energy train digits\n")
    assert len(history) == sidecar["recipe"]["epochs"]
    assert history.test_accuracy.iloc[-1] == pytest.approx(sidecar["metrics"]["test_accuracy"])
    assert f"test accuracy {sidecar['metrics']['test_accuracy']:.2%}" in log.splitlines()[-4]


def test_readme_quotes_the_precision_report() -> None:
    report = (REPORTS / "precision" / "precision.txt").read_text()
    readme = (ROOT / "README.md").read_text()
    for number in ("8.82e-07", "+7.36e-08", "8.54e-08", "8.41e-05", "3.33e-02", "+1.81e-09", "-4.25e-07", "-1.40e-04"):
        assert number in report
        assert number in readme
