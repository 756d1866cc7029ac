"""The report page in a browser: its numbers, its table of layers, its controls, its names."""

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from playwright.sync_api import Page

from msvit_energy import price
from msvit_energy.pricing.break_even import break_even
from msvit_energy.pricing.energy_units import energy_unit
from msvit_energy.pricing.protocols import all_choices
from msvit_energy.pricing.technology import Technology
from msvit_energy.reporting.formatting import digits_of, fixed
from tests.support.opened_page import FP32, MARKUP, NAMES, NOTHING, SCRIPT, Opened, total
from tests.support.reported_profiles import NEURON, ODD_PRICES, profiles

pytestmark = pytest.mark.slow


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
