"""`make fuzz`: atheris on every parser in turn, each in a process of its own that shares the time.

Prints executions and finds by parser; a find is kept in --finds as a file that `tests/project/test_finds.py` reads
again from tests/data/finds. Exit code 1 if there was one.
"""

import argparse
import hashlib
import random
import re
import subprocess
import sys
import tempfile
import traceback
from pathlib import Path

import atheris

INSTRUMENTED = ["msvit", "msvit_energy"]  # torch would take minutes
SLOWEST = 20  # seconds for one file
MOST_MEMORY = 3000  # MB of the process
EXECUTIONS = re.compile(r"stat::number_of_executed_units: (\d+)")
PROGRESS = re.compile(r"^#(\d+)\t", re.M)


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--seconds", type=float, default=3600, help="for all parsers together")
    options.add_argument("--finds", type=Path, default=Path("out/finds"), help="folder for what was found")
    options.add_argument("--parser", action="append", help="only this one (repeatable)")
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--alone", help=argparse.SUPPRESS)
    given = options.parse_args()
    if given.alone:
        fuzz(given.alone, given.finds, given.seconds, given.seed)
    from tests.fuzz.parsers import PARSERS

    names = given.parser or list(PARSERS)
    return max(run(name, given.seconds / len(names), given.finds, given.seed) for name in names)


def run(name: str, seconds: float, finds: Path, seed: int) -> int:
    """Fuzz one parser in another process, which may die; print what came of it. 1 if something was found."""
    before = set(finds.glob(f"{name}/*"))
    command = [sys.executable, "-m", "tests.fuzz", "--alone", name, "--finds", str(finds)]
    command += ["--seconds", str(max(1, round(seconds))), "--seed", str(seed)]
    ended = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    counted = EXECUTIONS.findall(ended.stderr) or PROGRESS.findall(ended.stderr) or ["0"]
    new = sorted(set(finds.glob(f"{name}/*")) - before)
    print(f"{name:12} {int(counted[-1]):>9} executions, {len(new)} finds", flush=True)
    for path in new:
        print(f"  {path}")
    if ended.returncode:
        print("\n".join(f"  {line}" for line in ended.stderr.splitlines()[-25:]))
    return int(bool(new or ended.returncode))


def fuzz(name: str, finds: Path, seconds: float, seed: int) -> None:
    """Fuzz one parser in this process, which then ends. What it raises is kept once for each place in the code."""
    with atheris.instrument_imports(include=INSTRUMENTED):
        from tests.fuzz.parsers import PARSERS, check

        parser = PARSERS[name]
        for content in parser.seeds():  # imports what is imported late
            check(parser, content)
    seen: set[str] = set()

    def test_one(data: bytes) -> None:
        try:
            check(parser, data)
        except Exception as error:
            place = traceback.extract_tb(error.__traceback__)[-1]
            bug = f"{type(error).__name__} {place.filename}:{place.lineno}"
            if bug not in seen:
                seen.add(bug)
                keep(finds / name, data)
                print(f"FOUND {bug}: {str(error)[:300]!r}", file=sys.stderr)

    def mutated(data: bytes, most: int, number: int) -> bytes:
        draw = random.Random(number)
        if parser.mutated is not None and draw.random() < 0.7:
            try:
                return parser.mutated(data, draw)[:most]
            except Exception:  # of what is broken already nothing sound can be made
                pass
        return atheris.Mutate(data, most)

    corpus = Path(tempfile.mkdtemp(prefix="fuzz-"))
    for place, content in enumerate(parser.seeds()):
        (corpus / str(place)).write_bytes(content)
    (finds / name).mkdir(parents=True, exist_ok=True)
    limits = [f"-max_total_time={round(seconds)}", f"-timeout={SLOWEST}", f"-rss_limit_mb={MOST_MEMORY}"]
    limits += [
        "-max_len=100000",
        "-len_control=0",
        f"-seed={seed + 1}",
        "-print_final_stats=1",
        "-report_slow_units=1000",
    ]
    limits += [f"-artifact_prefix={finds / name}/", str(corpus)]
    atheris.Setup([sys.argv[0], *limits], test_one, custom_mutator=mutated)
    atheris.Fuzz()


def keep(folder: Path, data: bytes) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / hashlib.sha256(data).hexdigest()[:12]).write_bytes(data)


if __name__ == "__main__":
    sys.exit(main())
