"""The direction of imports that the two packages promise."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SOURCES = sorted(path for package in ("msvit", "msvit_energy") for path in (ROOT / package).rglob("*.py"))


def imported(path: Path) -> set[str]:
    """Top-level packages that a file imports, wherever in the file; imports for type checkers only are left out."""
    tree = ast.parse(path.read_text())
    hidden = {
        inner
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    names = set()
    for node in ast.walk(tree):
        if node in hidden:
            continue
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module.split(".")[0])
    return names


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_models_know_nothing_of_the_profiler_and_only_commands_know_both(path: Path) -> None:
    place = path.relative_to(ROOT).parts
    if place[0] == "msvit":
        assert "msvit_energy" not in imported(path)
    elif place[1] != "commands":
        assert "msvit" not in imported(path)


RENDERING = [
    *(
        "records",
        "protocols",
        "technology",
        "energy",
        "tables",
        "sheet",
        "comparison",
        "published",
        "page",
        "page_data",
    ),
    *(f"figures/{path.stem}" for path in sorted((ROOT / "msvit_energy" / "figures").glob("*.py"))),
]


@pytest.mark.parametrize("name", RENDERING)
def test_what_prices_and_renders_imports_no_torch(name: str) -> None:
    assert "torch" not in imported(ROOT / "msvit_energy" / f"{name}.py")


def test_saved_profiles_are_priced_compared_and_reported_without_torch() -> None:
    commands = ("energy", "compare", "report", "heatmap")
    code = (
        "import sys, msvit_energy.page, msvit_energy.comparison, msvit_energy.figures.tradeoff, msvit_energy.maps; "
        f"from msvit_energy.commands import {', '.join(commands)}; assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
