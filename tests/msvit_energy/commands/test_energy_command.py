"""Pricing, merging, protocols, and profiling of somebody else's model, on the command line."""

import json
import sys
from dataclasses import replace
from importlib import resources
from pathlib import Path

import pytest
import torch
from msgspec import UNSET

from msvit_energy import Profile, price
from msvit_energy.pricing.protocols import PROTOCOLS, all_choices
from msvit_energy.profiles.operand import Operand
from msvit_energy.profiles.operators import Operator
from msvit_energy.profiles.provenance import ModelOrigin, Provenance
from tests.support.command_line import run

LOG = Path(str(resources.files("msvit_energy"))) / "reporting/data/rates/spikingformer_8_512.log.txt"
RATES = Path(__file__).parents[2] / "data" / "spikingformer" / "8_512.rates.csv"
NET = """
import torch
from spikingjelly.activation_based import neuron
from torch import nn


class Net(nn.Module):
    def __init__(self, width, fft=False):
        super().__init__()
        self.conv = nn.Conv2d(1, width, 3, stride=2, bias=False)
        self.fire = neuron.IFNode()
        self.head = nn.Linear(25 * width, 10, bias=False)
        self.fft = fft

    def forward(self, x):
        x = self.fire(self.conv(x)).flatten(1)
        return self.head(torch.fft.fft(x).real if self.fft else x)
"""


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])


