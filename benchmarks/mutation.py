"""Mutation testing: break the code in one place, run the tests that pass by there, and see whether one fails.

    make coverage        # once, for which test runs which line
    python benchmarks/mutation.py reports/benchmarks --sample 300

A mutant is one change of one expression or statement: a comparison, an arithmetic or boolean operator, a number, a
word, a condition, a returned value, a call or a raise that is left out, a break for a continue. Left alone are
annotations, documentation, texts of several words, which are for people, and whether zip is strict. The sample is drawn
with a seed; without --sample all mutants are run, which takes days.

Tests of the mutant's own file come first, then those of its room, then others; of these the ones that run the fewest
lines; slow ones last. The first that fails ends it. A mutant lives if all passed, or those within --seconds of
processor time. It also dies by an error in importing or collecting, or in a test that takes more than --limit seconds.
Each mutant is a fork of a process in which the libraries are loaded, in a copy of the checkout.

mutation.csv has the mutants that lived, with a column `reason`: what somebody found out about a mutant stays when the
command is run again.
"""

import argparse
import ast
import csv
import importlib
import math
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).parents[1]
ROOMS = ("recording", "pricing", "profiles")
LIBRARIES = "torch spikingjelly.activation_based pandas scipy.stats hypothesis pytest timm jsonschema msgspec".split()
LIVED, DIED, NO_TEST = 0, 1, 5  # also pytest's own exit codes

SWAPPED: dict[type, type] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In, ast.And: ast.Or, ast.Or: ast.And,
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Mult, ast.Pow: ast.Mult, ast.LShift: ast.RShift, ast.RShift: ast.LShift, ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd, ast.MatMult: ast.Mult, ast.USub: ast.UAdd,
}  # fmt: skip
TWINS = {"min": "max", "max": "min", "any": "all", "all": "any"}


class Mutant(NamedTuple):
    """A change of a file: which node of its tree, in which of the ways that there are, and both in words."""

    path: str
    node: int
    way: int
    line: int
    before: str
    after: str


def mutants_of(path: Path) -> list[Mutant]:
    """All mutants of a file, in order."""
    found = []
    tree = ast.parse(path.read_text())
    for number, node in enumerate(mutable(tree)):
        for way, change in enumerate(changes(node)):
            after = ast.unparse(change(deepcopy(node)))
            found.append(Mutant(str(path.relative_to(ROOT)), number, way, node.lineno, ast.unparse(node), after))
    return found


def mutable(node: ast.AST) -> Iterator[Any]:
    """The expressions and statements of a tree that may be changed."""
    for name, value in ast.iter_fields(node):
        if name in ("annotation", "returns", "decorator_list", "type_params"):
            continue
        for child in value if isinstance(value, list) else [value]:
            if not isinstance(child, ast.AST) or is_text(child) or isinstance(child, ast.JoinedStr):
                continue
            if isinstance(child, ast.keyword) and child.arg == "strict":
                continue  # of zip: a guard against mistakes
            if isinstance(child, ast.expr | ast.stmt):
                yield child
            if isinstance(child, ast.Raise):
                continue  # its words
            if isinstance(child, ast.Call) and ast.unparse(child.func) in ("Meta", "TypeVar"):
                continue
            if isinstance(child, ast.Subscript) and ast.unparse(child.value) in ("Annotated", "Literal", "Stated"):
                continue
            if isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING":
                continue
            yield from mutable(child)


def is_text(node: ast.AST) -> bool:
    """Documentation."""
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def changes(node: Any) -> Iterator[Callable[[Any], ast.AST]]:
    """The ways of changing a node, each of which takes a copy of it."""
    if isinstance(node, ast.Compare):
        for place, op in enumerate(node.ops):
            yield lambda copy, place=place, op=op: put(copy, "ops", with_item(copy.ops, place, SWAPPED[type(op)]()))
    elif isinstance(node, ast.BinOp | ast.AugAssign | ast.BoolOp) and type(node.op) in SWAPPED:
        yield lambda copy: put(copy, "op", SWAPPED[type(copy.op)]())
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not | ast.USub):
        yield lambda copy: copy.operand
    elif isinstance(node, ast.Constant) and type(node.value) in (int, float, bool, str) and " " not in str(node.value):
        yield lambda copy: ast.Constant(other(copy.value))
    elif isinstance(node, ast.If | ast.While | ast.IfExp):
        yield lambda copy: put(copy, "test", ast.UnaryOp(ast.Not(), copy.test))
    elif isinstance(node, ast.Return) and node.value is not None and ast.unparse(node.value) != "None":
        yield lambda copy: put(copy, "value", ast.Constant(None))
    elif isinstance(node, ast.Raise) or (isinstance(node, ast.Expr) and isinstance(node.value, ast.Call)):
        yield lambda copy: ast.Pass()
    elif isinstance(node, ast.Break | ast.Continue):
        yield lambda copy: ast.Continue() if isinstance(copy, ast.Break) else ast.Break()
    elif isinstance(node, ast.Name) and node.id in TWINS:
        yield lambda copy: ast.Name(TWINS[copy.id])


