"""What every opened data set is."""

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

from torch.utils.data import Dataset


class Labelled(Dataset[tuple[Any, int]]):
    """Samples as (tensor or image, label); `classes` are the names of the labels."""

    classes: Sequence[str]

    @abstractmethod
    def __len__(self) -> int: ...
