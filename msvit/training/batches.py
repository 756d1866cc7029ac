"""The images of a run: augmented training batches whose order can be taken up again, and the test split."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from timm.data import create_transform
from torch import Tensor
from torch.utils.data import BatchSampler, Dataset, DistributedSampler, RandomSampler
from torchvision.transforms import InterpolationMode, v2

from msvit.data import digits
from msvit.data.catalog import DatasetSpec, dataset_spec
from msvit.data.loading import loader
from msvit.distributed import first_ahead, rank, ranks, shared_batches
from msvit.errors import ModelError
from msvit.training.recipes import Recipe
from msvit.training.state import random_states, set_random_states

Batch = tuple[Tensor, Tensor]
TEST_BATCH = 64


class Batches:
    """Training and test batches of a recipe. The last training batch is dropped where it is not full, unless it is the
    only one. Several processes share the images of an epoch, in an order that `seed` and the epoch give."""

    def __init__(
        self, recipe: Recipe, train_set: Dataset[Any], test_set: Dataset[Any], classes: int, *, seed: int = 0
    ) -> None:
        self.recipe, self.classes = recipe, classes
        self.train_set, self.test_set = train_set, test_set
        self.order: RandomSampler | DistributedSampler[Any] = (
            RandomSampler(train_set)  # type: ignore[arg-type]
            if ranks() == 1
            else DistributedSampler(train_set, ranks(), rank(), seed=seed, drop_last=True)
        )
        size = recipe.split(ranks())[0]
        self.sampler = BatchSampler(self.order, size, len(self.order) > size)

    def __len__(self) -> int:
        return len(self.sampler)

    def rest_of_epoch(self, number: int, start: Mapping[str, Any], done: int) -> Iterator[Batch]:
        """The batches of an epoch that began at the generators' state `start`, without the first `done`.

        Without workers the images are augmented as they would have been in an uninterrupted run.
        """
        if isinstance(self.order, DistributedSampler):
            self.order.set_epoch(number)
        skipping = _Skipping(self.sampler, done, random_states())
        if done:
            set_random_states(start)
        yield from loader(self.train_set, skipping, workers=self.recipe.workers, pinned=torch.cuda.is_available())

    def test(self) -> Iterator[Batch]:
        """This process's part of the test split, in order; each image is in one part, in the batch it always is in."""
        batches = shared_batches(self.test_set, TEST_BATCH)
        yield from loader(self.test_set, batches, workers=self.recipe.workers)


class _Skipping:
    """Batches of indices without the first `done`; generators then stand as in `states`."""

    def __init__(self, sampler: BatchSampler, done: int, states: Mapping[str, Any]) -> None:
        self.sampler, self.done, self.states = sampler, done, states

    def __len__(self) -> int:
        return len(self.sampler) - self.done

    def __iter__(self) -> Iterator[list[int]]:
        batches = iter(self.sampler)
        for _ in range(self.done):
            next(batches)
        if self.done:
            set_random_states(self.states)
        yield from batches


def open_batches(
    recipe: Recipe, root: Path | None, input_size: tuple[int, int, int], time_steps: int, *, seed: int = 0
) -> Batches:
    """The data of a recipe for a model that takes `input_size` and T; ModelError if they do not fit."""
    spec = dataset_spec(recipe.data)
    if spec.has_folder and root is None:
        raise ModelError(f"the recipe {recipe.name} needs --data, the folder of {recipe.data}")
    augmented, plain = augmentation(recipe, spec, input_size), spec.evaluation_transform(input_size)
    train = first_ahead(lambda: spec.open(root, "train", augmented, time_steps))
    test = first_ahead(lambda: spec.open(root, "test", plain, time_steps))
    return Batches(recipe, train, test, spec.classes or len(train.classes), seed=seed)


def augmentation(recipe: Recipe, spec: DatasetSpec, input_size: tuple[int, int, int]) -> Callable[[Any], Any] | None:
    """What happens to a training image."""
    if recipe.augmentation == "affine":
        return affine(recipe, background=-digits.MEAN / digits.STD)
    if recipe.augmentation == "image":
        return create_transform(
            input_size,
            is_training=True,
            no_aug=False,
            scale=(recipe.crop_scale, 1.0),
            ratio=(3 / 4, 4 / 3) if recipe.crop_scale < 1 else (1.0, 1.0),
            hflip=recipe.flip,
            color_jitter=0.0,
            auto_augment=recipe.rand_augment or None,
            interpolation="bicubic",
            mean=spec.mean,
            std=spec.std,
            re_prob=recipe.random_erasing,
            re_mode=recipe.erasing_mode,
        )
    if recipe.augmentation == "events":
        from msvit.data.events import augment_events

        return v2.Compose([augment_events(flip=recipe.flip), spec.evaluation_transform(input_size)])
    return spec.evaluation_transform(input_size)


def affine(recipe: Recipe, background: float) -> Callable[[Tensor], Tensor]:
    """Random turn, shift and size of one image; uncovered pixels take the background's value."""
    transform: Callable[[Tensor], Tensor] = v2.RandomAffine(
        degrees=recipe.rotate_degrees,
        translate=(recipe.translate, recipe.translate),
        scale=(1 - recipe.scale, 1 + recipe.scale),
        interpolation=InterpolationMode.BILINEAR,
        fill=background,
    )
    return transform
