"""What the project asks for has bounds, and the lock file answers it without saying where it was found."""

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"].values()
EVERY = map(Requirement, (*PROJECT["dependencies"], *(text for extra in EXTRAS for text in extra)))
ASKED = [each for each in EVERY if each.name != PROJECT["name"]]  # which asks for another of its own extras
LOCK = (ROOT / "requirements.lock").read_text()
LOCKED = dict(re.findall(r"^([a-z0-9-]+)==([^ ;]+)", LOCK, flags=re.MULTILINE))


@pytest.mark.parametrize("asked", ASKED, ids=str)
def test_a_dependency_has_bounds_and_a_locked_version_within_them(asked: Requirement) -> None:
    assert {each.operator for each in asked.specifier} == {">=", "<"}
    assert asked.specifier.contains(LOCKED[canonicalize_name(asked.name)])


def test_every_locked_file_has_a_hash_and_no_address() -> None:
    lines = [line for line in LOCK.splitlines() if not line.startswith("#")]
    packages = [line for line in lines if not line.startswith(" ")]
    assert len(packages) >= len(LOCKED) > len(PROJECT["dependencies"])  # some have a version for newer Pythons
    assert all(line.endswith(" \\") for line in packages)  # and goes on with its hashes
    assert all(re.fullmatch(r" {4}--hash=sha256:[0-9a-f]{64}( \\)?", line) for line in lines if line not in packages)
    assert not re.search(r"://|--(extra-)?index-url|--find-links", LOCK)
