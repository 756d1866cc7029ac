"""Sets of image indices as text: "0-31,40"."""

from collections.abc import Iterable

from msvit_energy.errors import EnergyError


def write_ranges(indices: Iterable[int]) -> str:
    """Sorted, runs joined: [3, 0, 1] -> "0-1,3"."""
    parts: list[list[int]] = []
    for index in sorted(indices):
        if parts and index == parts[-1][1] + 1:
            parts[-1][1] = index
        else:
            parts.append([index, index])
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in parts)


def read_ranges(text: str) -> list[int]:
    """The inverse; EnergyError for anything else."""
    indices: list[int] = []
    for part in filter(None, text.split(",")):
        ends = part.split("-")
        if len(ends) > 2 or not all(end.isdigit() for end in ends):
            raise EnergyError(f"image indices must look like 0-31,40, not {text!r}")
        indices += range(int(ends[0]), int(ends[-1]) + 1)
    return indices
