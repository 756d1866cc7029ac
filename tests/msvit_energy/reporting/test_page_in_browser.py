"""The report page in a browser (Debian's Chromium, or the one that MSVIT_ENERGY_CHROMIUM names)."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Literal

import pandas as pd
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from msvit_energy import EnergyReport, price
from msvit_energy.pricing.break_even import break_even
from msvit_energy.pricing.protocols import all_choices
from msvit_energy.pricing.technology import TECHNOLOGIES, Technology
from msvit_energy.profiles.provenance import Provenance
from msvit_energy.reporting.page import page as written
from tests.support.browser import launched
from tests.support.reported_profiles import LAYER, NEURON, ODD_PRICES, profiles, renamed

pytestmark = pytest.mark.slow


SCRIPT = "<script>alert(1)</script>"
MARKUP = "<img src=x onerror=alert(1)><b>&lt;</b>"
NAMES = {LAYER: SCRIPT, NEURON: MARKUP, "stage2": '=HYPERLINK("http://x", 1)'}
LONG = "block." * 40
NOTHING = "\N{EN DASH}"  # in a cell that has no value
FP32 = TECHNOLOGIES["45nm-fp32"]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One browser for all tests."""
    with launched() as browser:
        yield browser


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Pages: of one profile, and of three of which the first has hostile and long names."""
    folder = tmp_path_factory.mktemp("pages")
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
        self.page.emulate_media(color_scheme="light")
        self.page.set_viewport_size({"width": 1280, "height": 900})
        self.page.evaluate("""() => {
            Object.assign(state, { protocol: "appendix-c", search: "", sort: { column: "order", descending: false } });
            byId("search").value = "";
            document.activeElement.blur();
            chooseTechnology(0);
            chooseProfile(content.profiles[0]);
        }""")

    def column(self, number: int) -> list[str]:
        """The cells of a column of the table of layers."""
        return self.page.locator(f"#layer-table tbody tr > :nth-child({number})").all_text_contents()


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


def total(report: EnergyReport) -> str:
    """A total as the command line prints it."""
    spread = report.spread
    margin = "" if spread is None or not report.total_pj else f" ± {spread.half_width / spread.mean:.1%}"
    return f"{report.total_mj:.5g} mJ{margin}"


@pytest.mark.parametrize("opened", ["one", "three"], indirect=True)
def test_the_page_opens_without_requests_or_complaints(opened: Opened) -> None:
    assert opened.page.locator("#rate-chart .heatmaplayer image").count() == 1
    assert opened.page.locator("#stage-chart .bars .point").count() > 6
    opened.page.keyboard.press("Tab")
    assert opened.page.evaluate("document.activeElement.textContent") == "Skip to the totals"


def test_every_protocol_at_any_price_gives_the_totals_of_the_command_line(opened: Opened) -> None:
    page, profile = opened.page, profiles()["four"]
    for e_mac, e_ac in ((4.6, 0.9), ODD_PRICES):
        page.fill("#e-mac", str(e_mac))
        page.fill("#e-ac", str(e_ac))
        for choice in all_choices():
            page.select_option("#protocol", choice)
            report = price(profile, choice, replace(FP32, name="own", e_mac=e_mac, e_ac=e_ac))
            assert page.text_content("#result") == total(report), choice
            shown = [float(cell) for cell in opened.column(11) if cell != NOTHING]
            assert len(shown) == sum(row.counted for row in report.rows)
            assert sum(shown) == pytest.approx(report.total_mj, rel=1e-3, abs=1e-5)


def test_rows_are_those_of_the_command_line(opened: Opened) -> None:
    report = price(profiles()["four"])
    assert opened.column(3) == [row.layer for row in report.rows]
    energies = [f"{row.energy_pj / 1e9:.6f}" if row.counted else NOTHING for row in report.rows]
    assert opened.column(11) == energies
    shares = [f"{report.share(row):.1%}" if row.counted else NOTHING for row in report.rows]
    assert opened.column(13) == shares
    margins = [f"± {row.spread.half_width / row.energy_pj:.1%}" if row.spread else NOTHING for row in report.rows]
    assert opened.column(12) == margins
    assert opened.page.text_content("#layer-table tfoot td:nth-of-type(4)") == f"{report.total_mj:.6f}"


def test_a_technology_fills_the_prices_and_own_prices_are_called_so(opened: Opened) -> None:
    page = opened.page
    page.select_option("#technology", label="45nm-int32")
    assert (page.input_value("#e-mac"), page.input_value("#e-ac")) == ("3.2", "0.1")
    assert page.text_content("#result") == total(price(profiles()["four"], technology="45nm-int32"))
    page.fill("#e-ac", "0.2")
    assert page.locator("#technology option:checked").text_content() == "own prices"
    page.fill("#e-ac", "0.1")
    assert page.locator("#technology option:checked").text_content() == "45nm-int32"


def test_what_is_no_price_is_said_and_changes_nothing(opened: Opened) -> None:
    before = opened.page.text_content("#result")
    for wrong in ("-1", "", "1e999"):
        opened.page.fill("#e-mac", wrong)
        assert opened.page.text_content("#price-error") == "A price is a number in pJ, 0 or more."
        assert opened.page.get_attribute("#e-mac", "aria-invalid") == "true"
        assert opened.page.text_content("#result") == before
    opened.page.fill("#e-mac", "4.6")
    assert opened.page.text_content("#price-error") == ""
    assert opened.page.text_content("#result") == before


def test_rows_sort_by_energy_and_by_name_both_ways(opened: Opened) -> None:
    page = opened.page
    in_order = opened.column(3)
    for direction in ("descending", "ascending"):
        page.get_by_role("button", name="mJ", exact=True).click()
        cells = opened.column(11)
        known = [float(cell) for cell in cells if cell != NOTHING]
        assert known == sorted(known, reverse=direction == "descending")
        assert cells[len(known) :] == [NOTHING] * (len(cells) - len(known))  # what is left out stays last
        assert page.get_attribute("th[data-column=energy]", "aria-sort") == direction
    for reverse in (False, True):
        page.get_by_role("button", name="Layer", exact=True).click()
        assert opened.column(3) == sorted(in_order, key=alphabetical, reverse=reverse)
        assert page.get_attribute("th[data-column=energy]", "aria-sort") == "none"
    page.get_by_role("button", name="#", exact=True).click()
    assert opened.column(3) == in_order


def alphabetical(name: str) -> str:
    """Underscores and full stops before digits, digits before letters, as dictionaries sort."""
    return name.translate(str.maketrans("_.", "\x01\x02"))


def test_numbers_in_names_sort_by_their_value(opened: Opened) -> None:
    rows = '[{layer: "a.10"}, {layer: "a.9"}, {layer: null, order: 3}, {layer: "b.1"}]'
    found = opened.page.evaluate(f"sorted({rows}, {{column: 'layer', descending: false}}).map((row) => row.layer)")
    assert found == ["a.9", "a.10", "b.1", None]


def test_a_header_sorts_by_keyboard(opened: Opened) -> None:
    page = opened.page
    button = page.get_by_role("button", name="Share", exact=True)
    page.get_by_role("button", name="Interval", exact=True).focus()
    page.keyboard.press("Tab")
    assert button.evaluate("(element) => getComputedStyle(element).outlineStyle") == "solid"
    page.keyboard.press("Enter")
    assert page.get_attribute("th[data-column=share]", "aria-sort") == "descending"
    assert page.evaluate("document.activeElement.textContent") == "Share"
    page.keyboard.press("Enter")
    assert page.get_attribute("th[data-column=share]", "aria-sort") == "ascending"


def test_search_keeps_the_rows_that_have_all_words(opened: Opened) -> None:
    page = opened.page
    everything = opened.column(3)
    page.fill("#search", "STAGE1 tssa")
    wanted = [name for name in everything if name.startswith("stage1") and "tssa" in name]
    assert opened.column(3) == wanted
    assert page.text_content("#shown") == f"{len(wanted)} of {len(everything)} rows"
    assert page.text_content("#layer-table tfoot th") == f"The {len(wanted)} rows shown"
    rows = {row.layer: row for row in price(profiles()["four"]).rows}
    energy = sum(rows[name].energy_pj for name in wanted)
    assert page.text_content("#layer-table tfoot td:nth-of-type(4)") == f"{energy / 1e9:.6f}"
    page.fill("#search", "nothing like this")
    assert opened.column(3) == []


def save(page: Page, folder: Path) -> Path:
    """The file behind the CSV button."""
    with page.expect_download() as download:
        page.get_by_role("button", name="Save all rows as CSV").click()
    path = folder / download.value.suggested_filename
    download.value.save_as(path)
    return path


def test_the_csv_adds_up_to_the_total_shown(opened: Opened, tmp_path: Path) -> None:
    page = opened.page
    page.select_option("#protocol", "exact:integers=macs")
    page.fill("#e-mac", str(ODD_PRICES[0]))
    page.fill("#e-ac", str(ODD_PRICES[1]))
    page.fill("#search", "stage1")  # hides rows of the table, not of the file
    path = save(page, tmp_path)
    assert path.name == "four-exact_integers=macs.csv"
    frame = pd.read_csv(path)
    report = price(profiles()["four"], "exact:integers=macs", Technology("own", *ODD_PRICES, ""))
    assert f"{frame.energy_pj.sum() / 1e9:.5g} mJ" == str(page.text_content("#result")).partition(" ±")[0]
    assert list(frame.energy_pj) == pytest.approx([row.energy_pj for row in report.rows], rel=1e-15)
    assert list(frame.layer) == [row.layer for row in report.rows]
    assert list(frame.ci95_low_pj) == pytest.approx([row.spread.interval[0] for row in report.rows if row.spread])
    assert set(frame.protocol) == {"exact:integers=macs"}
    assert (set(frame.e_mac_pj), set(frame.e_ac_pj)) == ({3.3}, {0.7})


@pytest.mark.parametrize("opened", ["three"], indirect=True)
def test_names_are_text_everywhere(opened: Opened, tmp_path: Path) -> None:
    page = opened.page
    assert page.locator(".warnings li").first.text_content() == f"{SCRIPT}: {SCRIPT}"
    assert page.locator("#profiles tbody td").first.text_content() == SCRIPT
    assert SCRIPT in opened.column(3)
    assert page.locator("#layer-table script, #layer-table img, .chart img, #profiles script").count() == 0
    assert MARKUP in page.locator("#rate-chart .yaxislayer-above text").all_text_contents()
    assert any("HYPERLINK" in text for text in page.locator("#stage-chart .yaxislayer-above text").all_text_contents())
    frame = pd.read_csv(save(page, tmp_path))
    assert SCRIPT in set(frame.layer)
    assert "'" + NAMES["stage2"] in set(frame.stage)


def test_cells_are_quoted_and_no_formulas(opened: Opened) -> None:
    cells = {
        '"=1+1"': "'=1+1",
        '"@SUM(A1)"': "'@SUM(A1)",
        '"-a, \\"b\\""': '"\'-a, ""b"""',
        '" +x"': "' +x",
        '"-1.5e-3"': "-1.5e-3",
        "-0.1": "-0.1",
        "0.1 + 0.2": "0.30000000000000004",
        '"a\\nb "': '"a\nb "',
        "null": "",
    }
    assert {value: opened.page.evaluate(f"csvCell({value})") for value in cells} == cells


