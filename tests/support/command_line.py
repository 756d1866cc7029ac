"""The command line inside the process of a test."""

import sys

import pytest

from msvit_energy.commands import main


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    """Run the command line in this process; return its exit code."""
    monkeypatch.setattr(sys, "argv", ["msvit-energy", *arguments])
    with pytest.raises(SystemExit) as end:
        main()
    return int(end.value.code or 0)
