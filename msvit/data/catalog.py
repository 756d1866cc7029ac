"""The data sets that can be trained and profiled on, by name."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from msvit.data import digits
from msvit.data.preprocessing import IMAGENET_MEAN, IMAGENET_STD, Preprocessing, normalisation
from msvit.data.samples import LabelledDataset
from msvit.errors import ModelError, did_you_mean

Size = tuple[int, int, int]
Transform = Callable[[Any], Any]

# what needs torchvision, SpikingJelly's data sets or Pillow is imported when it is opened, not with every model


@dataclass(frozen=True)
class DatasetSpec:
    """What a named data set is: its samples, and how to open it."""

    name: str
    classes: int  # 0: as many as the folder has
    input_size: Size  # C, H, W of a sample (of a frame), or to which it is usually brought
    kind: str  # "image" or "events"
    has_folder: bool
    load: Callable[[Any, str, Transform | None, Any], LabelledDataset]  # what `open` calls with checked arguments
    about: str  # source, sizes, split
    mean: tuple[float, ...] | None = None  # of the channels, pixels in [0, 1]; None for events
    std: tuple[float, ...] | None = None
    crop: float = 1.0  # share of the resized side that evaluation keeps, up to the input size above

    def open(
        self, root: Path | None, split: str, transform: Transform | None = None, time_steps: int | None = None
    ) -> LabelledDataset:
        """ "train" or "test" as (sample through `transform`, label); the opened set's `classes` are names, by label.

        `root` is the folder of a set that has one, None otherwise. `transform` gets a PIL RGB image, the normalised
        tensor (digits), or frames `[T, 2, H, W]`, for which events need `time_steps`. ModelError for whatever is wrong.
        """
        if split not in ("train", "test"):
            raise ModelError(f"split must be 'train' or 'test', not {split!r}")
        if self.has_folder and root is None:
            raise ModelError(f"{self.name} needs the folder that it is in")
        if root is not None and not self.has_folder:
            raise ModelError(f"{self.name} is part of the installation and takes no folder, not {str(root)!r}")
        if root is not None and not root.is_dir():
            raise ModelError(f"{self.name}: no folder {str(root)!r}")
        if self.kind == "events" and (time_steps is None or time_steps < 1):
            raise ModelError(
                f"{self.name} is event data and needs a number of time steps, at least 1, not {time_steps}"
            )
        return self.load(root, split, transform, time_steps)

    @property
    def title(self) -> str:
        """What its images are called: those of folders are usually ImageNet's."""
        return "ImageNet" if self.name == "folder" else self.name

    def evaluation_transform(self, input_size: Size) -> Transform:
        """The usual preprocessing of test samples for a model that takes `input_size`; ModelError if none is."""
        return evaluation_transform(self, input_size)

    def preprocessing(self, input_size: Size) -> Preprocessing:
        """Of images, for a model that takes `input_size`; ModelError if it takes neither 1 nor 3 channels."""
        assert self.mean is not None and self.std is not None
        mean, std = normalisation(input_size[0], self.mean, self.std)
        crop = self.crop if max(input_size[1:]) <= self.input_size[1] else 1.0
        return Preprocessing(tuple(mean), tuple(std), int(max(input_size[1:]) / crop))


def dataset_spec(name: str) -> DatasetSpec:
    """The entry of that name; an unknown one raises ModelError with the list."""
    if name not in DATASETS:
        raise ModelError(f"unknown data set {name!r}; {did_you_mean(name, DATASETS)}data sets: {', '.join(DATASETS)}")
    return DATASETS[name]


def evaluation_transform(chosen: str | DatasetSpec, input_size: Size) -> Transform:
    """What is done to a test sample for a model that takes `input_size` (C, H, W); ModelError if it cannot be given.

    Images are resized (bicubic), cropped in the centre and normalised; with 1 channel they are made grey. The digits
    are ready as they are, and have one size. Frames are left as they are, or pooled by a whole factor (`MeanPool`).
    """
    spec = dataset_spec(chosen) if isinstance(chosen, str) else chosen
    if spec.kind == "events":
        from msvit.data.events import MeanPool, pooling

        factor = pooling(spec.input_size, input_size, spec.name)
        return MeanPool(factor) if factor > 1 else unchanged
    if spec.name == "digits":
        if input_size != spec.input_size:
            raise ModelError(f"the model takes {by(input_size)} images, digits has {by(spec.input_size)}")
        return unchanged
    from msvit.data.images import evaluation

    return evaluation(input_size, spec.preprocessing(input_size))


def described_samples(spec: DatasetSpec, input_size: Size, time_steps: int | None = None) -> str:
    """How samples of digits and of events come, in words."""
    if spec.kind == "events":
        factor = spec.input_size[1] // input_size[1]
        pooled = f", mean of {factor} x {factor} pixels" if factor > 1 else ""
        return f"{time_steps} frames of equally many events, OFF and ON counted apart{pooled}"
    return f"pixels / 16, bilinear to 12 x 12, mean {digits.MEAN}, std {digits.STD}"


