"""`msvit-energy report`: one HTML page with charts, tables and a protocol switch, from one profile or several."""

from pathlib import Path
from typing import Annotated

import typer

from msvit_energy.commands._options import PriceOfAc, PriceOfMac, Protocol, TechnologyName
from msvit_energy.pricing.protocols import get_protocol
from msvit_energy.pricing.technology import get_technology, with_prices

EXAMPLES = """
msvit-energy report energy/profile.json --html energy.html
msvit-energy report before/profile.json after/profile.json --html both.html --protocol exact
"""


def report(
    profiles: Annotated[
        list[Path], typer.Argument(help="One profile.json or more, or their folders; several are compared.")
    ],
    html: Annotated[Path, typer.Option(help="The page to write.")],
    protocol: Protocol = "appendix-c",
    technology: TechnologyName = "45nm-fp32",
    e_mac: PriceOfMac = None,
    e_ac: PriceOfAc = None,
    force: Annotated[bool, typer.Option("--force", help="Replace --html if it exists.")] = False,
) -> None:
    """Write one page that opens offline: totals, stages, firing rates, layers, at any protocol and price."""
    from msvit_energy.workflows.report_page import check_page_file, write_page

    check_page_file(html, force)
    get_protocol(protocol)
    prices = with_prices(get_technology(technology), e_mac, e_ac)
    write_page(profiles, html, protocol, prices)
    print(html)
