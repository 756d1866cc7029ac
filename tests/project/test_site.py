"""The site: it builds without a warning, asks nobody for anything, and has what the program says."""

import json
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
from playwright.sync_api import expect

from msvit_energy.commands import app
from msvit_energy.pricing.protocols import PROTOCOLS
from msvit_energy.pricing.technology import TECHNOLOGIES
from msvit_energy.workflows.loading.shipped_geometry import model_records
from tests.support.browser import launched
from tests.support.documentation import ROOT


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    build = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]  # --quiet hides warnings
    done = subprocess.run(build, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="module")
def address(site: Path) -> Iterator[str]:
    """The site on a server; search scripts do not run from a folder."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(site))) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.mark.slow
def test_in_a_browser_pages_search_fit_a_phone_and_ask_nobody(address: str) -> None:
    asked: list[str] = []
    errors: list[str] = []
    with launched() as browser:
        page = browser.new_page(viewport={"width": 390, "height": 844}, color_scheme="dark")
        page.on("request", lambda request: asked.append(request.url))
        page.on("pageerror", lambda error: errors.append(str(error)))
        for name in ("index", "tutorial/energy-column", "how-to/own-network", "explanation/table1", "reference/files"):
            page.goto(f"{address}/{name}.html")
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), name
            assert page.evaluate("document.body.dataset.mdColorScheme") == "slate"
        page.set_viewport_size({"width": 1280, "height": 900})
        page.goto(f"{address}/index.html")
        page.get_by_placeholder("Search").click()
        page.get_by_placeholder("Search").press_sequentially("break-even")
        expect(page.locator(".md-search-result__link").first).to_be_visible()
        assert page.locator(".md-search-result__link[href*='explanation/hardware']").count() > 0
    assert len(asked) > 10
    assert [url for url in asked if not url.startswith(address)] == []
    assert errors == []


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
