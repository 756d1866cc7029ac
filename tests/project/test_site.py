"""The site: it builds without a warning, asks nobody for anything, and has what the program says."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from msvit_energy.commands import app
from msvit_energy.pricing.protocols import PROTOCOLS
from msvit_energy.pricing.technology import TECHNOLOGIES
from msvit_energy.workflows.shipped_geometry import model_records
from tests.support.documentation import ROOT

FETCHED = re.compile(
    r"<(?:script|img|iframe|source|video|audio)\b[^>]*\bsrc=[\"']?(?:https?:)?//|"
    r"<link\b(?![^>]*rel=[\"']?canonical)[^>]*\bhref=[\"']?(?:https?:)?//|"
    r"@import\b[^;]*//|url\([\"']?(?:https?:)?//"
)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    build = [sys.executable, "-m", "mkdocs", "build", "--quiet", "--strict", "--site-dir", str(folder)]
    done = subprocess.run(build, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('<script src="https://cdn.example/x.js">', True),
        ("<link rel=stylesheet href=//fonts.example/css>", True),
        ("@font-face{src:url(https://fonts.example/x.woff)}", True),
        ('<a href="https://arxiv.org/abs/2505.14719">', False),
        ('<script src="assets/x.js">', False),
    ],
)
def test_what_a_page_fetches_is_told_from_what_it_links(text: str, found: bool) -> None:
    assert bool(FETCHED.search(text)) is found


@pytest.mark.slow
def test_no_page_asks_another_server_for_anything(site: Path) -> None:
    files = [path for path in site.rglob("*") if path.suffix in (".html", ".css")]
    assert len(files) > 50
    assert not [path for path in files if FETCHED.search(path.read_text())]


@pytest.mark.slow
def test_the_reference_has_all_that_the_program_has(site: Path) -> None:
    reference = {path.stem: path.read_text() for path in (site / "reference").glob("*.html")}
    for command in app.registered_commands:
        assert command.callback
        assert f"msvit-energy {command.callback.__name__} [OPTIONS]" in reference["commands"]
    for name in PROTOCOLS:
        assert f'<h2 id="{name}">' in reference["protocols"]
    for name in TECHNOLOGIES:
        assert f"<td>{name}</td>" in reference["technologies"]
    records = model_records()
    assert len(records) > 100
    assert [row["name"] for row in records if f"{row['parameters']:,}</td>" not in reference["models"]] == []
    schema = json.loads((ROOT / "msvit_energy" / "profiles" / "profile.schema.json").read_text())
    for entry in schema["$defs"].values():
        for field, facts in entry["properties"].items():
            assert f"<td><code>{field}</code></td>" in reference["files"]
            described = facts.get("description", "").partition("<")[0].partition(">")[0].partition("&")[0]
            assert described.partition('"')[0].partition("'")[0] in reference["files"], field


@pytest.mark.slow
def test_what_stands_outside_of_docs_is_there_and_links_lead_to_it(site: Path) -> None:
    assert "../reports/table1/table1.html" in (site / "explanation" / "table1.html").read_text()
    assert (site / "reports" / "table1" / "table1.html").is_file()
    assert (site / "reports" / "rivals" / "pareto.png").is_file()
    notebook = (site / "examples" / "compare_conventions.html").read_text()
    assert "all_choices" in notebook
    guide = (site / "how-to" / "adding-a-model-family.html").read_text()
    assert "<code>msvit/models/max_resnet.py</code>" in guide
    assert "max_resnet.py</code></a>" not in guide  # source code is not a part of the site
    for page in ("CONTRIBUTING", "CHANGELOG"):
        assert (site / f"{page}.html").is_file()


@pytest.mark.slow
def test_search_finds_pages_and_no_long_report(site: Path) -> None:
    index = json.loads((site / "search" / "search_index.json").read_text())["docs"]
    places = {entry["location"].partition("#")[0] for entry in index}
    assert "explanation/conventions.html" in places
    assert not [place for place in places if place.startswith("reports/")]
