"""The report page in a browser (Debian's Chromium, or the one that MSVIT_ENERGY_CHROMIUM names)."""

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Literal

import pandas as pd
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect, sync_playwright

from msvit_energy import EnergyReport, price
from msvit_energy.pricing.break_even import break_even
from msvit_energy.pricing.energy_units import energy_text, energy_unit
from msvit_energy.pricing.protocols import all_choices
from msvit_energy.pricing.technology import TECHNOLOGIES, Technology
from msvit_energy.profiles.provenance import Provenance
from msvit_energy.reporting.formatting import digits_of, fixed, signed
from msvit_energy.reporting.page import page as written
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
    return energy_text(report.total_mj).replace("uJ", "µJ") + margin


def number(cell: str) -> float:
    """A number in a cell, 0 for what is too small for its digits."""
    return 0.0 if cell.startswith("<") else float(cell)


@pytest.mark.parametrize("opened", ["one", "three"], indirect=True)
def test_the_page_opens_without_requests_or_complaints(opened: Opened) -> None:
    profile = profiles()["four"]
    assert opened.page.locator("#rate-chart .cell").count() == (profile.time_steps + 1) * len(profile.neurons)
    assert opened.page.locator("#stage-chart .part").count() > 6
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
            shown = [number(cell) for cell in opened.column(11) if cell != NOTHING]
            assert len(shown) == sum(row.counted for row in report.rows)
            unit = energy_unit([report.total_mj])
            assert page.text_content("th[data-column=energy]") == unit.symbol
            digit = 10 ** -digits_of(max(row.energy_pj for row in report.rows) / 1e9 * unit.per_mj)
            assert sum(shown) == pytest.approx(report.total_mj * unit.per_mj, abs=digit / 2 * len(shown))


def in_microjoules(energy_pj: float) -> str:
    """An energy of the table of layers of "four" by appendix-c, of which the dearest costs 1.1 uJ: three decimals."""
    return "<0.001" if 0 < energy_pj < 500 else f"{energy_pj / 1e6:.3f}" if energy_pj else "0"


def test_rows_are_those_of_the_command_line(opened: Opened) -> None:
    report = price(profiles()["four"])
    assert opened.column(3) == [row.layer for row in report.rows]
    energies = [in_microjoules(row.energy_pj) if row.counted else NOTHING for row in report.rows]
    assert opened.column(11) == energies
    shares = [f"{report.share(row):.1%}" if row.counted else NOTHING for row in report.rows]
    assert opened.column(13) == shares
    margins = [f"± {row.spread.half_width / row.energy_pj:.1%}" if row.spread else NOTHING for row in report.rows]
    assert opened.column(12) == margins
    assert opened.page.text_content("#layer-table tfoot td:nth-of-type(4)") == in_microjoules(report.total_pj)


def test_a_technology_fills_the_prices_and_own_prices_are_called_so(opened: Opened) -> None:
    page = opened.page
    page.select_option("#technology", label="45nm-int32")
    assert (page.input_value("#e-mac"), page.input_value("#e-ac")) == ("3.2", "0.1")
    assert page.text_content("#result") == total(price(profiles()["four"], technology="45nm-int32"))
    page.fill("#e-ac", "0.2")
    assert page.locator("#technology option:checked").text_content() == "own prices"
    page.fill("#e-ac", "0.1")
    assert page.locator("#technology option:checked").text_content() == "45nm-int32"


def opacity(page: Page) -> float:
    """Of the headline."""
    return float(page.locator("#result").evaluate("(element) => getComputedStyle(element).opacity"))


def test_what_is_no_price_is_said_and_changes_nothing(opened: Opened) -> None:
    before = opened.page.text_content("#result")
    for wrong in ("-1", "", "1e999"):
        opened.page.fill("#e-mac", wrong)
        assert opened.page.text_content("#price-error") == "A price is a number in pJ, 0 or more."
        assert opened.page.get_attribute("#e-mac", "aria-invalid") == "true"
        assert opened.page.text_content("#result") == before
        assert opacity(opened.page) < 0.5
    opened.page.fill("#e-mac", "4.6")
    assert opened.page.text_content("#price-error") == ""
    assert opened.page.text_content("#result") == before
    assert opacity(opened.page) == 1


