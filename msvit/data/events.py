"""Event data: streams of (t, x, y, polarity) binned into frames, and what is done to frames.

A frame counts events: channel 0 those of polarity 0 (OFF, darker), channel 1 those of polarity 1 (ON, brighter). Every
sample is cut into T frames of equally many events, in the order of the stream, the last one taking what is left over;
the binning is SpikingJelly's (`split_by="number"`), as in the training files of Spikformer, SDT and QKFormer.
"""

import math
import zipfile
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from spikingjelly.datasets.utils import integrate_events_by_fixed_frames_number
from torch import Tensor
from torch.nn import functional
from torchvision.transforms import v2

from msvit.data.samples import LabelledDataset
from msvit.errors import ModelError, UnreadableFileError

Events = dict[str, np.ndarray[Any, Any]]  # at least "x", "y", "p" (0 or 1), each [number of events], in order of time
Where = TypeVar("Where")


def to_frames(events: Events, time_steps: int, height: int, width: int) -> Tensor:
    """Events -> `[T, 2, H, W]` float32 counts."""
    timed = events | {"t": events["p"]}  # cut by number, times are only counted; a quarter of the reading is theirs
    frames = integrate_events_by_fixed_frames_number(timed, "number", time_steps, height, width)
    return torch.from_numpy(frames).float()


class EventFrames(LabelledDataset):
    """Samples as (frames `[T, 2, H, W]` float32 through `transform`, label), binned when they are reached.

    `samples` are (where, label); `load(where)` gives the events. What cannot be loaded raises UnreadableFileError.
    """

    def __init__(
        self,
        samples: Sequence[tuple[Where, int]],
        load: Callable[[Where], Events],
        classes: Sequence[str],
        size: tuple[int, int],
        time_steps: int,
        transform: Callable[[Tensor], Any] | None = None,
    ) -> None:
        self.samples, self.load, self.classes = samples, load, tuple(classes)
        self.size, self.time_steps, self.transform = size, time_steps, transform

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> tuple[Any, int]:
        where, label = self.samples[index]
        try:
            frames = to_frames(self.load(where), self.time_steps, *self.size)
        except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile, zlib.error) as error:
            name = "/".join(Path(str(where)).parts[-2:])  # class and file, or a number
            raise UnreadableFileError(f"cannot read events {where}: {error}", name, str(error)) from error
        return (frames if self.transform is None else self.transform(frames)), label


class MeanPool:
    """Frames `[..., H, W]` -> `[..., H / factor, W / factor]`, each the mean of factor x factor pixels.

    SDT trains its CIFAR10-DVS model on frames that `torchvision.transforms.Resize(64)` made of 128 x 128 (train.py,
    dvs_utils): bilinear without antialiasing, as torchvision did to tensors until 0.16, which at half the size is this
    mean. The sum, which keeps the number of events, is factor^2 times it.
    """

    def __init__(self, factor: int) -> None:
        self.factor = factor

    def __call__(self, frames: Tensor) -> Tensor:
        return functional.avg_pool2d(frames, self.factor)


def pooling(native: tuple[int, int, int], input_size: tuple[int, int, int], name: str) -> int:
    """By which whole factor `native` (2, H, W) must be pooled to `input_size`; ModelError if none does it."""
    factor = max(1, native[1] // input_size[1])
    if input_size != (native[0], native[1] / factor, native[2] / factor):
        shown = [" x ".join(map(str, size)) for size in (input_size, native)]
        raise ModelError(
            f"the model takes {shown[0]} frames, {name} has {shown[1]}; frames are pooled by whole factors only, "
            f"such as to 2 x {native[1] // 2} x {native[2] // 2}"
        )
    return factor


class Roll(v2.Transform):
    """Shift by up to a share of the sides, in both directions; what leaves on one side enters on the other."""

    def __init__(self, share: float) -> None:
        super().__init__()
        self.share = share

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        most = [int(self.share * side) for side in flat_inputs[0].shape[-2:]]
        return {"shifts": [int(torch.randint(-side, side + 1, ())) for side in most]}

    def transform(self, inpt: Tensor, params: dict[str, Any]) -> Tensor:
        return inpt.roll(params["shifts"], (-2, -1))


class Translate(v2.Transform):
    """Shift by up to so many pixels along one axis, -1 (x) or -2 (y); zeros come in."""

    def __init__(self, pixels: int, axis: int) -> None:
        super().__init__()
        self.pixels, self.axis = pixels, axis

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        return {"shift": int(torch.randint(-self.pixels, self.pixels + 1, ()))}

    def transform(self, inpt: Tensor, params: dict[str, Any]) -> Tensor:
        shift, side = params["shift"], inpt.shape[self.axis]
        kept = inpt.narrow(self.axis, max(0, -shift), side - abs(shift))
        padding = [max(0, shift), max(0, -shift)]
        return functional.pad(kept, padding if self.axis == -1 else [0, 0, *padding])


def cutout() -> v2.Transform:
    """A square of 0.1 % to 11 % of the area set to 0, the same in all frames."""
    return v2.RandomErasing(p=1, scale=(0.001, 0.11), ratio=(1, 1), value=0)


def augment_events(flip: float = 0.5) -> Callable[[Tensor], Tensor]:
    """Spikformer's and QKFormer's augmentation of frames `[T, 2, H, W]`, all T alike: a horizontal flip with
    probability `flip`, then one of: nothing, a shear along x of up to 0.3, a shift by up to 5 pixels along x or y, a
    rotation by up to 30 degrees, cutout. Nearest pixels are taken, so counts stay counts."""
    shear = math.degrees(0.3)
    return _one_of(
        flip,
        [
            v2.Identity(),
            v2.RandomAffine(0, shear=(-shear, shear)),
            Translate(5, -1),
            Translate(5, -2),
            v2.RandomRotation(30),
            cutout(),
        ],
    )


def neuromorphic_augmentation(flip: float = 0.5) -> Callable[[Tensor], Tensor]:
    """After NDA (Li et al., ECCV 2022) on frames `[T, 2, H, W]`, all T alike: a horizontal flip with probability
    `flip`, then one of: rolling by up to 5/48 of the sides, a rotation or a shear along x by up to 30 degrees (these
    three as in the authors' code), cutout."""
    return _one_of(flip, [Roll(5 / 48), v2.RandomRotation(30), v2.RandomAffine(0, shear=(-30, 30)), cutout()])


def _one_of(flip: float, operations: list[v2.Transform]) -> Callable[[Tensor], Tensor]:
    """All random numbers are torch's, which DataLoader workers seed differently."""
    transform: Callable[[Tensor], Tensor] = v2.Compose([v2.RandomHorizontalFlip(flip), v2.RandomChoice(operations)])
    return transform
