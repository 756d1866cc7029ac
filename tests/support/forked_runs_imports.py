"""What a process of forked_runs.py has imported before it begins."""

import os
import time
from typing import Any

import matplotlib.pyplot  # noqa: F401
import torch

import msvit_energy.workflows.measuring.profile_files
import msvit_energy.workflows.measuring.profiling
import msvit_energy.workflows.training.run  # noqa: F401
from msvit import heartbeat
from msvit_energy import profiler
from msvit_energy.commands import main
from msvit_energy.reporting import figures, page


def run() -> None:
    """The command line, without figures and pages, which take longest."""
    torch.set_num_threads(1)
    figures.save_figures = lambda *_: []
    page.page = lambda *_: ""
    if "SLOW" in os.environ:  # a batch takes a second
        own = profiler.input_modes.run

        def run_slowly(*args: Any) -> Any:
            time.sleep(float(os.environ["SLOW"]))
            return own(*args)

        profiler.input_modes.run = run_slowly
    if "SILENCE" in os.environ:
        heartbeat.SILENCE = float(os.environ["SILENCE"])
        heartbeat.EVERY = 0.5
    main()