def test_a_decimal_comma_is_read_and_a_comma_that_may_part_thousands_is_not(opened: Opened) -> None:
    page = opened.page
    page.fill("#e-mac", "3,3")
    page.fill("#e-ac", " ,7")
    technology = Technology("own", *ODD_PRICES, "")
    assert page.text_content("#result") == total(price(profiles()["four"], technology=technology))
    page.fill("#e-ac", "1,000")
    assert page.text_content("#price-error") == "1,000 can be read in two ways: write no comma."
    typed = ["0,9", "4.6", "+1e-3", "1,5e1", "0,900", "", "-1", "1.2.3", "1,2,3", "0x10", "Infinity", "9 pJ", "12,345"]
    read = [0.9, 4.6, 0.001, 15, 0.9, None, None, None, None, None, None, None, None]
    assert page.evaluate("(all) => all.map((text) => readPrice(text).price)", typed) == read


def test_rows_sort_by_energy_and_by_name_both_ways(opened: Opened) -> None:
    page = opened.page
    in_order = opened.column(3)
    for direction in ("descending", "ascending"):
        page.get_by_role("button", name="µJ", exact=True).click()
        cells = opened.column(11)
        known = [number(cell) for cell in cells if cell != NOTHING]
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
    assert page.text_content("#layer-table tfoot td:nth-of-type(4)") == in_microjoules(energy)
    page.fill("#search", "zzz")
    assert opened.column(3) == []
    assert page.locator("#layer-table tbody td").all_text_contents() == ["No layer matches zzz."]


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
    assert f"{frame.energy_pj.sum() / 1e6:.5g} µJ" == str(page.text_content("#result")).partition(" ±")[0]
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
    assert MARKUP in page.locator("#rate-table th").all_text_contents()
    short = "<img src=x onerro…rt(1)><b>&lt;</b>"
    assert short in page.locator("#rate-chart .row-label").all_text_contents()
    layers = [layer.neuron for layer in profiles()["four"].neurons]
    page.locator("#rate-chart .cell").nth(5 * layers.index(NEURON)).hover()
    assert page.locator("#note div").first.text_content() == MARKUP
    assert any("HYPERLINK" in text for text in page.locator("#stage-chart .row-label").all_text_contents())
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
        assert cells[6] == f"{report.total_mj * 1e3:.5g}"
        assert cells[8] == f"{report.total_mj / reports[0].total_mj:.3f}"
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


def test_units_and_digits_are_those_of_the_command_line(opened: Opened) -> None:
    energies = [0.0, 1e-9, 5e-8, 0.0999e-3, 0.1e-3, 0.0999, 0.1, 3.0, 250.0]  # mJ
    names = opened.page.evaluate("(all) => all.map((mj) => energyUnit([0, null, -mj * 1e9]).name)", energies)
    assert names == [energy_unit([energy]).symbol for energy in energies]
    assert names == ["mJ", "nJ", "nJ", "nJ", "µJ", "µJ", "mJ", "mJ", "mJ"]
    shown = opened.page.evaluate("(all) => all.map((x) => fixed(x, digitsOf(5.3)))", energies)
    assert shown == [fixed(energy, digits_of(5.3)) for energy in energies]


def test_the_address_keeps_the_view(opened: Opened, files: dict[str, Path]) -> None:
    page = opened.page
    before = page.text_content("#result")
    page.select_option("#protocol", "exact:integers=macs")
    page.get_by_role("button", name="µJ", exact=True).click()
    page.fill("#e-ac", "0,7")
    page.fill("#search", "tssa")
    view = "#protocol=exact%3Aintegers%3Dmacs&e_ac=0.7&sort=energy&order=descending&search=tssa"
    expect(page).to_have_url(files["one"].as_uri() + view)
    shown = (page.text_content("#result"), opened.column(3))
    assert shown[0] == total(price(profiles()["four"], "exact:integers=macs", Technology("own", 4.6, 0.7, "")))
    page.reload()
    opened.requests.pop()  # of the reload
    assert (page.text_content("#result"), opened.column(3)) == shown
    assert (page.input_value("#search"), page.input_value("#e-ac")) == ("tssa", "0.7")
    assert page.get_attribute("th[data-column=energy]", "aria-sort") == "descending"
    page.go_back()
    assert page.get_attribute("th[data-column=energy]", "aria-sort") == "none"
    assert page.input_value("#protocol") == "exact:integers=macs"
    page.go_back()
    assert page.text_content("#result") == before
    assert page.url == files["one"].as_uri()


def test_an_address_that_asks_for_what_is_not_here_says_so(opened: Opened) -> None:
    page = opened.page
    before = page.text_content("#result")
    page.evaluate("location.hash = '#protocol=<b>x&technology=45nm-int8&e_mac=much'")
    assert page.text_content("#message") == " The address asks for what is not here: protocol <b>x."
    assert page.text_content("#price-error") == "A price is a number in pJ, 0 or more."
    assert page.text_content("#result") == total(price(profiles()["four"], technology="45nm-int8"))
    page.evaluate("location.hash = '#layers'")  # a place in the page, no view
    assert page.input_value("#e-mac") == "much"
    page.evaluate("location.hash = ''")
    assert page.text_content("#result") == before


