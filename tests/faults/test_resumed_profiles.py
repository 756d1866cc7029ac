"""A measurement that is gone on with ends with the profile of an uninterrupted one, wherever it was stopped."""

import io
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import msvit_energy
from msvit_energy import EnergyError, Profile
from msvit_energy.profiles.merge import merge
from msvit_energy.recording.earlier_counts import CLASSES, EarlierCounts
from msvit_energy.recording.firing_maps import FiringMaps
from msvit_energy.workflows.measuring import measurement_state
from msvit_energy.workflows.measuring.measurement_state import MeasurementState
from tests.support.command_line import run
from tests.support.training_runs import network

Batches = Sequence[tuple[Tensor, Tensor]]


class Thresholds(nn.Module):
    """A layer called a neuron that emits what it is fed: the test decides what is on a lattice, and from which batch on
    it is not."""

    def forward(self, x: Tensor) -> Tensor:
        return x


def emitting() -> nn.Module:
    """What the input holds flows into a convolution as if neurons had emitted it."""
    torch.manual_seed(0)
    return nn.Sequential(Thresholds(), nn.Conv2d(1, 3, 3, padding=1), Thresholds(), nn.Flatten(), nn.Linear(48, 10))


class Drawing(nn.Module):
    """Poisson spikes of the image, by torch's generator."""

    def forward(self, x: Tensor) -> Tensor:
        return (torch.rand_like(x) < x).float()


def drawing() -> nn.Module:
    """A network that draws random spikes."""
    torch.manual_seed(0)
    return nn.Sequential(Drawing(), nn.Conv2d(1, 3, 3, padding=1), nn.Flatten(), nn.Linear(48, 10))


def batched(images: Tensor, size: int) -> Batches:
    """With labels in turn."""
    labels = torch.arange(len(images)) % 10
    return [(images[i : i + size], labels[i : i + size]) for i in range(0, len(images), size)]


def on_lattices(*values: Sequence[float]) -> Tensor:
    """Images `[n, 1, 4, 4]`, two with each of these sets of values."""
    generator = torch.Generator().manual_seed(1)
    chosen = [
        torch.tensor(each, dtype=torch.float32)[torch.randint(len(each), (2, 1, 4, 4), generator=generator)]
        for each in values
    ]
    return torch.cat(chosen)


def stored(counts: EarlierCounts) -> EarlierCounts:
    """As another process reads them."""
    file = io.BytesIO()
    torch.save(counts, file)
    with torch.serialization.safe_globals(list(CLASSES)):
        read = torch.load(io.BytesIO(file.getvalue()), weights_only=True)
    assert isinstance(read, EarlierCounts)
    return read


def stopped_after(batches: int, measure: Callable[..., Profile]) -> EarlierCounts:
    """What a measurement has counted after so many batches."""
    kept: list[EarlierCounts] = []

    def after_batch(counts: Callable[[], EarlierCounts]) -> bool:
        kept.append(stored(counts()))
        return len(kept) == batches

    measure(after_batch=after_batch)
    return kept[-1]


CASES = {
    "msvit": (network, torch.rand(8, 1, 12, 12), {}),
    "spikes, then sums of spikes": (emitting, on_lattices((0, 1), (0, 1, 2), (0, 1)), {"neurons": Thresholds}),
    "halves, then quarters": (emitting, on_lattices((0, 0.5), (0, 0.25, 0.5), (0, 0.5)), {"neurons": Thresholds}),
    "silence, then thresholds": (emitting, on_lattices((0,), (0, 0.371), (0,)), {"neurons": Thresholds}),
    "signs, then real numbers": (
        emitting,
        on_lattices((-1, 0, 1), (0.123, 0.5077, 0.3), (0, 1)),
        {"neurons": Thresholds},
    ),
    "random spikes": (drawing, torch.rand(8, 1, 4, 4), {"neurons": Drawing}),
}


