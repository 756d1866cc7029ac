"""Files read in a process of its own, which may run out of memory: what was raised, how much memory and time it took.

`python -m tests.support.isolated_reading` answers lines of JSON, a request each.
"""

import gc
import json
import re
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

ROOT = Path(__file__).parents[2]
HEADROOM = 3 * 2**30  # bytes that the process may map beyond what it has at its start
MB = 10**6


def promised_mb(path: Path) -> float:
    """What SECURITY.md says reading a file may take, in MB."""
    stated = re.search(r"twice its size plus (\d+) MB", (ROOT / "SECURITY.md").read_text())
    assert stated is not None
    return 2 * path.stat().st_size / MB + int(stated[1])


@dataclass(frozen=True)
class Reading:
    """The error's type and message, empty if there was none; memory at its peak beyond that before; time of the
    processor."""

    error: str
    message: str
    peak_mb: float
    seconds: float


class IsolatedReader:
    """The process; `with IsolatedReader() as reader: reader.read("profile", path)`."""

    def __enter__(self) -> Self:
        command = [sys.executable, "-m", "tests.support.isolated_reading"]
        self._process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._process.communicate(timeout=60)

    def read(self, kind: str, path: Path) -> Reading:
        """Read a file as one of READERS."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps([kind, str(path)]) + "\n")
        self._process.stdin.flush()
        return Reading(**json.loads(self._process.stdout.readline()))


def readers() -> dict[str, Callable[[Path], object]]:
    """What reads files, by the names that requests have."""
    import msvit
    from msvit.training.state import newest_state
    from msvit_energy import Profile, read_table
    from msvit_energy.pricing.published_rates import read_rates
    from msvit_energy.pricing.spikingformer_log import read_log
    from msvit_energy.pricing.technology import read_technology
    from msvit_energy.workflows.loading.nir_files import read_nir
    from msvit_energy.workflows.training.stored_recipe import read_stored_recipe

    per_image = ROOT / "msvit_energy" / "reporting" / "data" / "rates" / "sdtrack_tiny.csv"
    return {
        "checkpoint": msvit.load_checkpoint,
        "weights": lambda path: msvit.load_checkpoint(path, model="msvit_digits"),
        "state": lambda folder: newest_state(folder, "cpu"),
        "profile": Profile.load,
        "table": read_table,
        "per-image": lambda path: read_table(per_image, per_image=path),
        "rates": read_rates,
        "log": read_log,
        "technology": read_technology,
        "recipe": read_stored_recipe,
        "nir": read_nir,
    }


def answered(read: Callable[[Path], object], path: Path) -> dict[str, Any]:
    """One reading, with the kernel's own count of the memory in use at its peak."""
    gc.collect()
    Path("/proc/self/clear_refs").write_text("5")  # forget the peak so far
    before, start = memory_mb("VmRSS"), time.process_time()
    error = message = ""
    try:
        read(path)
    except BaseException as raised:
        error, message = type(raised).__name__, str(raised)
    return {
        "error": error,
        "message": message,
        "peak_mb": memory_mb("VmHWM") - before,
        "seconds": time.process_time() - start,
    }


def memory_mb(name: str) -> float:
    """A line of /proc/self/status."""
    found = re.search(rf"{name}:\s*(\d+) kB", Path("/proc/self/status").read_text())
    assert found is not None
    return int(found[1]) * 1024 / MB


def main() -> None:
    known = readers()
    mapped = int(memory_mb("VmSize") * MB)
    resource.setrlimit(resource.RLIMIT_AS, (mapped + HEADROOM, resource.RLIM_INFINITY))
    for line in sys.stdin:
        kind, path = json.loads(line)
        print(json.dumps(answered(known[kind], Path(path))), flush=True)


if __name__ == "__main__":
    main()
