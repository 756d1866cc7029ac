"""Names from other people's models in everything that is printed and written: text, whatever they are."""

import csv
import io
import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

from msvit_energy import Profile, price
from msvit_energy.reporting import figures, page
from msvit_energy.reporting.comparison import comparison, measured
from msvit_energy.reporting.layer_table import layer_table, protocol_table, stage_table
from msvit_energy.reporting.output_folder import written_together
from msvit_energy.reporting.table import FORMATS, Column, Table, latex, markdown, write
from msvit_energy.reporting.terminal import TerminalTable
from tests.support.command_line import run
from tests.support.plain_profile import plain_profile

NAMES = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "\\input{/etc/passwd}$x^2$&%#~{",
    "\x1b]0;title\x07\x1b[2J\x1b[31m",
    "\x9b31mcolour",
    "\r\n\x08\x00",
    "=cmd|' /C calc'!A0",
    "+1+1",
    "-2+3",
    "@SUM(1)",
    "\t=1+1",
    "[a](javascript:alert(1))",
    "![a](http://example.com/a.png)",
    "a\\|b|c",
    "../../../etc/passwd",
    "/absolute/C:\\path",
    "\u202egnp.exe\u202c",
    "[bold red]markup[/]",
    "{{ 7 * 7 }}{% raw %}",
    "a" * 10_000,
]


def named(name: str, path: Path) -> Profile:
    """The small profile whose layer conv, neurons, stage, model, data and warnings have that name, read from a file."""
    plain_profile().save(path)
    content = json.loads(path.read_text())
    text = json.dumps(content).replace('"stage": "stem"', f'"stage": {json.dumps(name)}')
    for layer, own in (("conv", name), ("lif", name + "2")):
        pattern = rf'"{layer}((#\d)?( \w+)?)"'
        text = re.sub(pattern, lambda found, own=own: json.dumps(own + found[1]), text)  # type: ignore[misc]
    text = re.sub(r'"(net|digits)"', lambda _: json.dumps(name), text)
    path.write_text(text.replace('"warnings": [', f'"warnings": [{json.dumps(name)}, '))
    return Profile.load(path)


def acts(text: str) -> list[str]:
    """Characters that a terminal or an editor would act on, line breaks aside."""
    return [c for c in text if not c.isprintable() and c != "\n"]


every_name = pytest.mark.parametrize("name", NAMES, ids=range(len(NAMES)))


@every_name
def test_tables_in_every_format_show_names_as_text(name: str, tmp_path: Path) -> None:
    profile = named(name, tmp_path / "p.json")
    report = price(profile)
    everything = [layer_table(profile, report), protocol_table(profile, [report]), stage_table(profile, report)]
    everything.append(comparison([measured(profile, report, name)], name, [name]))
    for table in everything:
        write(table, tmp_path, "t", tuple(FORMATS))
        for suffix in ("csv", "md", "tex", "json"):
            assert not acts((tmp_path / f"t.{suffix}").read_text()), suffix
        console = Console(file=io.StringIO(), width=200)
        console.print(TerminalTable(table))
        assert not acts(console.file.getvalue())  # type: ignore[attr-defined]
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "p.json",
        *(f"t.{suffix}" for suffix in sorted(FORMATS)),
    ]


def one_cell(name: str) -> Table:
    return Table("t", [{"name": name, "n": 1.0}], {"name": Column("name"), "n": Column("n", ".1f")}, [name], [name])


@every_name
def test_no_cell_of_a_csv_file_is_a_formula(name: str, tmp_path: Path) -> None:
    write(one_cell(name), tmp_path, "t", ["csv"])
    (row,) = csv.DictReader(io.StringIO((tmp_path / "t.csv").read_text(), newline=""))
    assert not row["name"].strip().startswith(("=", "+", "-", "@"))
    assert row["n"] == "1.0"


def test_negative_numbers_stay_numbers_in_csv(tmp_path: Path) -> None:
    table = Table("t", [{"n": -1.5, "m": -3}], {"n": Column("n", ".1f")})
    write(table, tmp_path, "t", ["csv"])
    assert (tmp_path / "t.csv").read_text() == "n,m\n-1.5,-3\n"


@every_name
def test_a_row_of_markdown_keeps_its_cells_and_begins_no_tag_or_link(name: str) -> None:
    text = markdown(one_cell(name))
    (row,) = [line for line in text.splitlines() if line.endswith("| 1.0 |")]
    bars = re.sub(r"\\.", "", row)  # what is escaped is no bar
    assert bars.count("|") == 3
    assert not re.search(r"<[a-zA-Z/!]", text)
    assert "](" not in re.sub(r"\\.", "", text)


@every_name
def test_latex_has_no_command_of_a_name(name: str) -> None:
    text = latex(one_cell(name))
    own = r"begin|end|toprule|midrule|bottomrule|text(asciitilde|asciicircum|backslash|less|greater|bar)|[&%$#_{}\\]"
    body = "\n".join(line for line in text.splitlines() if not line.startswith("%"))
    assert not re.sub(rf"\\({own})", "", body).count("\\")
    assert "^^" not in body


@pytest.mark.slow
@pytest.mark.parametrize("name", [NAMES[0], NAMES[2], NAMES[3], NAMES[-1]], ids=["html", "latex", "escapes", "long"])
def test_figures_page_and_folder_are_written_for_any_name(name: str, tmp_path: Path) -> None:
    profile = named(name, tmp_path / "p.json")
    report = price(profile)
    with written_together(tmp_path / "out", figures.FILES) as folder:
        figures.save_figures(profile, report, folder)
        html = page.page({name: profile}, "ann", report.technology)
        (folder / "report.html").write_text(html, encoding="utf-8", errors="replace")
    assert {path.name for path in (tmp_path / "out").iterdir()} <= {*figures.FILES, "report.html"}
    assert html.count("<script") == page.page({"p": plain_profile()}, "ann", report.technology).count("<script")
    assert "<img src=x" not in html


@every_name
def test_commands_print_names_as_text(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    named(name, tmp_path / "p.json")
    damaged = (tmp_path / "p.json").read_text().replace('"macs_per_image": 48', '"macs_per_image": -1')
    (tmp_path / "q.json").write_text(damaged.replace('"role": "entrance"', f'"role": {json.dumps(name)}'))
    assert run(monkeypatch, "energy", str(tmp_path / "p.json"), "--protocol", "all", "--layers") == 0
    assert run(monkeypatch, "energy", str(tmp_path / "q.json")) == 2
    printed = capsys.readouterr()
    assert not acts(printed.out)
    assert not acts(printed.err)
    assert printed.err.count("error: ") == 1


@every_name
@pytest.mark.parametrize("table", ["layer,macs,rate,runs\n{},1,0.5,4\n", "layer,macs,rate,runs\na,{},0.5,4\n"])
def test_cells_of_tables_are_text_too(
    name: str, table: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    cell: Callable[[str], str] = lambda text: '"' + text.replace('"', '""') + '"'  # noqa: E731
    (tmp_path / "t.csv").write_text(table.format(cell(name)), encoding="utf-8", errors="replace")
    run(monkeypatch, "energy", "--table", str(tmp_path / "t.csv"))
    printed = capsys.readouterr()
    assert not acts(printed.out + printed.err)