@pytest.mark.parametrize("case", CASES)
def test_stopped_after_any_batch_it_ends_with_the_same_profile(case: str) -> None:
    make, images, options = CASES[case]
    model, batches = make(), batched(images, 2)

    def measure(chosen: Batches = batches, **more: Any) -> Profile:
        torch.manual_seed(3)
        return msvit_energy.profile(model, chosen, time_steps=1 if options else None, **options, **more)

    whole = measure()
    for done in range(1, len(batches) + 1):
        earlier = stopped_after(done, measure)
        assert earlier.images == sum(len(images) for images, _ in batches[:done])
        assert measure([batches[0], *batches[done:]], earlier=earlier) == whole


def test_joined_profiles_could_not_have_done_that() -> None:
    make, images, options = CASES["signs, then real numbers"]
    parts = [msvit_energy.profile(make(), [part], time_steps=1, **options) for part in batched(images, 2)]
    with pytest.raises(EnergyError, match="measure all images in one go"):
        merge(parts, disjoint=True)


def test_maps_and_single_images_go_on_too() -> None:
    model, batches = network(), batched(torch.rand(10, 1, 12, 12), 3)

    def measure(chosen: Batches = batches, **more: Any) -> Profile:
        return msvit_energy.profile(model, chosen, lemaire=5, maps=maps[-1], **more)

    maps = [FiringMaps(["*attn_lif"])]
    whole = measure()
    maps.append(FiringMaps(["*attn_lif"]))
    earlier = stopped_after(2, measure)
    maps.append(FiringMaps(["*attn_lif"]))
    assert measure([batches[0], *batches[2:]], earlier=earlier) == whole
    for one, other in zip(maps[0].layers(), maps[2].layers(), strict=True):
        assert (one.channels == other.channels).all() and (one.positions == other.positions).all()


class Killed(BaseException):
    """The process ends here."""