def other(value: Any) -> Any:
    """Another constant of the same type."""
    if isinstance(value, bool):
        return not value
    return value + 1 if isinstance(value, int | float) else f"{value}~"


def put(node: Any, name: str, value: Any) -> Any:
    """A node with another field."""
    setattr(node, name, value)
    return node


def with_item(items: list[Any], place: int, item: Any) -> list[Any]:
    """A list with another item at a place."""
    return [*items[:place], item, *items[place + 1 :]]


def mutated(source: str, mutant: Mutant) -> str:
    """The text of a file with a mutant in it."""
    tree = ast.parse(source)
    node = list(mutable(tree))[mutant.node]
    change = list(changes(node))[mutant.way]
    place: Any = None
    for parent in ast.walk(tree):
        for name, value in ast.iter_fields(parent):
            if value is node:
                place = parent, name, None
            elif isinstance(value, list) and any(item is node for item in value):
                place = parent, name, next(i for i, item in enumerate(value) if item is node)
    parent, name, index = place
    new = change(node)
    setattr(parent, name, new if index is None else with_item(getattr(parent, name), index, new))
    return ast.unparse(ast.fix_missing_locations(tree)) + "\n"


class Tests:
    """Which tests run which lines, by the contexts of a coverage file."""

    def __init__(self, path: Path) -> None:
        from coverage import CoverageData

        data = CoverageData(str(path))
        data.read()
        # the names are relative to the root, by relative_files in pyproject.toml
        self._lines = {file: data.contexts_by_lineno(file) for file in data.measured_files()}
        passed = (context for lines in self._lines.values() for known in lines.values() for context in known)
        self._size = Counter(passed)  # lines that each test runs

    def of(self, mutant: Mutant) -> list[str]:
        """Tests that run a mutant's line, or its file where no test does, such as what runs on import."""
        lines = self._lines.get(mutant.path, {})
        contexts = set(filter(None, lines.get(mutant.line, ()))) or {each for known in lines.values() for each in known}
        named, own = f"/test_{Path(mutant.path).stem}.py", f"tests/msvit_energy/{Path(mutant.path).parts[1]}/"
        sizes: dict[str, int] = {}
        for context in contexts:
            if name := node_id(context):
                sizes[name] = max(sizes.get(name, 0), self._size[context])
        return sorted(sizes, key=lambda name: (named not in name, not name.startswith(own), sizes[name], name))


def node_id(context: str) -> str:
    """How pytest calls the test of a context; empty where it is none."""
    parts = context.split(".")
    for length in range(len(parts) - 1, 0, -1):
        path = Path(*parts[:length]).with_suffix(".py")
        if (ROOT / path).is_file():
            return "::".join([str(path), *parts[length:]])
    return ""


class Watch:
    """A plugin of pytest that takes slow tests last, and ends what takes too long."""

    def __init__(self, seconds: float, limit: float) -> None:
        self._seconds, self._limit, self._started = seconds, limit, time.process_time()

    def pytest_collection_modifyitems(self, items: list[Any]) -> None:
        """Slow ones last."""
        items.sort(key=lambda item: item.get_closest_marker("slow") is not None)

    def pytest_runtest_logstart(self) -> None:
        """Let the test run for so long, and then die with the mutant."""
        signal.signal(signal.SIGPROF, lambda *_: os._exit(DIED))
        signal.setitimer(signal.ITIMER_PROF, self._limit)

    def pytest_runtest_logfinish(self) -> None:
        """Stop when the time is over."""
        signal.setitimer(signal.ITIMER_PROF, 0)
        if time.process_time() - self._started > self._seconds:
            import pytest

            pytest.exit("out of time", returncode=LIVED)


def fate(tests: Sequence[str], copy: Path, watch: Watch) -> int:
    """Whether a mutant in the copy lives, as LIVED, DIED or NO_TEST."""
    if not tests:
        return NO_TEST
    child = os.fork()
    if child == 0:
        os.setsid()
        silence = os.open(os.devnull, os.O_RDWR)
        for stream in (0, 1, 2):
            os.dup2(silence, stream)
        os.chdir(copy)
        sys.path.insert(0, str(copy))
        sys.dont_write_bytecode = True
        os.environ |= {"PYTHONDONTWRITEBYTECODE": "1", "PYTHONPATH": str(copy)}
        code: int = DIED
        try:
            import pytest

            options = ["-x", "-q", "-p", "no:cacheprovider", "-p", "no:xdist"]
            options += ["-W", "ignore::pytest.PytestAssertRewriteWarning"]  # what is loaded before pytest begins
            code = int(pytest.main([*options, *tests], plugins=[watch]))
        finally:
            os._exit(code if code in (LIVED, NO_TEST) else DIED)
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status) if os.WIFEXITED(status) else DIED


