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
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

# pages of 2 MiB for large tensors, as the command line asks for; one OpenMP pool must not spin beside another
ENVIRONMENT = {"THP_MEM_ALLOC_ENABLE": "1", "OMP_WAIT_POLICY": "passive"}
PACKAGES = ("torch", "spikingjelly", "numpy")


@dataclass(frozen=True)
class Measured:
    """Seconds of each round, the memory that the steps needed beyond what was there before them, and what else the
    contestant had to say at its end."""

    seconds: Sequence[float]
    peak_mb: float
    said: Mapping[str, Any]

    def ratio(self, other: "Measured") -> tuple[float, float, float]:
        """How many times as long the other takes: median, least and greatest over the rounds."""
        ratios = [b / a for a, b in zip(self.seconds, other.seconds, strict=True)]
        return statistics.median(ratios), min(ratios), max(ratios)


def contest(script: str, contestants: Mapping[str, Sequence[str]], rounds: int, threads: int) -> dict[str, Measured]:
    """Run `script` once per contestant with its arguments; after one round that is not counted, `rounds` rounds."""
    environment = os.environ | ENVIRONMENT | {"OMP_NUM_THREADS": str(threads)}
    processes = {
        name: subprocess.Popen(
            [sys.executable, script, *arguments],
            env=environment,
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


def ask(process: "subprocess.Popen[str]", what: str) -> str:
    """The answer of a contestant."""
    assert process.stdin is not None and process.stdout is not None
    print(what, file=process.stdin, flush=True)
    answer = process.stdout.readline()
    if not answer:
        raise SystemExit(f"a contestant ended with {process.wait()}")
    return answer


def answer(step: Callable[[], None], end: Callable[[], Mapping[str, Any]]) -> None:
    """A contestant's side: steps are timed, and at the end the peak of the memory is told."""
    answers, sys.stdout = sys.stdout, sys.stderr
    before = peak()
    for line in sys.stdin:
        if line.strip() == "step":
            started = time.perf_counter()
            step()
            print(time.perf_counter() - started, file=answers, flush=True)
        else:
            needed = peak() - before
            print(json.dumps({"peak_mb": needed, **end()}), file=answers, flush=True)
            return


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
