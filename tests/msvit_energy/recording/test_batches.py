"""Batches and outputs in every form that people have: one profile."""

from collections import OrderedDict, UserDict
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from PIL import Image
from spikingjelly.activation_based import neuron
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

import msvit_energy
from msvit_energy import EnergyError, Profile
from msvit_energy.profiles.provenance import Provenance
from msvit_energy.recording.feeding.batches import read_batch
from tests.support.foreign_models import Forward, numbers, with_weights

IMAGES, LABELS = numbers(3, 1, 4, 4), torch.tensor([2, 0, 1])


def network(function: Callable[[Any, Tensor], Any]) -> nn.Module:
    torch.manual_seed(0)
    parts = {"conv": nn.Conv2d(1, 4, 3, padding=1), "lif": neuron.IFNode(), "head": nn.Linear(64, 3)}
    return with_weights(Forward(function, **parts))


def logits(model: Any, x: Tensor) -> Tensor:
    return model.head(model.lif(model.conv(x)).flatten(1))


def profiled(batch: Any, **options: Any) -> Profile:
    found = msvit_energy.profile(network(logits), [batch], time_steps=4, feed="step", **options)
    return replace(found, provenance=Provenance())


EXPECTED = profiled((IMAGES, LABELS))


class Pair(NamedTuple):
    pictures: Tensor
    classes: Tensor


@pytest.mark.parametrize(
    ("batch", "options"),
    [
        ({"pixel_values": IMAGES, "labels": LABELS}, {}),
        ({"image": IMAGES, "label": LABELS, "index": torch.arange(3)}, {}),
        ({"pixel_values": IMAGES, "pixel_mask": torch.ones(3, 4, 4), "labels": LABELS}, {}),
        (UserDict(x=IMAGES, y=LABELS), {}),
        ({"picture": IMAGES, "target": LABELS.numpy()}, {}),  # the only tensor that is no label
        ({"left": IMAGES, "right": IMAGES * 0, "y": LABELS}, {"input_key": "left"}),
        ({"img": IMAGES.numpy(), "label": LABELS.tolist()}, {}),
        ({"img": list(IMAGES), "label": LABELS.tolist()}, {}),
        ((IMAGES, LABELS, torch.arange(3)), {}),
        ([IMAGES, ["a", "b", "c"], torch.rand(3), LABELS], {}),
        ((["a", "b", "c"], IMAGES, LABELS), {}),
        ((torch.zeros(3, 1, 4, 4), IMAGES, LABELS), {"input_key": 1}),
        (({"image": IMAGES}, LABELS), {}),
        (((IMAGES, torch.ones(3)), LABELS), {}),
        (Pair(IMAGES, LABELS), {}),
        ((IMAGES.numpy(), LABELS.numpy()), {}),
        ((IMAGES.double().numpy()[::-1, ::-1][::-1, ::-1], LABELS), {}),
    ],
)
def test_a_batch_in_any_form_has_one_profile(batch: Any, options: dict[str, Any]) -> None:
    found = profiled(batch, **options)
    assert found == EXPECTED
    assert found.labelled == 3


@pytest.mark.parametrize(
    "batch",
    [
        IMAGES,
        IMAGES.numpy(),
        {"image": IMAGES, "box": torch.rand(3, 4)},
        (IMAGES,),
        (IMAGES, torch.arange(6).view(3, 2)),
        (IMAGES, torch.zeros_like(IMAGES)),  # a target for each pixel
    ],
)
def test_a_batch_may_have_no_labels(batch: Any) -> None:
    assert profiled(batch) == replace(EXPECTED, labelled=0, correct=0)


def test_pictures_are_bytes_divided_by_255() -> None:
    pixels = np.arange(2 * 4 * 5 * 3, dtype=np.uint8).reshape(2, 4, 5, 3)
    inputs, labels = read_batch({"image": [Image.fromarray(each) for each in pixels], "label": [4, 7]})
    assert torch.equal(inputs, torch.from_numpy(pixels.transpose(0, 3, 1, 2).copy()).float() / 255)
    assert labels is not None and labels.tolist() == [4, 7]
    grey, _ = read_batch([Image.new("L", (5, 4), 51)])
    assert torch.equal(grey, torch.full((1, 1, 4, 5), 51 / 255))


class Dicts(Dataset[dict[str, Any]]):
    """Samples as Hugging Face has them."""

    def __len__(self) -> int:
        return len(IMAGES)

    def __getitem__(self, index: int) -> dict[str, Any]:
        return {"pixel_values": IMAGES[index], "label": int(LABELS[index])}


@pytest.mark.slow
def test_a_loader_with_workers() -> None:
    loader = DataLoader(Dicts(), batch_size=2, num_workers=2)
    found = msvit_energy.profile(network(logits), loader, time_steps=4, feed="step")
    assert replace(found, provenance=Provenance()) == EXPECTED


