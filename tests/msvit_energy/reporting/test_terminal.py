"""Tables in a terminal, against lines written by hand."""

from dataclasses import replace
from io import StringIO

import pytest
from rich.console import Console

from msvit_energy.errors import EnergyError
from msvit_energy.reporting.table import Column, Group, Table
from msvit_energy.reporting.terminal import TerminalTable

RECORDS = [
    {"name": " conv [b]", "mj": 46.1085, "half": 0.2013, "off": 0.5},
    {"name": " a layer with a name that is long", "mj": 5.97, "off": None},
    {"name": " head", "mj": None, "off": -58.468},
]
COLUMNS = {"name": Column("layer"), "mj": Column("mJ printed", ".2f", margin="half"), "off": Column("%", "+.2f")}
GROUPS = [Group({"name": "stage1", "mj": 52.0785}, 2), Group({"name": "stage2"}, 1)]
TABLE = Table("title", RECORDS, COLUMNS, ["total: 3: of it", "a note"], ["beware"], GROUPS, missing="-")


def printed(table: Table, width: int, colours: bool = False) -> str:
    file = StringIO()
    console = Console(file=file, width=width, force_terminal=colours, color_system="standard" if colours else None)
    console.print(TerminalTable(table))
    return file.getvalue()


def test_sums_stand_above_their_records_and_only_records_say_what_is_missing() -> None:
    lines = [line.rstrip() for line in printed(TABLE, 80).splitlines()]
    assert lines == [
        "warning: beware",
        "title",
        "",
        " layer                                mJ printed       %",
        " ───────────────────────────────────────────────────────",
        " stage1                                    52.08",
        "  conv [b]                          46.11 ± 0.20   +0.50",
        "  a layer with a name that is long          5.97       -",
        "",
        " stage2",
        "  head                                         -  -58.47",
        "",
        "total: 3: of it",
        "a note",
    ]


@pytest.mark.parametrize("width", [30, 40, 50])
def test_where_space_is_short_names_fold_and_numbers_do_not(width: int) -> None:
    lines = printed(TABLE, width).splitlines()
    assert max(map(len, lines)) <= width
    percent = "-58.47" if width > 30 else "not shown: %"
    for whole in ("46.11 ± 0.20", "5.97", percent, *"a layer with a name that is long".split()):
        assert any(whole in line for line in lines), whole


def test_warnings_and_labels_stand_out_in_a_terminal() -> None:
    text = printed(TABLE, 80, colours=True)
    assert "\x1b[1;31mwarning: beware\x1b[0m" in text
    assert "\x1b[1mtotal: \x1b[0m3: of it" in text
    assert "\x1b[1mstage1" in text.replace("\x1b[1m \x1b[0m", "")


def test_a_table_without_rows_and_title_is_its_header() -> None:
    lines = [line.strip() for line in printed(Table("", [], COLUMNS), 80).splitlines()]
    assert lines[1] == "layer  mJ printed  %"


RANKED = Table(
    "",
    [{"name": "one", "mj": 1.25, "count": 100_000, "text": "quite a long text about it"}],
    {
        "name": Column("layer"),
        "count": Column("count", ",d", rank=2),
        "mj": Column("mJ", ".2f"),
        "text": Column("text", rank=1),
    },
)


@pytest.mark.parametrize(
    ("width", "headings", "left_out"),
    [
        (60, "layer count mJ text", ""),
        (34, "layer mJ text", "not shown: count (wider than 34 columns; --columns chooses)"),
        (24, "layer mJ", "not shown: count, text (wider than 24 columns; --columns chooses)"),
        (14, "layer mJ", "not shown: count, text (wider than 14 columns; --columns chooses)"),
    ],
)
def test_columns_go_by_rank_and_are_named(width: int, headings: str, left_out: str) -> None:
    lines = printed(RANKED, width).splitlines()
    assert " ".join(lines[1].split()) == headings
    assert " ".join(" ".join(lines).split()).endswith(left_out)
    assert any("1.25" in line for line in lines)


def test_columns_are_chosen_by_key_or_heading() -> None:
    assert printed(RANKED.with_columns("mJ,count"), 40).splitlines()[1].split() == ["mJ", "count"]
    more = replace(TABLE, groups=()).with_columns("half, name")
    assert [line.split() for line in printed(more, 40).splitlines()[5:6]] == [["0.2013", "conv", "[b]"]]
    with pytest.raises(EnergyError, match=r"no column 'offf'; did you mean off\? columns: name, mj, off, half"):
        TABLE.with_columns("offf")
    with pytest.raises(EnergyError, match="--columns names no column"):
        TABLE.with_columns(" ,")
