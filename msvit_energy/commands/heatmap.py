"""`msvit-energy heatmap`: draw a saved profile, or the difference of two."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from msvit_energy import EnergyReport, Profile

KINDS = {"rates": "firing_rates", "energy": "energy", "bubble": "bubble"}  # and what the file is called
DIFFERENCE = "firing_rates_difference"


def heatmap(
    profile: Annotated[Path, typer.Argument(help="A profile.json.")],
    against: Annotated[Path | None, typer.Option(help="Another profile.json, whose rates are subtracted.")] = None,
    kind: Annotated[str, typer.Option(help="rates, energy, bubble, or all of them as PNG and SVG.")] = "rates",
    protocol: Annotated[str | None, typer.Option(help="Accounting protocol. [default: appendix-c]")] = None,
    technology: Annotated[
        str | None, typer.Option(help="Prices per operation: a name or a .toml file. [default: 45nm-fp32]")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="A .png or .svg file; of all kinds a folder. [default: in the current folder]")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace files that exist.")] = False,
) -> None:
    """Draw firing rates (layers x time steps), the energy of every layer, or rate x energy x MACs of every operator."""
    from msvit_energy import Profile
    from msvit_energy.reporting.figures import firing_rate_difference, save
    from msvit_energy.reporting.output_folder import written_together

    check(kind, against, protocol, technology)
    if kind == "all":
        draw_all(profile, protocol, technology, out or Path(), force)
        return
    path = out or Path(f"{DIFFERENCE if against else KINDS[kind]}.png")
    check_file(path, force)
    measured = Profile.load(profile)
    if against is None:
        figure = draw(measured, kind, protocol, technology)
    else:
        figure = firing_rate_difference(measured, Profile.load(against), (str(profile), str(against)))
    with written_together(path.parent) as folder:
        save(figure, folder / path.name)
    print(path)


def check(kind: str, against: Path | None, protocol: str | None, technology: str | None) -> None:
    """EnergyError for options that are unknown or do not go together, before anything is read or written."""
    from msvit_energy.errors import EnergyError
    from msvit_energy.pricing.protocols import get_protocol
    from msvit_energy.pricing.technology import get_technology

    if kind not in (*KINDS, "all"):
        raise EnergyError(f"unknown kind {kind!r}; kinds: {', '.join(KINDS)}, all")
    if against is not None and kind != "rates":
        raise EnergyError(f"--against compares firing rates: it goes with --kind rates, not {kind}")
    if kind == "rates" and (protocol is not None or technology is not None):
        raise EnergyError("--protocol and --technology go with --kind energy, bubble or all: rates have no price")
    get_protocol(protocol or "appendix-c")
    get_technology(technology or "45nm-fp32")


def check_file(path: Path, force: bool) -> None:
    """EnergyError unless `path` can be a figure by its name, and may be written."""
    from msvit_energy.errors import EnergyError
    from msvit_energy.reporting.figures.style import check_suffix
    from msvit_energy.reporting.output_folder import check_free

    check_suffix(path)
    check_free(path.parent, (), force)
    if path.is_dir():
        raise EnergyError(f"{path} is a folder, not a file")
    if path.exists() and not force:
        raise EnergyError(f"{path} exists; --force replaces it")


def draw(measured: "Profile", kind: str, protocol: str | None, technology: str | None) -> "Figure":
    """One figure of one profile."""
    from msvit_energy.reporting.figures import energy_bars, firing_rate_heatmap, rate_energy_bubbles

    if kind == "rates":
        return firing_rate_heatmap(measured)
    drawing = energy_bars if kind == "energy" else rate_energy_bubbles
    return drawing(measured, priced(measured, protocol, technology))


def draw_all(profile: Path, protocol: str | None, technology: str | None, out: Path, force: bool) -> None:
    """Write every figure of which the profile has something to draw, as PNG and SVG."""
    from msvit_energy import Profile
    from msvit_energy.reporting.figures import FILES, save_figures
    from msvit_energy.reporting.output_folder import check_free, written_together

    check_free(out, FILES, force)
    measured = Profile.load(profile)
    report = priced(measured, protocol, technology)
    with written_together(out, FILES) as folder:
        save_figures(measured, report, folder)
        written = [name for name in FILES if (folder / name).exists()]
    for name in written:
        print(out / name)


def priced(measured: "Profile", protocol: str | None, technology: str | None) -> "EnergyReport":
    """The price by the protocol and technology of the command line, or by the defaults."""
    from msvit_energy import price

    return price(measured, protocol or "appendix-c", technology or "45nm-fp32")
