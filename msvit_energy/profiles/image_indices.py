"""Sets of image indices as sorted ranges, and as text: "0-31,40"."""

import re
from collections.abc import Iterable, Sequence

from msvit_energy.errors import EnergyError

RANGE = re.compile(r"([0-9]{1,18})(?:-([0-9]{1,18}))?")


def write_ranges(indices: Iterable[int]) -> str:
    """Indices as text, sorted, runs joined: [3, 0, 1] -> "0-1,3"."""
    return as_text(sorted_ranges(range(index, index + 1) for index in indices))


def read_ranges(text: str) -> list[range]:
    """The inverse, as ranges of which no two touch; EnergyError for anything else."""
    ranges = []
    for part in filter(None, text.split(",")):
        if (ends := RANGE.fullmatch(part)) is None:
            raise EnergyError(f"image indices must look like 0-31,40, not {text!r}")
        ranges.append(range(int(ends[1]), int(ends[2] or ends[1]) + 1))
    return sorted_ranges(ranges)


def as_text(ranges: Iterable[range]) -> str:
    """Ranges as they are: "0-1,3"."""
    return ",".join(str(each.start) if len(each) == 1 else f"{each.start}-{each.stop - 1}" for each in ranges)


def sorted_ranges(ranges: Iterable[range]) -> list[range]:
    """The same indices in sorted ranges of which no two touch."""
    found: list[range] = []
    for each in sorted(filter(None, ranges), key=lambda part: part.start):
        if found and each.start <= found[-1].stop:
            found[-1] = range(found[-1].start, max(found[-1].stop, each.stop))
        else:
            found.append(each)
    return found


def overlap(a: Sequence[range], b: Sequence[range]) -> list[range]:
    """Indices in both of two sets of ranges, in neither of which two touch."""
    common, end = [], 0
    for each in sorted([*a, *b], key=lambda part: part.start):
        if each.start < end:
            common.append(range(each.start, min(each.stop, end)))
        end = max(end, each.stop)
    return common
