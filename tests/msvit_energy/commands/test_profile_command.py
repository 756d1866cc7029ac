"""The command line as a user meets it: results, files, errors."""

import argparse
import json
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import safetensors.torch
import torch
from PIL import Image

import msvit
from msvit_energy import Profile, price
from msvit_energy.commands import main
from msvit_energy.pricing.energy_units import energy_text
from msvit_energy.profiles.image_indices import read_ranges
from msvit_energy.reporting.layer_table import layer_table
from msvit_energy.reporting.table import write
from tests.support.command_line import run

ROOT = Path(__file__).parents[3]
FIGURES = {f"{name}.{suffix}" for name in ("firing_rates", "energy", "bubble") for suffix in ("png", "svg")}
FILES = {"profile.json", "energy.csv", "energy.md", "energy.tex", "energy.json", "report.html"} | FIGURES


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.slow
def test_profile_writes_all_files_which_agree(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "profile", "--images", "20", "--batch-size", "8", "--out", "out") == 0
    out = Path("out")
    assert {path.name for path in out.iterdir()} == FILES
    assert [path.name for path in Path().iterdir()] == ["out"]  # no scratch folder is left
    profile = Profile.load(out / "profile.json")
    report = price(profile)
    table = pd.read_csv(out / "energy.csv")
    assert table.energy_pj.sum() == pytest.approx(report.total_pj, rel=1e-12)
    assert table.sops.tolist() == pytest.approx(profile.to_frame().sops.tolist(), rel=1e-12, nan_ok=True)
    assert table.warnings.isna().all()
    doubtful = replace(profile, provenance=replace(profile.provenance, warnings=("first", "second")))
    write(layer_table(doubtful, report), Path(), "doubtful", ("csv", "json"))
    assert set(pd.read_csv("doubtful.csv").warnings) == {"first | second"}  # on every row
    assert {tuple(row["warnings"]) for row in json.loads(Path("doubtful.json").read_text())} == {("first", "second")}
    analog = table[table.kind == "analog"]
    assert analog[["sops", "input_rate"]].isna().all(axis=None)
    assert len(analog) == 2
    printed = capsys.readouterr().out
    for text in (printed, (out / "energy.md").read_text()):
        assert energy_text(report.total_mj) in text
        assert "(20 of 20)" in text or f"({profile.correct} of 20)" in text
    with Image.open(out / "firing_rates.png") as image:
        assert min(image.size) > 500
    assert {line.removeprefix("out/") for line in printed.splitlines()[-len(FILES) :]} == FILES


