"""Numbers and names in the pages are those of the program and of its reports."""

import csv
import re
from contextlib import redirect_stdout
from io import StringIO

import pytest

import msvit
import msvit_energy
from msvit_energy import Profile, price
from msvit_energy.commands import app
from msvit_energy.pricing.break_even import break_even
from msvit_energy.pricing.protocols import PROTOCOLS
from msvit_energy.reporting.hardware_table import hardware_rows
from tests.support.command_line import run
from tests.support.documentation import DOCS, PAGES, ROOT, blocks, page_text


def test_the_readme_is_short() -> None:
    assert (ROOT / "README.md").stat().st_size < 7000


def test_every_page_is_in_the_navigation_once() -> None:
    named = re.findall(r"^ +- (\S+\.md)$", (ROOT / "mkdocs.yml").read_text(), flags=re.MULTILINE)
    assert sorted(named) == sorted(page.relative_to(DOCS).as_posix() for page in PAGES[1:])


def test_the_page_of_the_api_has_every_public_name() -> None:
    shown = [
        name.rpartition(".")[2] for name in re.findall(r"^::: (\S+)$", page_text("reference/api.md"), re.MULTILINE)
    ]
    assert len(shown) == len(set(shown))
    assert set(msvit_energy.__all__) | set(msvit.__all__) <= set(shown)


def test_every_command_is_used_in_a_page() -> None:
    commands = {command.callback.__name__ for command in app.registered_commands if command.callback}
    used = {
        line.split()[1]
        for page in PAGES
        for block in blocks(page)
        for line in block.commands
        if line.startswith("msvit-energy ")
    }
    assert commands <= used


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Profile]:
    """What the profile of the shipped checkpoint prints, and the profile."""
    out = tmp_path_factory.mktemp("measured") / "out"
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(StringIO()) as printed:
        assert run(patch, "profile", "--lemaire", "8", "--out", str(out)) == 0
    return printed.getvalue(), Profile.load(out / "profile.json")


@pytest.mark.slow
def test_the_table_in_the_tutorial_is_what_the_command_prints(measured: tuple[str, Profile]) -> None:
    (shown,) = (block.text for block in blocks(DOCS / "tutorial" / "energy-column.md") if block.language == "text")

    def bare(text: str) -> set[str]:
        # numbers may differ in the last digit on another machine, so columns and names are compared
        return {" ".join(re.sub(r"[\d.,]+", "#", line).split()) for line in text.splitlines()}

    assert len(shown.splitlines()) > 10
    assert bare(shown) - {"#", ""} <= bare(measured[0])


@pytest.mark.slow
def test_the_sentence_of_the_tutorial_has_the_numbers_of_its_run(measured: tuple[str, Profile]) -> None:
    sentence = " ".join(re.findall(r"^> (.*)$", page_text("tutorial/energy-column.md"), flags=re.MULTILINE))
    _, profile = measured
    report = price(profile)
    assert report.interval_mj is not None
    half = (report.interval_mj[1] - report.interval_mj[0]) / 2 / report.total_mj
    assert f"is {report.total_mj * 1e3:.2f} uJ ± {100 * half:.1f} %" in sentence
    assert f"over {profile.images} test images), T = {profile.time_steps}" in sentence
    assert f"event by event it is {price(profile, 'exact').total_mj * 1e3:.2f} uJ" in sentence


@pytest.mark.slow
def test_energies_by_convention_are_what_the_protocols_give(measured: tuple[str, Profile]) -> None:
    text = page_text("explanation/conventions.md")
    rows = re.findall(r"^\| `([\w:=-]+)` \| ([\d.]+) \| [^|]+ \|$", text, flags=re.MULTILINE)
    assert {name.partition(":")[0] for name, _ in rows} == set(PROTOCOLS) - {"as-given"}  # which is of tables
    for name, energy in rows:
        assert price(measured[1], name).total_mj == pytest.approx(float(energy), rel=1e-3), name


@pytest.mark.slow
def test_hardware_report_and_what_the_page_says_of_it_are_those_of_the_checkpoint(
    measured: tuple[str, Profile],
) -> None:
    with (ROOT / "reports" / "hardware" / "hardware.csv").open(newline="") as file:
        reported = {(row["name"], row["what"]): float(row["energy_mj"]) for row in csv.DictReader(file)}
    found = {(row.name, row.what): row.energy_mj for row in hardware_rows(measured[1])}
    assert found == pytest.approx(reported, rel=1e-3)
    assert max(reported.values()) / min(reported.values()) > 1000
    rows, total = break_even(measured[1])
    text = " ".join(page_text("explanation/hardware.md").split())
    assert total.break_even is not None
    assert f"fire at a mean rate of {total.break_even:.1%}".replace("%", " %") in text
    assert f"it does at {total.rate:.1%}".replace("%", " %") in text
    assert f"[{sum(row.wins for row in rows)} of its {len(rows)} layers]" in text


def test_what_memory_and_chips_make_of_the_energy_is_that_of_the_report() -> None:
    with (ROOT / "reports" / "hardware" / "hardware.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    first = float(rows[0]["energy_mj"])
    times = {name: [float(row["energy_mj"]) / first for row in rows if condition(row)] for name, condition in {
        "memory": lambda row: row["name"].startswith(("memory", "lemaire")) and "int8" not in row["what"],
        "chips": lambda row: row["what"].startswith("synaptic operations"),
    }.items()}  # fmt: skip
    text = " ".join(page_text("explanation/hardware.md").split())
    assert f"memory makes {min(times['memory']):.0f} to {max(times['memory']):.0f} times" in text
    assert f"make {min(times['chips']):.1f} to {max(times['chips']):.0f} times" in text


def test_shares_of_spikes_that_differ_are_those_of_the_report() -> None:
    report = (ROOT / "reports" / "precision" / "precision.txt").read_text()
    text = page_text("explanation/rounding.md")
    assert re.search(r"8\.82e-07 per spike\).*\n.*\+7\.36e-08", report)
    assert "8.82e-07 of the spikes differ and total SOPs by +7.36e-08" in " ".join(text.split())
    runs = re.findall(
        r"OMP_NUM_THREADS=(\d) .*--images 1(?: --seed (\d))?\n(?:.*\n)*?.*, (\S+) per spike\)\n.*: (\S+)", report
    )
    rows = re.findall(r"^\| (\d) \| (\S+) \| (\S+) \| (\S+) \| (\S+) \|$", text, flags=re.MULTILINE)
    assert len(rows) == 3
    shown = {(threads, row[0]): row[start : start + 2] for row in rows for threads, start in (("1", 1), ("2", 3))}
    assert shown == {(threads, seed or "0"): (share, sops) for threads, seed, share, sops in runs}


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md", "CHANGELOG.md"])
def test_links_of_pages_outside_of_docs_lead_somewhere(name: str) -> None:
    links = re.findall(r"\]\(((?!https?:)[^)\s]+)\)", (ROOT / name).read_text())
    assert links
    for link in links:
        path, _, anchor = link.partition("#")
        assert (ROOT / path).exists(), link
        if anchor:
            headings = re.findall(r"^#+ (.*)$", (ROOT / path).read_text(), flags=re.MULTILINE)
            assert anchor in [re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings], link
