"""Measure contestants in turn: each in a process of its own, one step each, round after round.

What the machine does meanwhile hits all alike, so ratios hold where seconds do not.
"""

import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

ENVIRONMENT = {"OMP_WAIT_POLICY": "passive"}  # one OpenMP pool must not spin beside another
PACKAGES = ("torch", "spikingjelly", "numpy")


@dataclass(frozen=True)
class Measured:
    """Seconds of each round, the memory that the steps needed beyond what was there before them, and what else the
    contestant had to say at its end."""

    seconds: Sequence[float]
    peak_mb: float
    reported: Mapping[str, Any]

    def ratio(self, other: "Measured") -> tuple[float, float, float]:
        """How many times as long the other takes: median, least and greatest over the rounds."""
        ratios = [b / a for a, b in zip(self.seconds, other.seconds, strict=True)]
        return statistics.median(ratios), min(ratios), max(ratios)


def contest(script: str, contestants: Mapping[str, Sequence[str]], rounds: int, threads: int) -> dict[str, Measured]:
    """Run `script` once per contestant with its arguments; after one round that is not counted, `rounds` rounds."""
    processes = {
        name: subprocess.Popen(
            [sys.executable, script, *arguments],
            env=environment(threads),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for name, arguments in contestants.items()
    }
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    for number in range(rounds + 1):
        for name, process in processes.items():
            taken = json.loads(ask(process, "step"))
            print(f"round {number}: {name} {taken:.3f} s", flush=True)
            if number:
                seconds[name].append(taken)
    ends = {name: json.loads(ask(process, "end")) for name, process in processes.items()}
    for process in processes.values():
        process.wait()
    return {name: Measured(seconds[name], ends[name].pop("peak_mb"), ends[name]) for name in contestants}


def trial(script: str, arguments: Sequence[str], threads: int) -> str:
    """Let a contestant take one step alone: what it died of, in a line, or nothing."""
    command = [sys.executable, script, *arguments]
    done = subprocess.run(
        command, env=environment(threads), input="step\nend\n", capture_output=True, text=True, check=False
    )
    lines = done.stderr.strip().splitlines() or [f"ended with {done.returncode}"]
    return lines[-1] if done.returncode else ""


def environment(threads: int) -> dict[str, str]:
    """The environment of every contestant."""
    return os.environ | ENVIRONMENT | {"OMP_NUM_THREADS": str(threads)}


def ask(process: "subprocess.Popen[str]", what: str) -> str:
    """The answer of a contestant."""
    assert process.stdin is not None and process.stdout is not None
    print(what, file=process.stdin, flush=True)
    answer = process.stdout.readline()
    if not answer:
        raise SystemExit(f"a contestant ended with {process.wait()}")
    return answer


class Turns:
    """A contestant's side: one turn for each step that is asked for, timed until the next turn is wanted.

    What is printed goes to the standard error from now on, as the standard output carries the answers.
    """

    def __init__(self) -> None:
        self._answers, sys.stdout = sys.stdout, sys.stderr
        self._before, self._needed = peak(), 0.0

    def __iter__(self) -> Iterator[None]:
        for line in sys.stdin:
            if line.strip() != "step":
                self._needed = peak() - self._before
                return
            started = time.perf_counter()
            yield
            print(time.perf_counter() - started, file=self._answers, flush=True)

    def report(self, facts: Mapping[str, Any]) -> None:
        """The end: the peak of the memory during the turns, and what else there is to say."""
        print(json.dumps({"peak_mb": self._needed, **facts}), file=self._answers, flush=True)


def answer(step: Callable[[], None], end: Callable[[], Mapping[str, Any]]) -> None:
    """The short form: a step in each turn, and what `end` says after the last."""
    turns = Turns()
    for _ in turns:
        step()
    turns.report(end())


def peak() -> float:
    """Largest memory of this process so far, in MB."""
    unit = 2**20 if sys.platform == "darwin" else 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


def machine(threads: int) -> str:
    """The machine and versions, in a line."""
    packages = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    return f"{processor()}, {os.cpu_count()} cores, {threads} threads; Python {platform.python_version()}, {packages}"


def processor() -> str:
    """The processor's name, as far as the system says it."""
    try:
        with open("/proc/cpuinfo") as lines:  # noqa: PTH123
            return next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()
