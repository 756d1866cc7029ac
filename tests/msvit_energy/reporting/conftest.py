"""The report page in a browser (Debian's Chromium, or the one that MSVIT_ENERGY_CHROMIUM names)."""

from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from tests.support.browser import launched
from tests.support.opened_page import Opened, write_pages


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One browser for all tests; without one they are skipped, except where CI promises one."""
    with launched() as opened:
        yield opened


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
