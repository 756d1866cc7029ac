"""Messages that the documentation quotes are those of the program."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "when-to-trust-the-number.md"
QUOTED = re.findall(r'^\| "(.+?)" \|', PAGE.read_text(), flags=re.MULTILINE)


@cache
def texts() -> str:
    """Every text in the code of the package, a line each; what is put in at run time is "…"."""
    found = []
    for path in (ROOT / "msvit_energy").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.JoinedStr):
                parts = (part.value if isinstance(part, ast.Constant) else "…" for part in node.values)
                found.append("".join(map(str, parts)))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.append(node.value)
    return "\n".join(" ".join(text.split()) for text in found)


def test_the_page_quotes_messages() -> None:
    assert len(QUOTED) > 15


@pytest.mark.parametrize("message", QUOTED)
def test_a_quoted_message_is_one_of_the_program(message: str) -> None:
    pattern = re.escape(message).replace("…", "…+")
    assert re.search(pattern, texts())
