"""SIGKILL at random moments: what is gone on with ends as if nothing had happened."""

import json
import os
import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tests.support.forked_runs import ended, printed, started

MOMENTS = int(os.environ.get("MOMENTS", "6"))  # 20 by hand
pytestmark = pytest.mark.slow

PROFILE = ("profile", "--images", "60", "--batch-size", "4", "--format", "csv", "--out", "run")
SMALL = '{"embed_dims": [16, 16, 32], "num_heads": [2, 2, 2], "time_steps": 1}'
SETTINGS = (f"model_args={SMALL}", "save_minutes=0.0005", "best=accuracy")
TRAIN = ("train", "digits", "--epochs", "1", "--batch-size", "64", "--out", "run")
TRAIN = (*TRAIN, *(part for text in SETTINGS for part in ("--set", text)))


def profile_of(run: Path) -> Any:
    """All that a measurement found."""
    content = json.loads((run / "profile.json").read_text())
    return content | {"provenance": content["provenance"] | {"created": "", "command": ""}}


def training_of(run: Path) -> Any:
    """The weights of a run and its history."""
    history = pd.read_csv(run / "history.csv").drop(columns="seconds")
    return (run / "model.safetensors").read_bytes(), history.to_dict("list")


@pytest.mark.parametrize(
    ("arguments", "result"), [(PROFILE, profile_of), (TRAIN, training_of)], ids=["profile", "train"]
)
def test_killed_at_random_moments_it_ends_as_if_uninterrupted(
    arguments: tuple[str, ...], result: Callable[[Path], Any], tmp_path: Path
) -> None:
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    for folder in (whole, killed):
        folder.mkdir()
    ended(started(whole, "protocols"))  # the process that all are forked from has begun, too
    begun = time.monotonic()
    assert ended(started(whole, *arguments)) == 0, printed(whole)
    length = time.monotonic() - begun
    moments = random.Random(25)
    kills = 0
    while kills < MOMENTS:
        process = started(killed, *arguments, "--resume")
        process.join(moments.uniform(0, 0.8 * length))
        process.kill()
        process.join()
        kills += process.exitcode == -9
        if process.exitcode != -9:  # it came to its end, or had done so before the last kill: begin anew
            assert process.exitcode == 0 or "run already holds" in printed(killed)[1]
            assert result(killed / "run") == result(whole / "run")
            for path in (killed / "run").iterdir():
                path.unlink()
    assert ended(started(killed, *arguments, "--resume")) == 0 or "run already holds" in printed(killed)[1]
    assert result(killed / "run") == result(whole / "run")
    left = {path.name for path in (killed / "run").iterdir()}
    assert left == {path.name for path in (whole / "run").iterdir()}
