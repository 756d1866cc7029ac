"""What a process of forked_runs.py has imported before it begins."""

import matplotlib.pyplot  # noqa: F401
import torch

import msvit_energy.profiler
import msvit_energy.workflows.profile_files
import msvit_energy.workflows.profiling
import msvit_energy.workflows.training  # noqa: F401
from msvit_energy.commands import main
from msvit_energy.reporting import figures, page


def run() -> None:
    """The command line, without figures and pages, which take longest."""
    torch.set_num_threads(1)
    figures.save_figures = lambda *_: []
    page.page = lambda *_: ""
    main()
