"""`msvit-energy protocols`: the accounting protocols and what each says to the questions that matter."""

import json
from typing import Any

from msvit_energy.commands._options import AsJson
from msvit_energy.commands._terminal import console
from msvit_energy.pricing.protocols import PROTOCOLS
from msvit_energy.pricing.technology import TECHNOLOGIES

EXAMPLES = """
msvit-energy protocols
msvit-energy protocols --json
"""


def protocols(
    as_json: AsJson = False,
) -> None:
    """List protocols with their answers (what counts, at whose rate, at which price), and technologies."""
    from rich.padding import Padding
    from rich.text import Text

    rows = described()
    if as_json:
        print(json.dumps(rows, indent=1))
        return
    out = console()
    for row in rows:
        out.print(Text(row["protocol"], style="bold"))
        lines = {"Source": row["source"]} | row["answers"]
        lines |= {f"Option {name}": " (default), ".join(values) for name, values in row["options"].items()}
        for question, answer in lines.items():
            out.print(Padding(Text.assemble((f"{question}: ", "italic"), answer), (0, 0, 0, 2)))
        out.print()
    out.print(Text("technologies", style="bold"))
    for technology in TECHNOLOGIES.values():
        text = f"{technology.name}: E_MAC {technology.e_mac} pJ, E_AC {technology.e_ac} pJ ({technology.source})"
        out.print(Padding(Text(text), (0, 0, 0, 2)))


def described() -> list[dict[str, Any]]:
    """One object per protocol."""
    return [
        {
            "protocol": protocol.name,
            "source": protocol.source,
            "answers": protocol.answers.by_question(),
            "options": {name: list(values) for name, values in protocol.options.items()},
        }
        for protocol in PROTOCOLS.values()
    ]