@pytest.fixture(scope="module")
def profiles(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the profiles of two halves of 40 digits, and of the 40."""
    folder = tmp_path_factory.mktemp("profiles")
    for name, extra in (("a", ["--shard", "0/2"]), ("b", ["--shard", "1/2"]), ("whole", ["--lemaire", "2"])):
        with pytest.MonkeyPatch.context() as patch:
            assert run(patch, "profile", "--images", "40", *extra, "--out", str(folder / name)) == 0
    return folder


@pytest.mark.slow
def test_protocols_side_by_side_as_json(
    profiles: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = profiles / "whole" / "profile.json"
    arguments = ("--protocol", "exact", "--protocol", "ann", "--e-mac", "2", "--json")
    assert run(monkeypatch, "energy", str(file), *arguments) == 0
    exact, ann = json.loads(capsys.readouterr().out)
    assert (exact["protocol"], ann["protocol"], exact["technology"]) == ("exact", "ann", "custom")
    assert ann["total_mj"] == pytest.approx(2 * 8_500_096 / 1e9, rel=1e-12)
    assert exact["total_mj"] == pytest.approx((2 * exact["macs"] + 0.9 * exact["acs"]) / 1e9, rel=1e-12)
    assert exact["ci95_mj"][0] < exact["total_mj"] < exact["ci95_mj"][1]


def test_json_has_the_warnings_and_the_images_that_were_measured(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    spikes = Operand("a#0", "integer", "other", (), 8, (3,), (2,), 2.0)
    one = Profile(1, 1, (Operator("a", "a", "linear", "", 8, 1, (spikes,)),), provenance=Provenance(warnings=("w",)))
    one.save("one.json")  # of one image, so that there is no interval
    assert run(monkeypatch, "energy", "one.json", "--protocol", "appendix-c", "--protocol", "ann", "--json") == 0
    for row in json.loads(capsys.readouterr().out):
        assert (row["images"], row["ci95_mj"]) == (1, None)
        assert row["warnings"] == ["w", "a: the input is integer, but comes from no spiking neuron"]
    assert run(monkeypatch, "energy", "--model", "msvit_digits", "--rate", "0.25", "--json") == 0
    (given,) = json.loads(capsys.readouterr().out)
    assert (given["images"], given["warnings"]) == (0, ["one rate of 0.25 for all layers, not measured here"])


def test_all_protocols_are_priced_and_compared(
    profiles: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = profiles / "whole" / "profile.json"
    assert run(monkeypatch, "energy", str(file), "--protocol", "all", "--layers") == 0
    printed = capsys.readouterr()
    profile = Profile.load(file)
    for choice in all_choices():
        line = [line for line in printed.out.splitlines() if line.split()[:1] == [choice]][-1]
        assert line.split()[1] == f"{price(profile, choice).total_mj:.5g}"
    assert printed.out.count("stage, layer") == len(all_choices())
    assert printed.err == ""


def test_what_cannot_be_priced_is_said(
    profiles: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = profiles / "a" / "profile.json"
    assert run(monkeypatch, "energy", str(file), "--protocol", "all", "--json") == 0
    printed = capsys.readouterr()
    assert len(json.loads(printed.out)) == len(all_choices()) - 1
    assert printed.err.startswith("lemaire-estimate: the profile has no estimate after Lemaire et al.")
    assert run(monkeypatch, "energy", str(file), "--protocol", "lemaire-estimate") == 2


def test_merged_halves_are_the_whole(profiles: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    halves = [str(profiles / name / "profile.json") for name in "ab"]
    assert run(monkeypatch, "merge", *halves, "--out", "out/joined.json") == 0
    joined, whole = Profile.load("out/joined.json"), Profile.load(profiles / "whole" / "profile.json")
    assert joined.images == whole.images == 40
    # the halves ran in batches of 20, the whole in 32 and 8: in float32 a spike may flip
    assert price(joined).total_mj == pytest.approx(price(whole).total_mj, rel=1e-4)
    assert joined.provenance.data.indices == whole.provenance.data.indices
    assert [path.name for path in Path("out").iterdir()] == ["joined.json"]


def test_halves_of_two_untrained_networks_are_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("fresh.py").write_text(NET)
    arguments = ["profile", "--model", "fresh:Net", "--model-args", '{"width": 2}', "--input-size", "1x12x12"]
    arguments += ["--time-steps", "1"]
    for seed, shard in (("0", "0/40"), ("1", "1/40"), ("0", "1/40")):
        folder = f"{seed}-{shard[0]}"
        assert run(monkeypatch, *arguments, "--seed", seed, "--shard", shard, "--out", folder) == 0
    files = {folder: f"{folder}/profile.json" for folder in ("0-0", "1-1", "0-1")}
    assert run(monkeypatch, "merge", files["0-0"], files["1-1"], "--out", "joined.json") == 2
    error = "0-0/profile.json and 1-1/profile.json are profiles of different weights"
    assert error in capsys.readouterr().err
    assert run(monkeypatch, "merge", files["0-0"], files["0-1"], "--out", "joined.json") == 0


def test_overlapping_images_are_refused_and_nothing_is_written(
    profiles: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    files = [str(profiles / name / "profile.json") for name in ("a", "whole")]
    assert run(monkeypatch, "merge", *files, "--out", "joined.json") == 2
    assert "shares 20 images with another profile" in capsys.readouterr().err
    assert list(Path().iterdir()) == []


def test_merge_replaces_a_file_only_when_forced(
    profiles: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    halves = [str(profiles / name / "profile.json") for name in "ab"]
    Path("joined.json").write_text("precious")
    assert run(monkeypatch, "merge", *halves, "--out", "joined.json") == 2
    assert "joined.json exists; --force replaces it" in capsys.readouterr().err
    assert Path("joined.json").read_text() == "precious"
    assert run(monkeypatch, "merge", *halves, "--out", "joined.json", "--force") == 0
    assert Profile.load("joined.json").images == 40


@pytest.mark.slow
def test_same_inputs_give_the_same_bytes_except_for_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = []
    for _ in range(2):
        assert run(monkeypatch, "profile", "--images", "5", "--out", "out", "--force") == 0
        content = Path("out/profile.json").read_text()
        texts.append(content.replace(Profile.load("out/profile.json").provenance.created, ""))
    assert texts[0] == texts[1]


@pytest.mark.slow
def test_published_rates_are_priced_on_the_models_geometry(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ("--model", "spikingformer_8_512", "--rates", str(RATES), "--protocol", "spikingformer-tool", "--json")
    assert run(monkeypatch, "energy", *arguments) == 0
    (priced,) = json.loads(capsys.readouterr().out)
    assert priced["total_mj"] == pytest.approx(7.463502601886196, rel=1e-9)
    assert priced["ci95_mj"] is None
    assert run(monkeypatch, "energy", "--model", "msvit_cifar", "--rates", str(RATES)) == 2
    error = capsys.readouterr().err
    assert "does not fit the model: no rate for patch_embed1.proj1_conv, " in error
    assert "no layer called patch_embed.proj_conv, " in error


def test_one_rate_for_all_layers(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(monkeypatch, "energy", "--model", "msvit_10_768", "--rate", "0.306") == 0
    printed = capsys.readouterr().out
    assert "46.109" in printed  # 146.773 x 0.306 + 1.197
    assert "one rate of 0.306 for all layers, not measured here" in printed


def test_protocols_are_listed_with_their_answers(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "protocols") == 0
    printed = capsys.readouterr().out
    for label in ("Source: ", "Operators: ", "Integer inputs: ", "Head: "):
        assert printed.count(label) == len(PROTOCOLS)
    assert "45nm-int32: E_MAC 3.2 pJ, E_AC 0.1 pJ" in printed
    assert run(monkeypatch, "protocols", "--json") == 0
    assert [row["protocol"] for row in json.loads(capsys.readouterr().out)] == list(PROTOCOLS)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "give one of a profile.json, --table FILE, or --model with --rates, --log or --rate"),
        (["gone.json"], "cannot read profile gone.json"),
        (["old.json"], "old.json has profile version 1, this program reads 2 (measure again)"),
        (["gone.json", "--rate", "1"], "--rates, --log, --rate, --input-size and --model-args go with --model"),
        (["--model", "msvit_cifar", "--rate", "1", "--per-image", "r.csv"], "--per-image with --table"),
        (["--model", "msvit_cifar"], "--model needs one of --rates FILE, --log FILE and --rate R"),
        (["--model", "msvit_cifar", "--rate", "-1"], "a rate must be a finite number, 0 or more, not -1.0"),
        (["--model", "msvit_cifa", "--rate", "1"], "unknown model 'msvit_cifa'; did you mean msvit_cifar?"),
        (["gone.json", "--protocol", "mine"], "unknown protocol 'mine'"),
        (["gone.json", "--technology", "t.toml"], "t.toml lacks e_ac, source"),
        (["gone.json", "--e-ac", "nan"], "e_ac must be a price in pJ, 0 or more, not nan"),
    ],
)
def test_bad_pricing_is_one_line_and_exit_code_2(
    arguments: list[str], message: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("t.toml").write_text("e_mac = 1\n")
    Path("old.json").write_text('{"version": 1}')
    assert run(monkeypatch, "energy", *arguments) == 2
    printed = capsys.readouterr()
    assert printed.err.startswith("error: ")
    assert printed.err.count("\n") == 1
    assert message in printed.err
    assert printed.out == ""


def test_a_table_is_priced_and_what_was_understood_is_printed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("t.csv").write_text("FLOPs,Name,FR (%),priced_as\n2000,a,12.5,AC\n1000,b,100,MAC\n")
    arguments = ("--table", "t.csv", "--time-steps", "4", "--protocol", "all", "--save", "new/t.json")
    assert run(monkeypatch, "energy", *arguments) == 0
    printed = capsys.readouterr()
    assert (
        "t.csv: 2 layers, T = 4; macs_per_step from 'FLOPs', layer from 'Name', input_rate from 'FR (%)'" in printed.err
    )
    (line,) = [line for line in printed.out.splitlines() if line.split()[:1] == ["as-given"]]
    assert float(line.split()[1]) == pytest.approx((4 * 250 * 0.9 + 4 * 1000 * 4.6) / 1e3)  # nJ
    assert Profile.load("new/t.json").time_steps == 4


def test_rates_of_images_are_counted(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    Path("t.csv").write_text("layer,macs,rate,runs\na,1000,0.2,4\n")
    Path("r.csv").write_text("image,a\nx,0.1\ny,0.2\nz,0.3\n")
    arguments = ("--table", "t.csv", "--per-image", "r.csv")
    assert run(monkeypatch, "energy", *arguments, "--json") == 0
    (totals,) = json.loads(capsys.readouterr().out)
    assert (totals["images"], totals["acs"]) == (3, 800)
    assert totals["ci95_mj"] is not None
    assert run(monkeypatch, "energy", *arguments, "--layers", "--save", "p.json") == 0
    assert "images: 3, T = 4" in capsys.readouterr().out
    assert run(monkeypatch, "compare", "p.json") == 0
    assert "given rates of 3 images" in capsys.readouterr().out


def test_a_log_gives_what_its_tool_printed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ("--model", "spikingformer_8_512", "--log", str(LOG), "--protocol", "spikingformer-tool", "--json")
    assert run(monkeypatch, "energy", *arguments) == 0
    printed = capsys.readouterr()
    (totals,) = json.loads(printed.out)
    assert totals["total_mj"] == pytest.approx(7.463502601886196, rel=1e-14)
    assert f"{LOG.name}: the tool printed 7.463502601886196 mJ" in printed.err


def test_anybodys_model_is_profiled_from_the_current_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("theirs.py").write_text(NET)
    arguments = (
        "--model",
        "theirs:Net",
        "--model-args",
        '{"width": 4}',
        "--time-steps",
        "3",
        "--input-size",
        "1x12x12",
    )
    assert run(monkeypatch, "profile", *arguments, "--images", "6", "--strict", "--out", "out") == 0
    profile = Profile.load("out/profile.json")
    rows = profile.to_frame().set_index("layer")
    assert rows.macs_per_step.to_dict() == {"conv": 4 * 25 * 9, "head": 100 * 10}
    assert rows.runs_per_image.to_dict() == {"conv": 3, "head": 3}  # single-step neurons: called T times
    assert (profile.time_steps, profile.labelled, len(profile.neurons[0].sums)) == (3, 6, 3)
    assert replace(profile.provenance.model, weights=UNSET) == ModelOrigin("theirs:Net", {"width": 4})


def test_strict_refuses_work_that_nothing_counts(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("uncounted.py").write_text(NET)
    arguments = ["profile", "--model", "uncounted:Net", "--model-args", '{"width": 4, "fft": true}']
    arguments += ["--input-size", "1x12x12", "--images", "3", "--time-steps", "1", "--out", "out"]
    assert run(monkeypatch, *arguments, "--strict") == 2
    assert "--strict: work that nothing counts: aten::fft_fft" in capsys.readouterr().err
    assert not Path("out").exists()
    assert run(monkeypatch, *arguments) == 0
    assert "unknown work, not in the energy: aten::fft_fft" in capsys.readouterr().out


def test_their_weights_are_loaded_and_hashed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("loaded.py").write_text(NET)
    weights = {"conv.weight": torch.ones(1, 1, 3, 3), "head.weight": torch.ones(10, 25)}
    torch.save(weights, "theirs.pth")
    arguments = ["profile", "--model", "loaded:Net", "--ckpt", "theirs.pth", "--input-size", "1x12x12", "--images", "3"]
    arguments += ["--time-steps", "1"]
    assert run(monkeypatch, *arguments, "--model-args", '{"width": 1}', "--out", "out") == 0
    assert Profile.load("out/profile.json").provenance.checkpoint.file == "theirs.pth"
    assert run(monkeypatch, *arguments, "--model-args", '{"width": 2}') == 2
    assert "theirs.pth does not fit the model: " in capsys.readouterr().err


@pytest.mark.slow
def test_a_measurement_ends_when_the_interval_is_narrow_enough(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "profile", "--ci", "4%", "--batch-size", "8", "--out", "out") == 0
    profile = Profile.load("out/profile.json")
    assert f"the interval is within 4% after {profile.images} of 355 images" in capsys.readouterr().out
    spread = price(profile).spread
    assert spread is not None
    assert 32 <= profile.images < 355
    assert spread.half_width <= 0.04 * spread.mean
    assert profile.provenance.data.drawn == "all in an order drawn with seed 0"
    assert len(profile.provenance.data.indices.split(",")) > 10  # not the first ones of the folder
    assert run(monkeypatch, "profile", "--ci", "0.1%", "--images", "40") == 0
    assert "the interval is wider than 0.1% after all 40 images" in capsys.readouterr().err
