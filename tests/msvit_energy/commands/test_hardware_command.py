"""The commands hardware and technologies."""

import csv
import json
from dataclasses import replace
from pathlib import Path

import pytest

from msvit_energy import Profile, price
from msvit_energy.pricing.break_even import break_even
from msvit_energy.pricing.chips import CHIPS
from msvit_energy.profiles.provenance import ModelOrigin
from msvit_energy.reporting.figures import Look
from msvit_energy.reporting.figures.break_even import break_even_figure
from msvit_energy.reporting.figures.hardware import hardware_figure
from msvit_energy.reporting.hardware_table import SIMULATED, hardware_rows, simulations
from tests.support.command_line import run
from tests.support.figures import drawn_texts, outside, overlapping, recorded
from tests.support.reported_profiles import profiles


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    profiles()["four"].save(tmp_path / "profile.json")
    return tmp_path / "profile.json"


def test_one_profile_is_printed_under_every_reading(
    saved: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "hardware", str(saved), "--json") == 0
    found = json.loads(capsys.readouterr().out)
    rows = {(row["name"], row["what"]): row for row in found["readings"]}
    profile = Profile.load(saved)
    for protocol in ("appendix-c", "memory", "memory:schedule=dense", "memory:weights=streamed", "qnn:memory=resident"):
        for technology in ("45nm-fp32", "45nm-int8"):
            report = price(profile, protocol, technology)
            row = rows[protocol, technology]
            assert row["energy_mj"] == report.total_mj
            assert (row["low_mj"], row["high_mj"]) == report.interval_mj
    loihi = next(row for (name, _), row in rows.items() if name == "Loihi")
    assert loihi["energy_mj"] * 1e9 == pytest.approx(23.6 * price(profile, "exact").acs, rel=0.2)
    assert set(CHIPS) <= {name for name, _ in rows}
    assert found["break_even"][-1]["layer"] == "total"


def test_tables_and_figures_are_written_and_the_rival_is_summed_up(
    saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert run(monkeypatch, "hardware", str(saved), "--out", str(out), "--format", "csv", "--layers") == 0
    printed = capsys.readouterr().out
    assert "published: break-even at a mean rate of 5.7 % for T = 5" in printed
    names = sorted(f"{name}.{suffix}" for name in ("break_even", "hardware") for suffix in ("csv", "pdf", "png", "svg"))
    assert sorted(path.name for path in out.iterdir()) == names
    with (out / "break_even.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert all((float(row["rate"]) < float(row["break_even"])) == (row["wins"] == "spiking") for row in rows[:-1])
    assert run(monkeypatch, "hardware", str(saved), "--out", str(out)) == 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--counting", "time"], "unknown --counting 'time'; it is operations or memory"),
        (["--technology", "3nm"], "unknown technology '3nm'"),
    ],
)
def test_what_is_unknown_is_said(
    options: list[str], message: str, saved: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "hardware", str(saved), *options) == 2
    assert message in capsys.readouterr().err


def test_simulations_of_the_same_model_stand_beside_it_as_published() -> None:
    profile = profiles()["four"]
    origin = replace(profile.provenance, model=ModelOrigin("spikformer_cifar"))
    rows = [row for row in hardware_rows(replace(profile, provenance=origin)) if row.group == SIMULATED]
    published = {row.name: row.energy_mj for row in rows}
    assert published["spikformer_cifar10 on Prosperity"] == 3.421569969  # the 3.4 to 71 mJ
    assert published["spikformer_cifar10 on Eyeriss"] == pytest.approx(71.37, abs=0.005)
    assert not [row for row in hardware_rows(profile) if row.group == SIMULATED]
    assert len(simulations()) == 94


def test_technologies_are_listed_with_sources(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "technologies", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert list(found) == ["technologies", "on_chip_memory", "off_chip_memory", "chips", "processors"]
    assert all(entry["source"] for entries in found.values() for entry in entries)
    readings = {entry["name"]: entry["pj_per_32_bits_of_8_kb"] for entry in found["on_chip_memory"]}
    assert (readings["per-64-bits"], readings["per-32-bits"]) == (5, 10)  # PMC8934428 takes 5, SpikingJelly 10
    prices = {entry["name"]: entry["e_sop"] for entry in found["chips"]}
    table3 = {"SENECA": 2.8, "TrueNorth": 2.5, "Tianjic": 1.54, "ReckOn": 5.3, "SpiNNaker2": 10, "ODIN": 12.7,
              "NeuronFlow": 20, "Loihi": 23.6, "uBrain": 26}  # fmt: skip
    assert table3.items() <= prices.items()
    assert run(monkeypatch, "technologies") == 0
    assert "Akopyan et al. 2015" in " ".join(capsys.readouterr().out.split())


def test_rates_without_shares_of_non_zero_inputs_have_all_readings_but_those_of_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Spikformer-4-384 at Prosperity's density: 0.50 mJ of operations where simulations have 3.4 to 71 mJ."""
    saved = str(tmp_path / "p.json")
    rated = ("energy", "--model", "spikformer_cifar", "--rate", "0.149", "--save", saved)
    assert run(monkeypatch, *rated) == 0
    capsys.readouterr()
    assert run(monkeypatch, "hardware", saved, "--out", str(tmp_path / "out")) == 0
    printed = capsys.readouterr().out
    assert "no break-even by memory: block.0.attn.q_linear: the share of non-zero inputs is unknown" in printed
    assert not list((tmp_path / "out").glob("break_even*"))
    rows = list(csv.DictReader((tmp_path / "out" / "hardware.csv").read_text().splitlines()))
    energies = {row["name"]: float(row["energy_mj"]) for row in rows if row["energy_mj"] and row["what"] != "45nm-int8"}
    assert energies["appendix-c"] == pytest.approx(0.50, abs=0.01)
    assert energies["spikformer_cifar10 on Eyeriss"] / energies["appendix-c"] > 100
    assert run(monkeypatch, "hardware", saved, "--counting", "operations", "--layers") == 0
    assert "break-even" in capsys.readouterr().out


@pytest.mark.parametrize("look", [Look(), Look(width="column"), Look(paper=True)])
def test_figures_fit_into_their_width(look: Look) -> None:
    profile = profiles()["four"]
    rows, total = break_even(profile, "45nm-int8", "memory")
    for figure in (
        hardware_figure(profile, hardware_rows(profile), look=look),
        break_even_figure(profile, rows, total, "45nm-int8", "memory", look=look),
    ):
        assert outside(figure) == []
        assert overlapping(drawn_texts(figure)) == []
        assert min(recorded(figure).sizes) >= 6
        assert bool(figure.notes) == look.paper
