"""A pack recorded from a model says what the packs in tests/data say of the official ones."""

from pathlib import Path
from typing import Any

import pytest

import msvit
from msvit.neuron import LIF
from tests.support import parity
from tests.support.record_pack import record_pack


@pytest.mark.slow
def test_a_recorded_pack_equals_the_official_one(tmp_path: Path) -> None:
    official = "maxformer/maxformer_cifar10"
    facts = parity.read(f"{official}.parity.json")
    drawn = {key: facts[key] for key in ("config", "source", "seed", "gain", "T", "input_shape", "input_kind")}
    record_pack(tmp_path / "ours", lambda steps: msvit.create_model("maxformer_cifar", time_steps=steps), drawn, LIF)

    def ours(kind: str) -> dict[str, Any]:
        return parity.read(str(tmp_path / f"ours.{kind}.json"))

    assert parity.keys(str(tmp_path / "ours.keys.csv")) == parity.keys(f"{official}.keys.csv")
    counted, expected = ours("flops"), parity.read(f"{official}.flops.json")
    for name in ("params", "macs_conv_linear_by_module", "macs_conv_linear_total", "macs_matmul_total"):
        assert counted[name] == expected[name]
    assert {name.rpartition(".product.")[0] for name in counted["macs_matmul_by_module"]} == set(
        expected["macs_matmul_by_module"]
    )
    recorded = ours("parity")
    assert recorded["logits"] == pytest.approx(facts["logits"], abs=1e-9)
    assert recorded["input_sum"] == pytest.approx(facts["input_sum"], abs=1e-9)
    for section in ("neurons", "weighted_layers"):
        assert recorded[section].keys() == facts[section].keys()
        for layer, values in recorded[section].items():
            assert values == pytest.approx({name: facts[section][layer][name] for name in values}, abs=1e-9)