@pytest.mark.parametrize(
    ("batch", "key", "message"),
    [
        ({"image": IMAGES, "x": IMAGES}, None, r"keys 'image', 'x' several may be the images: 'image', 'x'; pass inp"),
        ({"left": IMAGES, "right": IMAGES}, None, r"several may be the images: 'left', 'right'; pass input_key="),
        ({"text": ["a", "b"]}, None, r"keys 'text' none is a tensor of images; pass input_key="),
        ({"image": IMAGES}, "picture", r"no key 'picture'; they have 'image'$"),
        ({"image": "a.png"}, "image", r"^'image' of a batch is a str; a batch is a tensor"),
        (
            {"x": IMAGES, "y": LABELS, "label": LABELS},
            None,
            r"may be its labels: 'label', 'y'; give \(images, lab",
        ),
        ((IMAGES, LABELS), 2, r"^part 2 of a batch is no tensor; its parts are Tensor, Tensor$"),
        (IMAGES, "image", r"input_key='image' is for batches that are dicts or tuples, not a Tensor"),
        ("images", None, r"^a batch is a tensor, an array, .*, not a str$"),
        ((), None, r"not one of nothing$"),
        ([("a", 1)], None, r"not one of tuple$"),
        ([(IMAGES[0], 2), (IMAGES[1], 0)], None, r"^a list of 2 samples is no batch; join them, .*default_collate"),
        ([{"image": IMAGES[0], "label": 2}], None, r"^a list of 1 samples is no batch; join them"),
        (list(IMAGES), None, r"^3 tensors of shape \[1, 4, 4\] may be samples or one batch each; stack them, or pass"),
        (torch.tensor(1.0), None, r"not a single number"),
        ([Image.new("L", (4, 4)), Image.new("RGB", (4, 5))], None, r"one size and one mode, not L 4 x 4, RGB 4 x 5;"),
    ],
)
def test_what_is_unclear_is_refused_in_one_line(batch: Any, key: str | int | None, message: str) -> None:
    with pytest.raises(EnergyError, match=message) as refusal:
        read_batch(batch, key)
    assert "\n" not in str(refusal.value)


@dataclass
class Output:
    loss: Tensor | None
    logits: Tensor


FORMS: dict[str, Callable[[Tensor], Any]] = {
    "dict": lambda y: {"features": y[:, :2], "logits": y},
    "ordered": lambda y: OrderedDict(anything=y),
    "tuple": lambda y: (y, y[:, :2]),
    "attribute": lambda y: Output(None, y),
    "nested": lambda y: ([y], None),
    "list of steps": lambda y: list(y) if y.dim() == 3 else [y],
}


@pytest.mark.parametrize("feed", ["step", "time-first"])
@pytest.mark.parametrize("form", FORMS)
def test_an_output_in_any_form_gives_the_same_head_and_accuracy(form: str, feed: str) -> None:
    def over_time(model: Any, x: Tensor) -> Tensor:
        return torch.stack([logits(model, each) for each in x])

    plain = logits if feed == "step" else over_time
    options = {"time_steps": 4, "feed": feed}
    expected, found = (
        replace(msvit_energy.profile(network(f), [(IMAGES, LABELS)], **options), provenance=Provenance())  # type: ignore[arg-type]
        for f in (plain, lambda model, x: FORMS[form](plain(model, x)))
    )
    assert found == expected
    assert [operator.role for operator in found.operators] == ["entrance", "head"]
    assert found.labelled == 3


@pytest.mark.parametrize("nothing", [None, (), {}, {"loss": 1.0}, "done"])
@pytest.mark.parametrize("feed", ["step", "image"])
def test_a_model_that_returns_no_logits_is_profiled_without_accuracy(nothing: Any, feed: str) -> None:
    def silent(model: Any, x: Tensor) -> Any:
        logits(model, x)
        return nothing

    steps = 4 if feed == "step" else 1
    found = msvit_energy.profile(network(silent), [(IMAGES, LABELS)], time_steps=steps, feed=feed)  # type: ignore[arg-type]
    assert found.labelled == 0
    assert sum(each.macs_per_image for each in found.operators) == steps * (16 * 4 * 9 + 64 * 3)
    assert not found.coverage.unknown and not found.coverage.note


def test_a_state_that_is_not_returned_is_refused() -> None:
    class Stateful(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc, self.lif = nn.Linear(4, 3), neuron.IFNode()

        def forward(self, x: Tensor, state: Any = None) -> Tensor:
            return self.lif(self.fc(x))

    with pytest.raises(EnergyError, match=r"takes a state, but returns a Tensor, not \(output, state\)"):
        msvit_energy.profile(Stateful(), [numbers(2, 4)], time_steps=4, feed="step")
