"""Layers in the terminal: sorted, cut, with columns of choice; and what files say of means."""

import json
from pathlib import Path

import pytest

from msvit_energy import EnergyError, Profile, price
from msvit_energy.reporting.layer_table import KEYS, LayerView, layer_table, shown_layers, stage_table
from tests.support.command_line import run
from tests.support.plain_profile import plain_profile

PLAIN = plain_profile()
REPORT = price(PLAIN)


def names(view: LayerView) -> list[str]:
    return [record["layer"] for record in shown_layers(PLAIN, REPORT, view).records]


def test_layers_are_sorted_from_the_greatest_unknown_ones_last() -> None:
    records = {record["layer"]: record for record in layer_table(PLAIN, REPORT).records}
    for sort, key in (("energy", "energy_mj"), ("rate", "input_rate"), ("macs", "macs_per_step"), ("events", "events")):
        found = [records[name][key] for name in names(LayerView(sort=sort))]
        known = [value for value in found if value is not None]
        assert known == sorted(known, reverse=True)
        assert found[len(known) :] == [None] * (len(found) - len(known))
    assert names(LayerView(sort="macs")) == ["conv", "mlp", "qk", "head", *names(LayerView(sort="macs"))[4:]]
    assert names(LayerView(top=2)) == names(LayerView(sort="energy"))[:2]


def test_stages_stay_where_nothing_is_chosen_and_columns_are() -> None:
    staged = shown_layers(PLAIN, REPORT, LayerView())
    assert staged.groups == stage_table(PLAIN, REPORT).groups
    assert repr(staged) == repr(stage_table(PLAIN, REPORT))
    table = shown_layers(PLAIN, REPORT, LayerView(columns="layer,input_mean,nonzero_rate"))
    assert table.header == ["layer", "input_mean", "nonzero_rate"]
    assert table.notes[-1] == f"layers: {len(table.records)} of {len(table.records)}"
    assert set(layer_table(PLAIN, REPORT).keys()) == set(KEYS)
    with pytest.raises(EnergyError, match=r"no column 'lyer'; did you mean layer\?"):
        LayerView(columns="lyer")  # before anything is measured
    assert LayerView(columns="layer,uJ,nJ,SOPs").columns
    with pytest.raises(EnergyError, match=r"--sort is one of energy, .*, not 'enrgy'; did you mean energy\?"):
        LayerView(sort="enrgy")


def test_real_numbers_have_a_mean_and_no_rate() -> None:
    frame = PLAIN.to_frame().set_index("layer")
    driver = PLAIN.operators[0].driver
    assert frame.input_mean["conv"] == float(sum(driver.sums) / driver.elements)
    assert frame.input_rate.isna().to_dict() == {"conv": True, "mlp": False, "qk": False, "head": False}
    assert frame.input_mean["mlp"] == frame.input_rate["mlp"]


def test_a_folder_stands_for_its_profile_and_json_has_layers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    PLAIN.save(tmp_path / "profile.json")
    assert Profile.load(tmp_path) == PLAIN
    assert run(monkeypatch, "energy", str(tmp_path), "--layers", "--json") == 0
    (found,) = json.loads(capsys.readouterr().out)
    assert [layer["layer"] for layer in found["layers"]] == [row.layer for row in REPORT.rows]
    assert found["total_mj"] == REPORT.total_mj
    assert run(monkeypatch, "energy", str(tmp_path), "--sort", "energy", "--top", "1", "--json") == 0
    (found,) = json.loads(capsys.readouterr().out)
    assert [layer["layer"] for layer in found["layers"]] == names(LayerView(top=1))
