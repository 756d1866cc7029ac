"""`msvit-energy report`: one HTML page with charts, tables and a protocol switch, from one profile or several."""

from pathlib import Path
from typing import Annotated

import typer


def report(
    profiles: Annotated[list[Path], typer.Argument(help="One profile.json or more; several are compared.")],
    html: Annotated[Path, typer.Option(help="The page to write.")],
    protocol: Annotated[str, typer.Option(help="Protocol it opens with; `protocols` lists them.")] = "appendix-c",
    technology: Annotated[str, typer.Option(help="Prices it opens with: a name or a .toml file.")] = "45nm-fp32",
    e_mac: Annotated[float | None, typer.Option(help="Price of a multiply-accumulate, in pJ.")] = None,
    e_ac: Annotated[float | None, typer.Option(help="Price of an accumulate, in pJ.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace --html if it exists.")] = False,
) -> None:
    """Write one page that opens offline: totals, stages, firing rates, layers, at any protocol and price."""
    from msvit_energy import Profile
    from msvit_energy.errors import EnergyError
    from msvit_energy.pricing.protocols import get_protocol
    from msvit_energy.pricing.technology import get_technology, with_prices
    from msvit_energy.reporting.comparison import labels
    from msvit_energy.reporting.output_folder import written_together
    from msvit_energy.reporting.page import page

    if html.is_dir():
        raise EnergyError(f"{html} is a folder; --html needs the name of a file")
    if html.exists() and not force:
        raise EnergyError(f"{html} exists; --force replaces it")
    get_protocol(protocol)
    prices = with_prices(get_technology(technology), e_mac, e_ac)
    opened = dict(zip(labels(profiles), map(Profile.load, profiles), strict=True))
    with written_together(html.parent) as folder:
        (folder / html.name).write_text(page(opened, protocol, prices), encoding="utf-8", errors="replace")
    print(html)
