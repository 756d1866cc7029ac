"""A tiny recipe, its images, and what runs are compared by."""

import torch
from torch import Tensor, nn
from torch.utils.data import TensorDataset

import msvit
from msvit.classifier import SpikingClassifier
from msvit.training.recipes import Recipe

TINY = Recipe(
    name="tiny", model="msvit_digits", data="digits", epochs=2, batch_size=8, base_lr=1e-2, label_smoothing=0.1
)


def network() -> SpikingClassifier:
    """A narrow msvit_digits with fresh weights: what a run does to bits does not depend on the width."""
    return msvit.create_model(TINY.model, embed_dims=(16, 16, 32), num_heads=(2, 2, 2), time_steps=2)


def images(count: int = 48) -> TensorDataset:
    """Seeded noise as digits, labelled in turn."""
    generator = torch.Generator().manual_seed(5)
    return TensorDataset(torch.rand(count, 1, 12, 12, generator=generator), torch.arange(count) % 10)


class Noisy(TensorDataset):
    """Images with noise from torch's generator, as augmentation draws it."""

    def __getitem__(self, index: int) -> tuple[Tensor, ...]:
        image, label = super().__getitem__(index)
        return image + 0.1 * torch.randn_like(image), label


def weights(model: nn.Module) -> list[Tensor]:
    """All values of the state dict."""
    return list(model.state_dict().values())


def same(a: nn.Module, b: nn.Module) -> bool:
    """Whether two models are equal bit by bit."""
    return all(torch.equal(x, y) for x, y in zip(weights(a), weights(b), strict=True))
