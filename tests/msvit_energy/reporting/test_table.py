"""Tables in every format: what is written is read back, what is printed is worked out by hand."""

import json
from pathlib import Path

import pandas as pd
import pytest

from msvit_energy.errors import EnergyError
from msvit_energy.reporting.formatting import with_margin
from msvit_energy.reporting.table import FORMATS, Column, Table, latex, markdown, write

RECORDS = [
    {"name": "a_b & c|d <i>", "mj": 46.1085, "half": 0.2013, "off": 0.5, "hidden": 1 / 3},
    {"name": "e\nf", "mj": 5.97, "half": None, "off": -58.468, "hidden": None},
]
COLUMNS = {"name": Column("model"), "mj": Column("mJ", ".2f", margin="half"), "off": Column("%", "+.2f")}
TABLE = Table("title", RECORDS, COLUMNS, notes=["a note"], warnings=["beware"])


@pytest.mark.parametrize(
    ("value", "half", "text"),
    [
        (0.0045047, 0.00005712, "0.004505 ± 0.000057"),
        (46.1085, 0.2013, "46.11 ± 0.20"),
        (46.1085, 0.09951, "46.11 ± 0.10"),  # not 0.0995, not 0.100
        (123.4, 12.3, "123 ± 12"),
        (12345.0, 678.0, "12345 ± 678"),
    ],
)
def test_interval_sets_the_digits(value: float, half: float, text: str) -> None:
    assert with_margin(value, half) == text


def test_markdown_escapes_and_says_warnings_first() -> None:
    assert markdown(TABLE).splitlines() == [
        "# title",
        "",
        "> **Warning:** beware",
        "",
        "| model | mJ | % |",
        "| --- | ---: | ---: |",
        r"| a_b & c\|d &lt;i> | 46.11 ± 0.20 | +0.50 |",
        "| e f | 5.97 | -58.47 |",
        "",
        "- a note",
    ]


def test_latex_is_escaped_ruled_and_aligned_by_siunitx() -> None:
    assert latex(TABLE).splitlines() == [
        r"% needs \usepackage{booktabs} and \usepackage{siunitx}",
        # two digits before the point, two after, an uncertainty of two digits; a sign that is kept
        r"\begin{tabular}{lS[table-format=2.2(2)]S[table-format=+2.2,retain-explicit-plus]}",
        r"\toprule",
        r"model & {mJ} & {\%} \\",
        r"\midrule",
        r"a\_b \& c\textbar{}d \textless{}i\textgreater{} & 46.11 \pm 0.20 & +0.50 \\",
        r"e f & 5.97 & -58.47 \\",
        r"\bottomrule",
        r"\end{tabular}",
        "% beware",
        "% a note",
    ]


def test_latex_sets_a_column_with_units_as_text() -> None:
    table = Table("t", [{"n": 371000}, {"n": None}], {"n": Column("SOPs", lambda n: f"{n / 1e3:.0f} k")})
    assert latex(table).splitlines()[1:6] == [
        r"\begin{tabular}{r}", r"\toprule", r"SOPs \\", r"\midrule", r"371 k \\"
    ]  # fmt: skip


def test_latex_says_where_a_number_is_missing() -> None:
    table = Table("t", [{"n": 1.5}, {"n": None}], {"n": Column("n", ".1f")})
    assert latex(table).splitlines()[5:7] == [r"1.5 \\", r"{--} \\"]


def test_files_for_programs_hold_every_key_at_full_precision(tmp_path: Path) -> None:
    write(TABLE, tmp_path, "t", tuple(FORMATS))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["t.csv", "t.json", "t.md", "t.parquet", "t.tex"]
    assert json.loads((tmp_path / "t.json").read_text()) == RECORDS
    for table in (pd.read_csv(tmp_path / "t.csv"), pd.read_parquet(tmp_path / "t.parquet")):
        assert table.columns.tolist() == ["name", "mj", "half", "off", "hidden"]
        assert table.hidden[0] == 1 / 3
        assert table.off.sum() == 0.5 - 58.468
        assert table.name.tolist() == ["a_b & c|d <i>", "e\nf"]
        assert table.half.isna().tolist() == [False, True]


def test_unknown_format_names_the_right_ones(tmp_path: Path) -> None:
    with pytest.raises(EnergyError, match="unknown format 'xlsx'; formats: csv, md, tex, json, parquet"):
        write(TABLE, tmp_path, "t", ["xlsx"])
