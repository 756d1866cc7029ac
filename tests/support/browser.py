"""A browser for tests of pages: Debian's Chromium, or the one that MSVIT_ENERGY_CHROMIUM names."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import Browser, sync_playwright


@contextmanager
def launched() -> Iterator[Browser]:
    """One browser; without one the test is skipped, except where CI promises one."""
    path = os.environ.get("MSVIT_ENERGY_CHROMIUM") or shutil.which("chromium")
    if path is None:
        missing = "no browser: install Debian's chromium, or name one in MSVIT_ENERGY_CHROMIUM"
        if os.environ.get("CI") in ("true", "1"):
            pytest.fail(missing)
        pytest.skip(missing)
    with sync_playwright() as playwright:
        root = hasattr(os, "geteuid") and os.geteuid() == 0
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"] if root else [])
        yield browser
        browser.close()