def test_numbers_are_written_as_python_writes_them(opened: Opened) -> None:
    numbers = [0.0, 1.0, 0.00012345678, 0.000012345678, 1.5e-9, 46.109, 99999.4, 123456.0, 999999.0, 2.5e12, 100.0]
    assert opened.page.evaluate("(all) => all.map((x) => general(x))", numbers) == [f"{x:.5g}" for x in numbers]
    assert opened.page.evaluate("count(640) + count(20736) + count(2654208) + count(999999)") == "64020.7 k2.65 M1.00 M"
    assert opened.page.evaluate("halfWidth([-1e-20, 0, 0, 0, 0, 0], 2, {mac: 1, ac: 1})") == 0  # below 0 by rounding


@pytest.mark.parametrize("opened", ["three"], indirect=True)
def test_profiles_are_compared_and_switched(opened: Opened) -> None:
    page = opened.page
    reports = [price(profile) for profile in profiles().values()]
    rows = page.locator("#profiles tbody tr")
    for row, profile, report in zip(rows.all(), profiles().values(), reports, strict=True):
        cells = row.locator("td").all_text_contents()
        assert cells[2:4] == [str(profile.time_steps), str(profile.images)]
        assert cells[8] == f"{report.total_mj:.5g}"
        assert cells[10] == f"{report.total_mj / reports[0].total_mj:.3f}"
    assert page.locator("#curves .chart").count() == 3
    page.select_option("#protocol", "lemaire-estimate")
    assert rows.nth(1).locator("td").last.text_content().startswith("not available: the profile has no estimate")
    page.get_by_role("button", name="two", exact=True).click()
    assert page.text_content("#result") == total(reports[1])
    assert page.text_content("#message") == "lemaire-estimate is not available for two; appendix-c is shown."
    option = page.locator("#protocol option[value=lemaire-estimate]")
    assert option.is_disabled()
    assert option.get_attribute("title").startswith("the profile has no estimate")
    page.select_option("#profile", label="single")
    assert page.text_content("#result") == total(reports[2])
    assert "fewer than two images" in page.text_content("#cards")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 400])