@pytest.mark.slow
def test_every_format_adds_up_to_the_printed_total(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    formats = "csv,md,tex,json,parquet"
    assert run(monkeypatch, "profile", "--images", "4", "--out", "out", "--format", formats) == 0
    (printed,) = re.findall(r"energy per image: ([\d.]+) uJ", capsys.readouterr().out)
    out = Path("out")
    total = price(Profile.load(out / "profile.json")).total_mj
    assert f"{1e3 * total:.5g}" == printed
    for table in (
        pd.read_csv(out / "energy.csv"),
        pd.read_json(out / "energy.json"),
        pd.read_parquet(out / "energy.parquet"),
    ):
        assert table.energy_mj.sum() == pytest.approx(total, rel=1e-12)
        assert table.energy_pj.sum() == pytest.approx(1e9 * total, rel=1e-12)
        assert table.share.sum() == pytest.approx(1)
    markdown = [line.split("|")[1:-1] for line in (out / "energy.md").read_text().splitlines() if line.startswith("|")]
    latex = [
        line.removesuffix(r" \\").split("&") for line in (out / "energy.tex").read_text().splitlines() if "&" in line
    ]
    for heading, rows in ((" uJ ", [markdown[0], *markdown[2:]]), (" {uJ} ", latex)):
        column = [row[rows[0].index(heading)].strip() for row in rows[1:]]
        known = [float(cell.replace("<", "")) for cell in column if cell not in ("", "{--}")]
        assert len(known) == 29  # all but the head
        assert sum(known) == pytest.approx(1e3 * total, abs=29 * 5e-4)  # three decimals in print


@pytest.mark.slow
def test_files_of_an_earlier_run_do_not_stay_among_the_new_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    assert run(monkeypatch, "profile", "--images", "2", "--out", "out", "--format", "csv,parquet") == 0
    assert run(monkeypatch, "profile", "--images", "2", "--out", "out", "--format", "md", "--force") == 0
    assert {path.name for path in Path("out").glob("energy.*")} == {"energy.md", "energy.png", "energy.svg"}


def test_unknown_format_is_refused_before_measuring(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "profile", "--out", "out", "--format", "csv,xlsx") == 2
    assert "unknown format 'xlsx'; formats: csv, md, tex, json, parquet" in capsys.readouterr().err
    assert run(monkeypatch, "profile", "--out", "out", "--format", ",") == 2
    assert "--format names no format" in capsys.readouterr().err
    assert not Path("out").exists()


@pytest.mark.slow
def test_provenance_says_how_to_measure_again(monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = ("profile", "--images", "3", "--time-steps", "2", "--seed", "7", "--out", "out")
    assert run(monkeypatch, *arguments) == 0
    provenance = json.loads(Path("out/profile.json").read_text())["provenance"]
    assert provenance["command"] == ["msvit-energy", *arguments]
    assert len(provenance["model"].pop("weights")) == 64
    assert provenance["model"] == {"name": "msvit_digits", "args": {"num_classes": 10, "time_steps": 2}}
    data = provenance["data"]
    assert (data["split"], data["drawn"], data["seed"]) == ("test", "3 of 355 drawn with seed 7", 7)
    assert sum(map(len, read_ranges(data["indices"]))) == 3
    assert (provenance["batch_size"], provenance["device"]) == (32, "cuda" if torch.cuda.is_available() else "cpu")
    assert len(provenance["checkpoint"]["sha256"]) == 64
    assert provenance["versions"]["torch"] == torch.__version__.split("+")[0]


@pytest.mark.slow
def test_shipped_checkpoint_reaches_the_accuracy_it_claims(monkeypatch: pytest.MonkeyPatch) -> None:
    assert run(monkeypatch, "profile", "--out", "out") == 0
    profile = Profile.load("out/profile.json")
    claimed = json.loads(msvit.checkpoint.SHIPPED.with_suffix(".json").read_text())["metrics"]["test_accuracy"]
    assert profile.labelled == 355
    # another machine may add floats in another order and flip a spike
    assert profile.accuracy == pytest.approx(claimed, abs=2 / 355)


def test_noise_and_untrained_weights_are_marked_in_every_output(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "profile", "--model", "msvit_digits", "--data", "noise", "--images", "2", "--out", "o") == 0
    for text in (capsys.readouterr().out, Path("o/energy.md").read_text(), Path("o/profile.json").read_text()):
        assert "random noise" in text
        assert "untrained" in text
    assert Profile.load("o/profile.json").accuracy is None


@pytest.mark.slow
def test_folder_of_images_gives_accuracy_only_when_its_classes_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    for digit in range(10):
        Path(f"ten/{digit}").mkdir(parents=True)
        Image.new("L", (12, 12), 25 * digit).save(f"ten/{digit}/a.png")
    assert run(monkeypatch, "profile", "--data", "ten", "--out", "o1") == 0
    assert Profile.load("o1/profile.json").labelled == 10
    assert run(monkeypatch, "profile", "--data", "ten/3", "--out", "o2") == 0
    assert Profile.load("o2/profile.json").labelled == 0
    for digit in range(3, 10):
        shutil.rmtree(f"ten/{digit}")
    assert run(monkeypatch, "profile", "--data", "ten", "--out", "o3") == 0
    assert Profile.load("o3/profile.json").labelled == 0  # three classes are not the model's ten


@pytest.mark.slow
def test_official_training_file_is_profiled_and_what_was_inferred_is_said(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    state = {f"module.{key}": value for key, value in msvit.create_model("msvit_digits").state_dict().items()}
    arguments = argparse.Namespace(model="MSFormer", time_step=2)
    torch.save({"state_dict": state, "args": arguments, "epoch": 1}, "official.pth")
    assert run(monkeypatch, "profile", "--ckpt", "official.pth", "--images", "3", "--out", "out") == 0
    notes = capsys.readouterr().err
    assert "official.pth: model msvit_digits (from keys and shapes; the file calls it 'MSFormer')" in notes
    assert "official.pth: time_steps 2 (from the file's arguments)" in notes
    assert Profile.load("out/profile.json").time_steps == 2


@pytest.mark.slow
def test_input_size_changes_the_tokens(monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = ("profile", "--model", "msvit_digits", "--data", "noise", "--images", "1", "--out", "out")
    assert run(monkeypatch, *arguments, "--input-size", "16x24") == 0
    macs = Profile.load("out/profile.json").to_frame().set_index("layer").macs_per_step
    assert macs["stage3.0.ssa.q_conv"] == 64 * 64 * (4 * 6)


def test_models_lists_what_is_registered(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(monkeypatch, "models", "*cifar*", "--json") == 0
    listed = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
    assert set(listed) == set(msvit.list_models("*cifar*"))
    facts = json.loads((ROOT / "tests/data/spikformer/cifar10_4_384.flops.json").read_text())
    row = listed["spikformer_cifar"]
    assert row["parameters"] == facts["params"]
    assert row["macs_per_step"] == facts["macs_conv_linear_total"] + facts["macs_matmul_total"]
    assert (row["family"], row["input_size"], row["time_steps"]) == ("spikformer", [3, 32, 32], 4)
    assert run(monkeypatch, "models", "msvit_digits") == 0
    assert "164,346" in capsys.readouterr().out
    assert run(monkeypatch, "models", "bert*") == 2
    assert "no model matches 'bert*'; models: " in capsys.readouterr().err


@pytest.mark.slow
def test_artificial_network_is_profiled_with_its_attention(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ("profile", "--model", "swin_tiny_patch4_window7_224", "--data", "noise", "--images", "1", "--out", "o")
    assert run(monkeypatch, *arguments, "--strict") == 0
    assert "matmul_2" in capsys.readouterr().out
    assert not Path("o/firing_rates.png").exists()
    profile = Profile.load("o/profile.json")
    assert profile.macs_per_step / 1e9 == pytest.approx(4.4906, abs=5e-5)
    assert price(profile).ann_mj == pytest.approx(20.66, abs=5e-3)
    assert run(monkeypatch, "profile", "--model", "deit_base_patch16_224", "--time-steps", "4", "--data", "noise") == 2
    assert "is not a spiking network: time steps must be 1, not 4" in capsys.readouterr().err


ERRORS = [
    (["--ckpt", "gone.safetensors"], "no checkpoint at gone.safetensors"),
    (["--ckpt", "cut.safetensors", "--model", "msvit_digits"], "cut.safetensors is damaged"),
    (["--ckpt", "other.safetensors", "--model", "msvit_digits"], "does not fit msvit_digits: missing patch_embed1"),
    (["--ckpt", "other.safetensors"], "other.safetensors: the weights fit no registered model; nearest is "),
    (["--input-size", "12x"], "input size must be N, HxW or CxHxW, such as 288, 288x384 or"),
    (["--model", "bert"], "unknown model 'bert'; models: "),
    (["--data", "imagenet"], "unknown data set 'imagenet'; data sets: digits, noise"),
    (["--protocol", "mine"], "unknown protocol 'mine'; protocols: ann, appendix-c, "),
    (["--technology", "3nm"], "unknown technology '3nm'; technologies: 45nm-fp16, 45nm-fp32"),
    (["--data", "empty"], "no images in empty"),
    (["--time-steps", "0"], "time steps must be at least 1, not 0"),
    (["--batch-size", "0"], "batch size must be at least 1, not 0"),
    (["--images", "0"], "number of images must be at least 1, not 0"),
    (["--model", "msvit_cifar"], "the model takes 3 x 32 x 32 images, digits has 1 x 12 x 12; data that fits:"),
    (["--input-size", "2", "--model", "msvit_digits", "--data", "noise"], "input of 2 x 2 is smaller than"),
    (["--model", "msvit_dvs", "--data", "empty"], "the model takes 2 channels; images have 1 (grey) or 3 (RGB)"),
    (["--ema"], "is a plain state dict; it holds no separate EMA weights"),
    (["--device", "tpu9"], "unknown device 'tpu9'"),
    (["--ci", "5"], "--ci must be a share of the total between 0 and 1, such as 1% or 0.01, not '5'"),
    (["--shard", "1"], "a shard is i/n, such as 0/4, not '1'"),
    (["--shard", "2/2"], "a shard is i/n with i from 0 to n - 1, not 2/2"),
    (["--feed", "spoon"], "unknown feed 'spoon'; a model is fed by auto, image, time-first, batch-first, time-last, "),
    (["--e-mac", "-1"], "technology custom: e_mac must be a price in pJ, 0 or more, not -1.0"),
    (["--lemaire", "-1"], "images to estimate after Lemaire et al. must be 0 or more, not -1"),
    (["--model-args", "{}", "--ckpt", "gone.pth"], "no checkpoint at gone.pth"),
    (["--model-args", "{'depth': 2}"], "--model-args must be a JSON object, not \"{'depth': 2}\""),
    (["--model-args", '{"depth": 2}'], "--model-args goes with --model and no checkpoint"),
    (["--model", "nowhere:net"], "no module 'nowhere' for the model 'nowhere:net'"),
    (["--model", "math:net"], "module math has no factory 'net' that makes a model"),
    (["--model", "math:sqrt", "--model-args", '{"x": 4}'], "--model-args {'x': 4} do not fit math:sqrt: "),
    (["--model", "torch.nn:Flatten"], "the model does not say what images it takes; give --input-size CxHxW"),
]


@pytest.mark.parametrize(("arguments", "message"), ERRORS)
def test_bad_input_is_one_line_exit_code_2_and_no_file(
    arguments: list[str], message: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("empty").mkdir()
    safetensors.torch.save_file({"fc.weight": torch.zeros(3)}, "other.safetensors")
    Path("cut.safetensors").write_bytes(Path("other.safetensors").read_bytes()[:-5])
    assert run(monkeypatch, "profile", *arguments, "--out", "out") == 2
    printed = capsys.readouterr()
    assert printed.err.startswith("error: ")
    assert printed.err.count("\n") == 1
    assert message in printed.err
    assert printed.out == ""
    assert not Path("out").exists()


@pytest.mark.slow
def test_results_of_another_run_are_kept_unless_forced(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("out").mkdir()
    Path("out/energy.csv").write_text("precious")
    Path("out/notes.txt").write_text("mine")
    arguments = ("profile", "--images", "2", "--out", "out")
    assert run(monkeypatch, *arguments) == 2
    assert "out already holds energy.csv of another run; --force replaces" in capsys.readouterr().err
    assert Path("out/energy.csv").read_text() == "precious"
    assert run(monkeypatch, *arguments, "--force") == 0
    assert {path.name for path in Path("out").iterdir()} == FILES | {"notes.txt"}
    assert Path("out/energy.csv").read_text() != "precious"


def test_out_that_is_a_file_is_refused(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    Path("out").write_text("")
    assert run(monkeypatch, "profile", "--out", "out") == 2
    assert "out is a file" in capsys.readouterr().err


def test_a_failure_while_writing_leaves_what_was_measured_and_no_half_result(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr("msvit_energy.reporting.figures.save_figures", fail)
    monkeypatch.setattr(sys, "argv", ["msvit-energy", "profile", "--images", "2", "--out", "out"])
    with pytest.raises(RuntimeError, match="a bug"):  # a bug keeps its traceback
        main()
    assert [str(path) for path in Path().rglob("*")] == ["out", "out/unfinished-0.pt"]


@pytest.mark.slow
def test_all_front_doors_are_the_same_program(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "profile", "--images", "5", "--out", "out") == 0
    arguments = ["energy", "out/profile.json", "--protocol", "all", "--layers"]  # starts faster than a measurement
    capsys.readouterr()
    assert run(monkeypatch, *arguments) == 0
    printed = capsys.readouterr().out
    assert "msvit_digits on digits" in printed
    script = [str(Path(sys.executable).with_name("msvit-energy"))]
    for front in (script, [sys.executable, str(ROOT / "cli.py")], [sys.executable, "-m", "msvit_energy"]):
        done = subprocess.run([*front, *arguments], capture_output=True, text=True, check=True)
        assert done.stdout == printed, front


def test_help_does_not_import_torch() -> None:
    code = (
        "import sys; sys.argv = ['msvit-energy', '--help']\n"
        "from msvit_energy.commands import main\n"
        "try: main()\nexcept SystemExit: print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "False"
    assert "profile" in done.stdout
