"""Files on which a parser once broke (`make fuzz`): read, or refused in one line, for good."""

from pathlib import Path

import pytest

from tests.fuzz.parsers import PARSERS, check

FINDS = Path(__file__).parents[1] / "data" / "finds"
KEPT = sorted(path for path in FINDS.glob("*/*") if path.is_file())


@pytest.mark.parametrize("path", KEPT, ids=lambda path: f"{path.parent.name}-{path.name}")
def test_what_was_found_stays_mended(path: Path) -> None:
    check(PARSERS[path.parent.name], path.read_bytes())


@pytest.mark.slow
@pytest.mark.parametrize("name", PARSERS)
def test_seeds_of_the_fuzzer_are_read_or_refused_by_name(name: str) -> None:
    parser = PARSERS[name]
    taken = [check(parser, seed) for seed in parser.seeds()]
    # weights of no registered model are refused once they are read
    assert any(taken) or name in ("pickle", "archive", "legacy", "safetensors")
