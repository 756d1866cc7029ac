"""Two processes of one run, one of which is killed, or stopped, or told to end."""

import json
import os
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

import pytest

from tests.support.forked_runs import ended, printed, started, wait_for

pytestmark = pytest.mark.slow

PROFILE = ("profile", "--images", "80", "--batch-size", "4", "--format", "csv", "--out", "run")


@contextmanager
def both(folder: Path, *arguments: str, **environment: str) -> Iterator[list[ForkServerProcess]]:
    """Two processes as torchrun starts them, without torchrun, which would end the second by itself."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    place = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "WORLD_SIZE": "2", "TORCHELASTIC_RUN_ID": "1"}
    found = [started(folder, *arguments, **place, **environment, RANK=str(rank)) for rank in range(2)]
    try:
        yield found
    finally:
        for process in found:
            process.kill()
            process.join()


def content(run: Path) -> Any:
    profile = json.loads((run / "profile.json").read_text())
    return profile | {"provenance": profile["provenance"] | {"created": "", "command": ""}}


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP], ids=["killed", "hanging"])
def test_one_that_is_lost_ends_the_other_in_words_and_both_go_on(number: int, tmp_path: Path) -> None:
    with both(tmp_path, *PROFILE, SLOW="0.1", SILENCE="4") as (first, second):
        wait_for(tmp_path, "run/unfinished-*.pt", 2)
        assert second.pid is not None
        os.kill(second.pid, number)
        begun = time.monotonic()
        assert ended(first) == 2
        assert time.monotonic() - begun < 60  # 4 s of silence, and how long a busy machine takes
    (line,) = [line for line in printed(tmp_path)[1].splitlines() if line.startswith("error: ")]
    lost = "error: process 1 of 2 (counted from 0) has given no sign of life for 4 s"
    gone = "error: another process of this run has ended or cannot be reached"
    assert line.startswith(lost if number == signal.SIGSTOP else (lost, gone))
    assert {path.name for path in (tmp_path / "run").iterdir()} == {"unfinished-0.pt", "unfinished-1.pt"}
    with both(tmp_path, *PROFILE, "--resume") as processes:
        assert [ended(process) for process in processes] == [0, 0], printed(tmp_path)
    assert "going on after " in printed(tmp_path)[1]
    alone = tmp_path / "alone"
    alone.mkdir()
    assert ended(started(alone, *PROFILE)) == 0
    own, together = content(alone / "run"), content(tmp_path / "run")
    assert own == together


def test_sigterm_to_all_ends_with_the_profile_so_far(tmp_path: Path) -> None:
    with both(tmp_path, *PROFILE, SLOW="0.1") as processes:
        wait_for(tmp_path, "run/unfinished-*.pt", 2)
        for process in processes:
            process.terminate()
        assert [ended(process) for process in processes] == [130, 130]
    assert "images; the same command with --resume goes on" in printed(tmp_path)[1]
    data = content(tmp_path / "run")["provenance"]["data"]
    assert data["planned"] == 80
    first, second = data["indices"].split(",", 1)[0], data["indices"]
    assert first != second  # images of both shares
