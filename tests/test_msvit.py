"""MSViT against the official implementation: names, shapes, parameters, numbers, quirks."""

import parity
import pytest
import timm
import torch

import msvit
from msvit.classifier import SpikingClassifier


@pytest.mark.parametrize(("classes", "parameters"), [(10, 7_558_762), (100, 7_593_412)])
def test_parameters_of_the_cifar_configuration(classes: int, parameters: int) -> None:
    model = msvit.create_model("msvit_cifar", num_classes=classes)
    assert sum(p.numel() for p in model.parameters()) == parameters


def test_state_dict_is_the_official_one() -> None:
    state = msvit.create_model("msvit_cifar").state_dict()
    ours = [(key, "x".join(map(str, tensor.shape))) for key, tensor in state.items()]
    assert ours == parity.keys("msvit/cifar10.keys.csv")


@pytest.mark.parametrize(("vector", "merged"), [("cifar10", False), ("cifar10", True), ("cifar10_batch2", True)])
def test_logits_equal_the_official_ones(vector: str, merged: bool) -> None:
    facts = parity.read(f"msvit/{vector}.parity.json")
    model = msvit.create_model("msvit_cifar", merge_time_and_batch=merged).double().eval()
    images = parity.draw(model, facts)
    assert images.sum().item() == pytest.approx(facts["input_sum"], abs=1e-9)
    with torch.inference_mode():
        logits = model(images).flatten()
    torch.testing.assert_close(logits, torch.tensor(facts["logits"], dtype=torch.float64), rtol=0, atol=1e-9)


def test_a_sample_does_not_depend_on_its_batch_by_default_and_does_officially(small_model: SpikingClassifier) -> None:
    images = torch.randn(3, 1, 12, 12, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    official = msvit.create_model("msvit_digits", merge_time_and_batch=True).double().eval()
    official.load_state_dict(small_model.state_dict())
    with torch.inference_mode():
        alone = torch.cat([small_model(image.unsqueeze(0)) for image in images])
        torch.testing.assert_close(small_model(images), alone, rtol=0, atol=1e-12)
        merged = official(images)
    torch.testing.assert_close(merged[0], alone[0], rtol=0, atol=0.1)
    assert (merged[1:] - alone[1:]).abs().max() > 1e-3


def test_an_image_equals_the_same_frames_repeated(small_model: SpikingClassifier) -> None:
    images = torch.randn(2, 1, 12, 12, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    with torch.inference_mode():
        frames = images.unsqueeze(1).repeat(1, small_model.time_steps, 1, 1, 1)
        torch.testing.assert_close(small_model(images), small_model(frames), rtol=0, atol=1e-12)


def test_time_steps_can_change_after_building(small_model: SpikingClassifier) -> None:
    images = torch.randn(1, 1, 12, 12, dtype=torch.float64, generator=torch.Generator().manual_seed(4))
    built_for_six = msvit.create_model("msvit_digits", time_steps=6).double().eval()
    built_for_six.load_state_dict(small_model.state_dict())
    small_model.time_steps = 6
    with torch.inference_mode():
        assert torch.equal(small_model(images), built_for_six(images))


def test_every_parameter_gets_a_gradient_and_a_few_steps_lower_the_loss() -> None:
    torch.manual_seed(0)
    model = msvit.create_model("msvit_digits").train()
    images, labels = torch.randn(8, 1, 12, 12), torch.arange(8)
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3)
    losses = []
    for _ in range(8):
        loss = torch.nn.functional.cross_entropy(model(images), labels)
        optimizer.zero_grad()
        loss.backward()
        losses.append(loss.item())
        # a bias in front of a batch norm has a gradient of 0 by construction, but it has one
        assert all(parameter.grad is not None for parameter in model.parameters())
        optimizer.step()
    assert losses[-1] < 0.9 * losses[0]


def test_timm_builds_registered_models() -> None:
    model = timm.create_model("msvit_digits", num_classes=7)
    assert model(torch.randn(2, 1, 12, 12)).shape == (2, 7)


def test_list_models_takes_a_pattern() -> None:
    assert msvit.list_models("*digits") == ["msvit_digits"]
    assert set(msvit.list_models()) >= {"msvit_cifar", "msvit_digits"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": "msvit_cifr"}, "unknown model 'msvit_cifr'; did you mean msvit_cifar"),
        ({"name": "msvit_cifar", "time_steps": 0}, "time steps must be at least 1, not 0"),
        ({"name": "msvit_cifar", "num_heads": (5, 5, 5)}, "192 channels do not divide into 5 heads"),
        ({"name": "msvit_cifar", "colour": "red"}, "unexpected keyword argument 'colour'"),
    ],
)
def test_wrong_arguments_are_named(arguments: dict, message: str) -> None:
    with pytest.raises(msvit.ModelError, match=message.replace("(", r"\(")):
        msvit.create_model(**arguments)


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((2, 3, 12, 12), "3 channels, the model takes 1"),
        ((2, 3, 1, 12, 12), "T = 4"),
        ((2, 1, 3, 12), "3 x 12 is smaller than the model's total stride 4"),
    ],
)
def test_input_that_does_not_fit_is_named(small_model: SpikingClassifier, shape: tuple[int, ...], message: str) -> None:
    with pytest.raises(msvit.ModelError, match=message):
        small_model(torch.zeros(shape, dtype=torch.float64))
