"""Help, version and completion of the command line."""

import importlib
import os
import re
import shlex
import subprocess
import sys

import pytest
import typer

from msvit_energy.commands import COMMANDS, app
from tests.support.command_line import run

NAMES = [module.__name__.rpartition(".")[2] for modules in COMMANDS.values() for module in modules]


@pytest.mark.parametrize("name", NAMES)
def test_every_command_has_help_with_examples_that_parse(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert run(monkeypatch, name, "-h") == 0
    text = capsys.readouterr().out
    assert run(monkeypatch, name, "--help") == 0
    assert capsys.readouterr().out == text
    examples = importlib.import_module(f"msvit_energy.commands.{name}").EXAMPLES.strip().splitlines()
    assert text.endswith("Examples:\n" + "".join(f"  {line}\n" for line in examples))
    group = typer.main.get_command(app)
    assert any(line.startswith(f"msvit-energy {name}") for line in examples)
    for line in examples:
        _, command, *arguments = shlex.split(re.split("  +", line)[0])
        context = group.commands[command].make_context(command, arguments)  # type: ignore[attr-defined]
        assert context.args == []
    assert max(len(line) for line in text.partition("Examples:")[0].splitlines()) <= 80


def test_commands_and_options_stand_in_groups(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "-h") == 0
    headings = re.findall(r"^(\w[^:\n]*):$", capsys.readouterr().out, re.M)
    assert headings == ["Options", *COMMANDS]
    assert run(monkeypatch, "profile", "-h") == 0
    headings = re.findall(r"^(\w[^:\n]*):$", capsys.readouterr().out, re.M)
    assert headings == ["Model", "Data", "Protocol and prices", "Run", "Output", "Options", "Examples"]


def test_version(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(monkeypatch, "--version") == 0
    assert re.fullmatch(r"msvit-energy \d+\.\d+\.\d+\n", capsys.readouterr().out)


def test_an_unknown_command_names_the_nearest(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "profle") == 2
    assert "No such command 'profle'. Did you mean 'profile'?" in capsys.readouterr().err


def test_a_shell_completes_commands_and_options() -> None:
    code = "from msvit_energy.commands import app; app(prog_name='msvit-energy')"
    for words, found in (("msvit-energy table", "table1\ntable2\ntable3"), ("msvit-energy energy --top", "--top")):
        place = {"COMP_WORDS": words, "COMP_CWORD": str(len(words.split()) - 1)}
        asked = {"_MSVIT_ENERGY_COMPLETE": "complete_bash", **place}
        done = subprocess.run(
            [sys.executable, "-c", code], env=os.environ | asked, capture_output=True, text=True, check=True
        )
        assert done.stdout.strip() == found
