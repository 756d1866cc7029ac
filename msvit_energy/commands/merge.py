"""`msvit-energy merge`: join profiles of disjoint images of one data set."""

from pathlib import Path
from typing import Annotated

import typer


def merge(
    profiles: Annotated[list[Path], typer.Argument(help="Two profile.json or more.")],
    out: Annotated[Path, typer.Option(help="The joined profile.")],
    force: Annotated[bool, typer.Option("--force", help="Replace --out if it exists.")] = False,
) -> None:
    """Join profiles exactly, as if all images had been measured in one go. Images may be in one of them only."""
    from dataclasses import replace

    from msvit_energy import EnergyError, Profile
    from msvit_energy.profiles.merge import merge as merged
    from msvit_energy.profiles.provenance import command_line
    from msvit_energy.reporting.output_folder import written_together

    if out.exists() and not force:
        raise EnergyError(f"{out} exists; --force replaces it")
    joined = merged([Profile.load(path) for path in profiles], [str(path) for path in profiles])
    joined = replace(joined, provenance=joined.provenance.stamped(command_line()))
    with written_together(out.parent) as folder:
        joined.save(folder / out.name)
    print(f"{out}: {joined.images} images of {len(profiles)} profiles")
