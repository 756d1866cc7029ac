"""Networks in NIR files, on the command line: the same as their twins in SpikingJelly, or refused in one line."""

import builtins
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from spikingjelly.activation_based import neuron
from torch import nn

import msvit_energy
from msvit_energy import EnergyError, Profile
from msvit_energy.workflows.loading.nir_files import read_nir
from tests.support.command_line import run
from tests.support.foreign_models import numbers

nir = pytest.importorskip("nir")
pytest.importorskip("nirtorch")


def weight(*shape: int, seed: int) -> np.ndarray:
    return numbers(*shape, seed=seed).numpy()


def lif(size: int) -> Any:
    """tau is 2 steps of 0.1 ms, the input decays, the threshold is 1/2."""
    full = np.full(size, 1.0)
    return nir.LIF(tau=2e-4 * full, r=full, v_leak=0 * full, v_reset=0 * full, v_threshold=0.5 * full)


def nodes() -> dict[str, Any]:
    shape = (2, 10, 10)
    return {
        "input": nir.Input(input_type=np.array([1, 12, 12])),
        "conv": nir.Conv2d(
            (12, 12), weight(2, 1, 3, 3, seed=1), stride=1, padding=0, dilation=1, groups=1, bias=weight(2, seed=2)
        ),
        "fire": nir.IF(r=np.full(shape, 1e4), v_threshold=np.ones(shape), v_reset=np.zeros(shape)),
        "flat": nir.Flatten(input_type={"input": np.array(shape)}, start_dim=0, end_dim=-1),
        "fc": nir.Affine(weight=weight(10, 200, seed=3), bias=weight(10, seed=4)),
        "lif": lif(10),
        "output": nir.Output(output_type=np.array([10])),
    }


def write(path: Path, parts: dict[str, Any]) -> Path:
    nir.write(path, nir.NIRGraph(nodes=parts, edges=list(pairwise(parts))))
    return path


def twin() -> nn.Module:
    """The same in modules of SpikingJelly."""
    conv, fc = nn.Conv2d(1, 2, 3), nn.Linear(200, 10)
    for module, seed, shape in ((conv, 1, (2, 1, 3, 3)), (fc, 3, (10, 200))):
        module.weight.data, module.bias.data = numbers(*shape, seed=seed), numbers(shape[0], seed=seed + 1)
    last = neuron.LIFNode(tau=2.0, v_reset=0.0, v_threshold=0.5)
    return nn.Sequential(conv, neuron.IFNode(v_reset=0.0), nn.Flatten(), fc, last)


@pytest.fixture
def net(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return write(Path("net.nir"), nodes())


def test_a_nir_network_is_profiled_as_its_twin(
    net: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ["profile", "--ckpt", str(net), "--images", "5", "--time-steps", "4", "--batch-size", "3", "--out", "out"]
    assert run(monkeypatch, *asked) == 0
    assert "net.nir: a time step is 0.0001 s" in capsys.readouterr().err
    profile = Profile.load("out/profile.json")
    assert [(each.layer, each.macs_per_step) for each in profile.operators] == [("conv", 2 * 9 * 100), ("fc", 2000)]
    assert profile.coverage.unknown == ()
    loaded = read_nir(net)
    images = numbers(5, 1, 12, 12).abs() * 2
    found, same = (
        msvit_energy.profile(model, [images[:3], images[3:]], time_steps=4) for model in (loaded.model, twin())
    )
    assert loaded.input_size == (1, 12, 12)
    assert [layer.neuron for layer in found.neurons] == ["fire", "lif"]
    assert [layer.sums for layer in found.neurons] == [layer.sums for layer in same.neurons]
    assert all(sum(layer.sums) for layer in found.neurons)
    assert msvit_energy.price(found, "exact").total_pj == msvit_energy.price(same, "exact").total_pj


def test_numbers_in_a_row_are_flattened_images(tmp_path: Path) -> None:
    affine = nir.Affine(weight=weight(5, 16, seed=1), bias=weight(5, seed=2))
    parts = {"input": nir.Input(np.array([16])), "fc": affine, "lif": lif(5), "output": nir.Output(np.array([5]))}
    loaded = read_nir(write(tmp_path / "row.nir", parts))
    profile = msvit_energy.profile(loaded.model, [torch.ones(2, 1, 4, 4)], time_steps=3)
    assert loaded.input_size is None
    assert [each.macs_per_step for each in profile.operators] == [80]
    assert [layer.neuron for layer in profile.neurons] == ["network.lif"]


def test_the_length_of_a_step_follows_from_the_neurons(tmp_path: Path) -> None:
    parts = nodes()
    shape = (2, 10, 10)
    parts["fire"] = nir.IF(r=np.full(shape, 1e3), v_threshold=np.ones(shape), v_reset=np.zeros(shape))
    parts["lif"] = nir.IF(r=np.full(10, 1e3), v_threshold=np.ones(10), v_reset=np.zeros(10))
    assert read_nir(write(tmp_path / "ms.nir", parts)).dt == 1e-3


def test_a_node_that_is_not_run_is_named(net: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    write(Path("other.nir"), nodes() | {"lif": nir.Threshold(threshold=np.ones(10))})
    assert run(monkeypatch, "profile", "--ckpt", "other.nir", "--time-steps", "4") == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "other.nir: its node 'lif' is a Threshold, which SpikingJelly does not run; it runs Affine" in line


def test_neurons_that_are_not_run_are_refused(tmp_path: Path) -> None:
    full = np.full(10, 1.0)
    other = nir.LIF(tau=2e-4 * full, r=3 * full, v_leak=0 * full, v_reset=0 * full, v_threshold=full)
    with pytest.raises(EnergyError, match=r"x\.nir has neurons that SpikingJelly does not run: nir\.LIF\.r must equal"):
        read_nir(write(tmp_path / "x.nir", nodes() | {"lif": other}))


def test_what_is_no_nir_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "no.nir").write_text("no")
    with pytest.raises(EnergyError, match=r"no\.nir is no NIR file: "):
        read_nir(tmp_path / "no.nir")


def test_options_of_other_checkpoints_do_not_go_with_it(
    net: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    assert run(monkeypatch, "profile", "--ckpt", str(net), "--model", "msvit_digits") == 2
    assert "net.nir is a whole network: --model" in capsys.readouterr().err


def test_a_missing_package_is_named(net: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = builtins.__import__

    def without(name: str, *args: Any, **kwargs: Any) -> Any:
        if name == "nir":
            raise ModuleNotFoundError(name)
        return plain(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(EnergyError, match=r"pip install 'msvit-energy\[nir\]'"):
        read_nir(net)


@pytest.mark.parametrize(
    ("edges", "message"),
    [
        ([], "3 inputs and 3 outputs"),  # nir gives every node that lacks one its own
        ([("i", "a"), ("a", "o"), ("b", "c"), ("c", "b")], "its node 'b' does not lie between"),
    ],
)
def test_nodes_that_nothing_reaches_are_refused(edges: list[tuple[str, str]], message: str, tmp_path: Path) -> None:
    import nir

    parts = {name: nir.Linear(weight=weight(3, 3, seed=0)) for name in "abc"}
    ends = {"i": nir.Input(input_type=np.array([3])), "o": nir.Output(output_type=np.array([3]))}
    used = "iao" if not edges else "iabco"
    graph = {name: part for name, part in (ends | parts).items() if name in used}
    nir.write(tmp_path / "n.nir", nir.NIRGraph(nodes=graph, edges=edges, type_check=False))
    with pytest.raises(EnergyError, match=message):
        read_nir(tmp_path / "n.nir")
