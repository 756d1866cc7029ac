"""Saved profiles joined into one file."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from msvit_energy import Profile
from msvit_energy.profiles.image_counts import path_beside
from msvit_energy.profiles.merge import merge
from msvit_energy.profiles.provenance import command_line
from msvit_energy.reporting.output_folder import check_file_free, written_together


def merge_files(paths: Sequence[Path], out: Path, force: bool) -> Profile:
    """Write the joined profile to `out` and return it; EnergyError if images are in more than one."""
    check_file_free(out, force)
    parts = (Profile.load(path, per_image=True) for path in paths)
    joined = merge(parts, [str(path) for path in paths])
    joined = replace(joined, provenance=joined.provenance.stamped(command_line()))
    with written_together(out.parent, [path_beside(out).name]) as folder:
        joined.save(folder / out.name)
    return joined