@pytest.mark.parametrize("opened", ["three"], indirect=True)
def test_everybody_can_use_it(opened: Opened, width: int, scheme: Literal["light", "dark"]) -> None:
    page = opened.page
    page.set_viewport_size({"width": width, "height": 800})
    page.emulate_media(color_scheme=scheme)
    ink = {"light": "rgb(28, 33, 39)", "dark": "rgb(228, 232, 236)"}[scheme]
    expect(page.locator("#rate-chart .yaxislayer-above text").first).to_have_css("fill", ink)
    page.evaluate("document.querySelectorAll('details').forEach((each) => { each.open = true; })")
    assert page.evaluate("document.documentElement.scrollWidth") == width
    found = Axe().run(page, options={"resultTypes": ["violations"]}).response["violations"]
    assert [each["id"] for each in found if each["impact"] in ("serious", "critical")] == []


def test_break_even_rates_are_those_of_the_command_line(opened: Opened) -> None:
    page, profile = opened.page, profiles()["four"]
    for technology in ("45nm-fp32", "step"):
        page.select_option("#technology", label=technology)
        page.check("#rival")
        rows, _ = break_even(profile, technology)
        wanted = {row.layer: f"{row.break_even:.4f}" for row in rows if row.break_even is not None}
        names = page.locator("#layer-table tbody tr th").all_text_contents()
        shown = dict(zip(names, opened.column(7), strict=True))
        assert {name: rate for name, rate in shown.items() if rate[0].isdigit()} == wanted
    page.uncheck("#rival")
    assert "Break-even" not in page.locator("#layer-table thead th").all_text_contents()


@pytest.mark.parametrize("technology", ["45nm-int8", "step", "lemaire"])
def test_memory_is_priced_by_the_technology_that_is_chosen(opened: Opened, technology: str) -> None:
    page, profile = opened.page, profiles()["four"]
    page.select_option("#technology", label=technology)
    for protocol in ("memory", "memory:schedule=dense", "lemaire", "lemaire:prices=technology", "qnn:memory=resident"):
        page.select_option("#protocol", protocol)
        assert page.text_content("#result") == total(price(profile, protocol, technology))
    streamed = page.locator('#protocol option[value="memory:weights=streamed"]')
    assert streamed.is_disabled() == (technology != "45nm-int8")
    page.select_option("#technology", label="45nm-fp32")
    page.select_option("#protocol", "memory:weights=streamed")
    page.select_option("#technology", label="step")
    said = "memory:weights=streamed is not available at the prices of step; appendix-c is shown."
    assert page.text_content("#message") == said