def run(sample: Sequence[Mutant], tests: Tests, seconds: float, limit: float) -> Iterator[tuple[Mutant, int]]:
    """Each mutant with its fate."""
    for library in LIBRARIES:
        importlib.import_module(library)
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "checkout"
        files = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
        for name in filter(None, files.split("\0")):
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, copy / name)
        if fate(next(filter(None, map(tests.of, sample)), []), copy, Watch(seconds, limit)) != LIVED:
            raise SystemExit("the tests of the first mutant fail, or are not there, while nothing is broken")
        for number, mutant in enumerate(sample, 1):
            place = copy / mutant.path
            source = place.read_text()
            place.write_text(mutated(source, mutant))
            started = time.perf_counter()
            code = fate(tests.of(mutant), copy, Watch(seconds, limit))
            place.write_text(source)
            word = {LIVED: "lived", DIED: "died", NO_TEST: "no test"}.get(code, "died")
            took = time.perf_counter() - started
            change = f"{short(mutant.before)} -> {short(mutant.after)}"
            print(f"{number}/{len(sample)} {word} {took:.0f} s {mutant.path}:{mutant.line} {change}", flush=True)
            yield mutant, code


def short(text: str) -> str:
    """The beginning of a text, in a line."""
    line = " ".join(text.split())
    return line if len(line) <= 90 else f"{line[:87]}..."


def interval(hits: int, of: int) -> tuple[float, float]:
    """Wilson's 95 % interval of a share."""
    z, share = 1.959964, hits / of
    middle = (share + z * z / (2 * of)) / (1 + z * z / of)
    half = z / (1 + z * z / of) * math.sqrt(share * (1 - share) / of + z * z / (4 * of * of))
    return middle - half, middle + half


def reasons(path: Path) -> dict[tuple[str, str, str], str]:
    """What is known about mutants that lived before, by file and change."""
    if not path.exists():
        return {}
    with path.open(newline="") as lines:
        return {(row["file"], row["before"], row["after"]): row["reason"] for row in csv.DictReader(lines)}


def write(folder: Path, fates: Sequence[tuple[Mutant, int]], total: Counter[str], how: str) -> None:
    """mutation.csv and mutation.md."""
    folder.mkdir(parents=True, exist_ok=True)
    known = reasons(folder / "mutation.csv")
    lived = [mutant for mutant, code in fates if code != DIED]
    with (folder / "mutation.csv").open("w", newline="") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(["file", "line", "before", "after", "reason"])
        for each in lived:
            before, after = short(each.before), short(each.after)
            rows.writerow([each.path, each.line, before, after, known.get((each.path, before, after), "")])
    by_room: dict[str, list[int]] = defaultdict(list)
    for mutant, code in fates:
        by_room[Path(mutant.path).parts[1]].append(code)
    lines = ["# Mutants that tests find", "", how, ""]
    lines += ["| room | mutants there are | run | died | share | 95 % interval |", "| --- |" + " ---: |" * 5]
    for room, codes in [*by_room.items(), ("all", [code for _, code in fates])]:
        died = codes.count(DIED)
        low, high = interval(died, len(codes))
        there = total[room] if room != "all" else sum(total.values())
        share = f"{died / len(codes):.1%} | {low:.1%} to {high:.1%}"
        lines.append(f"| {room} | {there} | {len(codes)} | {died} | {share} |")
    lines += ["", "Those that lived, with the reason, are in [mutation.csv](mutation.csv)."]
    (folder / "mutation.md").write_text("\n".join(lines) + "\n")


def main() -> None:
    """Run mutants, write mutation.md and mutation.csv."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--sample", type=int, help="so many mutants, by chance; all by default")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=60, help="processor time for the tests of a mutant")
    parser.add_argument("--limit", type=float, default=120, help="processor time of one test")
    parser.add_argument("--room", action="append", choices=ROOMS, help="one or more; all by default")
    parser.add_argument("--coverage", type=Path, default=ROOT / ".coverage", help="with contexts: make coverage")
    given = parser.parse_args()
    every = [
        mutant
        for room in given.room or ROOMS
        for path in sorted((ROOT / "msvit_energy" / room).rglob("*.py"))
        for mutant in mutants_of(path)
    ]
    chosen = every if given.sample is None else random.Random(given.seed).sample(every, given.sample)
    total = Counter(Path(mutant.path).parts[1] for mutant in every)
    fates = []
    for each in run(chosen, Tests(given.coverage), given.seconds, given.limit):
        fates.append(each)
        how = f"{len(fates)} of {len(every)} mutants, seed {given.seed}, {given.seconds:g} s of tests for each at most."
        write(given.out, fates, total, how)  # whoever stops has what there is
    print((given.out / "mutation.md").read_text())


if __name__ == "__main__":
    main()
