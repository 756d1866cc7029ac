"""`msvit-energy technologies`: prices of operations, memory and chips, with their sources."""

import json
from dataclasses import asdict
from typing import Any

from msvit_energy.commands._options import AsJson
from msvit_energy.commands._terminal import console
from msvit_energy.pricing.chips import CHIPS, PROCESSORS
from msvit_energy.pricing.memory_prices import DRAMS, KB, SRAMS
from msvit_energy.pricing.technology import TECHNOLOGIES

SIZES = (8 * KB, 32 * KB, KB * KB)  # bytes, at which prices of buffers are shown

EXAMPLES = """
msvit-energy technologies
msvit-energy energy profile.json --technology 45nm-fp32:sram=per-32-bits
"""


def technologies(
    as_json: AsJson = False,
) -> None:
    """List prices with what their sources say: operations, on-chip and off-chip memory, chips."""
    from rich.padding import Padding
    from rich.text import Text

    found = listed()
    if as_json:
        print(json.dumps(found, indent=1))
        return
    out = console()
    for heading, entries in found.items():
        out.print(Text(heading.replace("_", " "), style="bold"))
        for entry in entries:
            facts = {key: value for key, value in entry.items() if key not in ("name", "source") and value is not None}
            prices = ", ".join(f"{key} {value}" for key, value in facts.items() if value != "")
            out.print(
                Padding(Text.assemble((entry["name"], "italic"), f": {prices} ({entry['source']})"), (0, 0, 0, 2))
            )
        out.print()


def listed() -> dict[str, list[dict[str, Any]]]:
    """All prices by kind, as plain data; in pJ."""
    srams = [
        {"name": name}
        | {f"pj_per_32_bits_of_{size // KB}_kb": round(sram.access_pj(size, 32), 3) for size in SIZES}
        | {"source": sram.source}
        for name, sram in SRAMS.items()
    ]
    return {
        "technologies": [asdict(technology) for technology in TECHNOLOGIES.values()],
        "on_chip_memory": srams,
        "off_chip_memory": [{"name": name} | asdict(dram) for name, dram in DRAMS.items()],
        "chips": [asdict(chip) for chip in CHIPS.values()],
        "processors": [asdict(processor) for processor in PROCESSORS.values()],
    }
