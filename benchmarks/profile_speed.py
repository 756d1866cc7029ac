"""What profiling costs per batch, in time and memory: ours against SpikingJelly's counters and three other tools.

    python benchmarks/profile_speed.py reports/benchmarks --spikingformer-tool SPIKINGFORMER

"bare" is a plain SpikingJelly implementation of the same network, every time step executed; "ours" our forward pass;
"kept" that in a process that keeps freed memory, as `msvit-energy profile` does; "profile" one more batch of such a
running measurement. The others run on the plain network: "counters" is SpikingJelly's op_counter, "neurobench" and
"syops" are those packages if they are installed (neither is needed otherwise), "spikingformer" the folder
energy_consumption_calculation of a checkout of github.com/zhouchenlin2096/Spikingformer. Half an hour on one core.
"""

import argparse
import hashlib
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from in_turn import Measured, Turns, contest, environment, machine, trial

CASES = {"msvit_cifar": 8, "spikformer_cifar": 8, "msvit_10_384": 1}  # model, images per batch
OWN = ("bare", "ours", "kept", "profile", "counters")
OTHERS = ("neurobench", "syops", "spikingformer")
ROUNDS, THREADS = 5, 1
NOTES = (
    f"Medians of {ROUNDS} rounds measured in turn, each in a process of its own; ratios are taken within a round.",
    "Memory is what the batches added to the process. Accumulates and MACs are those of an image, as each tool defines",
    "them (profile: Appendix C; counters: SynOpCounter). Spikes: all of one more batch, bit by bit against bare's.",
    "Random weights, batch-norm statistics of the batch. Spikingformer's tool counts, but prices nothing here.",
)


def network(name: str, batch: int) -> tuple[Any, Any]:
    """The model with random weights, and a batch."""
    import torch

    import msvit

    torch.manual_seed(0)
    model: Any = msvit.create_model(name).eval()
    return model, torch.randn(batch, *model.input_size)


def prepare(name: str, statistics: str) -> None:
    """Write batch-norm statistics of the batch: with fresh ones hardly anything would fire."""
    import torch
    from torch.nn.modules.batchnorm import _BatchNorm

    model, images = network(name, CASES[name])
    for norm in model.modules():
        if isinstance(norm, _BatchNorm):
            norm.momentum = 1.0
    with torch.no_grad():
        model.train()(images)
    torch.save({key: value for key, value in model.state_dict().items() if "running_" in key}, statistics)


def contestant(kind: str, name: str, statistics: str, tool: str) -> None:
    """Answer with batches; say a digest of all spikes of one more, and what was counted."""
    import torch
    from plain import plain_frames, plain_neurons
    from rivals import step_of

    from msvit.memory import keep_memory

    model, images = network(name, CASES[name])
    model.load_state_dict(torch.load(statistics), strict=False)
    if kind in ("kept", "profile"):
        keep_memory()
    if kind == "profile":
        profiled(model, images)
        return
    if kind not in ("ours", "kept"):
        plain_neurons(model)
        plain_frames(model)
    step = step_of(kind, model, images, tool)
    turns = Turns()
    for _ in turns:
        step()
    with listening(model) as spikes:
        counted = step()
    if counted is not None and not sum(counted):
        raise SystemExit("counts nothing")
    turns.report({"spikes": spikes.hexdigest(), "counted": counted})


def profiled(model: Any, images: Any) -> None:
    """The contestant "profile": a batch per turn through one measurement."""
    from msvit_energy import price, profile

    turns, digests = Turns(), []

    def batches() -> Iterator[Any]:
        for _ in turns:
            yield images
        with listening(model) as spikes:
            yield images
        digests.append(spikes.hexdigest())

    report = price(profile(model, batches()))
    turns.report({"spikes": digests[0], "counted": (report.acs, report.macs)})