@pytest.mark.parametrize("opened", ["three"], indirect=True)
def test_all_protocols_stand_side_by_side_the_least_first(opened: Opened) -> None:
    page = opened.page
    page.select_option("#profile", label="two")
    page.fill("#e-mac", str(ODD_PRICES[0]))
    page.fill("#e-ac", str(ODD_PRICES[1]))
    rows = page.locator("#protocol-table tbody tr").all()
    names = [str(row.locator("th").text_content()) for row in rows]
    assert sorted(names) == sorted(all_choices())
    unknown = [name for name, row in zip(names, rows, strict=True) if row.locator(".why").count()]
    assert unknown == names[-1:] == ["lemaire-estimate"]
    assert str(rows[-1].locator(".why").text_content()).startswith("not available: the profile has no estimate")
    technology = replace(FP32, name="own", e_mac=ODD_PRICES[0], e_ac=ODD_PRICES[1])
    totals = {name: price(profiles()["two"], name, technology).total_mj for name in names[:-1]}
    assert list(totals.values()) == sorted(totals.values())
    unit = energy_unit(totals.values())
    assert [row.locator("td").first.text_content() for row in rows[:-1]] == [
        f"{energy * unit.per_mj:.5g}" for energy in totals.values()
    ]
    page.get_by_role("button", name="sdt", exact=True).click()
    assert page.input_value("#protocol") == "sdt"
    assert page.evaluate("document.activeElement.textContent") == "sdt"


def test_layers_have_bars_sorted_by_cost(opened: Opened) -> None:
    page, report = opened.page, price(profiles()["four"])
    costly = sorted((row for row in report.rows if row.energy_pj), key=lambda row: -row.energy_pj)
    names = page.locator("#cost-chart .row-label").all_text_contents()
    assert names == [row.layer for row in costly]
    boxes = page.locator("#cost-chart .part").evaluate_all("(all) => all.map((each) => each.getAttribute('width'))")
    widest = [row.energy_pj / costly[0].energy_pj for row in costly]
    assert [float(width) / float(boxes[0]) for width in boxes] == pytest.approx(widest, abs=2e-3)
    page.evaluate("""() => {
        state.profile = { ...state.profile, neurons: [] };  // no heatmap beside them
        showLayerCosts();
    }""")
    rest = sum(row.energy_pj for row in costly[20:])
    words = f"{len(costly) - 20} more cost {rest / 1e6:.5g} µJ together, {rest / report.total_pj:.1%}."
    assert page.text_content("#cost-rest") == words


def test_the_heatmap_has_a_column_of_means(opened: Opened) -> None:
    numbers = opened.page.locator("#rate-chart .number-on-cell").all_text_contents()
    rates = [rate for layer in profiles()["four"].neurons for rate in (*layer.firing_rates, layer.firing_rate)]
    assert numbers == [fixed(rate, 3) for rate in rates]


def test_marks_of_charts_are_reached_by_key(opened: Opened) -> None:
    page, first = opened.page, profiles()["four"].neurons[0]
    page.locator("#rate-chart").focus()
    for key in ("ArrowDown", "ArrowRight", "ArrowDown", "ArrowUp"):
        page.keyboard.press(key)
    said = [first.neuron, f"{first.stage}, time step 1: {first.firing_rates[1]:.4f}", f"mean {first.firing_rate:.4f}"]
    assert page.locator("#note div").all_text_contents() == said
    assert page.text_content("#spoken") == ", ".join(said)
    page.keyboard.press("Escape")
    assert page.locator("#note").is_hidden()


@pytest.mark.parametrize("opened", ["three"], indirect=True)
def test_stages_of_all_profiles_are_their_sums(opened: Opened) -> None:
    rows = opened.page.locator("#stages-compared-table tbody tr").all()
    sums: dict[str, list[float]] = {}
    for i, profile in enumerate(profiles().values()):
        for row in price(profile).rows:
            sums.setdefault(NAMES.get(row.stage, row.stage), [0.0] * 3)[i] += row.energy_pj / 1e6
    sums[LONG] = sums.pop("patch_embed3")
    for row in rows:
        name = str(row.locator("th").text_content())
        cells = row.locator("td").all_text_contents()
        wanted = sums.pop(name, None)
        if name in (NAMES["stage2"], LONG):
            assert wanted is not None
            assert cells == [f"{wanted[0]:.5g}", NOTHING, NOTHING]
        elif wanted:
            assert cells == [f"{energy:.5g}" for energy in wanted]
        else:
            assert (name, cells[0]) == (name, NOTHING)  # those that the first has by other names
    assert opened.page.locator("#stages-compared-chart .row-label").all_text_contents() == [SCRIPT, "two", "single"]


