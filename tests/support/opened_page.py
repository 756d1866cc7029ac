"""The report page as tests open it in a browser: pages of ordinary and of hostile names, and what a page did."""

from dataclasses import replace
from pathlib import Path

from playwright.sync_api import Browser

from msvit_energy import EnergyReport
from msvit_energy.pricing.energy_units import energy_text
from msvit_energy.pricing.technology import TECHNOLOGIES
from msvit_energy.profiles.provenance import Provenance
from msvit_energy.reporting.page import page as written
from tests.support.reported_profiles import LAYER, NEURON, profiles, renamed

SCRIPT = "<script>alert(1)</script>"
MARKUP = "<img src=x onerror=alert(1)><b>&lt;</b>"
NAMES = {LAYER: SCRIPT, NEURON: MARKUP, "stage2": '=HYPERLINK("http://x", 1)'}
LONG = "block." * 40
NOTHING = "\N{EN DASH}"  # in a cell that has no value
FP32 = TECHNOLOGIES["45nm-fp32"]


def write_pages(folder: Path) -> dict[str, Path]:
    """Pages: of one profile, and of three of which the first has hostile and long names."""
    first = renamed(profiles()["four"], NAMES | {"patch_embed3": LONG}, folder)
    hostile = replace(first, provenance=Provenance.of({"model": {"name": SCRIPT}, "warnings": [SCRIPT, LONG]}))
    others = {name: profiles()[name] for name in ("two", "single")}
    for name, shown in (("one", {"four": profiles()["four"]}), ("three", {SCRIPT: hostile} | others)):
        (folder / f"{name}.html").write_text(written(shown, "appendix-c", FP32), encoding="utf-8")
    return {name: folder / f"{name}.html" for name in ("one", "three")}


class Opened:
    """A page with everything that it asked for and complained about."""

    def __init__(self, browser: Browser, file: Path) -> None:
        self.page = page = browser.new_page(viewport={"width": 1280, "height": 900}, reduced_motion="reduce")
        self.requests: list[str] = []
        self.complaints: list[str] = []
        page.on("request", lambda request: self.requests.append(request.url))
        page.on("console", lambda message: self.complaints.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("dialog", lambda dialog: (self.complaints.append(f"dialog: {dialog.message}"), dialog.dismiss()))
        page.goto(file.as_uri())

    def reset(self) -> None:
        """As it was when it opened; to open it again would take seconds."""
        self.page.emulate_media(color_scheme="light", media="screen")
        self.page.evaluate("window.dispatchEvent(new Event('afterprint'))")
        self.page.set_viewport_size({"width": 1280, "height": 900})
        self.page.evaluate("""() => {
            clearTimeout(typing);
            history.replaceState(null, "", location.pathname);
            document.activeElement.blur();
            readAddress();
        }""")

    def column(self, number: int) -> list[str]:
        """The cells of a column of the table of layers."""
        return self.page.locator(f"#layer-table tbody tr > :nth-child({number})").all_text_contents()


def total(report: EnergyReport) -> str:
    """A total as the command line prints it."""
    spread = report.spread
    margin = "" if spread is None or not report.total_pj else f" ± {spread.half_width / spread.mean:.1%}"
    return energy_text(report.total_mj).replace("uJ", "µJ") + margin