@contextmanager
def listening(model: Any) -> Iterator[Any]:
    """A digest of every spike that the neurons of the model send meanwhile."""
    import numpy as np
    from spikingjelly.activation_based.neuron import BaseNode

    digest = hashlib.sha256()
    hear = lambda module, inputs, spikes: digest.update(np.packbits(spikes.numpy() != 0).tobytes())  # noqa: E731
    handles = [node.register_forward_hook(hear) for node in model.modules() if isinstance(node, BaseNode)]
    yield digest
    for handle in handles:
        handle.remove()


def measure(name: str, folder: Path, tool: str) -> str:
    """A table of one model."""
    statistics = str(folder / f"{name}.pt")
    # not in this process: a contestant's peak of memory begins at that of the process that starts it
    subprocess.run([sys.executable, __file__, "--prepare", name, statistics], env=environment(THREADS), check=True)
    contestants = {kind: ("--as", kind, name, statistics, tool) for kind in (*OWN, *OTHERS)}
    if not tool:
        del contestants["spikingformer"]
    absent = {}
    for kind in OTHERS:
        problem = trial(__file__, contestants[kind], THREADS) if kind in contestants else ""
        if problem:
            error, _, message = problem.partition(": ")
            absent[kind] = f"not installed: {message}" if error == "ModuleNotFoundError" else f"does not run: {problem}"
            del contestants[kind]
    return table(name, contest(__file__, contestants, ROUNDS, THREADS), absent)


def table(name: str, results: dict[str, Measured], absent: dict[str, str]) -> str:
    """Markdown of what was measured."""
    lines = [f"## {name}, batches of {CASES[name]}", ""]
    lines += ["| | median s | of bare | (least, most) | of ours | (least, most) | memory, MB | of bare |"]
    lines[-1] += " accumulates, M | MACs, M | spikes |"
    lines += ["| --- | " + "---: | " * 9 + "--- |"]
    bare, ours = results["bare"], results["ours"]
    for kind, measured in results.items():
        median = sorted(measured.seconds)[len(measured.seconds) // 2]
        ratios = [f"{x:.2f} | {low:.2f}, {high:.2f}" for x, low, high in (bare.ratio(measured), ours.ratio(measured))]
        counted = [f"{number / 1e6:.1f}" for number in measured.reported["counted"] or ()] or ["", ""]
        lines.append(
            f"| {kind} | {median:.2f} | {' | '.join(ratios)} | {measured.peak_mb:.0f} | "
            f"{measured.peak_mb / bare.peak_mb:.2f} | {' | '.join(counted)} | "
            f"{'equal' if measured.reported['spikes'] == bare.reported['spikes'] else 'DIFFERENT'} |"
        )
    lines += [f"| {kind} | {problem} {'| ' * 9}|" for kind, problem in absent.items()]
    return "\n".join(lines) + "\n"


def others() -> list[str]:
    """Versions of the other tools that are installed."""
    found = []
    for name in OTHERS:
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            continue
    return found


def main() -> None:
    """Measure all, write profile_speed.md."""
    parser = argparse.ArgumentParser()
    parser.add_argument("report", type=Path)
    parser.add_argument("--spikingformer-tool", default="")
    parser.add_argument("--models", default=",".join(CASES))
    given = parser.parse_args()
    models = given.models.split(",")
    if not set(models) <= set(CASES):
        parser.error(f"models: {', '.join(CASES)}")
    with TemporaryDirectory() as folder:
        tables = [measure(name, Path(folder), given.spikingformer_tool) for name in models]
    versions = ", ".join([machine(THREADS), *others()])
    lines = ["# The cost of profiling a batch", "", versions, "", *tables, *NOTES]
    given.report.mkdir(parents=True, exist_ok=True)
    (given.report / "profile_speed.md").write_text("\n".join(lines) + "\n")
    print("\n".join(lines))


if __name__ == "__main__":
    if sys.argv[1] == "--as":
        contestant(*sys.argv[2:])
    elif sys.argv[1] == "--prepare":
        prepare(*sys.argv[2:])
    else:
        main()
