"""The commands and the Python of every page, executed in order in an empty folder."""

import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.command_line import run
from tests.support.documentation import DOCS, PAGES, ROOT, Block, blocks

SET_UP = ("make", "pip")  # what .ci/run executes
SHORT = ["--epochs", "1", "--batch-size", "64", "--set", 'model_args={"time_steps": 1}']  # training takes minutes
QUOTED = DOCS / "how-to" / "adding-a-model-family.md"  # its code is that of files, which test_docs.py holds together
EXECUTED = [page for page in PAGES if page != QUOTED and any(block.runs for block in blocks(page))]


def test_most_pages_have_something_to_run() -> None:
    assert len(EXECUTED) >= 20
    assert sum(len(block.commands) for page in EXECUTED for block in blocks(page) if block.language == "bash") >= 50


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_blocks_are_of_a_kind_that_is_known(page: Path) -> None:
    """A block of another language would be executed by nobody, and nobody would notice."""
    assert page.read_text().count("\n```") == 2 * len(blocks(page)), "a fence that is not understood"
    for block in blocks(page):
        assert block.title or block.language in ("bash", "python", "sh", "text"), block.language
        if block.language == "bash":
            assert {line.split()[0] for line in block.commands} <= {"msvit-energy", "python", "torchrun", *SET_UP}


@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # those of packages that a reader imports
@pytest.mark.parametrize("page", EXECUTED, ids=lambda page: f"{page.parent.name}/{page.stem}")
def test_snippets_of_a_page_run(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    names: dict[str, Any] = {"__name__": "snippets"}
    for block in blocks(page):
        if block.title:
            (tmp_path / block.title).write_text(block.text)
            sys.modules.pop(Path(block.title).stem, None)  # another page's file of that name
        elif block.language == "python":
            exec(compile(block.text, page.name, "exec"), names)
        elif block.language == "bash":
            execute(block, monkeypatch, capsys)


def execute(block: Block, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Run every command; each has to end well and to print something."""
    for line in block.commands:
        program, *arguments = shlex.split(line)
        if program in SET_UP:
            continue
        if arguments[0] == "train":
            arguments += SHORT
        if program == "msvit-energy":
            capsys.readouterr()
            code, printed = run(monkeypatch, *arguments), capsys.readouterr()
            assert code == 0, f"{line}: {printed.err}"
            assert printed.out, line
        else:
            script = Path(sys.executable).with_name(program)
            here = os.environ | {"PYTHONPATH": str(ROOT)}
            done = subprocess.run([script, *arguments], capture_output=True, text=True, check=False, env=here)
            assert done.returncode == 0, f"{line}: {done.stderr}"
            assert done.stdout, line
