"""Figures of a saved profile, or of the difference of two, as files."""

from pathlib import Path

from msvit_energy import Profile, price
from msvit_energy.errors import EnergyError
from msvit_energy.pricing.protocols import get_protocol
from msvit_energy.pricing.technology import get_technology
from msvit_energy.profiles.firing_maps import load
from msvit_energy.reporting import figures
from msvit_energy.reporting.figures.look import Look
from msvit_energy.reporting.figures.maps import firing_maps
from msvit_energy.reporting.figures.page import ScalingFigure
from msvit_energy.reporting.figures.style import FORMATS, check_suffix
from msvit_energy.reporting.output_folder import check_file_free, check_free, written_together

KINDS = {"rates": "firing_rates", "energy": "energy", "bubble": "bubble", "maps": "maps"}  # and what the file is called
DIFFERENCE = "firing_rates_difference"
PROTOCOL, TECHNOLOGY = "appendix-c", "45nm-fp32"  # where none is given


def check_options(kind: str, against: Path | None, protocol: str | None, technology: str | None, look: Look) -> None:
    """EnergyError for options that are unknown or do not go together, before anything is read or written."""
    if kind not in (*KINDS, "all"):
        raise EnergyError(f"unknown kind {kind!r}; kinds: {', '.join(KINDS)}, all")
    if against is not None and kind != "rates":
        raise EnergyError(f"--against compares firing rates: it goes with --kind rates, not {kind}")
    if kind in ("rates", "maps") and (protocol is not None or technology is not None):
        raise EnergyError("--protocol and --technology go with --kind energy, bubble or all: rates have no price")
    if kind in ("energy", "bubble") and look.cmap is not None:
        raise EnergyError(f"--cmap goes with --kind rates, maps or all: the colours of --kind {kind} have meanings")
    if kind == "all" and look.title not in (None, "none"):
        raise EnergyError("--title goes with one figure; with --kind all it is none or left out")
    get_protocol(protocol or PROTOCOL)
    get_technology(technology or TECHNOLOGY)


def draw_file(
    profile: Path,
    against: Path | None,
    kind: str,
    protocol: str | None,
    technology: str | None,
    out: Path | None,
    force: bool,
    look: Look,
) -> tuple[list[Path], list[str]]:
    """Write one figure; its path, and the lines that the look leaves out of it."""
    suffix = ".pdf" if look.paper else ".png"
    path = out or Path(f"{DIFFERENCE if against else KINDS[kind]}{suffix}")
    check_figure_file(path, force)
    measured = Profile.load(profile)
    if against is not None:
        figure = figures.firing_rate_difference(
            measured, Profile.load(against), (str(profile), str(against)), look=look
        )
    elif kind == "maps":
        beside = profile if profile.is_dir() else profile.parent
        figure = firing_maps(*load(beside / "maps.npz"), measured, look=look)
    else:
        figure = draw(measured, kind, protocol, technology, look)
    with written_together(path.parent) as folder:
        figures.save(figure, folder / path.name, look.resolution)
    return [path], list(figure.notes)


def draw_all(
    profile: Path, protocol: str | None, technology: str | None, out: Path | None, force: bool, look: Look
) -> tuple[list[Path], list[str]]:
    """Write every figure of which the profile has something to draw, in every format; their paths, and the lines that
    the look leaves out of them."""
    out = out or Path()
    check_free(out, figures.FILES, force)
    measured = Profile.load(profile)
    report = price(measured, protocol or PROTOCOL, technology or TECHNOLOGY)
    with written_together(out, figures.FILES) as folder:
        notes = figures.save_figures(measured, report, folder, look, FORMATS)
        written = [name for name in figures.FILES if (folder / name).exists()]
    return [out / name for name in written], notes


def check_figure_file(path: Path, force: bool) -> None:
    """EnergyError unless `path` can be a figure by its name, and may be written."""
    check_suffix(path)
    check_free(path.parent, (), force)
    if path.is_dir():
        raise EnergyError(f"{path} is a folder, not a file")
    check_file_free(path, force)


def draw(profile: Profile, kind: str, protocol: str | None, technology: str | None, look: Look) -> ScalingFigure:
    """One figure of one profile."""
    if kind == "rates":
        return figures.firing_rate_heatmap(profile, look=look)
    drawing = figures.energy_bars if kind == "energy" else figures.rate_energy_bubbles
    return drawing(profile, price(profile, protocol or PROTOCOL, technology or TECHNOLOGY), look=look)
