"""The report page in a browser: views by address, charts, several profiles, phones, paper, accessibility."""

from dataclasses import replace
from pathlib import Path
from typing import Literal

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from msvit_energy import price
from msvit_energy.pricing.energy_units import energy_unit
from msvit_energy.pricing.protocols import all_choices
from msvit_energy.pricing.technology import Technology
from msvit_energy.reporting.formatting import fixed, signed
from tests.support.opened_page import FP32, LONG, MARKUP, NAMES, NOTHING, SCRIPT, Opened, total
from tests.support.reported_profiles import NEURON, ODD_PRICES, profiles

pytestmark = pytest.mark.slow


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
    assert page.text_content("#message") == "The address asks for what is not here: protocol <b>x."
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


def test_charts_of_what_costs_nothing_are_empty_without_complaint(opened: Opened) -> None:
    page = opened.page
    page.fill("#e-mac", "0")
    page.fill("#e-ac", "0")
    assert page.text_content("#result") == "0 mJ"
    assert page.locator("#stage-chart .part, #cost-chart .part").count() == 0
    assert page.text_content("#cost-rest") == "No layer costs anything."


def test_the_heatmap_has_a_column_of_means(opened: Opened) -> None:
    numbers = opened.page.locator("#rate-chart .number-on-cell").all_text_contents()
    rates = [rate for layer in profiles()["four"].neurons for rate in (*layer.firing_rates, layer.firing_rate)]
    assert numbers == [fixed(rate, 3) for rate in rates]


def test_a_layer_with_several_calls_per_step_has_its_mean_only(opened: Opened) -> None:
    page = opened.page
    assert page.locator("#rates-unknown").is_hidden()
    page.evaluate("""() => {
        const [first, ...others] = state.profile.neurons;
        const twice = { ...first, rates: [...first.rates, ...first.rates] };
        state.profile = { ...state.profile, neurons: [twice, ...others] };
        showRates();
    }""")
    assert page.locator("#rate-chart .unknown").count() == 4
    assert page.locator("#rates-unknown").is_visible()
    mean = f"{profiles()['four'].neurons[0].firing_rate:.4f}"
    assert page.locator("#rate-table tbody tr").first.locator("td").all_text_contents()[1:] == [NOTHING] * 4 + [mean]


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