@pytest.mark.parametrize("opened", ["three"], indirect=True)
def test_differences_of_rates_are_by_step_where_both_have_as_many(opened: Opened) -> None:
    page, (four, two, single) = opened.page, profiles().values()
    page.select_option("#profile", label="single")
    page.select_option("#against", label="two")
    cells = page.locator("#difference-chart .number-on-cell")
    assert cells.all_text_contents() == [
        signed(a.firing_rate - b.firing_rate) for a, b in zip(single.neurons, two.neurons, strict=True)
    ]
    assert "T differs (4 and 2), so means over time are compared." in page.text_content("#difference-basis")
    page.select_option("#against", label=SCRIPT)
    wanted = []
    for a, b in zip(single.neurons, four.neurons, strict=True):
        if not any(renamed in a.neuron for renamed in (NEURON, "stage2", "patch_embed3")):
            rates = [x - y for x, y in zip(a.firing_rates, b.firing_rates, strict=True)]
            wanted += [signed(each) for each in (*rates, a.firing_rate - b.firing_rate)]
    assert cells.all_text_contents() == wanted
    assert MARKUP in page.text_content("#difference-basis")


def test_a_phone_shows_energy_second_keeps_the_layer_and_hints_at_the_rest(opened: Opened) -> None:
    page = opened.page
    hints = page.locator(".hint:visible")
    assert hints.count() == 0
    page.set_viewport_size({"width": 390, "height": 800})
    expect(page.locator("#layer-table thead th").nth(1)).to_have_text("µJ")
    heads = page.locator("#layer-table thead th").all_text_contents()
    assert heads[:3] == ["Layer", "µJ", "Share"]
    assert sorted(heads) == sorted(page.evaluate("COLUMNS.map(({ name }) => name === 'Energy' ? 'µJ' : name)"))
    expect(hints).to_have_count(2)  # of all protocols, of layers
    region = page.locator(".scroll:has(#layer-table)")
    expect(region).to_have_class("scroll tall more")
    left = page.locator("#layer-table tbody th").first.evaluate(
        "(cell) => { cell.closest('.scroll').scrollLeft = 1e4; return cell.getBoundingClientRect().left; }"
    )
    assert 0 < left < 40
    expect(region).to_have_class("scroll tall")
    energy = page.locator("#layer-table tfoot td").first.text_content()
    page.set_viewport_size({"width": 1280, "height": 900})
    expect(page.locator("#layer-table thead th").nth(1)).to_have_text("Stage")
    assert page.locator("#layer-table tfoot td").nth(3).text_content() == energy


@pytest.mark.parametrize("opened", ["three"], indirect=True)
def test_paper_has_type_of_8_points_and_fits(opened: Opened) -> None:
    page = opened.page
    page.set_viewport_size({"width": 703, "height": 1000})  # A4 between margins of 12 mm
    page.emulate_media(media="print")
    page.evaluate("window.dispatchEvent(new Event('beforeprint'))")
    sizes = page.evaluate("""() => [...document.querySelectorAll("td, th, dd, li, svg text, .note")]
        .filter((each) => each.getClientRects().length)
        .map((each) => parseFloat(getComputedStyle(each).fontSize))""")
    assert min(sizes) * 72 / 96 >= 7.99
    assert page.evaluate("document.documentElement.scrollWidth") <= 703
    assert "#" not in page.locator("#layer-table thead th").all_text_contents()
    kept = "(all) => all.every((each) => getComputedStyle(each).breakAfter === 'avoid')"
    assert page.locator("h2, h3, .legend, .ramp").evaluate_all(kept)
    opened.reset()
    assert page.locator("#layer-table thead th").first.text_content() == "#"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 400])
@pytest.mark.parametrize("opened", ["three"], indirect=True)
def test_everybody_can_use_it(opened: Opened, width: int, scheme: Literal["light", "dark"]) -> None:
    page = opened.page
    page.set_viewport_size({"width": width, "height": 800})
    page.emulate_media(color_scheme=scheme)
    ink = {"light": "rgb(28, 33, 39)", "dark": "rgb(228, 232, 236)"}[scheme]
    expect(page.locator("#rate-chart .row-label").first).to_have_css("fill", ink)
    page.evaluate("document.querySelectorAll('details').forEach((each) => { each.open = true; })")
    assert page.evaluate("document.documentElement.scrollWidth") == width
    found = Axe().run(page, options={"resultTypes": ["violations"]}).response["violations"]
    assert [each["id"] for each in found] == []


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
