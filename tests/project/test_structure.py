"""The street: which room may import which, held for every file of the two packages."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = sorted(path for package in ("msvit", "msvit_energy") for path in (ROOT / package).rglob("*.py"))
PLAIN = {"errors", "profiles", "pricing", "reporting"}
# room -> the rooms of msvit_energy that it may import beside itself; "msvit" is the other package, "" the top of this
STREET = {
    "errors": set(),
    "meta_tensors": set(),
    "profiles": {"errors"},
    "pricing": {"errors", "profiles"},
    "recording": {"errors", "meta_tensors", "profiles"},
    "dense": {"errors", "meta_tensors", "profiles"},
    "reporting": {"errors", "profiles", "pricing"},
    "preparation": {"recording", "dense"},
    "profiler": {"errors", "preparation", "profiles", "recording", "dense"},
    "geometry": {"errors", "profiles", "recording", "profiler"},
    "precision": {"errors", "profiles", "recording", "profiler"},
    "monitor": {"errors", "preparation", "profiles", "pricing", "profiler", "recording"},
    "lightning": {"monitor"},
    "workflows": {"", *PLAIN, "recording", "dense", "profiler", "geometry", "precision", "msvit"},
    "commands": {"", *PLAIN, "workflows"},
    "": {*PLAIN, "preparation", "profiler", "monitor", "workflows"},
    "__main__": {"commands"},
}


def imported(path: Path, *, for_types: bool = True) -> Iterator[str]:
    """Dotted names of what a file imports, wherever in it; perhaps without what only type checkers import."""
    tree = ast.parse(path.read_text())
    hidden = {
        inner
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if node in hidden and not for_types:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def room(name: str) -> str:
    """The room of `msvit_energy` that a dotted name lies in; empty for what the package itself exports."""
    part = name.split(".")[1] if "." in name else ""
    return part if part in STREET else ""


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_go_down_the_street(path: Path) -> None:
    package, *place = path.relative_to(ROOT).with_suffix("").parts
    names = list(imported(path))
    if package == "msvit":
        assert not [name for name in names if name.split(".")[0] == "msvit_energy"]
        return
    here = "" if place[0] == "__init__" else place[0]
    assert here in STREET, f"{path} is in no room of the street"
    rooms = {room(name) for name in names if name.split(".")[0] == "msvit_energy"}
    rooms |= {"msvit" for name in names if name.split(".")[0] == "msvit"}
    assert rooms - {here} <= STREET[here]


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_what_prices_and_renders_imports_no_torch(path: Path) -> None:
    package, *place = path.relative_to(ROOT).with_suffix("").parts
    if package == "msvit_energy" and place[0] in {*PLAIN, "commands"}:
        assert not {"torch", "torchvision", "timm", "spikingjelly"} & {
            name.split(".")[0] for name in imported(path, for_types=False)
        }


def test_saved_profiles_are_priced_compared_and_reported_without_torch() -> None:
    rooms = ["reporting.page", "reporting.comparison", "reporting.figures.tradeoff", "profiles.firing_maps"]
    rooms += [f"workflows.{name}" for name in ("published.published_pricing", "measuring.merging")]
    rooms += [f"workflows.{name}" for name in ("comparison", "heatmaps", "report_page")]
    code = (
        f"import sys, {', '.join(f'msvit_energy.{room}' for room in rooms)}; "
        "from msvit_energy.commands import energy, compare, report, heatmap; assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
