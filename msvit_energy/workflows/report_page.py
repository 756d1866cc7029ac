"""The report page of saved profiles as a file."""

from collections.abc import Sequence
from pathlib import Path

from msvit_energy import Profile
from msvit_energy.errors import EnergyError
from msvit_energy.pricing.technology import Technology
from msvit_energy.reporting.comparison import labels
from msvit_energy.reporting.output_folder import check_file_free, written_together
from msvit_energy.reporting.page import page


def check_page_file(path: Path, force: bool) -> None:
    """EnergyError unless the page may be written there."""
    if path.is_dir():
        raise EnergyError(f"{path} is a folder; --html needs the name of a file")
    check_file_free(path, force)


def write_page(paths: Sequence[Path], html: Path, protocol: str, technology: Technology) -> None:
    """Write the page, which opens with that protocol and those prices."""
    profiles = dict(zip(labels(paths), map(Profile.load, paths), strict=True))
    with written_together(html.parent) as folder:
        (folder / html.name).write_text(page(profiles, protocol, technology), encoding="utf-8", errors="replace")
