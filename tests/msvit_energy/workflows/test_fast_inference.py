"""What makes a measurement fast and what that changes; what it refuses; memory between training steps."""

import subprocess
import sys
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

import msvit
import msvit_energy
from msvit.folding import fold_batch_norm, units
from msvit_energy import EnergyError, Profile
from msvit_energy.precision import excite_, fired, flips
from tests.support.command_line import run

FAMILIES = (
    "msvit_cifar",
    "msvit_digits_dvs",
    "spikformer_cifar",
    "sdt_cifar",
    "qkformer_cifar",
    "spikingformer_cifar",
    "maxformer_cifar",
    "ms_qkformer_cifar",
)


@pytest.mark.slow
@pytest.mark.parametrize("name", FAMILIES)
def test_folded_batch_norm_is_not_run_and_changes_no_spike_in_float64(name: str) -> None:
    model = msvit.create_model(name, time_steps=2).double()
    excite_(model, 0)
    image = torch.randn(1, *model.input_size, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    before = fired(model, image)
    folded, count = fold_batch_norm(model)
    norms = sum(isinstance(module, _BatchNorm) for module in model.modules())
    assert norms - 3 <= count <= norms  # what an attention applies by itself is left
    for unit, _, norm in units(folded):
        nn.init.constant_(unit.get_submodule(norm).weight, float("nan"))  # type: ignore[arg-type]
    outputs, differing, spikes = flips(fired(folded, image), before)
    assert differing == 0
    assert outputs > spikes > 1000
    assert list(folded.state_dict()) == list(model.state_dict())
    assert [name for name, _ in folded.named_modules()] == [name for name, _ in model.named_modules()]


def test_folding_leaves_the_model_as_it_is() -> None:
    model = msvit.create_model("msvit_digits").train()
    weights = {key: value.clone() for key, value in model.state_dict().items()}
    modules = [(name, module, dict(vars(module))) for name, module in model.named_modules()]
    fold_batch_norm(model)
    assert model.training
    assert all(torch.equal(value, weights[key]) for key, value in model.state_dict().items())
    assert all(parameter.requires_grad for parameter in model.parameters())
    for (name, module), (same, there, attributes) in zip(model.named_modules(), modules, strict=True):
        assert (name, module) == (same, there)
        assert vars(module) == attributes


def test_flips_are_counted_against_the_second() -> None:
    ours, theirs = (
        [torch.tensor([True, False, True]), torch.tensor([False])],
        [torch.ones(3).bool(), torch.ones(1).bool()],
    )
    assert flips(ours, theirs) == (4, 2, 4)


@pytest.mark.slow
def test_a_fast_profile_lists_the_same_work_and_says_what_it_is(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(monkeypatch, "profile", "--images", "8", "--out", "plain") == 0
    assert run(monkeypatch, "profile", "--images", "8", "--compile", "--workers", "1", "--out", "same") == 0
    assert "--fast" not in capsys.readouterr().out
    assert run(monkeypatch, "profile", "--images", "8", "--fast", "--out", "fast") == 0
    assert "--fast rounds otherwise: on the first 8 images" in capsys.readouterr().out
    plain, same, fast = (Profile.load(Path(folder, "profile.json")) for folder in ("plain", "same", "fast"))
    assert replace(same, provenance=plain.provenance) == plain
    assert not plain.provenance.fast
    quickened = fast.provenance.fast
    assert quickened.folded_batch_norms == 27
    assert 0 <= quickened.flipped_share < 1e-4
    assert fast.coverage == plain.coverage
    assert [entry.layer for entry in fast.overheads] == [entry.layer for entry in plain.overheads]
    assert [o.macs_per_image for o in fast.operators] == [o.macs_per_image for o in plain.operators]
    assert msvit_energy.price(fast).total_mj == pytest.approx(msvit_energy.price(plain).total_mj, rel=1e-3)
    assert "--fast rounds otherwise" in Path("fast/report.html").read_text(encoding="utf-8")


def test_fewer_than_no_workers_are_refused(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(monkeypatch, "profile", "--workers", "-1") == 2
    assert capsys.readouterr().err == "error: workers must be 0 or more, not -1\n"


@pytest.mark.parametrize(
    ("number_format", "mode", "message"),
    [
        (torch.bfloat16, nullcontext(), "the model is in bfloat16"),
        (torch.float32, torch.autocast("cpu", torch.bfloat16), "the model runs under autocast to bfloat16"),
    ],
)
def test_bfloat16_is_refused(number_format: torch.dtype, mode: AbstractContextManager[None], message: str) -> None:
    model = msvit.create_model("msvit_digits").to(number_format)
    with mode, pytest.raises(EnergyError, match=message):
        msvit_energy.profile(model, [torch.randn(1, 1, 12, 12)])


KEPT = """
import sys, torch
from msvit.memory import keep_memory
def resident(): return int(open("/proc/self/statm").read().split()[1]) * 4096
if sys.argv[1] == "kept" and not keep_memory(): sys.exit(3)
before = resident()
torch.ones(1 << 26)
print(resident() - before > 1 << 27)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc, and mallopt is glibc's")
@pytest.mark.parametrize("kept", [True, False])
def test_freed_memory_stays_with_the_process_only_if_it_is_kept(kept: bool) -> None:
    done = subprocess.run(
        [sys.executable, "-c", KEPT, "kept" if kept else ""], check=False, stdout=subprocess.PIPE, text=True
    )
    if done.returncode == 3:
        pytest.skip("no glibc")
    assert done.stdout.strip() == str(kept)
