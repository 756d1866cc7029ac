"""The appendix of Table 1: what other authors print, beside our own counts of their models."""

from pathlib import Path

import pandas as pd
import pytest

from msvit_energy import price
from msvit_energy.errors import EnergyError
from msvit_energy.pricing.technology import get_technology
from msvit_energy.reporting.published import published_table
from msvit_energy.workflows.paper_tables import table1, table1_appendix
from msvit_energy.workflows.paper_tables.table1 import assigned
from msvit_energy.workflows.published.evidence import FOLDER
from msvit_energy.workflows.published.published_pricing import PublishedRates, from_rates

REPORT = Path(__file__).parents[3] / "reports" / "table1"
FP32 = get_technology("45nm-fp32")


@pytest.fixture(scope="module")
def report() -> pd.DataFrame:
    return pd.read_csv(REPORT / "table1_appendix.csv").set_index("architecture")


@pytest.fixture
def few_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    """An appendix of the rows of Spikingformer and CML alone."""
    rows = [row for row in published_table("table1_appendix") if row["method"] in ("Spikingformer", "CML")]
    monkeypatch.setattr(table1_appendix, "published_table", lambda name: rows)


def test_every_row_names_its_source_and_stands_once(report: pd.DataFrame) -> None:
    rows = published_table("table1_appendix")
    assert [row["architecture"] for row in rows] == list(report.index)
    assert report.index.is_unique
    assert not set(report.index) & {row["architecture"] for row in published_table("table1")}
    assert report.energy_mj_published.dropna().tolist() == [row["energy_mj"] for row in rows if row["energy_mj"]]
    for row in rows:
        assert row["source"].startswith("github.com/")
        assert row["model"]
        assert row["rates"] is None or (FOLDER / row["rates"]).is_file()


def test_printed_energies_are_those_of_the_sources_and_other_rows_have_none(report: pd.DataFrame) -> None:
    printed = report.energy_mj_published.dropna()
    assert dict(printed) == {
        "Spikingformer-8-384": 4.69,
        "Spikingformer-8-512": 7.46,
        "Spikingformer-8-768": 13.68,
        "CML-Spikingformer-8-768": 16.306188155064994,
    }
    assert set(report.verdict[report.energy_mj_published.isna()]) == {"energy not printed"}
    assert "energy not printed" not in set(report.verdict[printed.index])


def test_implied_rates_are_those_of_the_layers(report: pd.DataFrame) -> None:
    # official MACs of one step without the head: all but the first layer at 0.9 pJ in 4 steps, the first at 4.6 pJ
    for name, macs, first in (("8-384", 4718548992, 65028096), ("8-768", 18743279616, 130056192)):
        row = report.loc[f"Spikingformer-{name}"]
        slope, offset = 0.9 * 4 * (macs - first - {"8-384": 384000, "8-768": 768000}[name]) / 1e9, 4.6 * first / 1e9
        assert row.implied_rate == pytest.approx((row.energy_mj_published - offset) / slope, abs=2e-3)
        assert row.implied_rate_every_step == pytest.approx((row.energy_mj_published - 4 * offset) / slope, abs=2e-3)


def test_rates_that_authors_published_give_an_energy_and_reproduce_theirs(report: pd.DataFrame) -> None:
    row = report.loc["Spikingformer-8-512"]
    # appendix-c on the published rates, and one MAC-weighted rate for all (both worked out from the log's rows)
    assert (row.energy_mj, row.rate) == pytest.approx((6.2601, 0.1968), abs=6e-5)
    assert row.difference_percent == pytest.approx(-16.1, abs=0.05)
    assert row.rate_source == "rates that its authors published"
    assert row.verdict == "reproduced by spikingformer-tool: 7.46 mJ"


@pytest.mark.usefixtures("few_rows")
def test_a_measured_profile_takes_the_place_of_published_rates() -> None:
    one_rate = from_rates(PublishedRates(model="spikingformer_8_512", rate=0.1))
    table = table1_appendix.appendix(["appendix-c"], FP32, {"spikingformer_8_512": one_rate})
    (row,) = (row for row in table.records if row["architecture"] == "Spikingformer-8-512")
    assert row["energy_mj"] == price(one_rate).total_mj
    assert row["verdict"] == "not what was measured"
    assert any(warning.startswith("spikingformer_8_512: ") for warning in table.warnings)
    assert assigned(["ms_resnet18=p.json"], "--profile") == {"ms_resnet18": Path("p.json")}


@pytest.mark.usefixtures("few_rows")
def test_a_row_without_a_model_shows_what_is_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (table1, table1_appendix):
        monkeypatch.setattr(module, "appendix_models", lambda: ["spikingformer_8_384"])
    records = {row["architecture"]: row for row in table1_appendix.appendix(["appendix-c"], FP32, {}).records}
    assert records["Spikingformer-8-384"]["params_m"] == pytest.approx(16.828312)
    other = records["Spikingformer-8-768"]
    assert (other["energy_mj_published"], other["params_m"], other["verdict"]) == (13.68, None, "no model here")
    assert records["CML-Spikingformer-8-384"]["verdict"] == "energy not printed"
    with pytest.raises(EnergyError, match="--profile is MODEL=FILE"):
        assigned(["spikingformer_8_768=p.json"], "--profile")
