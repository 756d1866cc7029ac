"""What the documentation quotes, messages and code, is that of the program."""

import ast
import re
import shlex
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "explanation" / "when-to-trust-the-number.md"
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


GUIDE = (ROOT / "docs" / "how-to" / "adding-a-model-family.md").read_text()
CODE = re.findall(r"```python\n# (\S+)\n(.*?)```", GUIDE, flags=re.DOTALL)
COMMANDS = re.findall(r"^python (.+)$", GUIDE, flags=re.MULTILINE)


def test_the_guide_says_where_its_code_is_from() -> None:
    assert len(CODE) == GUIDE.count("```python") > 5


@pytest.mark.parametrize(("path", "code"), CODE)
def test_quoted_code_is_in_its_file(path: str, code: str) -> None:
    assert code in (ROOT / path).read_text()


def test_files_that_the_guide_names_are_there() -> None:
    linked = {"docs/how-to/" + link for link in re.findall(r"\]\(([^)\s]+)\)", GUIDE)}
    named = set(re.findall(r"`((?:msvit|tests)/[\w/]+\.py)`", GUIDE))
    assert len(linked) > 3 < len(named)
    assert not [path for path in linked | named if not (ROOT / path).is_file()]


def test_the_model_of_the_guide_is_short() -> None:
    assert len((ROOT / "msvit" / "models" / "max_resnet.py").read_text().splitlines()) < 150


@pytest.mark.slow
@pytest.mark.parametrize("command", COMMANDS)
def test_commands_of_the_guide_find_tests(command: str) -> None:
    collected = [sys.executable, *shlex.split(command), "--collect-only"]
    done = subprocess.run(collected, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout  # 5 if there are none


FAULTS = re.findall(
    r"^\| (.+?) \|.*\| `(\S+)::(\w+)` \|$", (ROOT / "docs" / "faults.md").read_text(), flags=re.MULTILINE
)


def test_every_fault_has_a_row_with_a_test() -> None:
    rows = [line for line in (ROOT / "docs" / "faults.md").read_text().splitlines() if line.startswith("| ")]
    assert len(rows) == len(FAULTS) + 2 > 20  # header and rule


@pytest.mark.parametrize(("fault", "file", "name"), FAULTS, ids=[name for _, _, name in FAULTS])
def test_the_test_of_a_fault_is_there(fault: str, file: str, name: str) -> None:
    tree = ast.parse((ROOT / file).read_text())
    assert name in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}, fault
