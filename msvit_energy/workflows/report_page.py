"""The report page of saved profiles as a file."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from msvit_energy import Profile
from msvit_energy.errors import EnergyError
from msvit_energy.pricing.technology import Technology, get_technology
from msvit_energy.reporting.comparison import labels
from msvit_energy.reporting.formatting import title
from msvit_energy.reporting.output_folder import check_file_free, written_together
from msvit_energy.reporting.page import page


def report(
    profiles: Profile | Mapping[str, Profile],
    html: str | Path | None = None,
    *,
    protocol: str = "appendix-c",
    technology: str | Technology = "45nm-fp32",
) -> str:
    """The report page of one profile, or of several by label, as text; also written to `html` if that is given."""
    named = {title(profiles): profiles} if isinstance(profiles, Profile) else profiles
    prices = get_technology(technology)
    text = page(named, protocol, prices)
    if html is not None:
        with written_together(Path(html).parent) as folder:
            (folder / Path(html).name).write_text(text, encoding="utf-8", errors="replace")
    return text


def check_page_file(path: Path, force: bool) -> None:
    """EnergyError unless the page may be written there."""
    if path.is_dir():
        raise EnergyError(f"{path} is a folder; --html needs the name of a file")
    check_file_free(path, force)


def write_page(paths: Sequence[Path], html: Path, protocol: str, technology: Technology) -> None:
    """Write the page, which opens with that protocol and those prices."""
    profiles = dict(zip(labels(paths), map(Profile.load, paths), strict=True))
    report(profiles, html, protocol=protocol, technology=technology)