@pytest.fixture
def kill_after(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """A function that ends the next measurement after so many batches whose state was written."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(measurement_state, "SHARE", 1e9)  # write after every batch
    own = MeasurementState.after_batch
    monkeypatch.setattr("msvit_energy.reporting.figures.save_figures", lambda *_: [])  # which take longest
    monkeypatch.setattr("msvit_energy.reporting.page.page", lambda *_: "")

    def arrange(batches: int) -> None:
        done = 0

        def after_batch(self: MeasurementState, counts: Any) -> bool:
            nonlocal done
            stop = own(self, counts)
            done += 1
            if done == batches:
                monkeypatch.setattr(MeasurementState, "after_batch", own)
                raise Killed
            return stop

        monkeypatch.setattr(MeasurementState, "after_batch", after_batch)

    return arrange


OPTIONS = ("profile", "--images", "24", "--batch-size", "4", "--format", "csv", "--time-steps", "1")


def content(folder: str) -> dict[str, Any]:
    """profile.json without when and how it was made."""
    profile: dict[str, Any] = json.loads(Path(folder, "profile.json").read_text())
    return profile | {"provenance": {**profile["provenance"], "created": "", "command": ""}}


@pytest.mark.slow
@pytest.mark.parametrize(
    "more",
    [
        ("--shard", "1/2", "--per-image"),
        ("--ci", "60%", "--images", "120"),
        ("--maps", "stage3*", "--lemaire", "3", "--workers", "1"),
    ],
)
def test_a_killed_command_goes_on(
    more: tuple[str, ...],
    kill_after: Callable[[int], None],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(monkeypatch, *OPTIONS, *more, "--out", "whole") == 0
    kill_after(2)
    with pytest.raises(Killed):
        run(monkeypatch, *OPTIONS, *more, "--out", "killed")
    assert [path.name for path in Path("killed").iterdir()] == ["unfinished-0.pt"]
    capsys.readouterr()
    assert run(monkeypatch, *OPTIONS, *more, "--out", "killed", "--resume") == 0
    assert "going on after 8 images" in capsys.readouterr().err
    assert content("killed") == content("whole")
    assert {path.name for path in Path("killed").iterdir()} == {path.name for path in Path("whole").iterdir()}
    exact = {"energy.csv", "maps.npz", "profile.per_image.safetensors"}
    for name in exact & {path.name for path in Path("whole").iterdir()}:
        assert Path("killed", name).read_bytes() == Path("whole", name).read_bytes()


@pytest.mark.slow
def test_something_else_is_not_gone_on_with(
    kill_after: Callable[[int], None], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    network = ("--model", "msvit_digits")
    kill_after(1)
    with pytest.raises(Killed):
        run(monkeypatch, *OPTIONS, *network, "--out", "killed")
    before = Path("killed/unfinished-0.pt").read_bytes()
    others = {
        "--batch-size": ("--batch-size", "5"),
        "--seed, data, images, weights": ("--seed", "1"),
        "--maps": ("--maps", "stage3*"),
        "--time-steps, model": ("--time-steps", "2"),
        "--lemaire": ("--lemaire", "1"),
        "--per-image": ("--per-image",),
        "--neurons": ("--neurons", "*lif*"),
        "data, images": ("--images", "20"),
    }
    for what, options in others.items():
        assert run(monkeypatch, *OPTIONS, *network, *options, "--out", "killed", "--resume") == 2
        message = capsys.readouterr().err
        assert f"error: killed holds a measurement with another {what}; --force begins anew\n" in message
    assert run(monkeypatch, *OPTIONS, "--out", "killed", "--resume") == 2  # the shipped weights
    assert "with another checkpoint, model, weights; " in capsys.readouterr().err
    assert run(monkeypatch, *OPTIONS, *network, "--out", "killed") == 2
    assert "killed holds an unfinished measurement; --resume goes on with it, --force" in capsys.readouterr().err
    assert Path("killed/unfinished-0.pt").read_bytes() == before
    Path("killed/unfinished-0.pt").write_bytes(before[:1000])
    assert run(monkeypatch, *OPTIONS, *network, "--out", "killed", "--resume") == 2
    assert "killed/unfinished-0.pt cannot be read; --force begins the measurement anew" in capsys.readouterr().err
    assert run(monkeypatch, *OPTIONS, *network, "--out", "killed", "--force") == 0
    assert not list(Path("killed").glob("unfinished*"))


def test_resume_needs_a_folder_and_begins_where_nothing_was_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(monkeypatch, "profile", "--resume") == 2
    assert "error: --resume goes on with the measurement in a folder: --out says which" in capsys.readouterr().err
    Path("out").mkdir()
    Path("out/profile.json").write_text("precious")
    assert run(monkeypatch, "profile", "--images", "2", "--out", "out", "--resume") == 2
    assert "out already holds profile.json of another run" in capsys.readouterr().err
    assert run(monkeypatch, "profile", "--images", "2", "--ckpt", "nowhere.pth", "--out", "new/er", "--resume") == 2
    assert [path.name for path in Path().iterdir()] == ["out"]


@pytest.mark.slow
def test_a_first_batch_that_runs_otherwise_is_announced(
    kill_after: Callable[[int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    kill_after(2)
    with pytest.raises(Killed):
        run(monkeypatch, *OPTIONS, "--out", "killed")
    own = EarlierCounts.of

    def elsewhere(*args: Any, **kwargs: Any) -> EarlierCounts:
        counts = own(*args, **kwargs)
        object.__setattr__(counts, "first", (4, "another"))
        return counts

    monkeypatch.setattr(EarlierCounts, "of", elsewhere)
    assert run(monkeypatch, *OPTIONS, "--out", "killed", "--resume") == 0
    (warning,) = Profile.load("killed/profile.json").provenance.warnings or ()
    assert warning.startswith("gone on with after 8 images, where the first batch gave other spikes than before")
