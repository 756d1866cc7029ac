"""Parts of pages that the program itself writes: a line `<!-- generated: NAME -->` becomes what NAME gives."""

import json
import re
from collections.abc import Callable, Iterable
from typing import Any

from mkdocs.exceptions import PluginError
from mkdocs.structure.pages import Page
from typer.testing import CliRunner

from msvit_energy.commands import COMMANDS, app
from msvit_energy.commands.protocols import described
from msvit_energy.commands.technologies import listed
from msvit_energy.profiles.json_schema import profile_schema
from msvit_energy.reporting.formatting import size_text
from msvit_energy.workflows.loading.shipped_geometry import model_records

WIDTH = 88  # of help: what a page shows without scrolling
MARK = re.compile(r"^<!-- generated: (\S+) -->$", flags=re.MULTILINE)


def on_page_markdown(markdown: str, page: Page, **_: Any) -> str:
    """Replace the marks."""

    def part(mark: re.Match[str]) -> str:
        if mark[1] not in PARTS:
            raise PluginError(f"{page.file.src_uri}: no generated part {mark[1]!r}; parts: {', '.join(PARTS)}")
        return PARTS[mark[1]]()

    return MARK.sub(part, markdown)


def table(columns: Iterable[str], rows: Iterable[Iterable[object]]) -> str:
    """A Markdown table."""
    names = list(columns)
    lines = [names, ["---"] * len(names), *rows]
    return "\n".join("| " + " | ".join(str(cell).replace("|", "\\|") for cell in line) + " |" for line in lines)


def commands() -> str:
    """Help of all commands, as the terminal shows it."""
    parts = []
    for panel, modules in COMMANDS.items():
        parts.append(f"## {panel}")
        for module in modules:
            name = module.__name__.rpartition(".")[2]
            parts.append(f"### {name}\n\n```text\n{help_of(name)}\n```")
    return "\n\n".join(parts)


def help_of(*names: str) -> str:
    """What `-h` prints."""
    shown = CliRunner().invoke(app, [*names, "-h"], prog_name="msvit-energy", terminal_width=WIDTH)
    if shown.exit_code != 0:
        raise PluginError(f"the help of {' '.join(names)} ends with exit code {shown.exit_code}: {shown.output}")
    return shown.stdout.strip()


def protocols() -> str:
    """Every protocol with its source, its answers and its options."""
    parts = []
    for row in described():
        answers = dict(row["answers"])
        for option, (default, *others) in row["options"].items():
            answers[f"`:{option}=`"] = ", ".join([f"`{default}` (default)", *(f"`{other}`" for other in others)])
        parts.append(
            f"## {row['protocol']}\n\nSource: {row['source']}\n\n{table(('question', 'answer'), answers.items())}"
        )
    return "\n\n".join(parts)


def technologies() -> str:
    """All prices by kind; what a source does not say is empty."""
    parts = []
    for kind, entries in listed().items():
        columns = list(dict.fromkeys(key for entry in entries for key in entry))
        columns.sort(key=lambda name: (name != "name", name == "source"))
        rows = [["" if (cell := entry.get(name)) is None else cell for name in columns] for entry in entries]
        heading = kind.replace("_", " ").replace("chip", "-chip" if "_" in kind else "chip").replace(" -", "-")
        parts.append(f"## {heading[0].upper()}{heading[1:]}\n\n{table(map(column_name, columns), rows)}")
    return "\n\n".join(parts)


def column_name(name: str) -> str:
    """`e_mac` as a heading."""
    known = {"e_mac": "E_MAC (pJ)", "e_ac": "E_AC (pJ)", "e_sop": "per SOP (pJ)", "e_neuron": "per neuron update (pJ)"}
    return known.get(name, name.replace("e_spike", "per spike (pJ)").replace("_", " "))


def models() -> str:
    """Every registered model by family."""
    families: dict[str, list[dict[str, Any]]] = {}
    for row in model_records():
        families.setdefault(row["family"], []).append(row)
    parts = []
    for family, rows in families.items():
        cells = [
            (
                f"`{row['name']}`",
                f"{row['parameters']:,}",
                size_text(row["input_size"]),
                row["time_steps"],
                f"{row['macs_per_step'] / 1e9:.4f}",
                row["source"],
            )
            for row in rows
        ]
        parts.append(f"## {family}\n\n{table(('name', 'parameters', 'input', 'T', 'GMACs', 'source'), cells)}")
    return "\n\n".join(parts)


def profile_fields() -> str:
    """Every object of profile.json with its fields."""
    parts = []
    for name, entry in profile_schema()["$defs"].items():
        required = entry.get("required", [])
        rows = [
            (f"`{field}`", type_of(facts) + ("" if field in required else "; optional"), facts.get("description", ""))
            for field, facts in entry["properties"].items()
        ]
        parts.append(f"### {name}\n\n{entry['description']}\n\n{table(('field', 'type', 'meaning'), rows)}")
    return "\n\n".join(parts)


def type_of(facts: dict[str, Any]) -> str:
    """A type of the schema in words; names of other objects are links."""
    if reference := facts.get("$ref"):
        name = reference.rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    if "anyOf" in facts:
        return " or ".join(type_of(choice) for choice in facts["anyOf"])
    if "const" in facts or "enum" in facts:
        return ", ".join(f"`{json.dumps(value)}`" for value in facts.get("enum", [facts.get("const")]))
    kind = facts.get("type", "any")
    if kind == "array":
        items = [*facts.get("prefixItems", []), *([facts["items"]] if facts.get("items") else [])]
        return "list of " + ", ".join(map(type_of, items)) if items else "list"
    if kind == "object" and isinstance(facts.get("additionalProperties"), dict):
        return f"object of {type_of(facts['additionalProperties'])}"
    return f"{kind}{bounds_of(facts)}"


def bounds_of(facts: dict[str, Any]) -> str:
    """The bounds of a number where they are not those of the format."""
    signs = {">=": facts.get("minimum"), ">": facts.get("exclusiveMinimum"), "<=": facts.get("maximum")}
    return ",".join(f" {sign} {bound}" for sign, bound in signs.items() if bound is not None and abs(bound) < 2**62)


PARTS: dict[str, Callable[[], str]] = {
    "commands": commands,
    "models": models,
    "profile-fields": profile_fields,
    "protocols": protocols,
    "technologies": technologies,
}
