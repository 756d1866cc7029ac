"""`msvit-energy merge`: join profiles of disjoint images of one data set."""

from pathlib import Path
from typing import Annotated

import typer

EXAMPLES = """
msvit-energy profile --ckpt weights.pth --data val/ --shard 0/2 --out first/
msvit-energy profile --ckpt weights.pth --data val/ --shard 1/2 --out second/
msvit-energy merge first/profile.json second/profile.json --out whole.json
"""


def merge(
    profiles: Annotated[list[Path], typer.Argument(help="Two profile.json or more, or their folders.")],
    out: Annotated[Path, typer.Option(help="The joined profile.")],
    force: Annotated[bool, typer.Option("--force", help="Replace --out if it exists.")] = False,
) -> None:
    """Join profiles exactly, as if all images had been measured in one go. Images may be in one of them only."""
    from msvit_energy.workflows.measuring.merging import merge_files

    joined = merge_files(profiles, out, force)
    print(f"{out}: {joined.images} images of {len(profiles)} profiles")
