"""Commands in processes forked from one that has imported everything: they begin at once, and may be killed."""

import multiprocessing
import os
import signal
import sys
import time
from contextlib import redirect_stderr, redirect_stdout
from multiprocessing.context import ForkServerProcess
from pathlib import Path

CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["tests.support.forked_runs_imports"])


def command(folder: Path, arguments: tuple[str, ...], environment: dict[str, str]) -> None:
    """What such a process does: the command line in `folder`, without figures, printing into files beside it."""
    from tests.support import forked_runs_imports

    signal.signal(signal.SIGINT, signal.default_int_handler)  # shells have their background jobs ignore it
    os.chdir(folder)
    os.environ.update(environment)
    sys.argv = ["msvit-energy", *arguments]
    name = f"printed-{environment.get('RANK', '0')}"
    with Path(f"{name}.out").open("w") as out, Path(f"{name}.err").open("w") as err:
        sys.__stderr__ = err
        with redirect_stdout(out), redirect_stderr(err):
            forked_runs_imports.run()


def started(folder: Path, *arguments: str, **environment: str) -> ForkServerProcess:
    """The process, running."""
    process = CONTEXT.Process(target=command, args=(folder, arguments, environment))
    process.start()
    return process


def printed(folder: Path, rank: int = 0) -> tuple[str, str]:
    """What the last process of that rank wrote to standard output and standard error."""
    out, err = (folder / f"printed-{rank}.{name}" for name in ("out", "err"))
    return out.read_text(), err.read_text()


def ended(process: ForkServerProcess, within: float = 180) -> int:
    """The exit code of a process that ends by itself."""
    process.join(within)
    assert process.exitcode is not None, "still running"
    return process.exitcode


def wait_for(folder: Path, pattern: str, count: int = 1, within: float = 180) -> None:
    """Until so many files are there."""
    end = time.monotonic() + within
    while len(list(folder.glob(pattern))) < count:
        assert time.monotonic() < end, f"no {pattern} in {folder}"
        time.sleep(0.01)
