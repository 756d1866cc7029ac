"""An opened data set: samples with labels, and where they come from."""

from abc import abstractmethod
from collections.abc import Sequence, Sized
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from torch.utils.data import Dataset, Subset

from msvit.errors import ModelError

UNKNOWN = -1  # label of a sample without a class


class LabelledDataset(Dataset[tuple[Any, int]]):
    """torch's Dataset of (tensor or image, label); `classes` are the names of the labels."""

    classes: Sequence[str]

    @abstractmethod
    def __len__(self) -> int: ...


@dataclass(frozen=True)
class Samples:
    """The samples to measure on, in the order in which they are used, and where they come from."""

    dataset: Dataset[Any]
    name: str
    split: str
    classes: int  # 0 without labels
    input_size: tuple[int, int, int]
    preprocessing: str
    frames: bool = False  # whether a sample is over time, `[T, ...]`
    warnings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()  # what is done to the samples, where the user may expect something else
    drawn: str = ""  # how the images were chosen, where they are not all
    indices: tuple[int, ...] = ()  # of the images, in the whole split

    def __post_init__(self) -> None:
        if not self.indices:
            object.__setattr__(self, "indices", tuple(range(len(self))))

    def __len__(self) -> int:
        assert isinstance(self.dataset, Sized)
        return len(self.dataset)

    def locate(self, name: str) -> int:
        """Position of the image with that number or, in a folder, file name (the end of its path); ModelError if there
        is none, or more than one."""
        if name.isdigit() and int(name) in self.indices:
            return self.indices.index(int(name))
        parts = Path(name).parts
        files = [Path(path) for path, _ in getattr(self.dataset, "files", ())]
        found = [position for position, path in enumerate(files) if parts and path.parts[-len(parts) :] == parts]
        if len(found) != 1:
            what = f"{len(found)} images are called" if found else "no image is called"
            raise ModelError(f"{self.name}: {what} {name!r}; give its file name or its number, 0 to {len(self) - 1}")
        return found[0]

    def take(self, positions: Sequence[int], drawn: str) -> "Samples":
        """Some of the images, in the given order; `drawn` says how they were chosen."""
        described = ", ".join(filter(None, (self.drawn, drawn)))
        chosen = tuple(self.indices[position] for position in positions)
        return replace(self, dataset=Subset(self.dataset, list(positions)), drawn=described, indices=chosen)
