"""Samples that see those before them in the batch: none in batches of one, some in larger ones."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.command_line import run


def rows(monkeypatch: pytest.MonkeyPatch, folder: Path, batch_size: int) -> list[dict[str, Any]]:
    arguments = ("--images", "48", "--batch-size", str(batch_size), "--out", str(folder))
    assert run(monkeypatch, "leak", *arguments, "--device", "cpu") == 0
    read: list[dict[str, Any]] = json.loads((folder / "leak.json").read_text())
    return read


@pytest.mark.slow
def test_the_leak_hangs_on_the_batch(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    apart, together = rows(monkeypatch, tmp_path / "one", 1)
    assert apart["energy_mj"] == together["energy_mj"]
    own, merged = rows(monkeypatch, tmp_path / "many", 16)
    assert own["energy_mj"] == pytest.approx(apart["energy_mj"], rel=1e-9)
    assert merged["energy_mj"] != own["energy_mj"]
    assert [row["merge_time_and_batch"] for row in (own, merged)] == [False, True]


@pytest.mark.slow
def test_models_without_that_neuron_are_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "leak", "--model", "sdt_cifar", "--data", "noise", "--images", "1") == 2
    assert "sdt_cifar has no neuron that the official code runs over time and batch" in capsys.readouterr().err