def unchanged(sample: Any) -> Any:
    """The transform of samples that are ready as they are."""
    return sample


def by(size: Size) -> str:
    """A size in words, such as 3 x 32 x 32."""
    return " x ".join(map(str, size))


def _digits(root: None, split: str, transform: Transform | None, time_steps: int | None) -> LabelledDataset:
    return digits.Digits(split, transform)


def _digits_dvs(root: None, split: str, transform: Transform | None, time_steps: int) -> LabelledDataset:
    from msvit.data.digits_dvs import open_digits_dvs

    return open_digits_dvs(split, transform, time_steps=time_steps)


def _cifar10(root: Path, split: str, transform: Transform | None, time_steps: int | None) -> LabelledDataset:
    from msvit.data.cifar import CIFAR10, open_cifar

    return open_cifar(CIFAR10, root, split, transform)


def _cifar100(root: Path, split: str, transform: Transform | None, time_steps: int | None) -> LabelledDataset:
    from msvit.data.cifar import CIFAR100, open_cifar

    return open_cifar(CIFAR100, root, split, transform)


def _cifar10_dvs(root: Path, split: str, transform: Transform | None, time_steps: int) -> LabelledDataset:
    from msvit.data.cifar10_dvs import open_cifar10_dvs

    return open_cifar10_dvs(root, split, transform, time_steps=time_steps)


def _dvs128_gesture(root: Path, split: str, transform: Transform | None, time_steps: int) -> LabelledDataset:
    from msvit.data.dvs128_gesture import open_dvs128_gesture

    return open_dvs128_gesture(root, split, transform, time_steps=time_steps)


def _train_val(root: Path, split: str, transform: Transform | None, time_steps: int | None) -> LabelledDataset:
    from msvit.data.images import open_train_val

    return open_train_val(root, split, transform)


_ALL = (
    DatasetSpec(
        name="digits",
        classes=10,
        input_size=digits.INPUT_SIZE,
        kind="image",
        has_folder=False,
        load=_digits,
        mean=(digits.MEAN,),
        std=(digits.STD,),
        about="scikit-learn's handwritten digits (UCI optdigits), shipped; 1,442 train, 355 test (every fifth)",
    ),
    DatasetSpec(
        name="digits-dvs",
        classes=10,
        input_size=(2, 32, 32),
        kind="events",
        has_folder=False,
        load=_digits_dvs,
        about="the same digits before a simulated event camera, three saccades as in N-MNIST; split as digits",
    ),
    DatasetSpec(
        name="cifar10",
        classes=10,
        input_size=(3, 32, 32),
        kind="image",
        has_folder=True,
        load=_cifar10,
        mean=(0.4914, 0.4822, 0.4465),
        std=(0.2470, 0.2435, 0.2616),
        about="Krizhevsky 2009, cifar-10-batches-py; 50,000 train, 10,000 test, as published",
    ),
    DatasetSpec(
        name="cifar100",
        classes=100,
        input_size=(3, 32, 32),
        kind="image",
        has_folder=True,
        load=_cifar100,
        # its own, as in SDT's files; QKFormer's cifar100.yml has CIFAR10's
        mean=(0.5071, 0.4867, 0.4408),
        std=(0.2675, 0.2565, 0.2761),
        about="Krizhevsky 2009, cifar-100-python; 50,000 train, 10,000 test, as published; the 100 fine labels",
    ),
    DatasetSpec(
        name="cifar10-dvs",
        classes=10,
        input_size=(2, 128, 128),
        kind="events",
        has_folder=True,
        load=_cifar10_dvs,
        about="Li et al. 2017; 9,000 train, 1,000 test: the first 90 % of each class, as Spikformer and QKFormer",
    ),
    DatasetSpec(
        name="dvs128-gesture",
        classes=11,
        input_size=(2, 128, 128),
        kind="events",
        has_folder=True,
        load=_dvs128_gesture,
        about="Amir et al. 2017; 1,176 train, 288 test, by people, as published (cut by the label files)",
    ),
    DatasetSpec(
        name="folder",
        classes=0,
        input_size=(3, 224, 224),
        kind="image",
        has_folder=True,
        load=_train_val,
        mean=IMAGENET_MEAN,
        std=IMAGENET_STD,
        crop=224 / 256,  # up to 224, as in MSViT's and QKFormer's files
        about="train/ and val/ with a folder of images for each class, such as ImageNet; val is the test split",
    ),
)
DATASETS: Mapping[str, DatasetSpec] = MappingProxyType({spec.name: spec for spec in _ALL})
