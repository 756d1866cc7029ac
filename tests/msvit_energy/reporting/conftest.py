"""The report page in a browser (Debian's Chromium, or the one that MSVIT_ENERGY_CHROMIUM names)."""

import os
import shutil
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright

from tests.support.opened_page import Opened, write_pages


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One browser for all tests; without one they are skipped, except where CI promises one."""
    path = os.environ.get("MSVIT_ENERGY_CHROMIUM") or shutil.which("chromium")
    if path is None:
        missing = "no browser: install Debian's chromium, or name one in MSVIT_ENERGY_CHROMIUM"
        if os.environ.get("CI") in ("true", "1"):
            pytest.fail(missing)
        pytest.skip(missing)
    with sync_playwright() as playwright:
        root = hasattr(os, "geteuid") and os.geteuid() == 0
        launched = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"] if root else [])
        yield launched
        launched.close()


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return write_pages(tmp_path_factory.mktemp("pages"))


@pytest.fixture(scope="module")
def pages(browser: Browser, files: dict[str, Path]) -> Callable[[str], Opened]:
    """A page by name, opened once."""
    return cache(lambda name: Opened(browser, files[name]))


@pytest.fixture
def opened(pages: Callable[[str], Opened], files: dict[str, Path], request: pytest.FixtureRequest) -> Iterator[Opened]:
    """The page that the test names; up to its end it must have fetched nothing but the file, and not complained."""
    name = getattr(request, "param", "one")
    shown = pages(name)
    yield shown
    outside = [url for url in shown.requests if not url.startswith(("data:", "blob:"))]
    assert (outside, shown.complaints) == ([files[name].as_uri()], [])
    shown.reset()
