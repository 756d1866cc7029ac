"""What was counted of every single image: the counts whose moments a profile keeps, in a file beside it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from msvit_energy.errors import EnergyError
from msvit_energy.profiles.amounts import Moments
from msvit_energy.profiles.text_files import read_bytes

SUFFIX = ".per_image.safetensors"
INDEX = "index"  # among the arrays in the file: of the images in their data set
MOST_BYTES = 2**32
MOST_HEADER = 4 * 2**20  # bytes, of the names of tens of thousands of counts
INT64 = 2**63


@dataclass(frozen=True, eq=False)
class ImageCounts:
    """`counts` of single images, whole numbers `[keys, images]` in the order of measurement, by the names that Moments
    has. `indices` `[images]` are the places of the images in their data set, None where they are not known.

    Both are arrays in int64. `+` joins the counts of disjoint images.
    """

    keys: tuple[str, ...]
    counts: Any
    indices: Any = None

    @property
    def images(self) -> int:
        """How many images they are of."""
        return int(self.counts.shape[1])

    def in_order(self) -> "ImageCounts":
        """The same images, sorted by their places in the data set, which must be known."""
        import numpy as np

        order = np.argsort(self.indices)
        return ImageCounts(self.keys, self.counts[:, order], self.indices[order])

    def select(self, keys: Sequence[str], source: Mapping[str, tuple[str, int]]) -> "ImageCounts":
        """The counts of `keys`, where `source` has the stored count and the factor whose product a missing one is."""
        places = {key: place for place, key in enumerate(self.keys)}
        chosen = [(key, 1) if key in places else source[key] for key in keys]
        rows = [places[key] for key, _ in chosen]
        return ImageCounts(tuple(keys), self.counts[rows], self.indices).multiplied([factor for _, factor in chosen])

    def multiplied(self, times: Sequence[int]) -> "ImageCounts":
        """The counts, each so many times as large. OverflowError beyond int64."""
        import numpy as np

        largest = self.counts.max(axis=1, initial=0).tolist()
        if any(count * factor >= INT64 for count, factor in zip(largest, times, strict=True)):
            raise OverflowError("more events in one image than int64 holds")
        return ImageCounts(self.keys, self.counts * np.array(times, np.int64)[:, None], self.indices)

    def __add__(self, other: "ImageCounts") -> "ImageCounts":
        import numpy as np

        if self.keys != other.keys:
            raise ValueError("other counts do not add")
        known = self.indices is not None and other.indices is not None
        indices = np.concatenate([self.indices, other.indices]) if known else None
        return ImageCounts(self.keys, np.concatenate([self.counts, other.counts], axis=1), indices)


def path_beside(profile: Path) -> Path:
    """Where the counts of single images of a saved profile are."""
    return profile.with_name(profile.stem + SUFFIX)


def save(counts: ImageCounts, path: Path) -> None:
    """Write one array in int64 per count, under its name, and the places of the images in their data set."""
    from safetensors.numpy import save as as_bytes

    arrays = dict(zip(counts.keys, counts.counts, strict=True))
    path.write_bytes(as_bytes(arrays if counts.indices is None else {**arrays, INDEX: counts.indices}))


def load(path: Path, moments: Moments) -> ImageCounts:
    """Counts of single images, those whose moments a profile has; EnergyError for others, and for a damaged file."""
    import numpy as np

    arrays = _arrays(read_bytes(path, MOST_BYTES, "counts of single images"), path)
    indices = arrays.pop(INDEX, None)
    lengths = {array.shape for array in [*arrays.values(), *([] if indices is None else [indices])]}
    if (
        any(array.dtype != np.int64 for array in arrays.values())
        or len(lengths) > 1
        or any(len(s) != 1 for s in lengths)
    ):
        raise EnergyError(f"{path} is damaged: expected arrays of int64, one number for each image")
    if indices is not None and (indices.dtype != np.int64 or len(np.unique(indices)) < len(indices)):
        raise EnergyError(f"{path} is damaged: an image stands twice in it")
    wrong = sorted(arrays.keys() ^ set(moments.keys)) or [
        key for key, total in zip(moments.keys, moments.sums, strict=True) if sum(arrays[key].tolist()) != total
    ]
    if wrong:
        raise EnergyError(f"{path} is not of the profile beside it: {len(wrong)} counts differ, such as {wrong[0]!r}")
    empty = np.zeros((0, 0), np.int64)
    return ImageCounts(moments.keys, np.stack([arrays[key] for key in moments.keys]) if arrays else empty, indices)


def _arrays(content: bytes, path: Path) -> dict[str, Any]:
    from safetensors.numpy import load as from_bytes

    header = int.from_bytes(content[:8], "little")
    if header > MOST_HEADER:
        raise EnergyError(f"{path} is damaged: its header has {header} bytes, at most {MOST_HEADER} are read")
    try:
        return dict(from_bytes(content))
    except Exception as error:  # a damaged file can fail in any way; nothing of our own runs in here
        reason = " ".join(str(error).split()) or type(error).__name__
        raise EnergyError(f"{path} is damaged: {reason}") from error
